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


_as_intrinsic: Callable[[Function], Function] = intrinsic


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
    for point in range(sram_bytes.shape[0]):  # without a branch: most are found by the table alone
        size = sram_bytes[point]
        place = table[min(size >> shift, last)]
        wrong |= (size < least[place]) | (size >= below[place])
        which[point] = number[place]
    if not wrong:
        return True
    for point in range(sram_bytes.shape[0]):
        size = sram_bytes[point]
        place = table[min(size >> shift, last)]
        while place + 1 < len(least) and least[place + 1] <= size:
            place += 1
        if size < least[place] or size >= below[place]:
            return False
        which[point] = number[place]
    return True


@_compiled
def _order_by_plan(which: Array, first: int, points: int, starts: Array, order: Array) -> None:
    """Puts the positions of so many points from `first` on into `order`, and where each plan's end into `starts`."""
    plans = len(starts) - 1
    starts[:] = 0
    for point in range(first, first + points):
        starts[which[point] + 1] += 1
    for plan in range(plans):
        starts[plan + 1] += starts[plan]
    for point in range(first, first + points):
        plan = which[point]
        order[starts[plan]] = point
        starts[plan] += 1


@_compiled
def _divide(counts: Array, rates: Array, quotients: Array) -> None:
    """Fills quotients[kind, at] with counts[kind] / rates[at], rounded correctly: one division for each rate.

    With y = RN(1 / b), and q within an ulp of a / b, RN(q + RN(a - b q) y) is RN(a / b): Markstein, "Computation of
    elementary functions on the IBM RISC System/6000 processor", IBM JRD 34(1), 1990. q is that close since the
    reciprocal is carried to twice the precision. Counts and rates are far from what over- or underflows.
    """
    size = len(rates)
    inverse, rest = np.empty(_TILE), np.empty(_TILE)
    for at in range(size):
        inverse[at] = 1.0 / rates[at]
        rest[at] = _fma(-rates[at], inverse[at], 1.0) * inverse[at]
    for kind in range(len(counts)):
        count = counts[kind]
        for at in range(size):
            near = _fma(count, inverse[at], count * rest[at])
            quotients[kind, at] = _fma(_fma(-rates[at], near, count), inverse[at], near)


@_compiled
def fill_totals(
    which: Array,
    bandwidth: Array,
    matrix_rate: Array,
    vector_rate: Array,
    matrix: Array,
    vector: Array,
    compute_kind: Array,
    compute_scale: Array,
    moved: Array,
    kinds: Array,
    moved_kind: Array,
    moved_scale: Array,
    overlaps: bool,
    total_s: Array,
) -> None:
    """Fills `total_s` for machines whose plans are `which`; all of shape (machines,)."""
    plans, layers = moved_kind.shape
    starts = np.empty(plans + 1, dtype=np.int64)
    order = np.empty(_POINTS, dtype=np.int64)
    moved_s = np.empty((moved.shape[1], _TILE))
    compute_s = np.empty((matrix.shape[0], _TILE))
    sums = np.empty(_TILE)
    rate, rate_2, rate_3 = np.empty(_TILE), np.empty(_TILE), np.empty(_TILE)
    for first in range(0, which.shape[0], _POINTS):
        points = min(_POINTS, which.shape[0] - first)
        _order_by_plan(which, first, points, starts, order)
        begin = 0
        for plan in range(plans):
            end = starts[plan]
            for tile in range(begin, end, _TILE):
                size = min(_TILE, end - tile)
                for at in range(size):
                    rate[at] = bandwidth[order[tile + at]]
                    rate_2[at] = matrix_rate[order[tile + at]]
                    rate_3[at] = vector_rate[order[tile + at]]
                _divide(moved[plan, : kinds[plan]], rate[:size], moved_s)
                for kind in range(matrix.shape[0]):
                    count, count_2 = matrix[kind], vector[kind]
                    if count_2 == 0.0:
                        for at in range(size):
                            compute_s[kind, at] = count / rate_2[at]
                    else:
                        for at in range(size):
                            compute_s[kind, at] = count / rate_2[at] + count_2 / rate_3[at]
                for at in range(size):
                    sums[at] = 0.0
                for layer in range(0, layers, 4):
                    a0, a1 = moved_s[moved_kind[plan, layer]], moved_s[moved_kind[plan, layer + 1]]
                    a2, a3 = (
                        moved_s[moved_kind[plan, layer + 2]],
                        moved_s[moved_kind[plan, layer + 3]],
                    )
                    b0, b1 = compute_s[compute_kind[layer]], compute_s[compute_kind[layer + 1]]
                    b2, b3 = compute_s[compute_kind[layer + 2]], compute_s[compute_kind[layer + 3]]
                    s0, s1 = moved_scale[plan, layer], moved_scale[plan, layer + 1]
                    s2, s3 = moved_scale[plan, layer + 2], moved_scale[plan, layer + 3]
                    t0, t1 = compute_scale[layer], compute_scale[layer + 1]
                    t2, t3 = compute_scale[layer + 2], compute_scale[layer + 3]
                    if overlaps:
                        for at in range(size):
                            total = sums[at] + max(s0 * a0[at], t0 * b0[at])
                            total += max(s1 * a1[at], t1 * b1[at])
                            total += max(s2 * a2[at], t2 * b2[at])
                            sums[at] = total + max(s3 * a3[at], t3 * b3[at])
                    else:
                        for at in range(size):
                            total = sums[at] + (s0 * a0[at] + t0 * b0[at])
                            total += s1 * a1[at] + t1 * b1[at]
                            total += s2 * a2[at] + t2 * b2[at]
                            sums[at] = total + (s3 * a3[at] + t3 * b3[at])
                for at in range(size):
                    total_s[order[tile + at]] = sums[at]
            begin = end


@_compiled
def fill_bounds(
    which: Array,
    bandwidth: Array,
    matrix_rate: Array,
    vector_rate: Array,
    matrix: Array,
    vector: Array,
    compute_kind: Array,
    compute_scale: Array,
    moved: Array,
    kinds: Array,
    moved_kind: Array,
    moved_scale: Array,
    overlaps: bool,
    bound: Array,
) -> None:
    """Fills `bound` with what bounds the layers that take most of the time: 0 ddr, 1 matrix, 2 vector."""
    plans, layers = moved_kind.shape
    starts = np.empty(plans + 1, dtype=np.int64)
    order = np.empty(_POINTS, dtype=np.int64)
    moved_s = np.empty((moved.shape[1], _TILE))
    matrix_s, vector_s = np.empty((matrix.shape[0], _TILE)), np.empty((matrix.shape[0], _TILE))
    sums = np.empty((3, _TILE))
    rates = np.empty((3, _TILE))
    for first in range(0, which.shape[0], _POINTS):
        points = min(_POINTS, which.shape[0] - first)
        _order_by_plan(which, first, points, starts, order)
        begin = 0
        for plan in range(plans):
            end = starts[plan]
            for tile in range(begin, end, _TILE):
                size = min(_TILE, end - tile)
                for at in range(size):
                    rates[0, at] = bandwidth[order[tile + at]]
                    rates[1, at] = matrix_rate[order[tile + at]]
                    rates[2, at] = vector_rate[order[tile + at]]
                _divide(moved[plan, : kinds[plan]], rates[0, :size], moved_s)
                _divide(matrix, rates[1, :size], matrix_s)
                _divide(vector, rates[2, :size], vector_s)
                sums[:] = 0.0
                for layer in range(layers):
                    _add_bound(
                        moved_s[moved_kind[plan, layer], :size],
                        matrix_s[compute_kind[layer], :size],
                        vector_s[compute_kind[layer], :size],
                        moved_scale[plan, layer],
                        compute_scale[layer],
                        overlaps,
                        sums,
                    )
                for at in range(size):
                    longest = 1 if sums[1, at] > sums[0, at] else 0
                    bound[order[tile + at]] = 2 if sums[2, at] > sums[longest, at] else longest
            begin = end


@_compiled
def _add_bound(
    moved_s: Array,
    matrix_s: Array,
    vector_s: Array,
    moved_scale: float,
    compute_scale: float,
    overlaps: bool,
    sums: Array,
) -> None:
    """Adds a layer's times to the sum of what bounds it, and zeros, which change no bit, to the others."""
    for at in range(len(moved_s)):
        ddr = moved_scale * moved_s[at]
        on_matrix, on_vector = compute_scale * matrix_s[at], compute_scale * vector_s[at]
        compute = on_matrix + on_vector
        by_vector = on_vector > on_matrix
        if overlaps:
            layer_s = max(ddr, compute)
            by_compute = compute > ddr
        else:
            layer_s = ddr + compute
            by_compute = max(on_matrix, on_vector) > ddr
        sums[0, at] += 0.0 if by_compute else layer_s
        sums[1, at] += layer_s if by_compute and not by_vector else 0.0
        sums[2, at] += layer_s if by_compute and by_vector else 0.0
