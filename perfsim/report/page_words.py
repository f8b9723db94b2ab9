"""What a page says in words: assumptions, what bounds a run, what would help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsim.confidence import confidence_of
from perfsim.report.machine import machine_record
from perfsim.report.number_words import number_label, number_text
from perfsim.report.run import interval_text, order_text, search_text, widths_text
from perfsim.report.text import amount, count, duration
from perfsim.timing.terms import shape_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.hardware.parts import Calibration
    from perfsim.result import Result
    from perfsim.sensitivity import Gain

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
    "weight_memory_bytes": "weight memory",
    "energy_j": "energy",
    "input_bytes": "input",
    "output_bytes": "output",
    "weight_bytes": "weights",
}
_BOUNDS = {
    "ddr": "DDR",
    "matrix": "the matrix unit",
    "vector": "the vector unit",
    "stream": "the stream to and from the units",
    "weights": "the weights' own memory",
    "overhead": "fixed costs",
}
_ABBREVIATIONS = {"ddr": "DDR", "sram": "SRAM", "macs": "MACs"}
_SHOWN_SHARE = 0.0005  # below that a gain is said to be nothing

NOT_CALIBRATED = (
    "no: the numbers are taken as the machine's file states them, and nothing was fitted to measurements. Use them to "
    "compare, not to promise a latency"
)


def isolated(name: str) -> str:
    """A name inside a sentence, so that one written from right to left does not turn the words around it."""
    return f"\u2068{name}\u2069"


def column_label(name: str) -> str:
    """A column of the per-layer table, for people: ``ddr_read_bytes`` is "DDR read"."""
    if name in _LABELS:
        return _LABELS[name]
    stem, time = name.removesuffix("_bytes"), ""
    for suffix, what in (("_s", " time"), ("_j", " energy")):
        if name.endswith(suffix):
            stem, time = name.removesuffix(suffix), what
    return " ".join(_ABBREVIATIONS.get(word, word) for word in stem.split("_")) + time


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
    said = machine_record(machine) | {"double_buffered": machine.double_buffered}
    rows = [
        [number_label(name), number_text(name, value)]
        for name, value in said.items()
        if value != ""  # what a machine leaves to its usual choice
    ]
    placement, timing = result.placement_policy, result.timing_policy
    used = timing.formulas(shape_of(machine))
    formulas = "\n".join(f"{formula.symbol} = {formula.text}" for formula in used)
    found = search_text(result.placement).removeprefix("; ")
    rows += [
        ["placement", f"{placement.name}: {placement.rule}" + (f" ({found})" if found else "")],
        ["timing", f"{timing.name}: {timing.rule}"],
        ["formulas", formulas],
        ["calibrated", _calibrated(machine.extras.calibration)],
    ]
    if machine.description:
        rows.insert(0, ["description", isolated(machine.description)])
    return rows


def _calibrated(calibration: Calibration | None) -> str:
    if calibration is None:
        return NOT_CALIBRATED
    fitted = ", ".join(calibration.fitted)
    return f"yes: {fitted or 'nothing'} fitted to {isolated(calibration.source)}"


def findings(
    result: Result, by_bound: Sequence[dict[str, Any]], gained: Sequence[Gain]
) -> list[str]:
    """What bounds a run and what would help most, a sentence or two each.

    by_bound: the time of the layers by what bounds them, the most first. gained: what better numbers would gain.
    """
    return [
        *_bounds(result, by_bound),
        *_confidence(result),
        *_slowest(result),
        *_memory(result),
        *_help(result, gained),
    ]


def _bounds(result: Result, by_bound: Sequence[dict[str, Any]]) -> list[str]:
    total_s = result.totals.steady_s
    if not total_s:
        return ["No layer takes any time."]
    parts = [
        f"{entry['layer_s'] / total_s:.1%} of it in {entry['layers']:,} layer{'s'[: entry['layers'] != 1]} bound by "
        f"{_BOUNDS[entry['bound']]}"
        for entry in by_bound
        if entry["layer_s"]
    ]
    sentences = [f"One inference takes {duration(total_s)}: {', '.join(parts)}."]
    totals = result.totals
    if result.warms_up:
        sentences.append(
            f"That is every inference but the first, which fetches the pinned weights and takes "
            f"{duration(totals.total_s)}; {amount(totals.steady_ddr_bytes, 'B')} move over DDR instead of "
            f"{amount(totals.ddr_bytes, 'B')}."
        )
    return sentences


def _confidence(result: Result) -> list[str]:
    """How sure the time is, where the machine is calibrated, and what may make it wrong."""
    confidence = confidence_of(result)
    sentences = list(confidence.notes)
    if confidence.interval is not None:
        interval = confidence.interval
        level = f"{interval.level:.0%} interval: {interval_text(interval)}"
        sentences.insert(0, f"{level}, from the {interval.basis}")
    return [f"{each[0].upper()}{each[1:]}." for each in sentences]


def _slowest(result: Result) -> list[str]:
    seconds, total_s = result.steady_layer_s, result.totals.steady_s
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
    first = " in the first inference" * result.warms_up
    return [
        f"{amount(totals.ddr_bytes, 'B')} move over DDR{first}; at most {amount(totals.peak_sram_bytes, 'B')} of "
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
        rest = "".join(
            f"; {_changed(gain)} of {number_label(gain.number)}: {_saved(gain)}" for gain in others
        )
        sentences.append(
            f"What would help most is {number_label(best.number)}: {_changed(best)} of it saves {_saved(best)}{rest}."
        )
    if useless:
        names = ", ".join(f"{_changed(gain)} of {number_label(gain.number)}" for gain in useless)
        sentences.append(f"Less than 0.05 % of the time would be saved by {names}.")
    sentences += [
        f"{_changed(gain)} of {number_label(gain.number)} would cost {duration(-gain.saved_s)} "
        f"({-gain.saved_share:.1%}): the placement {result.placement_policy.name} does not always gain by it."
        for gain in costly
    ]
    if result.placement_policy.searches:
        sentences.append(
            "What more internal memory would save was not asked: it takes another search for a plan."
        )
    return sentences


def _changed(gain: Gain) -> str:
    """How a number was made 1.1 times as good."""
    return "10 % more" if gain.better_value > gain.value else "9 % less"  # 1 - 1 / 1.1


def _saved(gain: Gain) -> str:
    return f"{gain.saved_share:.1%} ({duration(gain.saved_s)})"
