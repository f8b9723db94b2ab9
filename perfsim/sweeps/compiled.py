"""The total time of a network on machines of four numbers, and what bounds it, compiled (the extra `fast`).

The same operations in the same order as the formulas of `timing.kernel`, so the same bits, with less to do: multiplying
by a power of two changes no bit of a quotient, so of layers whose counts differ by one the quotient is computed once,
and what comes of it for each layer is an exact product. That leaves an addition or two for most layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
_LayerKind: TypeAlias = tuple[
    int, float, int, float
]  # of movement and compute, which count and its power

# What the compiled functions compute; with other formulas they are not used.
_FORMULAS = {
    "ddr_s": "ddr_bytes / ddr_bytes_per_s",
    "matrix_s": "2 * macs / matrix_flops",
    VECTOR.symbol: "vector_ops / vector_flops",
    COMPUTE.symbol: "matrix_s + vector_s",
}
COMPILED = ("total_s", "bound")  # the columns
_OVERLAPS = {"ddr_s + compute_s": False, "max(ddr_s, compute_s)": True}

_LAYERS = 8  # that the compiled function adds before it stores a sum


def is_compiled(policy: TimingPolicy, shape: Shape) -> bool:
    """Whether there is a compiled function for a timing policy on machines of a shape, and numba to compile it."""
    if shape != Shape() or find_spec("numba") is None:
        return False
    formulas = {each.symbol: each.text for each in policy.formulas(shape)}
    return formulas.pop("layer_s", "") in _OVERLAPS and formulas == _FORMULAS


@dataclass(frozen=True, eq=False)
class Tables:
    """The counts of a network's layers as the compiled function takes them.

    Layers that move as many bytes and compute as much are of one kind. Counts that differ by a power of two are one
    count and that power: the scale of a kind of layers.

    Attributes:
        matrix, vector: counts of each kind of compute, shape (computes,).
        moved: counts of each kind of movement, shape (plans, movements); `kinds` how many of them each plan has.
        alike: how many kinds of layers each plan has.
        moved_kind, moved_scale, compute_kind, compute_scale: of each kind of layers, shape (plans, kinds of layers).
        layer: of each layer its kind, or `alike` for one that takes no time; padded with such to a multiple of
            `_LAYERS`: shape (plans, layers).
    """

    matrix: Array
    vector: Array
    moved: Array
    kinds: Array
    alike: Array
    moved_kind: Array
    moved_scale: Array
    compute_kind: Array
    compute_scale: Array
    layer: Array


def tables(work: LayerWork, plans: Sequence[Plan]) -> Tables:
    """The tables of some plans of one program."""
    computes, compute = _kinds(
        [(2 * int(macs), int(ops)) for macs, ops in zip(work.macs, work.vector_ops, strict=True)]
    )
    units = np.array(computes, dtype=np.float64)
    moved: list[list[float]] = []
    kinds: list[list[_LayerKind]] = []
    layers = np.empty((len(plans), -(-len(compute) // _LAYERS) * _LAYERS), dtype=np.uint32)
    for row, plan in zip(layers, plans, strict=True):
        movements, movement = _kinds([(int(each),) for each in plan.traffic.ddr_bytes])
        moved.append([count for (count,) in movements])
        known: dict[_LayerKind, int] = {}
        nothing = -1  # known when all others are
        of_layer = [
            known.setdefault((*ddr, *units), len(known)) if ddr[1] or units[1] else nothing
            for ddr, units in zip(movement, compute, strict=True)
        ]
        row[:] = len(known)
        row[: len(of_layer)] = [len(known) if kind == nothing else kind for kind in of_layer]
        kinds.append(list(known))
    moved_kind, moved_scale, compute_kind, compute_scale = (
        _padded([[kind[at] for kind in each] for each in kinds], dtype)
        for at, dtype in enumerate((np.uint32, np.float64, np.uint32, np.float64))
    )
    return Tables(
        matrix=units[:, 0].copy(),
        vector=units[:, 1].copy(),
        moved=_padded(moved, np.float64),
        kinds=np.array([len(each) for each in moved]),
        alike=np.array([len(each) for each in kinds]),
        moved_kind=moved_kind,
        moved_scale=moved_scale,
        compute_kind=compute_kind,
        compute_scale=compute_scale,
        layer=layers,
    )


def _padded(rows: Sequence[Sequence[float]], dtype: type) -> Array:
    """Rows of several lengths as an array with zeros after each."""
    found: Array = np.zeros((len(rows), max(map(len, rows))), dtype=dtype)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


def _kinds(
    counts: Sequence[tuple[int, ...]],
) -> tuple[list[tuple[int, ...]], list[tuple[int, float]]]:
    """Counts that differ by more than a power of two; of each layer which one it is and that power, 0 of nothing."""
    kinds: dict[tuple[int, ...], int] = {}
    of_layer: list[tuple[int, float]] = []
    for each in counts:
        common = 0
        for count in each:
            common |= count
        power = common & -common
        kind = kinds.setdefault(tuple(count // (power or 1) for count in each), len(kinds))
        of_layer.append((kind, float(power)))
    return list(kinds), of_layer


def compiled_columns(
    counts: Tables,
    which: Array,
    rates: tuple[Array, Array, Array],
    policy: TimingPolicy,
    columns: Mapping[str, Array],
) -> None:
    """Fills total_s [s] and the codes of what bounds, those that are in `columns`, for machines of shape (machines,).

    which: the plan of each. rates: of each the bandwidth, the rate of the matrix unit and that of the vector unit.
    """
    from perfsim.sweeps.compiled_loops import fill

    layer = next(each for each in policy.formulas() if each.symbol == "layer_s")
    fields = (getattr(counts, field) for field in Tables.__annotations__)
    total_s = columns.get("total_s", np.empty(0))
    bound = columns.get("bound", np.empty(0, dtype=np.int8))
    fill(which, rates, *fields, _OVERLAPS[layer.text], total_s, bound)


def compiled_which(sram_bytes: Array, breakpoints: Breakpoints) -> Array | None:
    """`Plans.which` of memories whose plans are all known; None where one is not."""
    from perfsim.sweeps.compiled_loops import find_plans

    which = np.empty(len(sram_bytes), dtype=np.int32)
    if not len(breakpoints.least) or not find_plans(sram_bytes, *breakpoints, which):
        return None
    return which
