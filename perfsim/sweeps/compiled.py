"""The total time of a network on machines of four numbers, and what bounds it, compiled (the extra `fast`).

The same operations in the same order as the formulas of `timing.kernel`, so the same bits, with less to do: multiplying
by a power of two changes no bit of a quotient, so of layers whose counts differ by one the quotient is computed once,
and what comes of it for each layer is an exact product. That leaves an addition or two for most layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.timing.kernel import COMPUTE, VECTOR
from perfsim.timing.terms import Shape

if TYPE_CHECKING:
    from perfsim.sweeps.plans import Breakpoints, Plan
    from perfsim.timing.kernel import TimingPolicy
    from perfsim.timing.work import LayerWork

Array: TypeAlias = np.ndarray[Any, Any]

# What the compiled functions compute; with other formulas they are not used.
_FORMULAS = {
    "ddr_s": "ddr_bytes / ddr_bytes_per_s",
    "matrix_s": "2 * macs / matrix_flops",
    VECTOR.symbol: "vector_ops / vector_flops",
    COMPUTE.symbol: "matrix_s + vector_s",
}
COMPILED = ("total_s", "bound")  # the columns
_OVERLAPS = {"ddr_s + compute_s": False, "max(ddr_s, compute_s)": True}

_LAYERS = 4  # that the compiled function adds before it stores a sum


def is_compiled(policy: TimingPolicy, shape: Shape) -> bool:
    """Whether there is a compiled function for a timing policy on machines of a shape, and numba to compile it."""
    if shape != Shape() or find_spec("numba") is None:
        return False
    formulas = {each.symbol: each.text for each in policy.formulas(shape)}
    return formulas.pop("layer_s", "") in _OVERLAPS and formulas == _FORMULAS


@dataclass(frozen=True, eq=False)
class Tables:
    """The counts of a network's layers as the compiled function takes them; layers padded to a multiple of `_LAYERS`.

    Attributes:
        matrix, vector: counts of each kind of compute, shape (kinds,).
        compute_kind, compute_scale: of each layer, shape (layers,).
        moved: counts of each kind of movement, shape (plans, kinds); `kinds` how many of them each plan has.
        moved_kind, moved_scale: of each layer under each plan, shape (plans, layers).
    """

    matrix: Array
    vector: Array
    compute_kind: Array
    compute_scale: Array
    moved: Array
    kinds: Array
    moved_kind: Array
    moved_scale: Array


def tables(work: LayerWork, plans: Sequence[Plan]) -> Tables:
    """The tables of some plans of one program."""
    layers = -(-len(work.macs) // _LAYERS) * _LAYERS
    computes = [
        (2 * int(macs), int(ops)) for macs, ops in zip(work.macs, work.vector_ops, strict=True)
    ]
    kinds, kind, scale = _kinds(computes, layers)
    counts, number = np.array(kinds, dtype=np.float64), len(plans)
    moved = [_kinds([(int(each),) for each in plan.traffic.ddr_bytes], layers) for plan in plans]
    most = max(len(each) for each, _, _ in moved)
    values = np.zeros((number, most))
    for row, (each, _, _) in zip(values, moved, strict=True):
        row[: len(each)] = [value for (value,) in each]
    return Tables(
        matrix=counts[:, 0].copy(),
        vector=counts[:, 1].copy(),
        compute_kind=kind,
        compute_scale=scale,
        moved=values,
        kinds=np.array([len(each) for each, _, _ in moved]),
        moved_kind=np.stack([each for _, each, _ in moved]),
        moved_scale=np.stack([each for _, _, each in moved]),
    )


def _kinds(
    counts: Sequence[tuple[int, ...]], layers: int
) -> tuple[list[tuple[int, ...]], Array, Array]:
    """Counts that differ by more than a power of two, and of each layer which one it is and that power."""
    kinds: dict[tuple[int, ...], int] = {}
    kind = np.zeros(layers, dtype=np.int64)
    scale = np.zeros(layers)  # nothing is added for a layer without counts
    for at, each in enumerate(counts):
        common = 0
        for count in each:
            common |= count
        power = common & -common or 1
        kind[at] = kinds.setdefault(tuple(count // power for count in each), len(kinds))
        scale[at] = float(power)
    return list(kinds), kind, scale


def compiled_column(
    name: str,
    counts: Tables,
    which: Array,
    rates: Sequence[Array],
    policy: TimingPolicy,
    values: Array,
) -> None:
    """Fills `values` with total_s [s], or with the codes of what bounds, for machines of shape (machines,).

    which: the plan of each. rates: of each the bandwidth, the rate of the matrix unit and that of the vector unit.
    """
    from perfsim.sweeps.compiled_loops import fill_bounds, fill_totals

    fill = {"total_s": fill_totals, "bound": fill_bounds}[name]
    layer = next(each for each in policy.formulas() if each.symbol == "layer_s")
    fields = (getattr(counts, field) for field in Tables.__annotations__)
    fill(which, *rates, *fields, _OVERLAPS[layer.text], values)


def compiled_which(sram_bytes: Array, breakpoints: Breakpoints) -> Array | None:
    """`Plans.which` of memories whose plans are all known; None where one is not."""
    from perfsim.sweeps.compiled_loops import find_plans

    which = np.empty(len(sram_bytes), dtype=np.int32)
    if not len(breakpoints.least) or not find_plans(sram_bytes, *breakpoints, which):
        return None
    return which
