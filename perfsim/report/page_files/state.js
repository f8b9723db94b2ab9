// The data, what is chosen, and the views that follow the choice.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

const state = {
  network: data.networks[0],
  first: 0, // of the layers that the pictures show
  end: data.networks[0].layers,
  run: 0, // of the table, the graph
  hot: null, // the layer under the pointer
  hotText: "", // what else is there
  pinned: null, // the layer that stays marked when the pointer leaves
  chosen: 0, // the layer that is explained
};

// Parts of a machine, each of which can bound a layer: one colour each, in the order of the data.
const partClass = (part) => `part-${data.bounds.indexOf(part) % 8}`;
const partLabel = (part) => (part === "ddr" ? "DDR" : part);

// A column of the network's layers, on one of its machines where it depends on that.
const column = (run, name) => run.columns[name] ?? state.network.common[name];

// A view: `draw` is called when it must be drawn anew and can be seen, `highlight` with the layer under the pointer.
const views = [];

function addView(element, draw, highlight = () => {}) {
  views.push({ element, draw, highlight, isDrawn: false });
}

function drawView(view) {
  view.isDrawn = true;
  view.draw();
  view.highlight(state.hot);
}

const inSight = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const view = views.find((each) => each.element === entry.target);
      view.isInSight = entry.isIntersecting;
      if (view.isInSight && !view.isDrawn) drawView(view);
    }
  },
  { rootMargin: "600px" },
);

// Everything again: what is near the window at once, the rest when it comes near.
function redraw() {
  for (const view of views) {
    view.isDrawn = false;
    if (view.isInSight) drawView(view);
  }
}

function drawAll() {
  for (const view of views) if (!view.isDrawn) drawView(view);
}

// `text` says what else is under the pointer.
function setHot(layer, text = "") {
  if (layer === state.hot && text === state.hotText) return;
  state.hot = layer;
  state.hotText = text;
  for (const view of views) if (view.isDrawn) view.highlight(layer);
}

// What is marked when the pointer is nowhere.
const leave = () => setHot(state.pinned);

// Keep the layer marked, and explain it; once more lets it go.
function pin(layer) {
  state.pinned = state.pinned === layer ? null : layer;
  choose(layer);
}

function unpin() {
  state.pinned = null;
  setHot(null);
}

function choose(layer) {
  state.chosen = layer;
  showSteps();
}

function showNetwork(index) {
  state.network = data.networks[index];
  state.first = 0;
  state.end = state.network.layers;
  state.run = 0;
  state.hot = null;
  state.pinned = null;
  state.chosen = 0;
}
