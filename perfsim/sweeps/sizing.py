"""The smallest numbers of a machine with which a network is fast enough.

Exact: of a memory the least byte, of a rate the least 64-bit float. With a rate the time only falls (every operation of
the formulas rounds in order), so it is found by bisection over the floats themselves. Over memories it is a step
function with the plans as steps; under a policy by which more memory is never slower it is bisected too, under others
all steps are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.hardware.fields import FIELDS, field_of
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement.memory_levels import (
    SMALLEST_SHARE,
    ample_bytes,
    least_enough,
    least_sram_bytes,
)
from perfsim.program import lower
from perfsim.simulation import policies_of
from perfsim.sweeps.evaluation import Evaluation
from perfsim.sweeps.machines import check_rate, machines_with
from perfsim.sweeps.plans import plans_of
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy

Array: TypeAlias = np.ndarray[Any, Any]

MEMORY = "sram"
_NEVER_SLOWER = (
    "liveness",
    "pinned",
)  # with more memory, where a layer's time is that of its own work
_OWN_WORK = ("serial", "overlap")


def _is_rate(key: str) -> bool:
    last = key.rpartition(".")[2]
    return (
        key in ("matrix", "vector", "clock", "ddr_efficiency")
        or "bandwidth" in last
        or key.startswith("efficiency.")
    )


RATES = tuple(key for key in FIELDS if _is_rate(key))


@dataclass(frozen=True)
class Sizes:
    """The smallest numbers that are enough.

    Attributes:
        keys: what was made small.
        rows: the pairs of which neither number can be smaller without the other being larger; one row for one key, none
            where no size is enough.
        total_s: of each row [s].
        best_s: with as much of everything as a machine can state.
        bound: what bounds the network then.
    """

    keys: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    total_s: tuple[float, ...]
    best_s: float
    bound: str


def smallest_sizes(
    network: Network,
    machine: Machine,
    keys: Sequence[str],
    target_s: float,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> Sizes:
    """The smallest `keys` of the machine's file, one or sram and one of `RATES`, with which `network` takes at most
    `target_s`.

    >>> smallest_sizes(network, machine, ["sram"], 0.005).rows

    Raises InputError for keys by which time does not fall, and for memories under a policy that searches.
    """
    search = _Search(network, machine, keys, target_s, placement, timing)
    return search.pairs() if len(keys) > 1 else search.single()


class _Search:
    def __init__(
        self,
        network: Network,
        machine: Machine,
        keys: Sequence[str],
        target_s: float,
        placement: str | PlacementPolicy | None,
        timing: str | None,
    ) -> None:
        self._keys, self._target_s, self._machine = tuple(keys), target_s, machine
        self._rates = [key for key in keys if key != MEMORY]
        for key in self._rates:
            if key not in RATES:
                raise unknown_name("number that can be made small", key, [MEMORY, *RATES])
        if len(keys) != len(set(keys)) or len(self._rates) > 1 or len(keys) > 2:
            raise InvalidValueError(
                "", found=" and ".join(keys), expected=f"one number, or '{MEMORY}' and one other"
            )
        self._places, self._times = policies_of(machine, placement, timing)
        self._program = lower(network)
        if MEMORY in keys and self._places.searches:
            raise InvalidValueError(
                f"under '{self._places.name}' each memory is a search of its own",
                expected="--placement liveness, or another number than sram",
            )
        sample = {key: np.array([self._range(key)[1]]) for key in keys}
        check_rate(machine, sample)
        self._evaluation = Evaluation(
            network,
            machines_with(machine, sample),
            self._places,
            self._times.name,
            ["total_s", "bound"],
        )
        self._plans = plans_of(self._program, self._places, machine)

    def _range(self, key: str) -> tuple[float, float]:
        if key == MEMORY:
            doubled = self._machine.double_buffered
            least = least_sram_bytes(
                self._places, self._program, LARGEST_COUNT, double_buffered=doubled
            )
            return least or 1, 2 * ample_bytes(self._program, double_buffered=doubled)
        field = field_of(key)
        return field.least, field.most

    def _times_of(self, *columns: Array) -> tuple[Array, Array]:
        """The total times [s] of machines with these numbers, in the order of the keys, and what bounds them."""
        arrays = dict(zip(self._keys, columns, strict=True))
        found = self._evaluation.totals(machines_with(self._machine, arrays), len(columns[0]))
        return found["total_s"], found["bound"]

    def _sizes(self, rows: Sequence[tuple[float, ...]]) -> Sizes:
        most = [np.array([self._range(key)[1]]) for key in self._keys]
        best_s, bound = self._times_of(*most)
        total_s: list[float] = []
        if rows:
            columns = [
                np.array(column, dtype=np.int64 if key == MEMORY else np.float64)
                for key, column in zip(self._keys, zip(*rows, strict=True), strict=True)
            ]
            total_s = self._times_of(*columns)[0].tolist()
        return Sizes(
            self._keys, tuple(rows), tuple(total_s), float(best_s[0]), BOUNDS[int(bound[0])]
        )

    def single(self) -> Sizes:
        (key,) = self._keys
        least, most = self._range(key)

        def is_enough(number: float) -> bool:
            kind = np.int64 if key == MEMORY else np.float64
            return bool(self._times_of(np.array([number], dtype=kind))[0][0] <= self._target_s)

        if key == MEMORY and not self._never_slower:
            size = self._first_step(is_enough)
            return self._sizes([] if size is None else [(size,)])
        if not is_enough(most):
            return self._sizes([])
        if key == MEMORY:
            return self._sizes([(least_enough(int(least), int(most), is_enough),)])
        found = self._least_rates(np.zeros((1, 0)))
        return self._sizes([(float(found[0]),)])

    @property
    def _never_slower(self) -> bool:
        return self._places.name in _NEVER_SLOWER and self._times.name in _OWN_WORK

    def _first_step(self, is_enough: Callable[[float], bool]) -> int | None:
        """The least memory that is enough, plan by plan; inside a plan more memory is never slower."""
        for first, last in self._steps(int(self._range(MEMORY)[0])):
            if is_enough(last):
                return least_enough(first, last, is_enough)
        return None

    def _steps(self, least: int) -> Iterator[tuple[int, int]]:
        """The memories of each plan, the first and the last one, from the least on."""
        most = int(self._range(MEMORY)[1])
        while least <= most:
            last = min(self._plans.plan(least).below_bytes - 1, most)
            yield least, last
            least = last + 1

    def pairs(self) -> Sizes:
        """For each plan the least rate; those are kept that are below the ones of all smaller memories.

        Memories from a thousandth of an ample one on are looked at: below, each byte or two is another plan.
        """
        if self._times.name not in _OWN_WORK:
            raise InvalidValueError(
                f"under '{self._times.name}' the least rate differs inside a plan",
                expected="one number, or --timing overlap",
            )
        least, most = map(int, self._range(MEMORY))
        smallest = self._plans.plan(max(least, most // (2 * SMALLEST_SHARE))).least_bytes
        sizes = np.array([first for first, _ in self._steps(smallest)])
        rates = self._least_rates(sizes[:, np.newaxis])
        rows, best = [], np.inf
        for size, rate in zip(sizes.tolist(), rates.tolist(), strict=True):
            if rate < best:
                best = rate
                row = {MEMORY: size, self._rates[0]: rate}
                rows.append(tuple(row[key] for key in self._keys))
        return self._sizes(rows)

    def _least_rates(self, sizes: Array) -> Array:
        """The least rate for each memory, of shape (memories, 1), or (1, 0) for the machine's; infinite for none."""
        (key,) = self._rates
        least, most = (np.full(len(sizes), bound) for bound in self._range(key))

        def enough(rates: Array) -> Array:
            numbers = {MEMORY: sizes[:, 0]} if sizes.shape[1] else {}
            columns = {**numbers, key: rates}
            times, _ = self._times_of(*(columns[each] for each in self._keys))
            return np.asarray(times <= self._target_s)

        reachable = enough(most)
        # Of positive floats the bits are whole numbers in the same order.
        low, high = least.view(np.int64) - 1, most.view(np.int64).copy()
        while (high - low > 1).any():
            middle = low + (high - low) // 2
            fine = enough(np.maximum(middle, least.view(np.int64)).view(np.float64))
            high, low = np.where(fine, middle, high), np.where(fine, low, middle)
        return np.where(reachable, high.view(np.float64), np.inf)
