"""The mixed-integer programme of the residency that moves least; docs/optimal.md writes it down.

Variables, all between 0 and 1. Only `keep` must be whole; the others then are so in the best solution.

    keep   a value stays in internal memory from one touch to the next
    write  a value is written to external memory
    here   a part or the output of a joined concatenation is in internal memory there
    state  what a layer has in internal memory at most: one of the sets that fit and that no larger set beats

Sets instead of a row of sizes make the relaxation tighter, and leave no coefficient but 1 in the rows, so that
tolerances of the solver are never bytes. Where a layer has too many candidates for a list of sets, there is a row of
sizes instead (`_sizes_row`), and which of its tilings a layer takes must be whole too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from perfsim.placement.optimal_needs import INFEASIBLE
from perfsim.placement.placement import Counts, Flags

if TYPE_CHECKING:
    from perfsim.placement.optimal_needs import Needs
    from perfsim.placement.optimal_plan import Lives

MOST_CANDIDATES = 10  # at one layer, of which all sets are listed

ONE = -1  # in the place of variables: always 1

# For each touch, or for each buffer, of a layer: the variables of which one must be 1 for it to be in memory there.
Permits: TypeAlias = dict[int, list[int]]


@dataclass
class Rows:
    """Linear rows, sum(coefficient * variable) >= least, grown one by one."""

    least: list[float] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    column: list[int] = field(default_factory=list)
    coefficient: list[float] = field(default_factory=list)

    def add(self, least: float, terms: list[tuple[int, float]]) -> None:
        """One more row, unless it holds anyway; a term of `ONE` goes to the other side."""
        least -= sum(coefficient for column, coefficient in terms if column == ONE)
        free = [term for term in terms if term[0] != ONE]
        if sum(min(coefficient, 0) for _, coefficient in free) >= least:
            return
        for column, coefficient in free:
            self.row.append(len(self.least))
            self.column.append(column)
            self.coefficient.append(coefficient)
        self.least.append(least)


class Model:
    """The programme of one program and one memory.

    Attributes:
        cost: bytes that each variable moves, shape (variables,).
        gap: of each variable that keeps, the touch that it begins at; else -1.
        is_whole: whether a variable must be whole.
        constant: bytes that move in any case.
        rows: what must hold.
    """

    def __init__(self, lives: Lives, needs: Needs, sram_bytes: int) -> None:
        self._lives, self._needs, self._sram_bytes = lives, needs, sram_bytes
        self._cost: list[int] = []
        self._gap: list[int] = []
        self._tilings: list[int] = []  # variables that choose one of several tilings
        self.rows = Rows()
        touches, sizes = lives.touches, lives.buffers.bytes
        fits = lives.is_map & (sizes[lives.buffer] <= sram_bytes)
        needs.margin.compared(sram_bytes - sizes)
        self._keep = {
            gap: self._variable(0, gap) for gap in np.flatnonzero(fits & (lives.next >= 0)).tolist()
        }
        self._through = self._gaps_through()
        self._here: dict[int, int] = {}
        self._place()
        self.constant = int(touches.bytes[touches.is_weight].sum())
        self._values()
        self.cost = np.array(self._cost, dtype=np.int64)
        self.gap = np.array(self._gap, dtype=np.int64)
        self.is_whole = self.gap >= 0
        self.is_whole[self._tilings] = True

    def _variable(self, cost: int, gap: int = -1) -> int:
        self._cost.append(cost)
        self._gap.append(gap)
        return len(self._cost) - 1

    def _gaps_through(self) -> list[list[int]]:
        """For each layer the gaps that cover it without a touch of their value there."""
        through: list[list[int]] = [[] for _ in self._lives.streaming]
        for gap in self._keep:
            covered = self._lives.covered(gap)
            for position in covered[1:-1]:
                through[position].append(gap)
        return through

    # --- memory, layer by layer

    def _place(self) -> None:
        lives = self._lives
        joined: list[list[int]] = [[] for _ in lives.streaming]
        for touch in np.flatnonzero(lives.joined).tolist():
            joined[lives.touches.layer[touch]].append(touch)
            self._here[touch] = self._variable(0)
        for position, layer in enumerate(lives.program.layers):
            if not layer.is_view:  # a view needs what its neighbours need, or less
                self._place_layer(position, lives.streaming[position], joined[position])
        for write, parts in lives.parts.items():
            for part in parts:
                self.rows.add(0, [(self._here[part], 1), (self._here[write], -1)])

    def _place_layer(self, position: int, here: list[int], joined: list[int]) -> None:
        lives, through = self._lives, self._through[position]
        sizes = lives.buffers.bytes
        weights = self._needs.mask(position, here, np.ones((1, len(here)), dtype=bool))
        tiles = self._needs.floor_bytes(position, int(weights[0]))
        buffers = sorted({int(lives.buffer[touch]) for touch in (*here, *joined, *through)})
        all_bytes = int(sizes[buffers].sum()) + tiles
        self._needs.margin.compared(np.array([self._sram_bytes - all_bytes]))
        if all_bytes <= self._sram_bytes:
            touched, present = ({each: [ONE] for each in group} for group in (here, buffers))
        else:
            others = sorted({int(lives.buffer[touch]) for touch in (*joined, *through)})
            if len(here) + len(others) <= MOST_CANDIDATES:
                touched, present = self._states(position, here, others)
            else:
                touched, present = self._sizes_row(position, here, buffers)
        for touch in here:
            for gap in (touch, int(lives.previous[touch])):
                if gap in self._keep:
                    self._allow(self._keep[gap], touched[touch])
        for touch in joined:
            self._allow(self._here[touch], present[int(lives.buffer[touch])])
            for gap in (touch, int(lives.previous[touch])):
                if gap in self._keep:
                    self._allow(self._keep[gap], [self._here[touch]])
        for gap in through:
            self._allow(self._keep[gap], present[int(lives.buffer[gap])])

    def _allow(self, variable: int, permits: list[int]) -> None:
        self.rows.add(0, [*((each, 1) for each in permits), (variable, -1)])

    def _states(self, position: int, here: list[int], others: list[int]) -> tuple[Permits, Permits]:
        """A variable for each set of touches and other buffers that fits."""
        lives = self._lives
        candidates = len(here) + len(others)
        members = (np.arange(2**candidates)[:, None] >> np.arange(candidates)) & 1 == 1
        of = [*(int(lives.buffer[touch]) for touch in here), *others]
        used = np.zeros(len(members), dtype=np.int64)
        for buffer in set(of):
            columns = [at for at, each in enumerate(of) if each == buffer]
            used += np.where(members[:, columns].any(axis=1), lives.buffers.bytes[buffer], 0)
        free = self._sram_bytes - used
        excess = self._needs.excess(position, here, members[:, : len(here)], free)
        chosen = np.flatnonzero(_unbeaten(excess, candidates))
        variables = [self._variable(int(excess[each])) for each in chosen]
        self.rows.add(1, [(variable, 1) for variable in variables])
        self.rows.add(-1, [(variable, -1) for variable in variables])
        permits = [
            [
                variable
                for variable, each in zip(variables, chosen, strict=True)
                if members[each, at]
            ]
            for at in range(candidates)
        ]
        touched, present = permits[: len(here)], permits[len(here) :]
        return dict(zip(here, touched, strict=True)), dict(zip(others, present, strict=True))

    def _sizes_row(
        self, position: int, here: list[int], buffers: list[int]
    ) -> tuple[Permits, Permits]:
        """A row of sizes instead of sets, for a layer with very many candidates."""
        lives, needs, scale = self._lives, self._needs, float(max(self._sram_bytes, 1))
        needs.margin.exactly()  # it is a coefficient of the row
        present = {buffer: self._variable(0) for buffer in buffers}
        terms = [
            (variable, -int(lives.buffers.bytes[buffer]) / scale)
            for buffer, variable in present.items()
        ]
        permits = {buffer: [variable] for buffer, variable in present.items()}
        if not needs.has_loops(position):
            passing = len(here) + needs.floor_bytes(position, 0)
            terms += [(present[int(lives.buffer[touch])], 1 / scale) for touch in here]
            self.rows.add(passing / scale - 1, terms)
            return {touch: permits[int(lives.buffer[touch])] for touch in here}, permits
        members = (np.arange(2 ** len(here))[:, None] >> np.arange(len(here))) & 1 == 1
        masks = needs.mask(position, here, members).tolist()
        states: list[tuple[int, Flags]] = []
        for mask, member in zip(masks, members, strict=True):
            for memory, beyond in zip(*needs.steps(position, mask), strict=True):
                if memory <= self._sram_bytes:
                    states.append((self._variable(int(beyond)), member))
                    self._tilings.append(states[-1][0])
                    terms.append((states[-1][0], -int(memory) / scale))
        self.rows.add(-1, terms)
        self.rows.add(1, [(variable, 1) for variable, _ in states])
        self.rows.add(-1, [(variable, -1) for variable, _ in states])
        touched = {
            touch: [variable for variable, member in states if member[at]]
            for at, touch in enumerate(here)
        }
        for touch, variables in touched.items():
            buffer = present[int(lives.buffer[touch])]
            self.rows.add(0, [(buffer, 1), *((variable, -1) for variable in variables)])
        return touched, permits

    # --- traffic, value by value

    def _values(self) -> None:
        lives = self._lives
        touches = lives.touches
        writes = np.flatnonzero(lives.is_map & touches.is_write).tolist()
        write: dict[int, int] = {}
        for touch in writes:
            value = int(touches.tensor[touch])
            size = 0 if lives.joined[touch] else int(touches.bytes[touch])
            if lives.is_output[value]:
                self.constant += size
                continue
            write[value] = self._variable(size)
        for touch, parts in lives.parts.items():
            for part in parts:
                if int(touches.tensor[part]) in write:
                    pair = (write[int(touches.tensor[part])], write[int(touches.tensor[touch])])
                    self.rows.add(0, [(pair[0], 1), (pair[1], -1)])
        for touch in np.flatnonzero(lives.is_map & ~touches.is_write).tolist():
            self._read(touch, write.get(int(touches.tensor[touch])))

    def _read(self, touch: int, write: int | None) -> None:
        """A read costs the value's bytes unless it was kept, and finds it in external memory only if it was written."""
        lives = self._lives
        size = int(lives.touches.bytes[touch])
        kept = self._keep.get(int(lives.previous[touch]))
        terms = [] if kept is None else [(kept, 1.0)]
        if kept is not None:
            self._cost[kept] -= size
        if lives.joined[touch]:
            self._cost[self._here[touch]] += size
            terms.append((self._here[touch], -1.0))
        else:
            self.constant += size
        if write is not None:
            self.rows.add(0 if lives.joined[touch] else 1, [(write, 1.0), *terms])


def _unbeaten(excess: Counts, candidates: int) -> Flags:
    """The sets, as numbers, that fit and to which no candidate can be added at the same cost or less."""
    sets = np.arange(len(excess))
    unbeaten = excess < INFEASIBLE
    for candidate in range(candidates):
        larger = sets | (1 << candidate)
        unbeaten &= (larger == sets) | (excess[larger] > excess)
    return np.asarray(unbeaten)
