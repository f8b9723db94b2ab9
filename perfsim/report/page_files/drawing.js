// Elements, scales and axes: what every picture is drawn with. Texts go in as text nodes, so nothing in them is markup.

const SVG = "http://www.w3.org/2000/svg";

function add(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

const html = (tag, attributes = {}, ...children) => add(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  add(document.createElementNS(SVG, tag), attributes, children);
const name = (text) => html("bdi", {}, text);

// A position to the tenth of a pixel: short, and finer than any screen.
const px = (value) => Math.round(value * 10) / 10;

function linear(from, to, low, high) {
  const slope = (high - low) / (to - from || 1);
  return (value) => low + (value - from) * slope;
}

// Round numbers from 0 to `most`, about `count` of them.
function ticks(most, count = 5) {
  if (!(most > 0)) return [0];
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let index = 0; index * step <= most * (1 + 1e-9); index += 1) found.push(index * step);
  return found;
}

// Whole powers of ten from `low` to `high`, at most about `count`.
function powers(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const step = Math.max(1, Math.ceil((last - first + 1) / count));
  const found = [];
  for (let power = first; power <= last; power += step) found.push(10 ** power);
  return found;
}

// The end of `text`, which tells names apart, in about `room` pixels of the pictures' type.
function fitting(text, room) {
  const letters = [...text];
  const most = Math.max(1, Math.floor(room / 6.2));
  return letters.length <= most ? text : `…${letters.slice(letters.length - most + 1).join("")}`;
}

// Lines and numbers of an axis from 0, to the left of a plot.
function leftAxis(values, y, left, right, label) {
  return values.flatMap((value) => [
    svg("path", { class: "grid", d: `M${left} ${px(y(value))}H${right}` }),
    svg("text", { class: "dim", x: left - 6, y: px(y(value)) + 4, "text-anchor": "end" }, label(value)),
  ]);
}

// A picture with its caption: reachable by the keyboard, the arrows going from layer to layer.
//
// layerAt(x, y, event): [the layer there or null, what else is there in words or nothing]. below: what follows it.
function figure(caption, label, drawing, layerAt, below = null) {
  const box = html("div", { class: "drawing", tabindex: "0", role: "group", "aria-label": label }, drawing);
  drawing.setAttribute("aria-hidden", "true");
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const scale = drawing.viewBox.baseVal.width / box.width;
    const [layer, text] = layerAt((event.clientX - box.left) * scale, (event.clientY - box.top) * scale, event);
    setHot(layer, text);
  });
  drawing.addEventListener("pointerleave", leave);
  drawing.addEventListener("click", () => state.hot !== null && pin(state.hot));
  box.addEventListener("keydown", (event) => {
    const last = state.end - 1;
    const at = state.hot;
    const moves = {
      ArrowRight: at === null ? state.first : Math.min(last, at + 1),
      ArrowLeft: at === null ? last : Math.max(state.first, at - 1),
      Home: state.first,
      End: last,
    };
    if (event.key in moves) setHot(moves[event.key]);
    else if (event.key === "Escape") unpin();
    else if (event.key === "Enter" && at !== null) {
      choose(at);
      byId("layer").scrollIntoView();
    } else return;
    event.preventDefault();
  });
  box.addEventListener("blur", leave);
  return html("figure", { class: "panel" }, html("figcaption", {}, ...caption), box, below);
}

// The width that a picture has in `body`, when `columns` of at least `least` pixels may stand side by side.
function widthIn(body, least = Infinity) {
  const full = body.clientWidth || 800;
  const columns = Math.max(1, Math.min(Math.floor((full + 16) / (least + 16)), state.network.runs.length));
  return Math.max(260, Math.floor((full - 16 * (columns - 1)) / columns));
}

const note = (text) => html("p", { class: "note" }, text);
const legendEntry = (text, look, isMark = "") =>
  html("span", {}, html("i", { class: `${look} ${isMark}`, "aria-hidden": "true" }), text);
