"""A sweep as the command line states it: networks with their scales, a machine, points, constraints, columns.

It is cut into partitions by the numbers of its points alone, so that each can be made by itself, anywhere, in any
order, and what comes out depends neither on who makes it nor on what was made before.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim import __version__
from perfsim.errors import MemoryTooSmallError
from perfsim.hardware.machine import numbers_in
from perfsim.simulation import policies_of
from perfsim.sweeps.evaluation import Columns, Evaluation
from perfsim.sweeps.machines import check_rate, machines_with
from perfsim.sweeps.variant import Facts, Given, Variant
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.sweeps.expression import Expression
    from perfsim.sweeps.grid import Space

Array: TypeAlias = np.ndarray[Any, Any]

PARTITION = 1 << 20  # points: what is done again after a kill, and what is held in memory
_COLLECTED = 64  # networks, after which the memory of those that are done is looked for
_OF_LAYER = ("name", "op")  # texts of each layer, as in `Facts.layers`
NETWORKS = 16  # in one partition at most: with few points each, they are what takes the time


@dataclass(frozen=True, eq=False)
class Study:
    """What is swept, and what is asked of each point.

    Attributes:
        variants: the networks, all with the same keys of scales.
        machine: what all points have in common.
        space: the points of each network.
        placement, timing: policies; the machine's own unless given.
        columns: totals by name; the usual ones unless given.
        where: conditions; only points for which all hold are in the result.
        per_layer: whether there is a row for each layer.
        costs: numbers of which less is better, for `front.front_of`.
        known: of each variant its facts, where somebody has found them out already.
    """

    variants: Sequence[Variant]
    machine: Machine
    space: Space
    placement: str | PlacementPolicy | None = None
    timing: str | None = None
    columns: Sequence[str] | None = None
    where: Sequence[Expression] = ()
    per_layer: bool = False
    costs: Sequence[Expression] = ()
    known: Sequence[Facts] = ()

    @cached_property
    def facts(self) -> Sequence[Facts]:
        """Those of each variant; raises InputError where one cannot be read."""
        return self.known or [each.facts for each in self.variants]

    def with_networks(self) -> Study:
        """The same for where the files of the networks are not: with them, and without what was derived."""
        variants = [Variant(Given(each.network), each.scales) for each in self.variants]
        return replace(self, variants=variants, known=self.facts)

    def without_networks(self) -> Study:
        """The same for another process, which reads the networks that it needs."""
        variants = [Variant(each.read, each.scales) for each in self.variants]
        return replace(self, variants=variants)

    @property
    def count(self) -> int:
        """How many points there are, before conditions."""
        return len(self.variants) * self.space.count

    @property
    def partition_size(self) -> int:
        """How many points a partition has."""
        points = min(PARTITION // self._rows_per_point, NETWORKS * self.space.count)
        return max(points, 1)

    @cached_property
    def _rows_per_point(self) -> int:
        return max(len(each.layers) for each in self.facts) if self.per_layer else 1

    @property
    def most_rows(self) -> int:
        """How many rows there are at most."""
        return self.count * self._rows_per_point

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return -(-self.count // self.partition_size)

    @cached_property
    def _sample(self) -> Machine:
        points = self.space.points(0, 1)
        check_rate(self.machine, points)
        return machines_with(self.machine, points)

    @cached_property
    def _evaluations(self) -> dict[int, Evaluation]:
        return {}

    def _evaluation(self, number: int) -> Evaluation:
        """That of one network, made when it is needed: of many, a process may see a few."""
        if number not in self._evaluations:
            network = self.variants[number].network
            self._evaluations[number] = Evaluation(
                network, self._sample, self.placement, self.timing, self.columns
            )
            for old in list(self._evaluations)[:-NETWORKS]:
                self._evaluations.pop(old, None)
        return self._evaluations[number]

    @cached_property
    def result_columns(self) -> list[str]:
        """The names of what is computed."""
        first = self._evaluation(0)
        return first.layer_columns if self.per_layer else first.columns

    @cached_property
    def stated_columns(self) -> list[str]:
        """The names of all that could be computed."""
        first = self._evaluation(0)
        return first.layer_columns if self.per_layer else first.stated

    @cached_property
    def policies(self) -> tuple[str, str]:
        """The names of the placement and of the timing."""
        places, times = policies_of(self.machine, self.placement, self.timing)
        return places.name, times.name

    @cached_property
    def inputs(self) -> list[str]:
        """The names of what is varied, in order."""
        return [*self.variants[0].scales, *(axis.key for axis in self.space.axes)]

    def partition(self, number: int) -> Columns:
        """The rows of one partition by column: the network, what is varied, the totals.

        Text is given as codes into `categories`. Raises MemoryTooSmallError.
        """
        start = number * self.partition_size
        return self.rows(start, min(start + self.partition_size, self.count))

    def rows(self, start: int, stop: int) -> Columns:
        """The rows of the points with these numbers, by column."""
        parts = []
        while start < stop:
            variant, first = divmod(start, self.space.count)
            last = min(self.space.count, first + stop - start)
            parts.append(self._rows_of(variant, first, last))
            if last == self.space.count:  # its plans take more room than all else
                self._evaluations.pop(variant, None)
                self.variants[variant].forget()
                if variant % _COLLECTED == _COLLECTED - 1:
                    gc.collect()  # programs and their plans refer to each other
            start += last - first
        return _joined(parts)

    @cached_property
    def categories(self) -> dict[str, list[str]]:
        """What the codes of a column of text mean."""
        return {
            "network": list(dict.fromkeys(each.name for each in self.facts)),
            "bound": list(BOUNDS),
            **(
                {name: self._texts(at) for at, name in enumerate(_OF_LAYER)}
                if self.per_layer
                else {}
            ),
        }

    def _texts(self, at: int) -> list[str]:
        return list(dict.fromkeys(layer[at] for each in self.facts for layer in each.layers))

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {
            name: {text: code for code, text in enumerate(texts)}
            for name, texts in self.categories.items()
        }

    def _rows_of(self, number: int, first: int, last: int) -> Columns:
        variant = self.variants[number]
        points = self.space.points(first, last)
        before = [each for each in self.where if each.names <= set(self.inputs)]
        kept = _that_hold(before, {**variant.scales, **points}, last - first)
        if kept is not None:
            points = {key: values[kept] for key, values in points.items()}
        count = last - first if kept is None else len(kept)
        found = self._computed(number, points, count)
        code = self._codes["network"][self.facts[number].name]
        rows: Columns = {"network": np.full(count, code, dtype=np.int32)}
        rows |= {key: np.full(count, value) for key, value in variant.scales.items()}
        rows |= points
        if self.per_layer:
            rows, found = self._by_layer(number, rows, found)
        after = [each for each in self.where if not each.names <= set(self.inputs)]
        rows |= found
        kept = _that_hold(after, rows, len(rows["network"]))
        return rows if kept is None else {key: values[kept] for key, values in rows.items()}

    def _computed(self, number: int, points: Columns, count: int) -> Columns:
        """The totals of points, arrays of shape (points,), or the values of layers, (points, layers)."""
        evaluation = self._evaluation(number)
        if not count:
            return evaluation.empty_layers(0) if self.per_layer else evaluation.empty(0)
        found = {} if self.per_layer else evaluation.empty(count)
        parts: list[Columns] = []
        for start in range(0, count, evaluation.block):
            block = slice(start, min(start + evaluation.block, count))
            machines = machines_with(
                self.machine, {key: values[block] for key, values in points.items()}
            )
            try:
                if self.per_layer:
                    parts.append(evaluation.layers(machines, block.stop - start))
                else:
                    part = {name: values[block] for name, values in found.items()}
                    evaluation.totals(machines, block.stop - start, part)
            except MemoryTooSmallError as error:
                raise _advised(error, self.variants[number]) from None
        return _joined(parts) if self.per_layer else found

    def _by_layer(self, number: int, rows: Columns, found: Columns) -> tuple[Columns, Columns]:
        """A row for each layer of each point, its number from 1 on."""
        layers = self.facts[number].layers
        points = len(rows["network"])
        rows = {key: np.repeat(values, len(layers)) for key, values in rows.items()}
        rows["layer"] = np.tile(np.arange(1, len(layers) + 1), points)
        for at, name in enumerate(_OF_LAYER):
            codes = np.array([self._codes[name][layer[at]] for layer in layers], np.int32)
            rows[name] = np.tile(codes, points)
        return rows, {name: values.ravel() for name, values in found.items()}

    def fingerprint(self) -> str:
        """What tells this sweep from others: everything that its rows depend on."""
        machine = self.machine
        stated = {
            "perfsim": __version__,
            "partition": self.partition_size,
            "networks": [
                [facts.name, each.scales, facts.digest]
                for each, facts in zip(self.variants, self.facts, strict=True)
            ],
            "machine": [
                *machine.numbers,
                machine.double_buffered,
                machine.placement,
                machine.timing,
                {key: repr(value) for key, value in numbers_in(machine.extras).items()},
                repr(machine.extras),
            ],
            "points": self.space.description(),
            "policies": self.policies,
            "columns": self.result_columns,
            "where": [each.text for each in self.where],
            "per_layer": self.per_layer,
        }
        text = json.dumps(stated, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _joined(parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _that_hold(
    conditions: Sequence[Expression], values: Mapping[str, Any], count: int
) -> Array | None:
    """The positions at which all conditions hold; None for all."""
    if not conditions:
        return None
    holds = np.ones(count, dtype=bool)
    for each in conditions:
        holds &= each.of(values)
    return np.flatnonzero(holds)


def _advised(error: MemoryTooSmallError, variant: Variant) -> MemoryTooSmallError:
    """The error with what to do about it."""
    least = (error.expected or "").split(" bytes")[0].replace(",", "")
    advice = f"; such points are left out by --where 'sram >= {least}'"
    scales = "".join(f", {key} {value}" for key, value in variant.scales.items())
    told = MemoryTooSmallError(error.what, found=error.found, expected=f"{error.expected}{advice}")
    return told.at(where=f"{variant.network.name}{scales}")
