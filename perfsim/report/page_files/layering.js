// Places for the nodes of a graph without cycles: layers by the longest way, neighbours near one another.

const WAYPOINTS_MOST = 3000; // for edges that pass layers by
const SWEEPS = 6;

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
function across({ rows, above, below }, width, gap) {
  const at = [];
  const center = (nodes) => nodes.reduce((sum, node) => sum + at[node], 0) / nodes.length;
  for (const row of rows)
    spread(
      row,
      row.map((node) => (above[node].length ? center(above[node]) : 0)),
    );
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const [order, near] = sweep % 2 ? [rows, above] : [[...rows].reverse(), below];
    for (const row of order)
      spread(
        row,
        row.map((node) => (near[node].length ? center(near[node]) : at[node])),
      );
  }
  return at;

  // Each node of a row as near to where it is wanted as its neighbours let it, in the order of the wishes.
  function spread(row, wanted) {
    const order = row
      .map((node, index) => [wanted[index], index, node])
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    order.forEach(([, , node], index) => (row[index] = node));
    let groups = [];
    for (const [wish, , node] of order) {
      groups.push({ nodes: [node], width: width(node), wish: wish, start: wish - width(node) / 2 });
      while (groups.length > 1) {
        const [first, second] = groups.slice(-2);
        if (first.start + first.width + gap <= second.start) break;
        const [many, few] = [first.nodes.length, second.nodes.length];
        const middle = (first.wish * many + second.wish * few) / (many + few);
        const joined = {
          nodes: [...first.nodes, ...second.nodes],
          width: first.width + gap + second.width,
          wish: middle,
        };
        joined.start = middle - joined.width / 2;
        groups = [...groups.slice(0, -2), joined];
      }
    }
    for (const group of groups) {
      let left = group.start;
      for (const node of group.nodes) {
        at[node] = left + width(node) / 2;
        left += width(node) + gap;
      }
    }
  }
}
