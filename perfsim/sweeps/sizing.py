"""The smallest numbers of a machine with which a network is fast enough.

Exact: of a memory the least byte (`least_memory`), of a rate the least 64-bit float. With a rate the time only falls.
Under `serial` and `overlap` every operation of the formulas rounds in order, so that holds for the floats too, and the
least one is found by bisection over the floats themselves. `pipelined` subtracts, so its times may rise in the last
bits; the floats near the target, as far as rounding reaches, are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.hardware.fields import FIELDS, field_of
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement.memory_levels import SMALLEST_SHARE, ample_bytes, least_sram_bytes
from perfsim.program import lower
from perfsim.simulation import policies_of
from perfsim.sweeps.evaluation import Evaluation
from perfsim.sweeps.least_memory import LeastMemory, moves_never_more, plan_ranges, rounding
from perfsim.sweeps.machines import check_rate, machines_with
from perfsim.sweeps.plans import plans_of
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy

Array: TypeAlias = np.ndarray[Any, Any]

MEMORY = "sram"
_STEPS = 17  # of a curve
_ABOVE = (
    0.01  # a curve is followed to where either number is so little above the least that it can be
)
_BLOCK = 1 << 15  # floats that are looked at at once
_FLOATS = 1 << 20  # and at most, for one number


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
        is_part: whether the rows are some of more such pairs.
        share: by how much a rate may be smaller and still enough, by the rounding of its time; 0 where that is known.
    """

    keys: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    total_s: tuple[float, ...]
    best_s: float
    bound: str
    is_part: bool = False
    share: float = 0.0


def smallest_sizes(
    network: Network,
    machine: Machine,
    keys: Sequence[str],
    target_s: float,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> Sizes:
    """The smallest `keys` of the machine's file, one or two of sram and `RATES`, with which `network` takes at most
    `target_s`.

    >>> smallest_sizes(network, machine, ["sram"], 0.005).rows

    Of sram and a rate these are all pairs, with memories from a thousandth of an ample one on: below, each byte or two
    is another plan. Of two rates, and under a timing by which the early weights go with the memory, they are a curve:
    up to 17 pairs of it by equal ratios of what the (first) rate is above its least, from where it is 1 % above that to
    where the other number is 1 % above its least.

    Raises InputError for keys by which time does not fall, and for memories under a policy that searches.
    """
    return _Search(network, machine, keys, target_s, placement, timing).sizes()


def _check(keys: Sequence[str]) -> None:
    """Raise for keys that cannot be made small, or not together."""
    for key in keys:
        if key in FIELDS and key not in (MEMORY, *RATES):
            raise InvalidValueError(
                "a network need not be faster with more of it",
                found=key,
                expected=f"'{MEMORY}' or a rate, such as 'ddr_bandwidth' or 'matrix'",
            )
        if key not in (MEMORY, *RATES):
            raise unknown_name("number that can be made small", key, [MEMORY, *RATES])
    expected = "one number, or two different ones"
    if len(keys) != len(set(keys)):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InvalidValueError("", found=f"'{twice}' twice", expected=expected)
    if len(keys) not in (1, 2):
        found = f"{len(keys)} numbers, {' and '.join(keys)}" if keys else "none"
        raise InvalidValueError("", found=found, expected=expected)
    if {"matrix", "clock"} <= set(keys):
        raise InvalidValueError(
            "", found="'matrix' and 'clock', which say the same", expected="one of them"
        )


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
        _check(keys)
        self._keys, self._target_s, self._machine = tuple(keys), target_s, machine
        self._places, self._times = policies_of(machine, placement, timing)
        self._program = lower(network)
        if MEMORY in keys and self._places.searches:
            raise InvalidValueError(
                f"under '{self._places.name}' each memory is a search of its own",
                expected="--placement liveness, or another number than sram",
            )
        sample = {key: np.array([self._range(key)[1]]) for key in keys}
        check_rate(machine, sample)
        sampled = machines_with(machine, sample)
        columns = ["total_s", "bound"]
        self._evaluation = Evaluation(network, sampled, self._places, self._times.name, columns)
        self._plans = plans_of(self._program, self._places, machine)
        self._share = 0.0

    def _range(self, key: str) -> tuple[float, float]:
        if key == MEMORY:
            doubled = self._machine.double_buffered
            least = least_sram_bytes(
                self._places, self._program, LARGEST_COUNT, double_buffered=doubled
            )
            return least or 1, 2 * ample_bytes(self._program, double_buffered=doubled)
        field = field_of(key)
        return field.least, field.most

    def sizes(self) -> Sizes:
        """The answer."""
        if len(self._keys) == 1:
            found = self._least(self._keys[0], {})
            return self._sizes([(each,) for each in found.tolist() if each < np.inf])
        if MEMORY in self._keys and not self._times.carried:
            return self._all_pairs()
        return self._some_pairs()

    def _times_of(self, numbers: Mapping[str, Array]) -> tuple[Array, Array]:
        """The total times [s] of machines with these numbers, arrays of shape (machines,), and what bounds them."""
        arrays = {
            key: values.astype(np.int64 if key == MEMORY else np.float64)
            for key, values in numbers.items()
        }
        count = len(next(iter(arrays.values())))
        found = self._evaluation.totals(machines_with(self._machine, arrays), count)
        return found["total_s"], found["bound"]

    def _sizes(self, rows: Sequence[tuple[float, ...]], *, is_part: bool = False) -> Sizes:
        most = {key: np.array([self._range(key)[1]]) for key in self._keys}
        best_s, bound = self._times_of(most)
        total_s: list[float] = []
        if rows:
            columns = zip(self._keys, zip(*rows, strict=True), strict=True)
            total_s = self._times_of({key: np.array(each) for key, each in columns})[0].tolist()
        return Sizes(
            self._keys,
            tuple(rows),
            tuple(total_s),
            float(best_s[0]),
            BOUNDS[int(bound[0])],
            is_part,
            self._share,
        )

    def _all_pairs(self) -> Sizes:
        """For each plan the least rate; those are kept that are below the ones of all smaller memories."""
        (rate_key,) = (key for key in self._keys if key != MEMORY)
        most = int(self._range(MEMORY)[1])
        ranges = plan_ranges(self._plans, self._smallest_memory(), most)
        sizes = np.array([first for _, first, _ in ranges])
        rates = self._least(rate_key, {MEMORY: sizes})
        rows, best = [], np.inf
        for size, rate in zip(sizes.tolist(), rates.tolist(), strict=True):
            if rate < best:
                best = rate
                row = {MEMORY: size, rate_key: rate}
                rows.append(tuple(row[key] for key in self._keys))
        return self._sizes(rows)

    def _smallest_memory(self) -> int:
        """The smallest memory that pairs are looked for with."""
        least, most = map(int, self._range(MEMORY))
        return self._plans.plan(max(least, most // (2 * SMALLEST_SHARE))).least_bytes

    def _some_pairs(self) -> Sizes:
        """Pairs of a curve: for a rate the least of the other number, and for that the least rate.

        With the second rate, which is no larger than the first, no less of the other number is enough than with the
        first; so neither of the pair can be smaller.
        """
        one, other = sorted(self._keys, key=lambda key: key == MEMORY)
        most = self._range(other)[1]
        least_other = self._least(other, {one: np.array([self._range(one)[1]])})[0]
        if least_other == np.inf:
            return self._sizes([])
        if other == MEMORY:
            least_other = max(least_other, self._smallest_memory())
        near = min(least_other * (1 + _ABOVE), most)
        ends = self._least(one, {other: np.array([most, least_other, near])})
        least, last = ends.min(), ends[1:].min()
        # Where the time is a sum of quotients, the other number's excess over its least has equal ratios too.
        ones = np.array([least])
        if last > least:
            above = np.geomspace(min(least * _ABOVE, last - least), last - least, _STEPS)
            ones = np.minimum(least + above, last)
        others = self._least(other, {one: ones})
        ones = self._least(one, {other: others})
        numbers = {one: ones.tolist(), other: others.tolist()}
        rows = list(dict.fromkeys(zip(*(numbers[key] for key in self._keys), strict=True)))
        is_whole = len(rows) == 1 and ones[0] == least and others[0] == least_other
        return self._sizes(rows, is_part=not is_whole)

    def _least(self, key: str, others: Mapping[str, Array]) -> Array:
        """The least that is enough with each of the other numbers, or with the machine's; infinite for none.

        others: arrays of shape (rows,); without any there is one row.
        """
        if key != MEMORY:
            return self._least_rates(key, others)
        rows = len(next(iter(others.values()))) if others else 1
        found = []
        for row in range(rows):
            numbers = {name: values[row : row + 1] for name, values in others.items()}
            found.append(self._least_memory(numbers))
        return np.array([np.inf if each is None else each for each in found])

    def _least_memory(self, others: Mapping[str, Array]) -> int | None:
        machine = self._machine
        if others:
            machine = machines_with(machine, {key: each.item() for key, each in others.items()})

        def times(sizes: Array) -> Array:
            rates = {key: np.broadcast_to(each, len(sizes)) for key, each in others.items()}
            return self._times_of({MEMORY: sizes, **rates})[0]

        never_more = moves_never_more(self._places.name, self._machine)
        search = LeastMemory(self._program, self._plans, machine, self._times, never_more, times)
        least, most = map(int, self._range(MEMORY))
        return search.find(least, most, self._target_s)

    def _least_rates(self, key: str, others: Mapping[str, Array]) -> Array:
        rows = len(next(iter(others.values()))) if others else 1
        # Of positive floats the bits are whole numbers in the same order.
        least, most = (np.full(rows, float(bound)).view(np.int64) for bound in self._range(key))

        def times(bits: Array, of: slice = slice(None)) -> Array:
            numbers = {
                name: np.broadcast_to(values[of], len(bits)) for name, values in others.items()
            }
            return self._times_of({**numbers, key: bits.view(np.float64)})[0]

        def crossing(limit_s: float) -> Array:
            """Bits with which the time is at most `limit_s`, and with one less is not; the most where none is."""
            low, high = least - 1, most.copy()
            while (high - low > 1).any():
                middle = np.maximum(low + (high - low) // 2, least)
                fine = times(middle) <= limit_s
                high, low = np.where(fine, middle, high), np.where(fine, low, middle)
            return high

        reachable = times(most) <= self._target_s
        found = crossing(self._target_s)
        if self._times.carried:
            first = crossing(self._target_s * (1 + 3 * rounding(self._program)))
            for row in np.flatnonzero(reachable).tolist():
                of_row = partial(times, of=slice(row, row + 1))
                found[row] = self._first_float(int(first[row]), int(found[row]), of_row)
        return np.where(reachable, found.view(np.float64), np.inf)

    def _first_float(self, first: int, last: int, times: Callable[[Array], Array]) -> int:
        """The first of these bits that is enough; the last is, and is given where there are too many."""
        if last - first > _FLOATS:
            ends = np.array([first, last]).view(np.float64)
            self._share = max(self._share, float(1 - ends[0] / ends[1]))
            return last
        for start in range(first, last, _BLOCK):
            bits = np.arange(start, min(start + _BLOCK, last))
            enough = np.flatnonzero(times(bits) <= self._target_s)
            if len(enough):
                return int(bits[enough[0]])
        return last
