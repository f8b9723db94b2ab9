// How the numbers of the chosen layer came about: each step with its formula and the values put into it.

// A step in words: what it is about, its quantity, the formula with and without values, and its result.
function stepText(step) {
  const [about, quantity, formula, values] = step.slice(0, 4).map((index) => data.texts[index]);
  const result = step[4];
  const unit = { _s: "s", _j: "J" }[quantity.slice(-2)];
  let shown = result;
  if (typeof result === "number") {
    shown = Number.isInteger(result) ? whole(result) : String(result);
    if (unit) shown = `${result} ${unit}${result ? ` (${small(result, unit)})` : ""}`;
  }
  return { about, quantity, parts: [formula, values].filter((part) => part && part !== String(result)), shown };
}

function stepList(indices) {
  const list = html("dl", { class: "steps" });
  let heading = "";
  for (const index of indices) {
    const { about, quantity, parts, shown } = stepText(data.steps[index]);
    if (about !== heading) {
      heading = about;
      list.append(html("dt", {}, heading));
    }
    const line = html("dd", {}, html("strong", {}, quantity));
    if (parts.length) line.append(html("span", { class: "formula" }, `: ${parts.join(" = ")}`));
    if (shown !== "") line.append(" = ", html("span", { class: "value" }, shown));
    list.append(line);
  }
  return list;
}

// What is the same on all machines stands first and once.
function showSteps() {
  const { chosen, network } = state;
  const { common, runs } = network;
  byId("layer-choice").value = String(chosen);
  const all = runs.map((run) => run.steps[chosen]);
  const shared = all[0].filter((step) => all.every((steps) => steps.includes(step)));
  const panels = all.map((steps, at) => {
    const own = runs.length > 1 ? steps.filter((step) => !shared.includes(step)) : steps;
    return html("div", { class: "panel" }, html("h3", {}, name(runs[at].hardware)), stepList(own));
  });
  byId("layer-body").replaceChildren(
    html(
      "h3",
      {},
      `Layer ${chosen + 1}: `,
      name(common.name[chosen]),
      ` (${common.op[chosen]}), `,
      `${common.input_shape[chosen]} → ${common.output_shape[chosen]}`,
    ),
    ...(runs.length > 1 ? [html("p", { class: "about" }, "On every machine:"), stepList(shared)] : []),
    html("div", { class: "columns" }, ...panels),
  );
}
