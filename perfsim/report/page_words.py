"""What a page says in words: assumptions, what bounds a run, what would help."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from perfsim.report.run import order_text, search_text, widths_text
from perfsim.report.text import amount, count, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.result import Result
    from perfsim.sensitivity import Gain

_NUMBERS = {
    "sram_bytes": "internal memory (SRAM)",
    "ddr_bytes_per_s": "bandwidth to external memory (DDR)",
    "matrix_flops": "matrix unit, peak",
    "vector_flops": "vector unit, peak",
}
_UNITS = (
    ("_bytes_per_s", "B/s"),
    ("_bytes", "B"),
    ("_flops", "FLOPS"),
    ("_hz", "Hz"),
    ("_j", "J"),
    ("_w", "W"),
)
_TEXTS = ("name", "places", "description", "placement", "timing")  # fields that are said otherwise
_LABELS = {
    "layer": "#",
    "name": "layer",
    "input_shape": "input shape",
    "output_shape": "output shape",
    "macs": "MACs",
    "vector_ops": "vector ops",
    "compute_s": "compute time",
    "layer_s": "time",
    "sram_used_bytes": "SRAM in use",
    "ddr_bytes": "DDR",
    "input_bytes": "input",
    "output_bytes": "output",
    "weight_bytes": "weights",
}
_BOUNDS = {"ddr": "DDR", "matrix": "the matrix unit", "vector": "the vector unit"}
_ABBREVIATIONS = {"ddr": "DDR", "sram": "SRAM", "macs": "MACs"}
_SHOWN_SHARE = 0.0005  # below that a gain is said to be nothing

# What no run of perfsim takes into account: docs/model.md, section 6.
NOT_MODELLED = (
    "The rates are taken as the machine states them. Nothing here is calibrated against measurements: no "
    "efficiency below the peak, no latency of external memory, no cost per layer but those listed. Use the numbers "
    "to compare, not to promise a latency."
)


def isolated(name: str) -> str:
    """A name inside a sentence, so that one written from right to left does not turn the words around it."""
    return f"\u2068{name}\u2069"


def column_label(name: str) -> str:
    """A column of the per-layer table, for people: ``ddr_read_bytes`` is "DDR read"."""
    if name in _LABELS:
        return _LABELS[name]
    stem, time = name.removesuffix("_bytes"), ""
    if name.endswith("_s"):
        stem, time = name.removesuffix("_s"), " time"
    return " ".join(_ABBREVIATIONS.get(word, word) for word in stem.split("_")) + time


def number_label(name: str) -> str:
    """A number of a machine in words."""
    return _NUMBERS.get(name, name.replace("_", " "))


def number_text(name: str, value: Any) -> str:
    """The value of a machine's field with the unit that its name says, and exactly where that is rounded."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if name.endswith("_s") and not name.endswith("_per_s"):
        return duration(value)
    unit = next((unit for suffix, unit in _UNITS if name.endswith(suffix)), "")
    shown = amount(value, unit)
    exactly = f"{value:,.0f} {unit}" if value == int(value) else f"{value!r} {unit}"
    whole = f"{float(f'{value:.4g}')}" == f"{float(value)}"
    return shown if whole else f"{shown} ({exactly.strip()})"


def network_text(result: Result) -> str:
    """What is simulated: layers, counts, bits, the order of the layers."""
    totals, program = result.totals, result.program
    return (
        f"{len(program.layers):,} layer{'s'[: len(program.layers) != 1]}, "
        f"{count(totals.macs, 'MACs')}, {count(totals.vector_ops, 'vector operations')}, "
        f"{count(totals.params, 'parameters')}{widths_text(program)}{order_text(program)}"
    )


def assumptions(result: Result) -> list[list[str]]:
    """[what, how it was taken] of a run: every number of the machine, the policies, what is left out."""
    machine = result.machine
    rows = []
    for each in fields(machine):
        value = getattr(machine, each.name)
        if each.name not in _TEXTS and value not in (None, ()):
            rows.append([number_label(each.name), number_text(each.name, value)])
    placement, timing = result.placement_policy, result.timing_policy
    formulas = "; ".join(f"{formula.symbol} = {formula.text}" for formula in timing.formulas)
    found = search_text(result.placement).removeprefix("; ")
    rows += [
        ["placement", f"{placement.name}: {placement.rule}" + (f" ({found})" if found else "")],
        ["timing", f"{timing.name}: {timing.rule}"],
        ["formulas", formulas],
        ["not modelled", NOT_MODELLED],
    ]
    if machine.description:
        rows.insert(0, ["description", isolated(machine.description)])
    return rows


def findings(
    result: Result, by_bound: Sequence[dict[str, Any]], gained: Sequence[Gain]
) -> list[str]:
    """What bounds a run and what would help most, a sentence or two each.

    by_bound: the time of the layers by what bounds them, the most first. gained: what better numbers would gain.
    """
    return [
        *_bounds(result, by_bound),
        *_slowest(result),
        *_memory(result),
        *_help(result, gained),
    ]


def _bounds(result: Result, by_bound: Sequence[dict[str, Any]]) -> list[str]:
    total_s = result.totals.total_s
    layers = len(result.program.layers)
    if not total_s:
        return ["No layer takes any time."]
    parts = [
        f"{_BOUNDS.get(entry['bound'], entry['bound'])} bounds {entry['layers']:,} of {layers:,} layers, which take "
        f"{entry['layer_s'] / total_s:.1%} of the time"
        for entry in by_bound
        if entry["layer_s"]
    ]
    sentences = [f"One inference takes {duration(total_s)}: {'; '.join(parts)}."]
    totals = result.totals
    if totals.steady_ddr_bytes < totals.ddr_bytes:
        sentences.append(
            f"That is the first inference; every further one finds pinned weights in place and takes "
            f"{duration(totals.steady_s)}, with {amount(totals.steady_ddr_bytes, 'B')} over DDR."
        )
    return sentences


def _slowest(result: Result) -> list[str]:
    seconds, total_s = result.columns["layer_s"], result.totals.total_s
    if not total_s:
        return []
    order = sorted(range(len(seconds)), key=lambda at: -seconds[at])
    name = isolated(result.program.layers[order[0]].name)
    slowest = f"The slowest layer, {name}, takes {seconds[order[0]] / total_s:.1%} of the time"
    half, taken_s = 0, 0.0
    while taken_s < total_s / 2 and half < len(order):
        taken_s += seconds[order[half]]
        half += 1
    return [slowest + ("." if half < 2 else f"; the {half:,} slowest take half of it.")]


def _memory(result: Result) -> list[str]:
    totals, sram_bytes = result.totals, int(result.machine.sram_bytes)
    over = " (counted before the overflow)" if totals.peak_sram_bytes > sram_bytes else ""
    return [
        f"{amount(totals.ddr_bytes, 'B')} move over DDR; at most {amount(totals.peak_sram_bytes, 'B')} of "
        f"{amount(sram_bytes, 'B')} SRAM are in use{over}."
    ]


def _help(result: Result, gained: Sequence[Gain]) -> list[str]:
    ranked = sorted(gained, key=lambda gain: -gain.saved_s)
    useful = [gain for gain in ranked if gain.saved_share >= _SHOWN_SHARE]
    useless = [gain for gain in ranked if abs(gain.saved_share) < _SHOWN_SHARE]
    costly = [gain for gain in ranked if gain.saved_share <= -_SHOWN_SHARE]
    sentences = []
    if useful:
        best, *others = useful
        rest = "".join(f"; of {number_label(gain.number)}: {_saved(gain)}" for gain in others)
        sentences.append(
            f"What would help most is {number_label(best.number)}: 10 % more of it saves {_saved(best)}{rest}."
        )
    if useless:
        names = ", ".join(number_label(gain.number) for gain in useless)
        sentences.append(f"10 % more would save less than 0.05 % of the time: {names}.")
    sentences += [
        f"10 % more of {number_label(gain.number)} would cost {duration(-gain.saved_s)} "
        f"({-gain.saved_share:.1%}): the placement {result.placement_policy.name} does not always gain by it."
        for gain in costly
    ]
    if result.placement_policy.searches:
        sentences.append(
            "What more internal memory would save was not asked: it takes another search for a plan."
        )
    return sentences


def _saved(gain: Gain) -> str:
    return f"{gain.saved_share:.1%} ({duration(gain.saved_s)})"
