// The table of all layers: sorted, filtered, drawn as far as it can be seen, and given out as CSV.

const ROW_HEIGHT = 28; // as in page.css
const DRAWN_WHOLE = 300; // rows; of more only those near the window are drawn

function addTable() {
  const body = byId("table-body");
  const order = { column: "layer", falls: false };
  let rows = []; // the layers that are shown, in order
  let tbody = null;
  let formats = {};

  const run = () => state.network.runs[state.run];
  const columns = () => data.columns.filter((each) => column(run(), each) !== undefined);

  function chosenRows() {
    const { name: names, op: ops } = state.network.common;
    const words = byId("filter").value.trim().toLowerCase();
    const bound = byId("bound-filter").value;
    const bounds = column(run(), "bound");
    const found = [];
    for (let layer = state.first; layer < state.end; layer += 1) {
      const fits =
        !words || names[layer].toLowerCase().includes(words) || ops[layer].toLowerCase().includes(words);
      if (fits && (!bound || bounds[layer] === bound)) found.push(layer);
    }
    const values = column(run(), order.column);
    const compare = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b)));
    found.sort((a, b) => (order.falls ? -1 : 1) * compare(values[a], values[b]) || a - b);
    return found;
  }

  function draw() {
    formats = Object.fromEntries(
      columns().map((each) => {
        const values = column(run(), each);
        return [each, columnScale(unitOf(each, values), values)];
      }),
    );
    const look = (each) => (unitOf(each, column(run(), each)) === null ? "text" : "");
    const head = html(
      "tr",
      {},
      ...columns().map((each) => {
        const unit = formats[each].head;
        const button = html(
          "button",
          { type: "button", click: () => sortBy(each) },
          `${data.labels[each]}${unit ? ` [${unit}]` : ""}${order.column === each ? (order.falls ? " ▾" : " ▴") : ""}`,
        );
        const sorted = order.column === each ? (order.falls ? "descending" : "ascending") : null;
        return html(
          "th",
          { scope: "col", class: look(each), "aria-sort": sorted, "data-column": each },
          button,
        );
      }),
    );
    tbody = html("tbody");
    body.replaceChildren(html("table", { "aria-rowcount": rows.length + 1 }, html("thead", {}, head), tbody));
    fill();
  }

  function fill(all = false) {
    const whole = all || rows.length <= DRAWN_WHOLE;
    const first = whole ? 0 : Math.max(0, Math.floor(body.scrollTop / ROW_HEIGHT) - 10);
    const end = whole
      ? rows.length
      : Math.min(rows.length, first + Math.ceil(body.clientHeight / ROW_HEIGHT) + 30);
    const space = (count) => {
      const cell = html("td", { colspan: columns().length });
      cell.style.cssText = `height:${count * ROW_HEIGHT}px;padding:0;border:0`;
      return count ? [html("tr", { "aria-hidden": "true" }, cell)] : [];
    };
    tbody.replaceChildren(
      ...space(first),
      ...rows.slice(first, end).map((layer, at) => rowOf(layer, first + at)),
      ...space(rows.length - end),
    );
    highlight(state.hot);
  }

  function rowOf(layer, at) {
    const row = html("tr", { "data-layer": layer, "aria-rowindex": at + 2 });
    for (const each of columns()) {
      const value = column(run(), each)[layer];
      const isText = typeof value !== "number";
      const explain = () => {
        choose(layer);
        byId("layer").scrollIntoView();
      };
      const content =
        each === "name"
          ? html(
              "button",
              { type: "button", title: "step by step", click: explain, focus: () => setHot(layer) },
              name(value),
            )
          : formats[each].text(value);
      row.append(html("td", { class: each === "name" ? "text name" : isText ? "text" : "" }, content));
    }
    return row;
  }

  function highlight(layer) {
    tbody?.querySelector(".hot")?.classList.remove("hot");
    if (layer !== null) tbody?.querySelector(`[data-layer="${layer}"]`)?.classList.add("hot");
  }

  function sortBy(each) {
    const isSame = order.column === each;
    order.falls = isSame ? !order.falls : typeof column(run(), each)[0] === "number" && each !== "layer";
    order.column = each;
    show();
    body.querySelector(`[data-column="${each}"] button`).focus();
  }

  function show() {
    rows = chosenRows();
    const all = state.end - state.first;
    byId("table-about").textContent =
      `${whole(rows.length)} of ${whole(all)} layers on ${run().hardware}; click a heading ` +
      "to sort, a name for its formulas.";
    draw();
  }

  function download() {
    const header = columns();
    const lines = [header, ...rows.map((layer) => header.map((each) => column(run(), each)[layer]))];
    const text = lines.map((line) => `${line.map(csvField).join(",")}\n`).join("");
    const link = html("a", {
      href: URL.createObjectURL(new Blob([text], { type: "text/csv" })),
      download: "layers.csv",
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
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
    setHot(row ? Number(row.dataset.layer) : null);
  });
  body.addEventListener("pointerleave", () => setHot(null));
  addEventListener("beforeprint", () => tbody && fill(true));
  addEventListener("afterprint", () => tbody && fill());
  addView(byId("layers"), show, highlight);
}
