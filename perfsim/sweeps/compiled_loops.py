"""The loops of `compiled`, which numba compiles when this module is loaded and keeps on disk for later processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

Array: TypeAlias = np.ndarray[Any, Any]
Function: TypeAlias = Callable[..., Any]

_POINTS = 8192  # that are ordered by plan at once
_TILE = 128  # that are computed at once: their quotients stay in the first cache
_UNKNOWN = -1


_as_intrinsic: Callable[[Function], Function] = intrinsic


def _inlined(function: Function) -> Function:
    # Not a call: each would count the references of the arrays it is given, which costs as much as its work.
    inlined: Function = njit(inline="always", error_model="numpy")(function)
    return inlined


def _compiled(function: Function) -> Function:
    # Contraction may only take exact products into sums here, which changes no bit.
    options: dict[str, Any] = {"error_model": "numpy", "nogil": True, "fastmath": {"contract"}}
    compiled: Function
    try:
        compiled = njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in that can be written to
        compiled = njit(**options)(function)
    return compiled


@_as_intrinsic
def _fma(_: Any, a: Any, b: Any, c: Any) -> Any:  # noqa: ARG001 - types of floats, all of them
    """a * b + c, rounded once."""

    def code(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), code


@_compiled
def find_plans(
    sram_bytes: Array,
    least: Array,
    below: Array,
    number: Array,
    table: Array,
    shift: int,
    which: Array,
) -> bool:
    """Fills `which` with the plans for memories, from the fields of `Breakpoints`; whether all are known."""
    last = len(table) - 1
    wrong = False
    for point in range(sram_bytes.shape[0]):  # without a branch: most are found by the table
        plan = table[np.uint64(min(sram_bytes[point] >> shift, last))]
        wrong |= plan == _UNKNOWN
        which[point] = plan
    if wrong:
        for point in range(sram_bytes.shape[0]):
            if which[point] == _UNKNOWN:
                size = sram_bytes[point]
                place = np.searchsorted(least, size, side="right") - 1
                if place < 0 or size >= below[place]:
                    return False
                which[point] = number[place]
    return True


@_inlined
def _order_by_plan(
    which: Array,
    rates: tuple[Array, Array, Array],
    first: int,
    points: int,
    starts: Array,
    place: Array,
    ordered: Array,
) -> None:
    """Puts the rates of points into `ordered`, shape (3, points), by their plans.

    Into `place` where each point went, and into `starts` where each plan's end.
    """
    plans = len(starts) - 1
    starts[:] = 0
    for point in range(points):
        starts[np.uint32(which[first + point]) + 1] += 1
    for plan in range(plans):
        starts[plan + 1] += starts[plan]
    for point in range(points):
        to = starts[np.uint32(which[first + point])]
        starts[np.uint32(which[first + point])] = to + 1
        place[point] = to
        ordered[0, to] = rates[0][first + point]
        ordered[1, to] = rates[1][first + point]
        ordered[2, to] = rates[2][first + point]


@_inlined
def divide(counts: Array, rates: Array, inverse: Array, rest: Array, quotients: Array) -> None:
    """Fills quotients[kind, at] with counts[kind] / rates[at], rounded correctly: one division for each rate.

    With y = RN(1 / b), and q within an ulp of a / b, RN(q + RN(a - b q) y) is RN(a / b): Markstein, "Computation of
    elementary functions on the IBM RISC System/6000 processor", IBM JRD 34(1), 1990. q is that close since the
    reciprocal is carried to twice the precision. Counts and rates are far from what over- or underflows.
    inverse, rest: memory to work in, of at least as many numbers as there are rates.
    """
    for at in range(len(rates)):
        inverse[at] = 1.0 / rates[at]
        rest[at] = _fma(-rates[at], inverse[at], 1.0) * inverse[at]
    for kind in range(len(counts)):
        count = counts[kind]
        for at in range(len(rates)):
            near = _fma(count, inverse[at], count * rest[at])
            quotients[kind, at] = _fma(_fma(-rates[at], near, count), inverse[at], near)


@_inlined
def _fold(values: Array, rows: Array, plan: int, size: int, sums: Array) -> None:
    """Fills `sums` with the left folds of values[rows[0]], values[rows[1]], ...; eight rows before a sum is stored."""
    for at in range(size):
        sums[at] = 0.0
    for first in range(0, rows.shape[1], 8):
        a, b = rows[plan, first], rows[plan, first + 1]
        c, d = rows[plan, first + 2], rows[plan, first + 3]
        e, f = rows[plan, first + 4], rows[plan, first + 5]
        g, h = rows[plan, first + 6], rows[plan, first + 7]
        for at in range(size):
            total = sums[at] + values[a, at]
            total += values[b, at]
            total += values[c, at]
            total += values[d, at]
            total += values[e, at]
            total += values[f, at]
            total += values[g, at]
            sums[at] = total + values[h, at]


@_compiled
def fill(
    which: Array,
    rates: tuple[Array, Array, Array],
    matrix: Array,
    vector: Array,
    moved: Array,
    kinds: Array,
    alike: Array,
    moved_kind: Array,
    moved_scale: Array,
    compute_kind: Array,
    compute_scale: Array,
    layer: Array,
    overlaps: bool,
    total_s: Array,
    bound: Array,
) -> None:
    """Fills `total_s` [s], and `bound` with the code of what bounds the layers that take most of the time.

    For machines whose plans are `which`, both of shape (machines,), or (0,) for what is not wanted. rates: bandwidth,
    matrix unit, vector unit, each of shape (machines,). What follows them are the fields of `compiled.Tables`.
    """
    plans = layer.shape[0]
    most = moved_kind.shape[1] + 1  # kinds of layers, and one that takes no time
    starts = np.empty(plans + 1, dtype=np.int64)
    place = np.empty(_POINTS, dtype=np.uint32)
    ordered = np.empty((3, _POINTS))
    totals, bounds = np.empty(_POINTS), np.empty(_POINTS, dtype=np.int8)
    inverse, rest = np.empty(_TILE), np.empty(_TILE)
    moved_s = np.empty((moved.shape[1], _TILE))
    matrix_s, vector_s = np.empty((len(matrix), _TILE)), np.empty((len(matrix), _TILE))
    compute_s = np.empty((len(matrix), _TILE))
    layer_s, bound_by = np.empty((most, _TILE)), np.empty((3, most, _TILE))
    sums = np.empty((4, _TILE))
    for first in range(0, len(which), _POINTS):
        points = min(_POINTS, len(which) - first)
        _order_by_plan(
            which,
            rates,
            first,
            points,
            starts,
            place,
            ordered,
        )
        begin = 0
        for plan in range(plans):
            end = starts[plan]
            for tile in range(begin, end, _TILE):
                size = min(_TILE, end - tile)
                part = slice(tile, tile + size)
                divide(moved[plan, : kinds[plan]], ordered[0, part], inverse, rest, moved_s)
                divide(matrix, ordered[1, part], inverse, rest, matrix_s)
                divide(vector, ordered[2, part], inverse, rest, vector_s)
                for kind in range(len(matrix)):
                    for at in range(size):
                        compute_s[kind, at] = matrix_s[kind, at] + vector_s[kind, at]
                _layers(
                    moved_s,
                    matrix_s,
                    vector_s,
                    compute_s,
                    moved_kind[plan, : alike[plan]],
                    moved_scale[plan],
                    compute_kind[plan],
                    compute_scale[plan],
                    overlaps,
                    size,
                    layer_s,
                    bound_by[:, : most if len(bound) else 0],
                )
                if len(total_s):
                    _fold(layer_s, layer, plan, size, sums[3])
                    for at in range(size):
                        totals[tile + at] = sums[3, at]
                if len(bound):
                    for unit in range(3):
                        _fold(bound_by[unit], layer, plan, size, sums[unit])
                    for at in range(size):
                        longest = 1 if sums[1, at] > sums[0, at] else 0
                        most_s = max(sums[0, at], sums[1, at])
                        bounds[tile + at] = 2 if sums[2, at] > most_s else longest
            begin = end
        if len(total_s):
            for point in range(points):
                total_s[first + point] = totals[place[point]]
        if len(bound):
            for point in range(points):
                bound[first + point] = bounds[place[point]]


@_inlined
def _layers(
    moved_s: Array,
    matrix_s: Array,
    vector_s: Array,
    compute_s: Array,
    moved_kind: Array,
    moved_scale: Array,
    compute_kind: Array,
    compute_scale: Array,
    overlaps: bool,
    size: int,
    layer_s: Array,
    bound_by: Array,
) -> None:
    """Fills `layer_s` with the time of each kind of layer and a zero after them, shape (kinds + 1, points).

    And `bound_by`, unless it has no kinds, with the same time for what bounds that layer, zero, which changes no sum,
    for the others: shape (3, kinds + 1, points).
    """
    alike = len(moved_kind)
    for kind in range(alike):
        ddr, unit = moved_kind[kind], compute_kind[kind]
        by, times = moved_scale[kind], compute_scale[kind]
        if overlaps:
            for at in range(size):
                layer_s[kind, at] = max(by * moved_s[ddr, at], times * compute_s[unit, at])
        else:
            for at in range(size):
                layer_s[kind, at] = by * moved_s[ddr, at] + times * compute_s[unit, at]
    for at in range(size):
        layer_s[alike, at] = 0.0
    if not bound_by.shape[1]:
        return
    for kind in range(alike):
        ddr, unit = moved_kind[kind], compute_kind[kind]
        by, times = moved_scale[kind], compute_scale[kind]
        for at in range(size):
            ddr_s = by * moved_s[ddr, at]
            on_matrix, on_vector = times * matrix_s[unit, at], times * vector_s[unit, at]
            longest = times * compute_s[unit, at] if overlaps else max(on_matrix, on_vector)
            by_compute = longest > ddr_s
            by_vector = on_vector > on_matrix
            took_s = layer_s[kind, at]
            bound_by[0, kind, at] = 0.0 if by_compute else took_s
            bound_by[1, kind, at] = took_s if by_compute and not by_vector else 0.0
            bound_by[2, kind, at] = took_s if by_compute and by_vector else 0.0
    for unit in range(3):
        for at in range(size):
            bound_by[unit, alike, at] = 0.0
