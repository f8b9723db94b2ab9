// The page put together: what can be chosen, and what follows.

function options(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => html("option", { value, dir: "auto" }, text)));
}

function addContents() {
  for (const section of document.querySelectorAll("main section")) {
    byId("contents").append(
      html("li", {}, html("a", { href: `#${section.id}` }, section.querySelector("h2").textContent)),
    );
  }
}

function addTheme() {
  const button = byId("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
  const say = () => (button.textContent = isDark() ? "light colours" : "dark colours");
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    say();
  });
  dark.addEventListener("change", say);
  say();
}

const MOST_ON_ONE_SCALE = 10; // the largest total over the smallest: beyond that, bars of the fast ones vanish

// The choices that belong to the network: blocks, machines, layers, bounds.
function offerChoices() {
  const { network } = state;
  const { blocks, runs, common } = network;
  const ranges = blocks.map(([title, first, end], at) => [at, `${title} (${end - first})`]);
  options(byId("range"), [["", `all ${whole(network.layers)}`], ...ranges]);
  byId("range-choice").hidden = blocks.length < 2;
  const times = runs.map((run) => run.totals.total_s);
  byId("same-scale").checked = Math.max(...times) <= MOST_ON_ONE_SCALE * Math.min(...times);
  byId("same-scale-choice").hidden = runs.length < 2;
  for (const id of ["table-run", "graph-run"]) {
    options(
      byId(id),
      runs.map((run, at) => [at, run.hardware]),
    );
  }
  options(byId("bound-filter"), [["", "anything"], ...data.bounds.map((bound) => [bound, partLabel(bound)])]);
  options(
    byId("layer-choice"),
    common.name.map((title, at) => [at, `${at + 1} ${title}`]),
  );
}

function showAll() {
  document.title = `${data.networks.map((network) => network.name).join(", ")} – perfsim`;
  showLimits();
  showAssumptions();
  offerChoices();
  showSteps();
  redraw();
}

const listed = (names) => names.flatMap((each, at) => (at ? [", ", name(each)] : [name(each)]));

function start() {
  byId("title").replaceChildren(...listed(data.networks.map((network) => network.name)));
  const machines = new Set(data.networks.flatMap((network) => network.runs.map((run) => run.hardware)));
  byId("subtitle").append("on ", ...listed([...machines]), `; simulated by perfsim ${data.perfsim}`);
  addContents();
  addTheme();
  if (data.networks.length > 1) {
    byId("network-choice").hidden = false;
    options(
      byId("network"),
      data.networks.map((network, at) => [at, network.name]),
    );
  }
  showTotals();
  addBars();
  addRoofline();
  addMemory();
  addGraph();
  addTable();
  addView(byId("readout"), () => {}, showReadout);
  for (const view of views) inSight.observe(view.element);
  showAll();
  drawView(views[views.length - 1]); // the readout is hidden, and never comes into sight by itself

  byId("network").addEventListener("change", (event) => {
    showNetwork(Number(event.target.value));
    showAll();
  });
  byId("range").addEventListener("change", (event) => {
    const block = state.network.blocks[event.target.value];
    [state.first, state.end] = event.target.value === "" ? [0, state.network.layers] : block.slice(1);
    unpin();
    redraw();
  });
  for (const id of ["table-run", "graph-run"]) {
    byId(id).addEventListener("change", (event) => {
      state.run = Number(event.target.value);
      for (const other of ["table-run", "graph-run"]) byId(other).value = event.target.value;
      redraw();
    });
  }
  byId("layer-choice").addEventListener("change", (event) => choose(Number(event.target.value)));
  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    if (document.body.clientWidth === width) return;
    width = document.body.clientWidth;
    redraw();
  });
  addEventListener("beforeprint", drawAll);
}

start();
