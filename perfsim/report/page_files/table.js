// The table of all layers: sorted, filtered, drawn as far as it can be seen, and given out as CSV.

const ROW_HEIGHT = 28; // as in page.css
const DRAWN_WHOLE = 300; // rows; of more only those near the window are drawn
const ROWS_AROUND = 15;
// What has no room on paper.
const MINOR = [
  ...["input_shape", "output_shape", "input_location", "output_location", "weight_location"],
  ...["params", "ddr_read_bytes", "ddr_write_bytes", "fused"],
];

// The layers of the chosen range that a filter leaves: words in the name or operator, what bounds them.
function filtered(run, words, bound) {
  const { name: names, op: ops } = state.network.common;
  const wanted = words.trim().toLowerCase();
  const bounds = column(run, "bound");
  const found = [];
  for (let layer = state.first; layer < state.end; layer += 1) {
    const hasWords = [names[layer], ops[layer]].some((text) => text.toLowerCase().includes(wanted));
    if (hasWords && (!bound || bounds[layer] === bound)) found.push(layer);
  }
  return found;
}

// `layers` in the order of a column; equals stay in the order of execution.
function sorted(layers, values, falls) {
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const sign = falls ? -1 : 1;
  return [...layers].sort((a, b) => sign * compare(values[a], values[b]) || a - b);
}

function addTable() {
  const body = byId("table-body");
  const order = { column: "layer", falls: false };
  let rows = []; // the layers that are shown, in order
  let formats = []; // of each column: its name, its unit, how a value is written, its class
  let tbody = null;

  const run = () => state.network.runs[state.run];
  const columns = () => data.columns.filter((each) => column(run(), each) !== undefined);

  function formatOf(each) {
    const values = column(run(), each);
    const unit = unitOf(each, values);
    const { head, text } = columnScale(unit, values);
    const look = [
      unit === null ? "text" : "",
      MINOR.includes(each) ? "minor" : "",
      each === "name" ? "name" : "",
    ];
    return { column: each, unit: head, text, look: look.filter(Boolean).join(" ") };
  }

  function headOf({ column: each, unit, look }) {
    const isSorted = order.column === each;
    const arrow = order.falls ? " ▾" : " ▴";
    const text = `${data.labels[each]}${unit ? ` [${unit}]` : ""}${isSorted ? arrow : ""}`;
    const direction = order.falls ? "descending" : "ascending";
    const button = html("button", { type: "button", click: () => sortBy(each) }, text);
    const sort = isSorted ? direction : null;
    return html("th", { scope: "col", class: look, "aria-sort": sort, "data-column": each }, button);
  }

  function draw() {
    formats = columns().map(formatOf);
    tbody = html("tbody");
    const head = html("thead", {}, html("tr", {}, ...formats.map(headOf)));
    body.replaceChildren(html("table", { "aria-rowcount": rows.length + 1 }, head, tbody));
    fill();
  }

  // The rows that can be seen, and as much empty room as the others take.
  function fill(isWhole = rows.length <= DRAWN_WHOLE) {
    const top = Math.floor(body.scrollTop / ROW_HEIGHT) - ROWS_AROUND;
    const bottom = top + Math.ceil(body.clientHeight / ROW_HEIGHT) + 2 * ROWS_AROUND;
    const [first, end] = isWhole ? [0, rows.length] : [Math.max(0, top), Math.min(rows.length, bottom)];
    const shown = rows.slice(first, end).map((layer, at) => rowOf(layer, first + at));
    tbody.replaceChildren(...room(first), ...shown, ...room(rows.length - end));
    highlight(state.hot);
  }

  function room(count) {
    if (!count) return [];
    const cell = html("td", { colspan: formats.length });
    cell.style.cssText = `height:${count * ROW_HEIGHT}px;padding:0;border:0`;
    return [html("tr", { "aria-hidden": "true" }, cell)];
  }

  function rowOf(layer, at) {
    const cells = formats.map(({ column: each, text, look }) => {
      const value = column(run(), each)[layer];
      return html("td", { class: look }, each === "name" ? nameOf(layer, value) : text(value));
    });
    return html("tr", { "data-layer": layer, "aria-rowindex": at + 2 }, ...cells);
  }

  function nameOf(layer, title) {
    const click = () => {
      choose(layer);
      byId("layer").scrollIntoView();
    };
    const focus = () => setHot(layer);
    return html("button", { type: "button", title: "step by step", click, focus }, name(title));
  }

  function highlight(layer) {
    tbody?.querySelector(".hot")?.classList.remove("hot");
    if (layer !== null) tbody?.querySelector(`[data-layer="${layer}"]`)?.classList.add("hot");
  }

  // By this column, numbers first from the largest; once more turns it round.
  function sortBy(each) {
    const isNumber = typeof column(run(), each)[0] === "number" && each !== "layer";
    order.falls = order.column === each ? !order.falls : isNumber;
    order.column = each;
    show();
    body.querySelector(`[data-column="${each}"] button`).focus();
  }

  function show() {
    const left = filtered(run(), byId("filter").value, byId("bound-filter").value);
    rows = sorted(left, column(run(), order.column), order.falls);
    const minor = columns().filter((each) => MINOR.includes(each));
    byId("table-about").textContent =
      `${whole(rows.length)} of ${counted(state.end - state.first, "layer")} on ${run().hardware}; ` +
      "click a heading to sort, a name for its formulas.";
    byId("table-printed").textContent =
      `Not printed for want of room: ${minor.map((each) => data.labels[each]).join(", ")}.`;
    draw();
  }

  function download() {
    const lines = [columns(), ...rows.map((layer) => columns().map((each) => column(run(), each)[layer]))];
    const text = lines.map((line) => `${line.map(csvField).join(",")}\n`).join("");
    const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    html("a", { href, download: "layers.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 1000);
  }

  const again = () => {
    body.scrollTop = 0;
    show();
  };
  byId("filter").addEventListener("input", again);
  byId("bound-filter").addEventListener("change", again);
  byId("csv").addEventListener("click", download);
  body.addEventListener("scroll", () => rows.length > DRAWN_WHOLE && fill());
  body.addEventListener("pointerover", (event) => {
    const row = event.target.closest("[data-layer]");
    if (row) setHot(Number(row.dataset.layer));
    else leave();
  });
  body.addEventListener("pointerleave", leave);
  addEventListener("beforeprint", () => tbody && fill(true));
  addEventListener("afterprint", () => tbody && fill());
  addView(byId("layers"), show, highlight);
}
