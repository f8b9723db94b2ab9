"""The one timing kernel: every formula that turns counts into seconds, for one value or a million.

Each formula is elementwise arithmetic on numbers or numpy arrays of any shapes that broadcast, so a single run
(arrays over layers, one machine) and a sweep (one layer, arrays over machines) give the same bits. Totals
are left folds, `fold`, never `np.sum`, whose order of additions depends on the shape.

Which formulas a machine needs depends on what it says of itself: one that states four numbers has five formulas. What
each further part adds is in `terms.py`, what an array makes of a layer in `array.py`.

Source: the roofline's two terms (Williams, Waterman, Patterson, CACM 52(4), 2009), per layer, with one term per
unit; docs/model.md derives them from the published tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import unknown_name
from perfsim.timing.array import matrix_formulas
from perfsim.timing.energy import ENERGIES, energy_formulas
from perfsim.timing.formula import Formula
from perfsim.timing.pipelined import PIPELINED, pipelined_formulas
from perfsim.timing.terms import Shape, shape_of, traffic_formulas
from perfsim.timing.values import LayerValues

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.timing.terms import Traffic
    from perfsim.timing.work import LayerWork

Values: TypeAlias = Any  # float or numpy array; the formulas do not tell them apart

# What the codes of `LayerTimes.bound` mean, and the column of each part.
BOUNDS = ("ddr", "matrix", "vector", "stream", "weights", "overhead")
PARTS: Mapping[str, str] = {
    "ddr": "ddr_s",
    "matrix": "matrix_s",
    "vector": "vector_s",
    "stream": "stream_s",
    "weights": "weight_s",
    "overhead": "overhead_s",
}

VECTOR = Formula("vector_s", "vector_ops / vector_flops", "the vector unit's time [s]")
COMPUTE = Formula("compute_s", "matrix_s + vector_s", "the units work one after the other [s]")


@dataclass(frozen=True)
class TimingPolicy:
    """What overlaps on a machine.

    Attributes:
        name: as files and the command line spell it.
        rule: one sentence for lists and help.
        layer: the formulas of a layer's time on a machine of a shape, the last one's symbol being layer_s.
        bound_rule: how `LayerTimes.bound` is decided, in words.
        hides: whether movement hides behind compute, for the bound.
        carried: a value of each layer that the next one needs, as ``before_`` and its name.
    """

    name: str
    rule: str
    layer: Callable[[Shape], tuple[Formula, ...]]
    bound_rule: str
    hides: bool
    carried: str = ""

    def formulas(self, shape: Shape = Shape()) -> tuple[Formula, ...]:  # noqa: B008
        """All formulas for a machine of this shape, in the order in which they are computed."""
        return _formulas(self, shape)


@cache
def _formulas(policy: TimingPolicy, shape: Shape) -> tuple[Formula, ...]:
    compute = COMPUTE
    if shape.stream:
        text = (
            "max(matrix_s + vector_s, stream_s)"
            if shape.stream_hidden
            else ("matrix_s + vector_s + stream_s")
        )
        compute = Formula("compute_s", text, "the units, and what streams to and from them [s]")
    overhead = (Formula("overhead_s", shape.overhead, "fixed costs [s]"),) if shape.overhead else ()
    return (
        *traffic_formulas(shape, split=bool(policy.carried)),
        *matrix_formulas(shape),
        VECTOR,
        compute,
        *overhead,
        *policy.layer(shape),
        *energy_formulas(shape),
    )


def _beside(shape: Shape) -> str:
    """What is added to a layer's time whatever overlaps."""
    weights = " + weight_s" if shape.weight_memory and not shape.weights_hidden else ""
    return weights + (" + overhead_s" if shape.overhead else "")


def _serial(shape: Shape) -> tuple[Formula, ...]:
    hides = shape.weight_memory and shape.weights_hidden
    compute = "max(compute_s, weight_s)" if hides else "compute_s"
    text = f"ddr_s + {compute}{_beside(shape)}"
    return (Formula("layer_s", text, "what the layer adds [s]"),)


def _overlap(shape: Shape) -> tuple[Formula, ...]:
    hidden = ", weight_s" if shape.weight_memory and shape.weights_hidden else ""
    text = f"max(ddr_s, compute_s{hidden}){_beside(shape)}"
    return (Formula("layer_s", text, "what the layer adds [s]"),)


TIMINGS: tuple[TimingPolicy, ...] = (
    TimingPolicy(
        "overlap",
        "movement and compute of a layer overlap: the larger of the two (default)",
        _overlap,
        "ddr when ddr_s is at least compute_s, else the unit that takes longer",
        hides=True,
    ),
    TimingPolicy(
        "serial",
        "nothing overlaps: movement plus compute",
        _serial,
        "the largest of ddr_s, matrix_s and vector_s",
        hides=False,
    ),
    TimingPolicy(
        PIPELINED,
        "a layer runs in strips, and the next one's weights come in early where there is room; it may be slower than "
        "overlap, which hides everything within a layer",
        pipelined_formulas,
        "ddr when ddr_s is at least compute_s, else the unit that takes longer",
        hides=True,
        carried="idle_s",
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
        bound: codes into `BOUNDS`; None where they were not asked for.
        steps: everything that was computed on the way, by symbol.
    """

    ddr_s: Values
    matrix_s: Values
    vector_s: Values
    compute_s: Values
    layer_s: Values
    bound: Values
    steps: Mapping[str, Values] = field(default_factory=dict, repr=False)


def layer_times(
    work: LayerWork,
    traffic: Traffic,
    machine: Machine,
    policy: TimingPolicy,
    position: int | slice = slice(None),
    before: LayerTimes | None = None,
    *,
    lean: bool = False,
) -> LayerTimes:
    """The times of layers that do `work` and move `traffic` on one machine or many.

    position: which layers: all of them on one machine, or one by its number on an array of machines; then `before`
        are the times of the last layer before it that takes time, None for the first.
    lean: without what limits and without energy, which totals of many machines do not have.

    Raises InvalidValueError when the machine states no rate for the width of a layer's operands.
    """
    shape = shape_of(machine)
    values = LayerValues(work, traffic, machine, position)
    carried = f"before_{policy.carried}"
    for formula in policy.formulas(shape):
        if lean and formula.symbol in ENERGIES:
            continue
        if lean and formula.only and not np.any(values[formula.only]):
            values[formula.symbol] = 0.0
            continue
        if policy.carried and carried in formula.names:
            values[carried] = _carried(policy.carried, values, traffic, position, before)
        values[formula.symbol] = formula.of(values)
    return LayerTimes(
        ddr_s=values["ddr_s"],
        matrix_s=values["matrix_s"],
        vector_s=values["vector_s"],
        compute_s=values["compute_s"],
        layer_s=values["layer_s"],
        bound=None if lean else bound_codes(values, shape, policy),
        steps=values,
    )


def _carried(
    name: str,
    values: Mapping[str, Values],
    traffic: Traffic,
    position: int | slice,
    before: LayerTimes | None,
) -> Values:
    if isinstance(position, int):
        return 0.0 if before is None else before.steps[name]
    return np.where(traffic.before >= 0, values[name][traffic.before], 0.0)


def bound_codes(values: Mapping[str, Values], shape: Shape, policy: TimingPolicy) -> Values:
    """What limits: of parts that overlap the longest, of equal ones the first in `BOUNDS`."""
    units = [(1, values["matrix_s"]), (2, values["vector_s"])]
    if shape.stream:
        beyond = values["stream_s"]
        if shape.stream_hidden:
            beyond = np.where(beyond > values["matrix_s"] + values["vector_s"], beyond, 0.0)
        units.append((3, beyond))
    parts = [(0, values["ddr_s"])]
    if policy.hides:
        code, _ = _longest(units)
        parts.append((code, values["compute_s"]))
    else:
        parts += units
    if shape.weight_memory:
        parts.append((4, values["weight_s"]))
    if shape.overhead:
        parts.append((5, values["overhead_s"]))
    return _longest(parts)[0]


def _longest(parts: list[tuple[Values, Values]]) -> tuple[Values, Values]:
    """The code and the time of the longest, the first of equal ones."""
    code, longest = parts[0]
    for other, seconds in parts[1:]:
        code = np.where(seconds > longest, other, code)
        longest = np.maximum(longest, seconds)
    return code, longest


def fold(values: Values) -> Values:
    """The sum over the first axis (the layers), one layer after the other: shape (...)."""
    return np.add.accumulate(values, axis=0)[-1]
