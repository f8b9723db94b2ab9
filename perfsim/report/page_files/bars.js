// Time per layer: a bar for each layer, its parts stacked, with the blocks bracketed below.

const BAR_LEAST = 3; // pixels; layers that would be narrower are added up
const LEFT = 62;
const RIGHT = 8;

// Neighbouring layers [first, end) that share a bar: one each where they fit.
function binsOf(first, end, room) {
  const step = Math.max(1, Math.ceil((end - first) / Math.floor(room / BAR_LEAST)));
  const bins = [];
  for (let at = first; at < end; at += step) bins.push([at, Math.min(end, at + step)]);
  return { bins, step };
}

function sumOf(values, first, end) {
  let sum = 0;
  for (let at = first; at < end; at += 1) sum += values[at];
  return sum;
}

// The name of each block under its layers, as far as there is room.
function brackets(x, y) {
  return state.network.blocks.flatMap(([title, first, end]) => {
    const from = Math.max(first, state.first);
    const to = Math.min(end, state.end);
    if (from >= to || state.network.blocks.length < 2) return [];
    const [left, right] = [x(from) + 1, x(to) - 1];
    const mark = svg("path", { class: "axis", d: `M${px(left)} ${y}v4H${px(Math.max(left + 1, right))}v-4` });
    if (right - left < 26) return [mark];
    const text = fitting(title, right - left);
    return [
      mark,
      svg("text", { class: "dim", x: px((left + right) / 2), y: y + 16, "text-anchor": "middle" }, text),
    ];
  });
}

function band(x, from, to, top, bottom) {
  const width = Math.max(1.5, x(to) - x(from));
  return svg("rect", { class: "band", x: px(x(from)), y: top, width: px(width), height: bottom - top });
}

function addBars() {
  const body = byId("time-body");
  let marks = [];

  function draw() {
    marks = [];
    const width = widthIn(body);
    const { first, end } = state;
    const { bins, step } = binsOf(first, end, width - LEFT - RIGHT);
    const heights = state.network.runs.map((run) =>
      bins.map(([from, to]) =>
        Math.max(
          sumOf(column(run, "layer_s"), from, to),
          data.parts.reduce(
            (sum, [, seconds]) => sum + (run.columns[seconds] ? sumOf(run.columns[seconds], from, to) : 0),
            0,
          ),
        ),
      ),
    );
    const most = heights.map((values) => Math.max(...values));
    const shared = byId("same-scale").checked ? Math.max(...most) : 0;
    body.replaceChildren(
      ...(step > 1
        ? [
            note(
              `Each bar adds up ${step} neighbouring layers; choose a block at the top ` +
                "of the page to see each of its layers.",
            ),
          ]
        : []),
    );
    state.network.runs.forEach((run, at) => body.append(one(run, bins, step, width, shared || most[at])));
  }

  function one(run, bins, step, width, most) {
    const [top, bottom] = [8, 200];
    const x = linear(state.first, state.end, LEFT, width - RIGHT);
    const y = linear(0, most || 1, bottom, top);
    const drawing = svg(
      "svg",
      { viewBox: `0 0 ${width} ${bottom + 24}`, "data-picture": "time" },
      ...leftAxis(ticks(most), y, LEFT, width - RIGHT, duration),
    );
    const adds = column(run, "layer_s");
    for (const [from, to] of bins) {
      const [left, right] = [x(from), x(to)];
      const gap = right - left > 6 ? 1 : 0;
      const bar = svg("g", { "data-layer": from, "data-layers": to - from });
      let below = 0;
      for (const [part, seconds] of data.parts) {
        const value = run.columns[seconds] ? sumOf(run.columns[seconds], from, to) : 0;
        if (!value) continue;
        bar.append(
          svg("rect", {
            class: `fill ${partClass(part)}`,
            x: px(left + gap),
            y: px(y(below + value)),
            width: px(Math.max(0.5, right - left - 2 * gap)),
            height: px(y(below) - y(below + value)),
          }),
        );
        below += value;
      }
      const line = y(sumOf(adds, from, to));
      bar.append(
        svg("rect", {
          class: "adds",
          x: px(left),
          y: px(line - 0.8),
          height: 1.6,
          width: px(Math.max(0.5, right - left)),
        }),
      );
      drawing.append(bar);
    }
    drawing.append(...brackets(x, bottom + 3));
    marks.push((layer) => {
      drawing.querySelector(".band")?.remove();
      if (layer === null || layer < state.first || layer >= state.end) return;
      const from = state.first + Math.floor((layer - state.first) / step) * step;
      drawing.append(band(x, from, Math.min(state.end, from + step), top, bottom));
    });
    const timed = run.totals.steady_ddr_bytes < run.totals.ddr_bytes ? "first inference" : "";
    const back = linear(LEFT, width - RIGHT, state.first, state.end);
    const layers = counted(state.end - state.first, "layer");
    const label = `Time per layer on ${run.hardware}, ${layers}; the arrow keys go through them`;
    const layerAt = (at) => [at < LEFT || at >= width - RIGHT ? null : Math.floor(back(at))];
    return figure([name(run.hardware), ` ${timed} ${duration(run.totals.total_s)}`], label, drawing, layerAt);
  }

  byId("time-legend").replaceChildren(
    ...data.parts.map(([part]) => legendEntry(`${partLabel(part)} busy`, partClass(part))),
    legendEntry("adds to the total", "tick"),
  );
  byId("same-scale").addEventListener("change", redraw);
  addView(byId("time"), draw, (layer) => marks.forEach((mark) => mark(layer)));
}
