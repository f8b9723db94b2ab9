"""What must be computed for the totals of one plan on many machines: the kernel's formulas, each value once.

The formulas are those of a single run, on the same counts and in the same order of operations, so that the bits are the
same. What is equal is computed once: layers with as many multiply-accumulates share their matrix time, and what depends
on no number that differs between the machines is computed before any machine is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.hardware.machine import NUMBERS, numbers_in, with_numbers
from perfsim.timing.kernel import BOUNDS, bound_codes
from perfsim.timing.output_stage import work_with
from perfsim.timing.terms import shape_of
from perfsim.timing.values import LOOPS, TRAFFIC, LayerValues, machine_values

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.sweeps.plans import Plan
    from perfsim.timing.formula import Formula
    from perfsim.timing.kernel import TimingPolicy

Values: TypeAlias = Any  # a number, or an array of shape (machines,)
Wholes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What the formulas' values find by the class or the width of a layer; it may differ between machines.
_BY_LAYER = ("efficiency", "matrix_speed", "mac_j", "winograd", "weight_ratio")


@dataclass(frozen=True)
class Machines:
    """Some machines of a sweep, as a schedule takes them.

    Attributes:
        machine: with numbers and arrays of shape (machines,).
        values: the same by the names of formulas.
        sram_bytes: of each, shape (machines,).
    """

    machine: Machine
    values: Mapping[str, Values]
    sram_bytes: Wholes

    def taken(self, index: Wholes | slice) -> Machines:
        """Those at some positions."""
        values = {
            name: value[index] if np.ndim(value) else value for name, value in self.values.items()
        }
        numbers = numbers_in(self.machine.extras)
        arrays = {path: value[index] for path, value in numbers.items() if np.ndim(value)}
        extras = with_numbers(self.machine.extras, arrays) if arrays else self.machine.extras
        machine = (
            replace(
                self.machine,
                extras=extras,
                **{
                    name: value[index] if np.ndim(value) else value
                    for name, value in zip(NUMBERS, self.machine.numbers, strict=True)
                },
            )
            if arrays
            else self.machine
        )
        return Machines(machine, values, self.sram_bytes[index])


@dataclass(frozen=True)
class _Step:
    """One value: what computes it, from which values before it."""

    run: Callable[[Machines, Sequence[Values]], Values]
    inputs: tuple[int, ...] = ()


class Schedule:
    """The totals of one plan.

    wanted: totals: sums over the layers by name, and "bound" for the code of what bounds the network.
    machine: any of the machines: it says which parts there are, and which numbers are arrays.
    steady: whether of a further inference.
    by_row: whether the values of each layer are the results, by name and position: ``"layer_s 3"``.
    """

    def __init__(
        self,
        plan: Plan,
        policy: TimingPolicy,
        machine: Machine,
        wanted: Sequence[str],
        *,
        steady: bool = False,
        by_row: bool = False,
    ) -> None:
        self._by_row = by_row
        self._plan, self._policy, self._steady, self._machine = plan, policy, steady, machine
        self._traffic = plan.steady_traffic if steady else plan.traffic
        self._shape = shape_of(machine)
        self._work = work_with(plan.program, plan.stage)
        self._formulas = {each.symbol: each for each in policy.formulas(self._shape)}
        self._machine_values = machine_values(machine)
        self._steps: list[_Step] = []
        self._constants: dict[int, Values] = {}  # by number of a step
        self._known: dict[Hashable, int] = {}
        self._results = self._build(wanted)
        self._needed = self._needed_steps()

    def run(self, machines: Machines) -> dict[str, Values]:
        """The totals by name: each a number, or an array of shape (machines,)."""
        values: list[Values] = [None] * len(self._steps)
        for number, value in self._constants.items():
            values[number] = value
        for number, step, last_used in self._needed:
            values[number] = step.run(machines, [values[each] for each in step.inputs])
            for each in last_used:
                values[each] = None  # its memory is used again while it is in the cache
        return {name: values[number] for name, number in self._results.items()}

    def _build(self, wanted: Sequence[str]) -> dict[str, int]:
        layers = range(len(self._plan.program.layers))
        self._before: list[int] = self._traffic.before.tolist()
        self._of_layer: list[dict[str, int]] = [{} for _ in layers]
        results: dict[str, int] = {}
        for name in wanted:
            if self._by_row:
                of = self._layer_bound if name == "bound" else partial(self._named, name)
                results |= {f"{name} {at}": of(at) for at in layers}
            elif name == "bound":
                results[name] = self._network_bound()
            else:
                summed = "layer_s" if name == "total_s" else name
                results[name] = self._sum([self._value(at, summed) for at in layers])
        return results

    def _named(self, name: str, at: int) -> int:
        return self._value(at, name)

    def _needed_steps(self) -> list[tuple[int, _Step, list[int]]]:
        """The steps that the results need, in order: number, step, and what no step after it takes."""
        taken = set(self._results.values()) | self._constants.keys()  # by a later step, or kept
        needed: list[tuple[int, _Step, list[int]]] = []
        for number in range(len(self._steps) - 1, -1, -1):
            if number in taken and number not in self._constants:
                step = self._steps[number]
                last_used = [each for each in dict.fromkeys(step.inputs) if each not in taken]
                taken.update(last_used)
                needed.append((number, step, last_used))
        return needed[::-1]

    def _constant(self, value: Values) -> int:
        value = np.asarray(value)[()]
        key = ("constant", value.dtype.kind, value.item())
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._constants[len(self._steps)] = value
            self._steps.append(_Step(lambda _, __: value))
        return self._known[key]

    def _step(
        self,
        key: Hashable,
        run: Callable[[Machines, Sequence[Values]], Values],
        inputs: tuple[int, ...] = (),
    ) -> int:
        if key not in self._known:
            self._known[key] = len(self._steps)
            self._steps.append(_Step(run, inputs))
        return self._known[key]

    def _are_constant(self, numbers: Sequence[int]) -> bool:
        return all(number in self._constants for number in numbers)

    def _value(self, at: int, name: str) -> int:
        """The step that gives what a layer's formulas call `name`."""
        known = self._of_layer[at]
        if name not in known:
            known[name] = self._find(at, name)
        return known[name]

    def _find(self, at: int, name: str) -> int:
        if name in self._formulas:
            return self._formula(at, self._formulas[name])
        if self._policy.carried and name == f"before_{self._policy.carried}":
            before = self._before[at]
            return self._constant(0.0) if before < 0 else self._value(before, self._policy.carried)
        if name in self._machine_values:
            value = self._machine_values[name]
            if np.ndim(value):
                return self._step(("machine", name), lambda machines, _: machines.values[name])
            return self._constant(value)
        if name in _BY_LAYER or name in LOOPS:
            return self._number_by_layer(at, name)
        if name == "prefetch_bytes":
            early = self._step("prefetch", self._prefetch)
            return self._step(("prefetch", at), lambda _, inputs: inputs[0][at], (early,))
        counts = self._traffic if name in TRAFFIC else self._work
        return self._constant(getattr(counts, name)[at])

    def _prefetch(self, machines: Machines, _: Sequence[Values]) -> Values:
        return self._plan.prefetch_bytes(machines.sram_bytes, steady=self._steady)

    def _number_by_layer(self, at: int, name: str) -> int:
        work, traffic = self._work, self._traffic
        value = LayerValues(work, traffic, self._machine, at)[name]
        if not np.ndim(value):
            return self._constant(value)
        alike = ("kind", "bits", "depthwise", "stride", "square", "macs")
        key = (name, *(float(getattr(work, each)[at]) for each in alike))
        return self._step(
            key, lambda machines, _: LayerValues(work, traffic, machines.machine, at)[name]
        )

    def _formula(self, at: int, formula: Formula) -> int:
        names = formula.names
        inputs = tuple(self._value(at, name) for name in names)
        if self._are_constant(inputs):
            values = (self._constants[number] for number in inputs)
            return self._constant(formula.of(dict(zip(names, values, strict=True))))
        function = formula.function
        return self._step((formula.symbol, inputs), lambda _, values: function(*values), inputs)

    def _sum(self, numbers: Sequence[int]) -> int:
        """The left fold, one layer after the other."""
        total, *rest = numbers
        is_own = False  # whether nothing else has the memory of the sum
        for number in rest:
            if self._are_constant((total, number)):
                total = self._constant(self._constants[total] + self._constants[number])
            elif (
                number not in self._constants or self._constants[number]
            ):  # adding 0 changes no bit
                add = _add_into if is_own else _add
                total = self._step(("sum", total, number, len(self._steps)), add, (total, number))
                is_own = True
        return total

    def _layer_bound(self, at: int) -> int:
        """The code of what bounds a layer."""
        policy, shape = self._policy, self._shape
        names = [
            name
            for name in (*("ddr_s", "matrix_s", "vector_s", "compute_s"), "stream_s", "weight_s")
            if name in self._formulas
        ] + ["overhead_s"] * ("overhead_s" in self._formulas)

        def codes(_: Machines, values: Sequence[Values]) -> Values:
            return bound_codes(dict(zip(names, values, strict=True)), shape, policy)

        inputs = tuple(self._value(at, name) for name in names)
        return self._step(("bound", inputs), codes, inputs)

    def _network_bound(self) -> int:
        """What bounds the layers that take most of the time: their times added by what bounds them."""
        sums = self._step(
            "bounds", lambda machines, _: np.zeros((len(BOUNDS), len(machines.sram_bytes)))
        )
        for at in range(len(self._plan.program.layers)):
            inputs = (sums, self._layer_bound(at), self._value(at, "layer_s"))
            sums = self._step(("bounds", at), _add_by_code, inputs)
        return self._step("bound", lambda _, values: values[0].argmax(axis=0), (sums,))


def _add(_: Machines, values: Sequence[Values]) -> Values:
    return values[0] + values[1]


def _add_into(_: Machines, values: Sequence[Values]) -> Values:
    return np.add(values[0], values[1], out=values[0])


def _add_by_code(_: Machines, values: Sequence[Values]) -> Values:
    sums, codes, layer_s = values
    for code, total in enumerate(sums):
        total += np.where(codes == code, layer_s, 0.0)  # noqa: PLW2901 - adding 0 changes no bit
    return sums


def some_machines(machine: Machine, count: int) -> Machines:
    """The machines of an array of so many, as a schedule takes them."""
    sizes = np.broadcast_to(machine.sram_bytes, count)
    return Machines(machine, machine_values(machine), sizes)
