// The memory map (address against time, spills above the limit) and the memory in use over the layers.

const MANY_TENSORS = 1500; // above that, those of one kind are one path
const MAP_HEIGHT = 240;
const USED_HEIGHT = 70;
const SPILLS_TOP = 18;

const KINDS = ["feature map", "weight", "prefetch", "tiles"];
const kindClass = (kind) => `part-${[0, 1, 3, 5][KINDS.indexOf(kind)] ?? 7}`;
const bytesText = (value) => amount(value, "B");

// Where each layer begins, and the last one ends, in layers or in seconds.
function startsOf(run, unit) {
  const starts = [0];
  const seconds = column(run, "layer_s");
  for (let layer = 0; layer < state.network.layers; layer += 1) {
    starts.push(unit === "seconds" ? starts[layer] + seconds[layer] : layer + 1);
  }
  return starts;
}

// A lane for each [title, first, end, ...], so that none in a lane overlap; and how many there are.
function lanesOf(spans) {
  const ends = [];
  const lanes = spans.map(([, first, end]) => {
    const free = ends.findIndex((last) => last <= first);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = end;
    return lane;
  });
  return { lanes, count: ends.length };
}

// What is drawn of a run's memory, and where: scales and edges.
function memoryFrame(run, width) {
  const { memory } = run;
  const [left, right] = [LEFT, width - RIGHT];
  const starts = startsOf(run, byId("memory-axis").value);
  const time = linear(starts[state.first], starts[state.end], left, right);
  const layerAtX = linear(left, right, starts[state.first], starts[state.end]);
  const isShown = (first, end) => first < state.end && end > state.first;
  const entries = (memory.entries || []).filter(([, , first, end]) => isShown(first, end));
  const spilled = memory.spilled
    .map(([title, first, last, bytes]) => [title, first, last + 1, bytes])
    .filter(([, first, end]) => isShown(first, end))
    .sort((a, b) => a[1] - b[1]);
  const { lanes, count } = lanesOf(spilled);
  const laneHeight = count ? Math.max(0.8, Math.min(8, 90 / count)) : 0;
  const top = SPILLS_TOP + Math.ceil(count * laneHeight) + (count ? 14 : 0);
  const bottom = top + (memory.entries ? MAP_HEIGHT : 0);
  const base = bottom + 22 + USED_HEIGHT;
  const used = column(run, "sram_used_bytes");
  const limit = memory.sram_bytes;
  const height = byId("to-limit").checked ? limit : Math.min(limit, 1.1 * memory.peak_bytes) || limit;
  const mostUsed = used.slice(state.first, state.end).reduce((most, value) => Math.max(most, value), 0);
  const usedHeight = Math.max(height, mostUsed);
  return {
    ...{ width, left, right, top, bottom, base, starts, entries, spilled, lanes, laneHeight, used },
    ...{ limit, height, usedHeight },
    x: (layer) => time(starts[layer]),
    from: (first) => time(starts[Math.max(first, state.first)]),
    to: (end) => time(starts[Math.min(end, state.end)]),
    y: linear(0, height, bottom, top),
    addressAtY: linear(bottom, top, 0, height),
    usedY: linear(0, usedHeight, base, base - USED_HEIGHT),
    layerAt: (at) => layerUnder(starts, layerAtX(at)),
  };
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

// A mark for each rectangle [left, top, width, height], or one for all where there are many.
function rectangles(shapes, look) {
  if (shapes.length > MANY_TENSORS) {
    const path = shapes.map(([left, top, width, height]) => `M${left} ${top}h${width}v${height}h-${width}z`);
    return [svg("path", { class: look, d: path.join(""), "data-tensors": shapes.length })];
  }
  return shapes.map(([left, top, width, height]) =>
    svg("rect", { class: look, x: left, y: top, width, height, "data-tensors": 1 }),
  );
}

function drawMap(drawing, { entries, left, right, top, bottom, from, to, y, limit, height }) {
  const below = ticks(height).filter((value) => value < 0.95 * height);
  drawing.append(...leftAxis(below, y, left, right, bytesText));
  for (const kind of new Set(entries.map((entry) => entry[1]))) {
    const shapes = entries
      .filter((entry) => entry[1] === kind)
      .map(([, , first, end, address, size]) => [
        px(from(first)),
        px(y(address + size)),
        px(Math.max(0.4, to(end) - from(first))),
        px(Math.max(0.4, y(address) - y(address + size))),
      ]);
    drawing.append(...rectangles(shapes, `tensor fill ${kindClass(kind)}`));
  }
  if (height < limit) {
    const text = `the limit, ${bytesText(limit)}, is above`;
    drawing.append(svg("text", { class: "limit-text", x: right, y: top + 4, "text-anchor": "end" }, text));
    return;
  }
  drawing.append(
    svg("path", { class: "limit", d: `M${left} ${px(y(limit))}H${right}` }),
    svg("text", { class: "limit-text", x: left - 6, y: top + 4, "text-anchor": "end" }, bytesText(limit)),
  );
}

function drawSpills(drawing, { spilled, lanes, laneHeight, from, to }) {
  if (!spilled.length) return;
  const shapes = spilled.map(([, first, end], at) => [
    px(from(first)),
    px(SPILLS_TOP + lanes[at] * laneHeight),
    px(Math.max(1, to(end) - from(first) - 0.5)),
    px(Math.max(0.6, laneHeight - 1)),
  ]);
  const text = `spilled: ${counted(spilled.length, "tensor")}`;
  drawing.append(svg("text", { class: "limit-text", x: LEFT, y: 13 }, text), ...rectangles(shapes, "spill"));
}

function drawUsed(drawing, { left, right, base, x, used, usedY, usedHeight, limit }) {
  drawing.append(...leftAxis(ticks(usedHeight, 2), usedY, left, right, bytesText));
  let path = `M${left} ${base}`;
  for (let layer = state.first; layer < state.end; layer += 1) {
    path += `V${px(usedY(used[layer]))}H${px(x(layer + 1))}`;
  }
  drawing.append(
    svg("path", { class: "used", d: `${path}V${base}Z`, "data-layers": state.end - state.first }),
    svg("text", { class: "dim", x: left, y: base - USED_HEIGHT - 6 }, "in use"),
  );
  if (limit <= usedHeight) {
    drawing.append(svg("path", { class: "limit", d: `M${left} ${px(usedY(limit))}H${right}` }));
  }
}

// What lies at a point of the map, in words.
function tensorText({ entries }, layer, address) {
  const isThere = ([, , first, end, from, size]) =>
    first <= layer && layer < end && from <= address && address < from + size;
  const found = entries.find(isThere);
  if (!found) return "";
  const [title, kind, , , at, size] = found;
  const letters = [...title];
  const shown = letters.length > 80 ? `${letters.slice(0, 80).join("")}…` : title;
  return `${kind} ${isolate(shown)}: ${whole(size)} bytes at ${whole(at)}`;
}

function spillText({ spilled, lanes, laneHeight, from, to }, at, up) {
  const lane = Math.floor((up - SPILLS_TOP) / laneHeight);
  const isThere = ([, first, end], index) => lanes[index] === lane && from(first) <= at && at <= to(end);
  const found = spilled.find(isThere);
  return found ? `spilled ${isolate(found[0])}: ${bytesText(found[3])} more over DDR` : "";
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
    const frame = memoryFrame(run, width);
    const { left, right, top, bottom, base, entries, spilled, x } = frame;
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${base + 24}`, "data-picture": "memory" });
    if (memory.entries) drawMap(drawing, frame);
    drawSpills(drawing, frame);
    drawUsed(drawing, frame);
    drawing.append(...brackets(x, base + 3));
    marks.push((layer) => {
      drawing.querySelector(".band")?.remove();
      if (layer === null || layer < state.first || layer >= state.end) return;
      drawing.append(band(x, layer, layer + 1, 8, base));
    });
    const layerAt = (at, up) => {
      if (at < left || at >= right) return [null];
      const layer = frame.layerAt(at);
      if (up < top) return [layer, spillText(frame, at, up)];
      return [layer, up <= bottom ? tensorText(frame, layer, frame.addressAtY(up)) : ""];
    };
    const what = `${counted(entries.length, "tensor")} and parts, ${spilled.length} spilled`;
    const label = `Memory map of ${run.hardware}: ${what}; the arrow keys go through the layers`;
    const caption = [name(run.hardware), html("span", { class: "about" }, captionOf(memory))];
    return figure(caption, label, drawing, layerAt, memory.note ? note(memory.note) : null);
  }

  function captionOf(memory) {
    if (!memory.entries) return "";
    const isLeast = memory.peak_bytes === memory.bound_bytes;
    const proof = isLeast ? "the least there can be" : `at least ${whole(memory.bound_bytes)} are needed`;
    return ` addresses end at ${whole(memory.peak_bytes)} of ${whole(memory.sram_bytes)} bytes (${proof})`;
  }

  byId("memory-legend").replaceChildren(
    ...KINDS.map((kind) =>
      legendEntry(kind === "prefetch" ? "weights that come in early" : kind, kindClass(kind)),
    ),
    legendEntry("spilled: moves more than once", "spilled"),
  );
  byId("memory-axis").addEventListener("change", redraw);
  byId("to-limit").addEventListener("change", redraw);
  addView(byId("memory"), draw, (layer) => marks.forEach((mark) => mark(layer)));
}
