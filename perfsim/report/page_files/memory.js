// The memory map (address against time, spills above the limit) and the memory in use over the layers.

const MANY_TENSORS = 1500; // above that, those of one kind are one path
const MAP_HEIGHT = 240;
const USED_HEIGHT = 70;

const KINDS = ["feature map", "weight", "prefetch", "tiles"];
const kindClass = (kind) => `part-${[0, 1, 3, 5][KINDS.indexOf(kind)] ?? 7}`;

// Where each layer begins, and the last one ends, in layers or in seconds.
function startsOf(run, unit) {
  const starts = [0];
  const seconds = column(run, "layer_s");
  for (let layer = 0; layer < state.network.layers; layer += 1) {
    starts.push(unit === "seconds" ? starts[layer] + seconds[layer] : layer + 1);
  }
  return starts;
}

// A lane for each [first, end), so that none in a lane overlap; and how many there are.
function lanesOf(spans) {
  const ends = [];
  const lanes = spans.map(([first, end]) => {
    const free = ends.findIndex((last) => last <= first);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = end;
    return lane;
  });
  return { lanes, count: ends.length };
}

function addMemory() {
  const body = byId("memory-body");
  let marks = [];

  function draw() {
    marks = [];
    const width = widthIn(body);
    body.replaceChildren(...state.network.runs.map((run) => one(run, width)));
  }

  function one(run, width) {
    const { memory } = run;
    const [left, right] = [LEFT, width - RIGHT];
    const starts = startsOf(run, byId("memory-axis").value);
    const time = linear(starts[state.first], starts[state.end], left, right);
    const x = (layer) => time(starts[layer]);
    const isShown = (first, end) => first < state.end && end > state.first;
    const from = (first) => x(Math.max(first, state.first));
    const to = (end) => x(Math.min(end, state.end));
    const entries = (memory.entries || []).filter(([, , first, end]) => isShown(first, end));
    const spilled = memory.spilled
      .map(([title, first, last, bytes]) => [title, first, last + 1, bytes])
      .filter(([, first, end]) => isShown(first, end))
      .sort((a, b) => a[1] - b[1]);
    const { lanes, count } = lanesOf(spilled.map(([, first, end]) => [first, end]));
    const laneHeight = count ? Math.max(0.8, Math.min(8, 90 / count)) : 0;
    const top = 18 + Math.ceil(count * laneHeight) + (count ? 14 : 0);
    const bottom = top + (memory.entries ? MAP_HEIGHT : 0);
    const base = bottom + 22 + USED_HEIGHT;
    const used = column(run, "sram_used_bytes");
    const mostUsed = Math.max(
      memory.sram_bytes,
      used.reduce((most, value) => Math.max(most, value), 0),
    );
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${base + 24}`, "data-picture": "memory" });
    const y = linear(0, memory.sram_bytes, bottom, top);
    const inUse = linear(0, mostUsed, base, base - USED_HEIGHT);
    const bytes = (value) => amount(value, "B");

    if (memory.entries) {
      drawing.append(
        ...leftAxis(
          ticks(memory.sram_bytes).filter((at) => at < 0.95 * memory.sram_bytes),
          y,
          left,
          right,
          bytes,
        ),
      );
      drawTensors(drawing, entries, from, to, y);
      drawing.append(
        svg("path", { class: "limit", d: `M${left} ${px(y(memory.sram_bytes))}H${right}` }),
        svg(
          "text",
          { class: "limit-text", x: left - 6, y: top + 4, "text-anchor": "end" },
          bytes(memory.sram_bytes),
        ),
      );
    }
    drawSpills(drawing, spilled, lanes, laneHeight, from, to);
    drawUsed();
    drawing.append(...brackets(x, base + 3));

    function drawUsed() {
      drawing.append(...leftAxis(ticks(mostUsed, 2), inUse, left, right, bytes));
      let path = `M${left} ${base}`;
      for (let layer = state.first; layer < state.end; layer += 1)
        path += `V${px(inUse(used[layer]))}H${px(x(layer + 1))}`;
      drawing.append(
        svg("path", { class: "used", d: `${path}V${base}Z`, "data-layers": state.end - state.first }),
        svg("path", { class: "limit", d: `M${left} ${px(inUse(memory.sram_bytes))}H${right}` }),
        svg("text", { class: "dim", x: left, y: base - USED_HEIGHT - 6 }, "in use"),
      );
    }

    marks.push((layer) => {
      drawing.querySelector(".band")?.remove();
      if (layer !== null && layer >= state.first && layer < state.end)
        drawing.append(band(x, layer, layer + 1, 8, base));
    });
    const label =
      `Memory map of ${run.hardware}: ${entries.length} tensors and parts, ${spilled.length} spilled; the arrow ` +
      "keys go through the layers";
    const caption = [name(run.hardware), html("span", { class: "about" }, captionOf(memory))];
    return figure(caption, label, drawing, layerAt, memory.note ? note(memory.note) : null);

    function layerAt(at, up) {
      if (at < left || at >= right) return [null];
      const layer = layerUnder(starts, linear(left, right, starts[state.first], starts[state.end])(at));
      const address = (memory.sram_bytes * (bottom - up)) / (bottom - top);
      return [layer, up < top ? spillText(at, up) : tensorText(entries, layer, up <= bottom ? address : -1)];
    }

    function spillText(at, up) {
      const lane = Math.floor((up - 18) / laneHeight);
      const found = spilled.find(
        ([, first, end], index) => lanes[index] === lane && from(first) <= at && at <= to(end),
      );
      return found ? `spilled ${isolate(found[0])}: ${bytes(found[3])} more over DDR` : "";
    }
  }

  function drawTensors(drawing, entries, from, to, y) {
    const shape = ([, , first, end, address, size]) => [
      px(from(first)),
      px(y(address + size)),
      px(Math.max(0.4, to(end) - from(first))),
      px(Math.max(0.4, y(address) - y(address + size))),
    ];
    if (entries.length <= MANY_TENSORS) {
      for (const entry of entries) {
        const [left, top, width, height] = shape(entry);
        drawing.append(
          svg("rect", {
            class: `tensor fill ${kindClass(entry[1])}`,
            x: left,
            y: top,
            width,
            height,
            "data-tensors": 1,
          }),
        );
      }
      return;
    }
    for (const kind of KINDS) {
      const chosen = entries.filter((entry) => entry[1] === kind);
      const path = chosen.map((entry) => {
        const [left, top, width, height] = shape(entry);
        return `M${left} ${top}h${width}v${height}h-${width}z`;
      });
      if (chosen.length) {
        drawing.append(
          svg("path", { class: `fill ${kindClass(kind)}`, d: path.join(""), "data-tensors": chosen.length }),
        );
      }
    }
  }

  function drawSpills(drawing, spilled, lanes, height, from, to) {
    if (!spilled.length) return;
    drawing.append(
      svg("text", { class: "limit-text", x: LEFT, y: 13 }, `spilled: ${whole(spilled.length)} tensors`),
    );
    const many = spilled.length > MANY_TENSORS;
    let path = "";
    spilled.forEach(([, first, end], at) => {
      const [left, top] = [px(from(first)), px(18 + lanes[at] * height)];
      const [width, tall] = [px(Math.max(1, to(end) - from(first) - 0.5)), px(Math.max(0.6, height - 1))];
      if (many) path += `M${left} ${top}h${width}v${tall}h-${width}z`;
      else
        drawing.append(
          svg("rect", { class: "spill", x: left, y: top, width, height: tall, "data-tensors": 1 }),
        );
    });
    if (many) drawing.append(svg("path", { class: "spill", d: path, "data-tensors": spilled.length }));
  }

  function captionOf(memory) {
    if (!memory.entries) return "";
    const proof =
      memory.peak_bytes === memory.bound_bytes
        ? "the least there can be"
        : `at least ${whole(memory.bound_bytes)} are needed`;
    return ` addresses end at ${whole(memory.peak_bytes)} of ${whole(memory.sram_bytes)} bytes (${proof})`;
  }

  byId("memory-legend").replaceChildren(
    ...KINDS.map((kind) =>
      legendEntry(kind === "prefetch" ? "weights that come in early" : kind, kindClass(kind)),
    ),
    legendEntry("spilled: moves more than once", "spilled"),
  );
  byId("memory-axis").addEventListener("change", redraw);
  addView(byId("memory"), draw, (layer) => marks.forEach((mark) => mark(layer)));
}

// The layer that runs at `time`.
function layerUnder(starts, time) {
  let [low, high] = [state.first, state.end - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= time) low = middle;
    else high = middle - 1;
  }
  return low;
}

function tensorText(entries, layer, address) {
  const found = entries.find(
    ([, , first, end, at, size]) => first <= layer && layer < end && at <= address && address < at + size,
  );
  if (!found) return "";
  const [title, kind, , , at, size] = found;
  const letters = [...title];
  const shown = letters.length > 80 ? `${letters.slice(0, 80).join("")}…` : title;
  return `${kind} ${isolate(shown)}: ${whole(size)} bytes at ${whole(at)}`;
}
