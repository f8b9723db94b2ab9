"""The report of one run: the per-layer table and the totals."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from perfsim.confidence import confidence_of
from perfsim.program import Kind
from perfsim.report.machine import machine_record, machine_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    BYTE_UNITS,
    COUNT_UNITS,
    ENERGY_UNITS,
    NAME_LEAST,
    TIME_UNITS,
    Column,
    amount,
    count,
    duration,
    scaled,
    small_amount,
    table,
    texts,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.confidence import Confidence, Interval
    from perfsim.placement.placement import Placement
    from perfsim.program import Program
    from perfsim.result import Columns, Result


_DIGITS_OF_ESTIMATE = 2
_CAUSES = {
    "matrix_j": "MACs",
    "vector_j": "vector operations",
    "sram_j": "SRAM",
    "ddr_j": "DDR",
    "weight_j": "weights' memory",
    "static_j": "static",
}


def run_sheet(result: Result, settings: Sequence[str] = ()) -> Sheet:
    """The run as a sheet; `settings` are what was changed for it ("width=0.5")."""
    record = {
        "network": result.program.name,
        "hardware": result.machine.name,
        "policies": policies(result),
        "settings": list(settings),
        "unpriced": result.program.unpriced,
        "order": order_record(result.program),
        "machine": machine_record(result.machine),
        "totals": result.totals_record(),
        **confidence_record(result),
    }
    record |= search_record(result.placement)
    return Sheet(record, "layers", result.columns, lambda width: _text(result, settings, width))


def policies(result: Result) -> dict[str, str]:
    """The names of the policies of a run."""
    return {
        "placement": result.placement_policy.name,
        "timing": result.timing_policy.name,
    }


def search_text(placement: Placement) -> str:
    """How good a plan is that was searched for: its lower bound and the gap; empty for policies that do not search."""
    gap, bound_bytes = placement.gap, placement.lower_bound_bytes
    if gap is None or bound_bytes is None:
        return ""
    return f"; no plan moves less than {amount(bound_bytes, 'B')} (gap {gap:.2%})"


def search_record(placement: Placement) -> dict[str, Any]:
    """The same for JSON."""
    if placement.gap is None:
        return {}
    found = {"lower_bound_bytes": placement.lower_bound_bytes, "gap": placement.gap}
    return {"search": found}


def confidence_record(result: Result) -> dict[str, Any]:
    """How sure the time is, for JSON; no interval where the machine is not calibrated."""
    confidence = confidence_of(result)
    interval = None if confidence.interval is None else asdict(confidence.interval)
    return {"interval": interval, "notes": list(confidence.notes)}


def interval_text(interval: Interval) -> str:
    """Between what a time lies: ``1.41 to 1.702 ms``."""
    return f"{duration(interval.low_s)} to {duration(interval.high_s)}"


def _confidence_lines(result: Result, confidence: Confidence) -> list[str]:
    lines = []
    further = " of a further inference" * (result.totals.steady_ddr_bytes < result.totals.ddr_bytes)
    if confidence.interval is not None:
        interval = confidence.interval
        lines.append(
            f"{interval.level:.0%} interval{further}: {interval_text(interval)}, from the {interval.basis}"
        )
    return [*lines, *confidence.notes]


def settings_text(settings: Sequence[str]) -> str:
    """What was changed for a run, for its heading."""
    return f"; with {', '.join(settings)}" if settings else ""


def order_record(program: Program) -> dict[str, Any]:
    """The name of the order of the layers, and what it changes where it is not the given one."""
    return {"name": "given"} if program.order is None else asdict(program.order)


def order_text(program: Program) -> str:
    """What an order that was chosen changes, for the heading of a run."""
    order = program.order
    if order is None:
        return ""
    peak, mean = amount(order.peak_bytes, "B"), amount(order.mean_bytes, "B")
    given_mean = amount(order.given_mean_bytes, "B")
    if order.peak_bytes < order.given_peak_bytes:
        given_peak = amount(order.given_peak_bytes, "B")
        changed = f"at most {peak} of feature maps live, {given_peak} in the given order"
    elif order.mean_bytes < order.given_mean_bytes:
        changed = (
            f"at most {peak} of feature maps live as in the given order, on average {mean} "
            f"instead of {given_mean}"
        )
    else:
        changed = f"the given one is the best found, at most {peak} of feature maps live"
    return f"; order for {order.name} ({changed})"


def _text(result: Result, settings: Sequence[str], width: int) -> str:
    machine, totals = result.machine, result.totals
    used = policies(result)
    heading = (
        f"{result.program.name} on {machine.name} ({machine_text(machine)}); "
        f"placement {used['placement']}, timing {used['timing']}{settings_text(settings)}"
        f"{search_text(result.placement)}"
        f"{order_text(result.program)}"
    )

    def busy(seconds: float) -> str:
        share = f" ({seconds / totals.total_s:.0%})" if totals.total_s else ""
        return f"{duration(seconds)}{share}"

    confidence = confidence_of(result)
    sure = "" if confidence.calibrated else " (not calibrated)"
    further = "".join(
        f", {what} {busy(seconds)}"
        for what, seconds in (
            ("stream", totals.stream_s),
            ("weights' memory", totals.weight_s),
            ("fixed costs", totals.overhead_s),
        )
        if seconds is not None
    )
    summary = [
        f"total {duration(totals.total_s)} per inference{sure}, of which busy: data movement "
        f"{busy(totals.ddr_s)}, matrix unit {busy(totals.matrix_s)}, vector unit "
        f"{busy(totals.vector_s)}{further}; mostly bound by {totals.bound}",
        f"{count(totals.macs, 'MACs')}, {count(totals.vector_ops, 'vector operations')}, "
        f"{count(totals.params, 'parameters')}{widths_text(result.program)}",
        f"DDR: {amount(totals.ddr_read_bytes, 'B')} read, "
        f"{amount(totals.ddr_write_bytes, 'B')} written{_own_weights(result)}; SRAM: at most "
        f"{amount(totals.peak_sram_bytes, 'B')} of {amount(int(machine.sram_bytes), 'B')} in use"
        + (" (counted before the overflow)" if totals.peak_sram_bytes > machine.sram_bytes else ""),
        "where: input/weights/output while the layer runs, i in internal memory, e external",
    ]
    if totals.steady_ddr_bytes < totals.ddr_bytes:
        summary.insert(
            1,
            f"this is the first inference; every further one finds pinned weights in place: "
            f"{duration(totals.steady_s)}, {amount(totals.steady_ddr_bytes, 'B')} over DDR",
        )
    summary[-1:-1] = _confidence_lines(result, confidence)
    if totals.energy_j is not None:
        summary.insert(-1, _energy_text(result))
    unpriced = f"{wrapped(result.program.unpriced, width)}\n\n" if result.program.unpriced else ""
    body = table(_columns(result.columns, totals.total_s), width, has_total=True)
    return (
        unpriced
        + wrapped(heading, width)
        + "\n\n"
        + body
        + "\n"
        + "\n".join(wrapped(line, width) for line in summary)
        + "\n"
    )


def _own_weights(result: Result) -> str:
    """What a memory of the weights' own gave."""
    moved = result.columns.get("weight_memory_bytes")
    return "" if moved is None else f"; weights' memory: {amount(sum(moved), 'B')} read"


def _energy_text(result: Result) -> str:
    """The energy of a run by cause, the largest first, and its product with the time."""
    totals, columns = result.totals, result.columns
    energy_j, product = totals.energy_j or 0.0, totals.energy_delay_js or 0.0
    energy = result.machine.extras.energy
    accuracy = energy.accuracy if energy else ""
    digits = _DIGITS_OF_ESTIMATE if accuracy else 4
    causes = {what: sum(columns[name]) for name, what in _CAUSES.items() if name in columns}
    shown = [
        f"{what} {small_amount(joules, 'J', digits)} ({joules / energy_j:.0%})"
        for what, joules in sorted(causes.items(), key=lambda each: -each[1])
        if joules
    ]
    return (
        f"energy {small_amount(energy_j, 'J', digits)}{f' ({accuracy})' if accuracy else ''} per inference: "
        f"{', '.join(shown)}; energy-delay product {small_amount(product, 'J s', digits)}"
    )


def widths_text(program: Program) -> str:
    """At how many bits the network was priced: ``; 8-bit feature maps, 4- and 8-bit weights``."""
    weights = {each.bits for each in program.tensors if each.kind is Kind.WEIGHT}
    maps = {each.bits for each in program.tensors if each.kind is not Kind.WEIGHT}
    named = [("feature maps", sorted(maps)), ("weights", sorted(weights))]
    return "; " + ", ".join(f"{_bits(bits)} {what}" for what, bits in named if bits)


def _bits(widths: Sequence[int]) -> str:
    """``8-bit``, ``8- and 32-bit``, ``4-, 8- and 32-bit``."""
    *first, last = (f"{bits}-" for bits in widths)
    return (f"{', '.join(first)} and " if first else "") + f"{last}bit"


def _columns(columns: Columns, total_s: float) -> list[Column]:
    """The table for people, the most telling columns with the smallest `keep`."""

    def kept(column: Column, keep: int) -> Column:
        return replace(column, keep=keep)

    def sums(name: str) -> Sequence[float]:
        return [*columns[name], sum(columns[name])]

    def times(head: str, name: str, keep: int) -> Column:
        return kept(scaled(head, sums(name), TIME_UNITS), keep)

    def left(head: str, name: str, keep: int) -> Column:
        return Column(head, [*texts(columns[name]), ""], keep, left=True)

    def if_stated(
        head: str, name: str, units: Sequence[tuple[float, str]], keep: int
    ) -> list[Column]:
        return [kept(scaled(head, sums(name), units), keep)] if name in columns else []

    used = columns["sram_used_bytes"]
    total_times = [*columns["layer_s"], total_s]
    return [
        Column("#", [*texts(columns["layer"]), ""]),
        Column("layer", [*columns["name"], "total"], left=True, least=NAME_LEAST),
        left("op", "op", 5),
        left("input", "input_shape", 11),
        left("output", "output_shape", 7),
        kept(scaled("MACs", sums("macs"), COUNT_UNITS), 4),
        kept(scaled("vector", sums("vector_ops"), COUNT_UNITS), 12),
        kept(scaled("params", sums("params"), COUNT_UNITS), 13),
        Column("where", [*_where(columns), ""], 2, left=True),
        _without_total(kept(scaled("SRAM", used, BYTE_UNITS), 3)),
        kept(scaled("read", sums("ddr_read_bytes"), BYTE_UNITS), 9),
        kept(scaled("write", sums("ddr_write_bytes"), BYTE_UNITS), 10),
        kept(scaled("DDR", sums("ddr_bytes"), BYTE_UNITS), 1),
        times("DDR", "ddr_s", 6),
        times("matrix", "matrix_s", 14),
        times("vector", "vector_s", 15),
        *if_stated("cycles", "matrix_cycles", COUNT_UNITS, 16),
        *if_stated("stream", "stream_s", TIME_UNITS, 7),
        *if_stated("weights", "weight_s", TIME_UNITS, 3),
        *if_stated("fixed", "overhead_s", TIME_UNITS, 13),
        times("comp.", "compute_s", 3),
        scaled("time", total_times, TIME_UNITS),
        left("bound", "bound", 1),
        *if_stated("energy", "energy_j", ENERGY_UNITS, 5),
        left("fused", "fused", 8),
    ]


def _without_total(column: Column) -> Column:
    """The column with nothing in the row of the totals, where its sum has no meaning."""
    return replace(column, cells=[*column.cells, ""])


def _where(columns: Columns) -> list[str]:
    """``i/e/i``: input, weights and output internal or external."""

    def letters(places: str) -> str:
        return "".join(sorted({place[:1] for place in places.split(";")})) or "-"

    names = ("input_location", "weight_location", "output_location")
    rows = zip(*(columns[name] for name in names), strict=True)
    return ["/".join(letters(places) for places in row) for row in rows]
