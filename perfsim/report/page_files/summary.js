// Totals and the comparison, what limits each run, what was assumed, and the line on the layer under the pointer.

const TOTALS = [
  ["time", (run) => duration(run.totals.steady_s)],
  ["first inference", (run) => small(run.totals.total_s, "s", 3)],
  ["speed-up", (run) => (run.speedup === null ? "–" : `${digits(run.speedup, 3)}×`)],
  ["mostly bound by", (run) => partLabel(run.steady_bound), "text"],
  ["over DDR", (run) => amount(run.totals.ddr_bytes, "B", 3)],
  ...data.parts.map(([part, seconds]) => [
    `${partLabel(part)} busy`,
    (run) => optional(run, seconds, (value) => (value ? small(value, "s", 3) : "")),
  ]),
  ["SRAM peak", (run) => amount(run.totals.peak_sram_bytes, "B", 3)],
  ["energy", (run) => optional(run, "energy_j", (joules) => small(joules, "J", 3))],
  ["the machine is", (run) => (run.calibrated ? "calibrated" : "not calibrated"), "text"],
];

// What a machine does not state has no total.
function optional(run, total, text) {
  return total in run.totals ? text(run.totals[total]) : "";
}

function showTotals() {
  const body = byId("totals-body");
  body.replaceChildren();
  for (const network of data.networks) {
    if (network.unpriced) body.append(note(network.unpriced));
    body.append(html("h3", {}, name(network.name)), html("p", { class: "about" }, network.text));
    const longest = Math.max(...network.runs.map((run) => run.totals.steady_s));
    const bars = html("div", { class: "bars", "aria-hidden": "true" });
    for (const run of network.runs) {
      const bar = html("div", { class: "bar" });
      for (const entry of run.by_bound) {
        const part = html("span", { class: partClass(entry.bound) });
        part.style.width = `${longest ? (100 * entry.layer_s) / longest : 0}%`;
        bar.append(part);
      }
      bars.append(html("div", {}, name(run.hardware)), bar, html("div", {}, timeText(run)));
    }
    const bounds = [...new Set(network.runs.flatMap((run) => run.by_bound.map((entry) => entry.bound)))];
    body.append(
      html(
        "div",
        { class: "legend" },
        ...bounds.map((bound) => legendEntry(`time of layers bound by ${partLabel(bound)}`, partClass(bound))),
      ),
      bars,
      totalsTable(network),
    );
  }
  if (data.settings.length) body.append(note(`Changed for these runs: ${data.settings.join(", ")}`));
}

const warmsUp = (run) => run.totals.steady_ddr_bytes < run.totals.ddr_bytes;

// The time of an inference, and beside it that of the first one where that fetches pinned weights.
function timeText(run) {
  const first = warmsUp(run) ? ` (first inference ${duration(run.totals.total_s)})` : "";
  return duration(run.totals.steady_s) + first;
}

function totalsTable(network) {
  const differ = network.runs.some(warmsUp);
  const columns = TOTALS.filter(
    ([head, text]) => (head !== "first inference" || differ) && network.runs.some((run) => text(run)),
  );
  const head = html("tr", {}, html("th", { scope: "col", class: "text" }, "machine"));
  for (const [text, , look] of columns) head.append(html("th", { scope: "col", class: look }, text));
  const rows = network.runs.map((run) => {
    const row = html(
      "tr",
      { "data-total": run.totals.steady_s },
      html("th", { scope: "row", class: "text" }, name(run.hardware)),
    );
    for (const [, text, look] of columns) row.append(html("td", { class: look }, text(run)));
    return row;
  });
  const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
  const label = `Totals of ${network.name}`;
  return html("div", { class: "scroll totals", tabindex: "0", role: "region", "aria-label": label }, table);
}

function showLimits() {
  const panels = state.network.runs.map((run) => {
    const rows = run.gains.map((gain) =>
      html(
        "tr",
        {},
        html("th", { scope: "row", class: "text" }, gain.label),
        html("td", {}, duration(gain.better_total_s)),
        html("td", {}, duration(gain.saved_s)),
        html("td", {}, percent(gain.saved_share)),
      ),
    );
    const heads = ["10 % better", "time then", "saved", "share"].map((text, at) =>
      html("th", { scope: "col", class: at ? "" : "text" }, text),
    );
    return html(
      "div",
      { class: "panel" },
      html("h3", {}, name(run.hardware)),
      html("ul", { class: "findings" }, ...run.findings.map((text) => html("li", {}, text))),
      html(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": `Gains on ${run.hardware}` },
        html("table", {}, html("thead", {}, html("tr", {}, ...heads)), html("tbody", {}, ...rows)),
      ),
    );
  });
  byId("limits-body").replaceChildren(html("div", { class: "columns" }, ...panels));
}

// A row for each assumption, a column for each machine, one cell where all machines have the same.
function showAssumptions() {
  const { runs } = state.network;
  const known = runs.map((run) => new Map(run.assumptions));
  const rows = [...new Set(known.flatMap((each) => [...each.keys()]))].map((what) => {
    const values = known.map((each) => each.get(what) ?? "");
    const isSame = values.every((value) => value === values[0]);
    const cells = isSame ? [html("td", { class: "text", colspan: runs.length }, values[0])] : [];
    if (!isSame) cells.push(...values.map((value) => html("td", { class: "text" }, value)));
    return html("tr", {}, html("th", { scope: "row", class: "text" }, what), ...cells);
  });
  const heads = runs.map((run) => html("th", { scope: "col", class: "text" }, name(run.hardware)));
  const head = html("tr", {}, html("th", { scope: "col", class: "text" }, "machine"), ...heads);
  byId("assumptions-body").replaceChildren(
    html(
      "div",
      { class: "scroll prose", tabindex: "0", role: "region", "aria-label": "Assumptions" },
      html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)),
    ),
  );
}

// One line on a layer: its time on every machine.
function showReadout(layer) {
  const box = byId("readout");
  box.hidden = layer === null;
  if (layer === null) return;
  const { common, runs, blocks } = state.network;
  const block = blocks.find(([, first, end]) => first <= layer && layer < end);
  const times = runs.map((run) => {
    const time = duration(column(run, "layer_s")[layer]);
    const bound = partLabel(column(run, "bound")[layer]);
    return html("span", {}, runs.length > 1 ? name(run.hardware) : "", ` ${time} (${bound})`);
  });
  byId("readout-text").replaceChildren(
    `${layer + 1} `,
    html("strong", {}, name(common.name[layer])),
    ` ${common.op[layer]}`,
    ...(blocks.length > 1 && block ? [" in ", name(block[0])] : []),
    ": ",
    ...times.flatMap((time, at) => (at ? [" · ", time] : [time])),
    state.hotText ? ` · ${state.hotText}` : "",
  );
  byId("readout-link").onclick = () => choose(layer);
}
