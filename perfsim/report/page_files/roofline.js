// Rooflines: operations per byte against operations per second, one point a layer, for each machine.

const MANY_POINTS = 1000; // above that, points of one place are one mark

// The points of the layers that are shown, by unit; how many stand at infinity, and how many layers have none.
function pointsOf(run) {
  const found = { matrix: [], vector: [], endless: 0, idle: state.end - state.first };
  for (const [layer, x, y] of run.points) {
    if (layer < state.first || layer >= state.end) continue;
    const unit = column(run, "macs")[layer] ? "matrix" : "vector";
    found[unit].push({ layer, x: x ?? Infinity, y, time: column(run, "layer_s")[layer] });
    found.endless += x === null ? 1 : 0;
    found.idle -= 1;
  }
  return found;
}

// Points that fall on one place, put together where there are many.
function placed(points, x, y) {
  if (points.length <= MANY_POINTS) return points.map((point) => ({ ...point, layers: [point.layer] }));
  const places = new Map();
  for (const point of points) {
    const key = `${Math.round(x(point.x) / 3)} ${Math.round(y(point.y) / 3)}`;
    const known = places.get(key);
    if (known) {
      known.layers.push(point.layer);
      known.time = Math.max(known.time, point.time);
    } else places.set(key, { ...point, layers: [point.layer] });
  }
  return [...places.values()];
}

function addRoofline() {
  const body = byId("roofline-body");
  let marks = [];

  function draw() {
    marks = [];
    const width = widthIn(body, 416);
    const all = state.network.runs.map(pointsOf);
    const every = all.flatMap((found) => [...found.matrix, ...found.vector]);
    const finite = every.map((point) => point.x).filter(Number.isFinite);
    const bounds = {
      low: Math.min(0.1, ...finite) / 1.5,
      high: Math.max(100, ...finite) * 1.5,
      bottom:
        Math.min(
          ...state.network.runs.map((run) => run.machine.vector_flops / 10),
          ...every.map((point) => point.y),
        ) / 1.5,
      top: Math.max(...state.network.runs.flatMap((run) => run.roofs.map((roof) => roof[2]))) * 2,
    };
    body.replaceChildren(...state.network.runs.map((run, at) => one(run, all[at], bounds, width)));
  }

  function one(run, found, bounds, width) {
    const [left, right, top, bottom] = [70, width - 28, 8, 260];
    const log = (scale) => (value) => scale(Math.log10(value));
    const across = log(linear(Math.log10(bounds.low), Math.log10(bounds.high), left, right));
    const x = (value) => (Number.isFinite(value) ? across(value) : right + 14);
    const y = log(linear(Math.log10(bounds.bottom), Math.log10(bounds.top), bottom, top));
    const drawing = svg("svg", { viewBox: `0 0 ${width} ${bottom + 36}`, "data-picture": "roofline" });
    drawing.append(
      ...leftAxis(powers(bounds.bottom, bounds.top, 7), y, left, right, (value) => amount(value, "op/s")),
    );
    for (const value of powers(bounds.low, bounds.high, width < 400 ? 5 : 8)) {
      drawing.append(
        svg("path", { class: "grid", d: `M${px(x(value))} ${top}V${bottom}` }),
        svg("text", { class: "dim", x: px(x(value)), y: bottom + 14, "text-anchor": "middle" }, String(value)),
      );
    }
    drawing.append(
      svg(
        "text",
        { class: "dim", x: px((left + right) / 2), y: bottom + 30, "text-anchor": "middle" },
        "operations per byte over DDR",
      ),
      ...run.roofs.map(([unit, , level]) => roof(run.machine.ddr_bytes_per_s, level, unit)),
    );
    if (found.endless)
      drawing.append(
        svg("text", { class: "dim", x: right + 14, y: bottom + 14, "text-anchor": "middle" }, "∞"),
      );

    function roof(slope, level, unit) {
      const steps = [];
      const from = Math.max(bounds.low, bounds.bottom / slope);
      for (let at = 0; at <= 100; at += 1) {
        const value = from * (bounds.high / from) ** (at / 100);
        steps.push(`${px(x(value))} ${px(y(Math.min(level, slope * value)))}`);
      }
      return svg("path", { class: `roof line ${partClass(unit)}`, d: `M${steps.join("L")}` });
    }

    const longest = Math.max(...column(run, "layer_s"));
    const points = [];
    for (const unit of ["matrix", "vector"]) {
      for (const point of placed(found[unit], x, y)) {
        const size = 2.5 + 7 * Math.sqrt(point.time / longest);
        const [at, up] = [px(x(point.x)), px(y(point.y))];
        const shape =
          unit === "matrix"
            ? svg("circle", { cx: at, cy: up, r: px(size) })
            : svg("path", {
                d: `M${at} ${px(up - size)}L${px(at + size)} ${up}L${at} ${px(up + size)}L${px(at - size)} ${up}Z`,
              });
        add(
          shape,
          {
            class: `point fill ${partClass(unit)}`,
            "data-layer": point.layer,
            "data-layers": point.layers.length,
          },
          [],
        );
        drawing.append(shape);
        points.push({ at, up, size, layers: point.layers });
      }
    }
    const home = new Map(points.flatMap((point) => point.layers.map((layer) => [layer, point])));
    marks.push((layer) => {
      drawing.querySelector(".ring")?.remove();
      const point = home.get(layer);
      if (point)
        drawing.append(svg("circle", { class: "ring", cx: point.at, cy: point.up, r: px(point.size + 3) }));
    });
    const levels = run.roofs.map(([, text, level]) => `${text} ${amount(level, "FLOPS")}`);
    const said = [`Roofs: ${levels.join("; ")}.`];
    if (found.endless) said.push(`Nothing moves over DDR for ${counted(found.endless, "layer")}: at ∞.`);
    if (found.idle) said.push(`${counted(found.idle, "layer")} without operations or time: no point.`);
    const together = points.filter((point) => point.layers.length > 1).length;
    if (together) said.push(`${counted(together, "point")} for several layers of one place.`);
    const layers = counted(home.size, "layer");
    const label = `Roofline of ${run.hardware} with ${layers} as points; the arrow keys go through them`;
    const layerAt = (at, up) => nearest(points, at, up);
    return figure([name(run.hardware)], label, drawing, layerAt, note(said.join(" ")));
  }

  function nearest(points, at, up) {
    let [best, least] = [null, 14];
    for (const point of points) {
      const distance = Math.hypot(point.at - at, point.up - up) - point.size / 2;
      if (distance < least) [best, least] = [point, distance];
    }
    if (!best) return [null];
    const others = best.layers.length - 1;
    return [best.layers[0], others ? `and ${counted(others, "other layer")} of this place` : ""];
  }

  byId("roofline-legend").replaceChildren(
    legendEntry("matrix unit: layers, and its roof", partClass("matrix"), "round"),
    legendEntry("vector unit alone: layers, and its roof", partClass("vector"), "diamond"),
  );
  addView(byId("roofline"), draw, (layer) => marks.forEach((mark) => mark(layer)));
}
