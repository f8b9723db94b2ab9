// The network's graph, from top to bottom, each node coloured by the time that it takes on one machine.

const NODES_MOST = 300; // of layers; above that a node stands for a block
const NODE = { width: 172, height: 24, gap: 14, step: 44, waypoint: 6 };

// The nodes that are drawn, as ranges of layers [title, first, end), and the edges between them.
function nodesShown(byBlocks) {
  const { first, end, network } = state;
  const nodes = byBlocks
    ? network.blocks.filter(([, from, to]) => from < end && to > first)
    : Array.from({ length: end - first }, (_, at) => [
        network.common.name[first + at],
        first + at,
        first + at + 1,
      ]);
  const home = new Map();
  nodes.forEach(([, from, to], index) => {
    for (let layer = from; layer < to; layer += 1) home.set(layer, index);
  });
  const edges = new Map();
  for (const [from, to] of network.edges) {
    const [a, b] = [home.get(from), home.get(to)];
    if (a !== undefined && b !== undefined && a !== b) edges.set(`${a} ${b}`, [a, b]);
  }
  return { nodes, edges: [...edges.values()], home };
}

function addGraph() {
  const body = byId("graph-body");
  let marks = () => {};

  function draw() {
    marks = () => {};
    const layers = state.end - state.first;
    let byBlocks = layers > NODES_MOST;
    let shown = nodesShown(byBlocks);
    let places = layered(shown.nodes.length, shown.edges);
    if (!places && !byBlocks) {
      byBlocks = true;
      shown = nodesShown(true);
      places = layered(shown.nodes.length, shown.edges);
    }
    const what = byBlocks
      ? `${whole(layers)} layers are too many to draw: each node is a block`
      : "Each node is a layer";
    const run = state.network.runs[state.run];
    byId("graph-about").textContent =
      `${what}; a line is a feature map, from top to bottom; the darker, the more of the time.`;
    if (!places) {
      body.replaceChildren(
        note("This graph has too many long connections to be drawn legibly, by blocks too."),
      );
      return;
    }
    body.replaceChildren(drawn(run, shown, places));
    body.scrollLeft = (body.scrollWidth - body.clientWidth) / 2;
  }

  function drawn(run, { nodes, edges, home }, places) {
    const widthOf = (node) => (node < places.count ? NODE.width : NODE.waypoint);
    const center = across(places, widthOf, NODE.gap);
    const used = center.map((at, node) => [at - widthOf(node) / 2, at + widthOf(node) / 2]);
    const left = used.reduce((least, [from]) => Math.min(least, from), Infinity) - 10;
    const right = used.reduce((most, [, to]) => Math.max(most, to), -Infinity) + 10;
    const x = (node) => px(center[node] - left);
    const y = (node) => 10 + places.rank[node] * NODE.step;
    const size = [px(right - left), places.rows.length * NODE.step];
    const drawing = svg("svg", {
      viewBox: `0 0 ${size.join(" ")}`,
      width: size[0],
      height: size[1],
      "data-picture": "graph",
    });
    for (const way of places.ways)
      drawing.append(svg("path", { class: "edge", d: curve(way, x, y, places.count) }));
    const seconds = nodes.map(([, first, end]) => sumOf(column(run, "layer_s"), first, end));
    const longest = Math.max(...seconds);
    const boxes = nodes.map(([title, first, end], node) => {
      const rect = svg("rect", {
        class: `fill ${partClass("matrix")}`,
        x: x(node) - NODE.width / 2,
        y: y(node),
        width: NODE.width,
        height: NODE.height,
        rx: 3,
        "fill-opacity": px(10 * (0.03 + (0.52 * seconds[node]) / (longest || 1))) / 10,
      });
      const time = duration(seconds[node]);
      const room = NODE.width - 20 - 6.4 * time.length;
      const text = svg("text", { x: x(node) - NODE.width / 2 + 6, y: y(node) + 16 }, fitting(title, room));
      const number = svg(
        "text",
        { x: x(node) + NODE.width / 2 - 6, y: y(node) + 16, "text-anchor": "end" },
        time,
      );
      return svg("g", { class: "node", "data-layer": first, "data-layers": end - first }, rect, text, number);
    });
    drawing.append(...boxes);
    let hot = null;
    marks = (layer) => {
      hot?.classList.remove("hot");
      hot = boxes[home.get(layer)] ?? null;
      hot?.classList.add("hot");
    };
    const label = `Graph: ${nodes.length} nodes, ${edges.length} connections; the arrow keys go through the layers`;
    return figure([], label, drawing, (x, y, event) => {
      const node = event.target.closest("[data-layer]");
      return [node ? Number(node.dataset.layer) : null];
    });
  }

  // From the foot of the first node to the head of the last, upright beside the layers that it passes.
  function curve(way, x, y, count) {
    let path = `M${x(way[0])} ${y(way[0]) + NODE.height}`;
    for (let at = 1; at < way.length; at += 1) {
      const [before, node] = [way[at - 1], way[at]];
      const [from, to] = [y(before) + NODE.height, y(node)];
      path += `C${x(before)} ${(from + to) / 2} ${x(node)} ${(from + to) / 2} ${x(node)} ${to}`;
      if (node >= count) path += `V${to + NODE.height}`;
    }
    return path;
  }

  byId("graph-legend").replaceChildren(legendEntry("no time … the most", "scale"));
  addView(byId("graph"), draw, (layer) => marks(layer));
}
