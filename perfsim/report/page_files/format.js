// Numbers as people read them: four significant digits and a prefix, as perfsim's own tables have them.

const PREFIXES = [
  [1e18, "E"],
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];
const SMALL = [
  [1, ""],
  [1e-3, "m"],
  [1e-6, "u"],
  [1e-9, "n"],
  [1e-12, "p"],
];

function digits(value, significant = 4) {
  if (value >= 1000 || Number.isInteger(value)) return value.toFixed(0);
  return String(Number(value.toPrecision(significant)));
}

function amount(value, unit, significant = 4) {
  for (const [factor, prefix] of PREFIXES) {
    if (Math.abs(value) >= factor) return `${digits(value / factor, significant)} ${prefix}${unit}`;
  }
  return `${digits(value, significant)} ${unit}`.trim();
}

// What is below one too: seconds, joules.
function small(value, unit, significant = 4) {
  const size = Math.abs(value);
  if (size >= 1000) return amount(value, unit, significant);
  const [factor, prefix] = SMALL.find(([least]) => size >= least) || SMALL[size ? SMALL.length - 1 : 0];
  return `${digits(value / factor, significant)} ${prefix}${unit}`;
}

const duration = (seconds) => small(seconds, "s");
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const whole = (value) => value.toLocaleString("en");
const counted = (count, what) => `${whole(count)} ${what}${count === 1 ? "" : "s"}`;
const isolate = (text) => `\u2068${text}\u2069`; // a name of any direction inside a sentence

// What a column holds, from its name: seconds "s", "B", joules "J", a count "", or null for text.
function unitOf(column, values) {
  if (values.some((value) => typeof value !== "number")) return null;
  if (column.endsWith("_s")) return "s";
  if (column.endsWith("_j")) return "J";
  return column.endsWith("_bytes") ? "B" : "";
}

function valueText(unit, value) {
  if (unit === null || value === null) return String(value ?? "");
  return unit === "s" || unit === "J" ? small(value, unit) : amount(value, unit);
}

const STEPS = {
  B: [
    [1, "B"],
    [1e3, "kB"],
    [1e6, "MB"],
    [1e9, "GB"],
  ],
  s: [
    [1e-12, "ps"],
    [1e-9, "ns"],
    [1e-6, "us"],
    [1e-3, "ms"],
    [1, "s"],
  ],
  J: [
    [1e-12, "pJ"],
    [1e-9, "nJ"],
    [1e-6, "uJ"],
    [1e-3, "mJ"],
    [1, "J"],
  ],
};

// The unit in which all numbers of a column are written, and how one of them is: as in the table of perfsim run, the
// largest has at most five digits before the point.
function columnScale(unit, values) {
  if (unit === null) return { head: "", text: (value) => String(value ?? "") };
  if (unit === "") return { head: "", text: whole };
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [factor, head] = STEPS[unit].find(([size]) => largest < 1e5 * size) || STEPS[unit].at(-1);
  if (unit === "B" && factor === 1) return { head, text: whole };
  return { head, text: (value) => (value / factor).toFixed(largest < 1e4 * factor ? 3 : 1) };
}

// A field of a CSV file: quoted where it must be.
function csvField(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
