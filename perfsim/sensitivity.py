"""What a better machine would gain: a network simulated again with each number of its machine a little better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.hardware.machine import NUMBERS, Machine
from perfsim.network.graph import Network
from perfsim.placement.placement import PlacementPolicy
from perfsim.program import Program
from perfsim.simulation import simulate_array

FACTOR = 1.1  # ten per cent better


@dataclass(frozen=True)
class Gain:
    """One number of a machine made better, the others as they are.

    Attributes:
        number: which, a name of `NUMBERS`.
        value, better_value: as it is, and as it was simulated; bytes of memory rounded down to whole ones.
        total_s, better_total_s: the time of one inference with the one and with the other [s].
    """

    number: str
    value: float
    better_value: float
    total_s: float
    better_total_s: float

    @property
    def saved_s(self) -> float:
        """What the better number saves per inference [s]; below zero where it costs (`accumulate` can)."""
        return self.total_s - self.better_total_s

    @property
    def saved_share(self) -> float:
        """The same as a share of the time of an inference; 0 where that takes none."""
        return self.saved_s / self.total_s if self.total_s else 0.0


def gains(
    network: Network | Program,
    machine: Machine,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
    *,
    numbers: Sequence[str] = NUMBERS,
    factor: float = FACTOR,
) -> tuple[Gain, ...]:
    """What each of the machine's `numbers` gains when it is `factor` times what it is, in their order.

    >>> max(gains(network, machine), key=lambda gain: gain.saved_s).number
    'ddr_bytes_per_s'

    placement, timing: as in `simulate`. Every time is that of a whole simulation, with its own placement, the same
    bits as `simulate` gives.

    Raises UnknownNameError for a number that is none of `NUMBERS`, InvalidValueError for a factor that is not above
    one, otherwise as `simulate_array`.
    """
    for number in numbers:
        if number not in NUMBERS:
            raise unknown_name("number of a machine", number, NUMBERS)
    if not factor > 1.0:
        raise InvalidValueError("", found=f"the factor {factor}", expected="a number above 1")
    values: dict[str, Any] = {}
    for name, value in zip(NUMBERS, machine.numbers, strict=True):
        values[name] = np.full(1 + len(numbers), value)
    for row, number in enumerate(numbers, start=1):
        values[number][row] = values[number][0] * factor  # whole numbers are rounded down
    total_s = simulate_array(network, replace(machine, **values), placement, timing).total_s
    return tuple(
        Gain(
            number,
            values[number][0].item(),
            values[number][row].item(),
            float(total_s[0]),
            float(total_s[row]),
        )
        for row, number in enumerate(numbers, start=1)
    )
