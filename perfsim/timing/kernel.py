"""The one timing kernel: every formula that turns counts into seconds, for one value or a million.

Each formula is elementwise arithmetic on numbers or numpy arrays of any shapes that broadcast, so a single run
(arrays over layers, one machine) and a sweep (one layer, arrays over machines) give the same bits. Totals
are left folds, `fold`, never `np.sum`, whose order of additions depends on the shape.

Source: the roofline's two terms (Williams, Waterman, Patterson, CACM 52(4), 2009), per layer, with one term per
unit; docs/model.md derives them from the published tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import unknown_name

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine

Values: TypeAlias = Any  # float or numpy array; the formulas do not tell them apart
FLOP_PER_MAC = 2
BOUNDS = ("ddr", "matrix", "vector")  # what the codes of `LayerTimes.bound` mean


def ddr_s(ddr_bytes: Values, ddr_bytes_per_s: Values) -> Values:
    """Data-movement time [s] of `ddr_bytes` [bytes] at `ddr_bytes_per_s` [bytes/s]."""
    return ddr_bytes / ddr_bytes_per_s


def matrix_s(macs: Values, matrix_flops: Values) -> Values:
    """Time [s] of `macs` multiply-accumulates, two FLOP each, at `matrix_flops` [FLOP/s]."""
    return FLOP_PER_MAC * macs / matrix_flops


def vector_s(vector_ops: Values, vector_flops: Values) -> Values:
    """Time [s] of `vector_ops` operations at `vector_flops` [operations/s]."""
    return vector_ops / vector_flops


def compute_s(matrix_s: Values, vector_s: Values) -> Values:
    """Compute time [s]: the two units work one after the other within a layer."""
    return matrix_s + vector_s


def serial_layer_s(ddr_s: Values, compute_s: Values) -> Values:
    """A layer's time [s] when nothing overlaps: movement plus compute."""
    return ddr_s + compute_s


def overlap_layer_s(ddr_s: Values, compute_s: Values) -> Values:
    """A layer's time [s] when movement hides behind compute or the reverse: the larger."""
    return np.maximum(ddr_s, compute_s)


def serial_bound(ddr_s: Values, matrix_s: Values, vector_s: Values) -> Values:
    """The largest of the three terms, as a code of `BOUNDS`; ddr before matrix before vector."""
    units = np.where(matrix_s >= vector_s, 1, 2)
    return np.where(ddr_s >= np.maximum(matrix_s, vector_s), 0, units)


def overlap_bound(ddr_s: Values, matrix_s: Values, vector_s: Values) -> Values:
    """ddr where movement is not hidden by compute, else the unit that takes longer."""
    units = np.where(matrix_s >= vector_s, 1, 2)
    return np.where(ddr_s >= matrix_s + vector_s, 0, units)


@dataclass(frozen=True)
class Formula:
    """A formula of the kernel with its text, for explanations; a test keeps the two equal.

    Attributes:
        symbol: the column that it gives.
        text: the right-hand side in the names of other columns and of the machine's numbers.
        function: the formula; its parameters are the names in `text`, in order of their appearance.
    """

    symbol: str
    text: str
    function: Callable[..., Values]


DDR = Formula("ddr_s", "ddr_bytes / ddr_bytes_per_s", ddr_s)
MATRIX = Formula("matrix_s", "2 * macs / matrix_flops", matrix_s)
VECTOR = Formula("vector_s", "vector_ops / vector_flops", vector_s)
COMPUTE = Formula("compute_s", "matrix_s + vector_s", compute_s)


@dataclass(frozen=True)
class TimingPolicy:
    """What overlaps on a machine.

    Attributes:
        name: as files and the command line spell it.
        rule: one sentence for lists and help.
        layer: the formula of a layer's time.
        bound: what limits a layer, from (ddr_s, matrix_s, vector_s), a code of `BOUNDS`.
        bound_rule: how `bound` is decided, in words.
    """

    name: str
    rule: str
    layer: Formula
    bound: Callable[[Values, Values, Values], Values]
    bound_rule: str

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """All formulas in the order in which they are computed."""
        return (DDR, MATRIX, VECTOR, COMPUTE, self.layer)


TIMINGS: tuple[TimingPolicy, ...] = (
    TimingPolicy(
        "overlap",
        "movement and compute of a layer overlap: the larger of the two (default)",
        Formula("layer_s", "max(ddr_s, compute_s)", overlap_layer_s),
        overlap_bound,
        "ddr when ddr_s is at least compute_s, else the unit that takes longer",
    ),
    TimingPolicy(
        "serial",
        "nothing overlaps: movement plus compute",
        Formula("layer_s", "ddr_s + compute_s", serial_layer_s),
        serial_bound,
        "the largest of ddr_s, matrix_s and vector_s",
    ),
)


def timing_policy(name: str) -> TimingPolicy:
    """The timing policy of this name; raises UnknownNameError."""
    for policy in TIMINGS:
        if policy.name == name:
            return policy
    raise unknown_name("timing", name, [policy.name for policy in TIMINGS])


@dataclass(frozen=True, eq=False)
class LayerTimes:
    """The kernel's result: seconds, and what limits; arrays of the broadcast shape.

    Attributes:
        bound: codes into `BOUNDS`.
    """

    ddr_s: Values
    matrix_s: Values
    vector_s: Values
    compute_s: Values
    layer_s: Values
    bound: Values


def layer_times(
    ddr_bytes: Values, macs: Values, vector_ops: Values, machine: Machine, policy: TimingPolicy
) -> LayerTimes:
    """The times of layers that move `ddr_bytes` and compute `macs` and `vector_ops`.

    The counts and the machine's rates may be numbers or arrays that broadcast against each other.
    """
    ddr = DDR.function(ddr_bytes, machine.ddr_bytes_per_s)
    matrix = MATRIX.function(macs, machine.matrix_flops)
    vector = VECTOR.function(vector_ops, machine.vector_flops)
    compute = COMPUTE.function(matrix, vector)
    layer = policy.layer.function(ddr, compute)
    return LayerTimes(ddr, matrix, vector, compute, layer, policy.bound(ddr, matrix, vector))


def fold(values: Values) -> Values:
    """The sum over the first axis (the layers), one layer after the other: shape (...)."""
    return np.add.accumulate(values, axis=0)[-1]
