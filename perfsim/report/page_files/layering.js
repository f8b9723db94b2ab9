// Places for the nodes of a graph without cycles: layers by the longest way, neighbours near one another.

const WAYPOINTS_MOST = 3000; // for edges that pass layers by
const SWEEPS = 6;
const NODE_WEIGHT = 8; // of a node's wish for its place, against that of a waypoint

// `count` nodes and edges [from, to] with from < to: for each node its layer, and the ways of the edges.
function layered(count, edges) {
  const rank = new Array(count).fill(0);
  for (const [from, to] of [...edges].sort((a, b) => a[1] - b[1] || a[0] - b[0]))
    rank[to] = Math.max(rank[to], rank[from] + 1);
  const span = edges.reduce((sum, [from, to]) => sum + rank[to] - rank[from] - 1, 0);
  if (span > WAYPOINTS_MOST) return null;
  const rows = [];
  const place = (node, at) => (rows[at] ??= []).push(node);
  for (let node = 0; node < count; node += 1) place(node, rank[node]);
  let next = count;
  const ways = edges.map(([from, to]) => {
    const way = [from];
    for (let at = rank[from] + 1; at < rank[to]; at += 1) {
      rank[next] = at;
      place(next, at);
      way.push(next);
      next += 1;
    }
    return [...way, to];
  });
  const above = Array.from({ length: next }, () => []);
  const below = Array.from({ length: next }, () => []);
  for (const way of ways) {
    for (let at = 1; at < way.length; at += 1) {
      above[way[at]].push(way[at - 1]);
      below[way[at - 1]].push(way[at]);
    }
  }
  return { rows, ways, rank, above, below, count };
}

// The middle of each node across, `width(node)` wide, with `gap` between neighbours.
function across({ rows, above, below, count }, width, gap) {
  const at = [];
  const weight = (node) => (node < count ? NODE_WEIGHT : 1);
  const weighted = (nodes, value) => nodes.reduce((sum, node) => sum + weight(node) * value(node), 0);
  const center = (nodes) => weighted(nodes, (node) => at[node]) / weighted(nodes, () => 1);
  for (const row of rows) spread(row, (node) => (above[node].length ? center(above[node]) : 0));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const [order, near] = sweep % 2 ? [rows, above] : [[...rows].reverse(), below];
    for (const row of order) spread(row, (node) => (near[node].length ? center(near[node]) : at[node]));
  }
  return at;

  // Each node of a row as near to where it is wanted as its neighbours let it (least squares), in the order of the
  // wishes: nodes that would overlap form a group, and a group that would overlap the one before joins it.
  function spread(row, wanted) {
    const wishes = new Map(row.map((node) => [node, wanted(node)]));
    row.sort((a, b) => wishes.get(a) - wishes.get(b));
    const groups = [];
    for (const node of row) {
      let group = {
        nodes: [node],
        width: width(node),
        weight: weight(node),
        start: wishes.get(node) - width(node) / 2,
      };
      while (groups.length && groups.at(-1).start + groups.at(-1).width + gap > group.start) {
        const before = groups.pop();
        const both = before.weight + group.weight;
        const start = group.start - before.width - gap;
        group = {
          nodes: [...before.nodes, ...group.nodes],
          width: before.width + gap + group.width,
          weight: both,
          start: (before.weight * before.start + group.weight * start) / both,
        };
      }
      groups.push(group);
    }
    for (const { nodes, start } of groups) {
      let left = start;
      for (const node of nodes) {
        at[node] = left + width(node) / 2;
        left += width(node) + gap;
      }
    }
  }
}
