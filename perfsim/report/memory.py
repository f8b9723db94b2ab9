"""The memory map: which tensor lies where, what is spilled and what that costs, how much memory would be enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import perfsim.placement.memory_levels as memory
from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import order_record, order_text, search_record, search_text, settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import BYTE_UNITS, Column, amount, scaled, table, texts, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.hardware.machine import Machine
    from perfsim.placement.memory_map import MemoryMap
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.program import Program
    from perfsim.result import Result

LEVELS = 8  # memories in the table of what would move
SPILLED = 10  # spilled tensors that are shown
ROWS = 40  # of the picture
FULL, WEIGHTS, TILES, FREE = "█", "▓", "░", "·"


@dataclass(frozen=True)
class MemoryReport:
    """What `perfsim memory` says.

    Attributes:
        policy, program, machine: what was asked for.
        map: the placement with its addresses.
        settings: what was changed for this run.
        ddr_target_bytes: the traffic for which the least memory was asked; None for none.
    """

    policy: PlacementPolicy
    program: Program
    machine: Machine
    map: MemoryMap
    settings: Sequence[str] = ()
    ddr_target_bytes: int | None = None

    def least_sram_bytes(self, most_ddr_bytes: int) -> int | None:
        """The least memory with which no more moves."""
        return memory.least_sram_bytes(
            self.policy,
            self.program,
            most_ddr_bytes,
            double_buffered=self.machine.double_buffered,
        )


def map_of(result: Result) -> MemoryMap:
    """The memory map of a run; raises InvalidValueError for a policy that keeps no plan of its memory."""
    from perfsim.placement.memory_map import memory_map

    machine = result.machine
    return memory_map(
        result.placement_policy,
        result.program,
        result.placement.sram_bytes,
        double_buffered=machine.double_buffered,
    )


def memory_sheet(report: MemoryReport) -> Sheet:
    """The report as a sheet: a row for each run of internal memory."""
    entries = report.map.entries
    names = ("tensor", "kind", "layer_from", "layer_to", "address", "bytes")
    columns = {name: [getattr(entry, name) for entry in entries] for name in names}
    record = _record(report)
    return Sheet(record, "entries", columns, lambda width: _text(report, record, width))


def _record(report: MemoryReport) -> dict[str, Any]:
    program, placement, plan = report.program, report.map.placement, report.map.addresses
    used = placement.sram_used_bytes
    moved = int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())
    compulsory = memory.compulsory_bytes(program)
    doubled = report.machine.double_buffered
    record: dict[str, Any] = {
        "network": program.name,
        "hardware": report.machine.name,
        "placement": report.policy.name,
        "order": order_record(program),
        "settings": list(report.settings),
        "machine": machine_record(report.machine),
        "alignment_bytes": report.map.alignment,
        "peak_sram_bytes": int(used.max()),
        "peak_layer": program.layers[int(used.argmax())].name,
        "address_peak_bytes": plan.peak_bytes,
        "address_bound_bytes": plan.bound_bytes,
        "decided_for_bytes": placement.sram_bytes,
        "ddr_bytes": moved,
        "compulsory_ddr_bytes": compulsory,
        "sram_bytes_without_spilling": report.least_sram_bytes(compulsory),
        "spilled": [
            {"tensor": program.tensors[index].name, "extra_ddr_bytes": size}
            for index, size in memory.spilled(program, placement)
        ],
        "levels": [
            {"sram_bytes": size, "ddr_bytes": traffic}
            for size, traffic in sorted(
                {
                    **dict(memory.levels(report.policy, program, LEVELS, double_buffered=doubled)),
                    placement.sram_bytes: moved,
                }.items()
            )
        ],
        **search_record(placement),
        "occupancy": [
            {"layer": layer.name, "sram_used_bytes": size}
            for layer, size in zip(program.layers, used.tolist(), strict=True)
        ],
    }
    if report.ddr_target_bytes is not None:
        record["ddr_target_bytes"] = report.ddr_target_bytes
        record["sram_bytes_for_target"] = report.least_sram_bytes(report.ddr_target_bytes)
    return record


def _text(report: MemoryReport, record: dict[str, Any], width: int) -> str:
    heading = (
        f"{record['network']} on {record['hardware']} ({machine_text(report.machine)}); placement "
        f"{record['placement']}{settings_text(report.settings)}{order_text(report.program)}"
        f"{search_text(report.map.placement)}"
    )
    parts = [
        wrapped(heading, width),
        _picture(report, width),
        *(wrapped(line, width) for line in _sentences(report, record)),
    ]
    if record["spilled"]:
        parts.append(_spilled_table(report, record, width))
    if len(record["levels"]) > 1:
        parts.append(_levels_table(record, width))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _sentences(report: MemoryReport, record: dict[str, Any]) -> list[str]:
    sram = int(report.machine.sram_bytes)
    peak, bound = record["address_peak_bytes"], record["address_bound_bytes"]
    proof = (
        "which is the least there can be"
        if peak == bound
        else (f"at most {amount(peak - bound, 'B')} above the least there can be ({bound:,} bytes)")
    )
    lines = [
        f"in use: at most {amount(record['peak_sram_bytes'], 'B')} of {amount(sram, 'B')}, at layer "
        f"'{record['peak_layer']}'; addresses for {len(report.map.entries)} tensors and parts, early weights "
        f"among them, end at {peak:,} bytes, {proof}"
    ]
    if record["decided_for_bytes"] < sram:
        lines.append(
            f"fragmentation: the addresses of a plan for all of the memory do not fit, so it was decided for "
            f"{record['decided_for_bytes']:,} bytes"
        )
    extra = record["ddr_bytes"] - record["compulsory_ddr_bytes"]
    moved = (
        f"DDR: {amount(record['ddr_bytes'], 'B')}, of which {amount(record['compulsory_ddr_bytes'], 'B')} move in any "
        f"case (weights, network input and output)"
    )
    enough = record["sram_bytes_without_spilling"]
    if not extra:
        lines.append(f"{moved}; nothing is spilled, nor would be from {enough:,} bytes of SRAM on")
    elif enough is not None and enough <= sram:
        lines.append(
            f"{moved}; {amount(extra, 'B')} are spilled for want of addresses: {enough:,} bytes would do without "
            f"fragmentation"
        )
    elif enough is not None:
        lines.append(
            f"{moved}; {amount(extra, 'B')} are spilled: {enough - sram:,} bytes more SRAM ({amount(enough, 'B')}) "
            f"would avoid that"
        )
    if "ddr_target_bytes" in record:
        least = record["sram_bytes_for_target"]
        target = amount(record["ddr_target_bytes"], "B")
        lines.append(
            f"at most {target} over DDR: not with any SRAM"
            if least is None
            else f"at most {target} over DDR: from {least:,} bytes of SRAM on"
        )
    return lines


def _spilled_table(report: MemoryReport, record: dict[str, Any], width: int) -> str:
    rows = record["spilled"][:SPILLED]
    more = len(record["spilled"]) - len(rows)
    sizes = {tensor.name: tensor for tensor in report.program.tensors}
    body = table(
        [
            Column(
                "moves more than once, or at all",
                [row["tensor"] for row in rows],
                left=True,
                least=16,
            ),
            Column("kind", [sizes[row["tensor"]].kind.value for row in rows], left=True, keep=2),
            scaled("size", [sizes[row["tensor"]].bytes for row in rows], BYTE_UNITS),
            scaled("extra DDR", [row["extra_ddr_bytes"] for row in rows], BYTE_UNITS),
        ],
        width,
    )
    return body + (f"and {more} more\n" if more else "")


def _levels_table(record: dict[str, Any], width: int) -> str:
    levels = record["levels"]
    here = record["decided_for_bytes"]
    return table(
        [
            Column("with SRAM of", [amount(level["sram_bytes"], "B") for level in levels]),
            Column("bytes", texts([level["sram_bytes"] for level in levels]), keep=1),
            Column("DDR", [amount(level["ddr_bytes"], "B") for level in levels]),
            Column(
                "",
                ["<- this machine" if level["sram_bytes"] == here else "" for level in levels],
                left=True,
            ),
        ],
        width,
    )


def _picture(report: MemoryReport, width: int) -> str:
    """A bar for each layer, or for each few of them the fullest one: feature maps, weights, tiles, free."""
    program, placement = report.program, report.map.placement
    layers = len(program.layers)
    step = -(-layers // ROWS)
    used, tiles = placement.sram_used_bytes, placement.tile_bytes
    spans = placement.spans
    maps = spans.bytes_in_use(program) if spans is not None else used - tiles
    rows = [
        max(range(first, min(first + step, layers)), key=lambda at: int(used[at]))
        for first in range(0, layers, step)
    ]
    full = max(int(report.machine.sram_bytes), 1)
    names = [program.layers[at].name for at in rows]
    room = max(width - min(max(map(len, names)), 24) - 18, 20)

    def bar(at: int) -> str:
        ends = [maps[at], used[at] - tiles[at], used[at]]
        a, b, c = (round(room * int(end) / full) for end in ends)
        return FULL * a + WEIGHTS * (b - a) + TILES * (c - b) + FREE * (room - c)

    body = table(
        [
            Column("#", texts([at + 1 for at in rows])),
            Column("layer", names, left=True, least=16),
            scaled("SRAM", [int(used[at]) for at in rows], BYTE_UNITS),
            Column("in use", [bar(at) for at in rows], left=True),
        ],
        width,
    )
    of = f"; of each {step} layers the fullest" if step > 1 else ""
    return (
        body
        + f"{FULL} feature maps  {WEIGHTS} weights  {TILES} tiles that pass through  {FREE} free{of}\n"
    )
