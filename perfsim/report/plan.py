"""The report of an address plan: its figures, and the buffers with their offsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsim.placement.address_buffers import FREE
from perfsim.report.sheet import Sheet
from perfsim.report.text import Column, amount, duration, table, wrapped

if TYPE_CHECKING:
    from perfsim.placement.address_table import BufferTable
    from perfsim.placement.addresses import AddressPlan
    from perfsim.result import Columns

METHODS = {
    "greedy": "a greedy order",
    "exact": "the exact search",
    "cp-sat": "the solver CP-SAT",
}


def plan_sheet(file: str, buffers: BufferTable, plan: AddressPlan) -> Sheet:
    """The plan for the buffers of `file` as a sheet; a plan above the capacity is none, and has no offsets."""
    record = {
        "file": file,
        "capacity_bytes": plan.capacity_bytes,
        "fits": plan.fits,
        "peak_bytes": plan.peak_bytes,
        "bound_bytes": plan.bound_bytes,
        "optimal": plan.is_optimal,
        "ruled_out": plan.is_ruled_out,
        "method": plan.method,
        "nodes": plan.nodes,
        "seconds": plan.seconds,
    }
    columns = _columns(buffers, plan)
    return Sheet(record, "buffers", columns, lambda width: _text(file, buffers, plan, width))


def shortfall(plan: AddressPlan) -> str:
    """Why the plan does not fit: proven, or not found in the time."""
    capacity = f"{plan.capacity_bytes:,} bytes"
    if plan.is_ruled_out:
        return f"no plan fits into {capacity}: at least {plan.bound_bytes:,} are needed"
    return (
        f"no plan that fits into {capacity} was found in {duration(plan.seconds)}; "
        f"whether there is one is not known"
    )


def _columns(buffers: BufferTable, plan: AddressPlan) -> Columns:
    values = buffers.buffers
    columns: Columns = {
        "id": list(buffers.names),
        "lower": values.lower.tolist(),
        "upper": values.upper.tolist(),
        "size": values.size.tolist(),
    }
    if (values.alignment > 1).any():
        columns["alignment"] = values.alignment.tolist()
    columns["offset"] = plan.offsets.tolist() if plan.fits else [None] * len(values)
    return columns


def _text(file: str, buffers: BufferTable, plan: AddressPlan, width: int) -> str:
    count = len(buffers.names)
    held = int((buffers.buffers.fixed != FREE).sum())
    heading = f"{file}: {count:,} buffer{'s'[: count != 1]}" + (f", {held:,} fixed" if held else "")
    share = f" ({plan.gap_bytes / plan.bound_bytes:.2%})" if plan.gap_bytes else ""
    verdict = "optimal" if plan.is_optimal else f"a lower plan is not ruled out{share}"
    rows = [
        ("peak", _bytes(plan.peak_bytes), "of the best plan found"),
        ("lower bound", _bytes(plan.bound_bytes), "no plan is lower"),
        ("gap", _bytes(plan.gap_bytes), verdict),
    ]
    if plan.capacity_bytes is not None:
        verdict = "fits" if plan.fits else "does not fit"
        if not plan.fits:
            verdict += ": proven" if plan.is_ruled_out else " as far as was searched"
        rows.insert(0, ("capacity", _bytes(plan.capacity_bytes), verdict))
    names, amounts, remarks = (list(column) for column in zip(*rows, strict=True))
    cells = [
        Column("", names, left=True),
        Column("", amounts),
        Column("", remarks, 1, left=True, least=16),
    ]
    nodes = f", {plan.nodes:,} nodes searched" if plan.nodes else ""
    foot = f"found by {METHODS[plan.method]} in {duration(plan.seconds)}{nodes}"
    figures = table(cells, width, has_head=False)
    return f"{wrapped(heading, width)}\n\n{figures}\n{wrapped(foot, width)}\n"


def _bytes(count: int) -> str:
    return f"{count:,} B" + (f" ({amount(count, 'B')})" if count >= 1000 else "")
