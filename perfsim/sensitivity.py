"""What a better machine would gain: a network simulated again with each number of its machine a little better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.hardware.fields import field_of
from perfsim.hardware.machine import NUMBERS, Machine, numbers_in, with_numbers
from perfsim.network.graph import Network
from perfsim.placement.placement import PlacementPolicy
from perfsim.program import Program
from perfsim.simulation import simulate_array
from perfsim.sweeps.improve import better_values, further_keys

FACTOR = 1.1  # ten per cent better


@dataclass(frozen=True)
class Gain:
    """One number of a machine made better, the others as they are.

    Attributes:
        number: which, a name of `numbers_of`.
        value, better_value: as it is, and as it was simulated; bytes of memory rounded down to whole ones; of a fixed
            cost less is better.
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


def numbers_of(machine: Machine) -> tuple[str, ...]:
    """What can be better of a machine: its four numbers, and all other rates and fixed costs that its file states.

    >>> numbers_of(load_hardware("kv260_dpu"))[4:]
    ('layer_cost_s',)
    """
    return (*NUMBERS, *_further(machine))


def _further(machine: Machine) -> dict[str, str]:
    """The keys of the machine's file by the paths of their numbers."""
    return {field_of(key).path.removeprefix("extras."): key for key in further_keys(machine)}


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

    Raises UnknownNameError for a number that is none of `numbers_of`, InvalidValueError for a factor that is not above
    one, otherwise as `simulate_array`.
    """
    further = _further(machine)
    for number in numbers:
        if number not in NUMBERS and number not in further:
            raise unknown_name("number of a machine", number, numbers_of(machine))
    if not factor > 1.0:
        raise InvalidValueError("", found=f"the factor {factor}", expected="a number above 1")
    said = {**dict(zip(NUMBERS, machine.numbers, strict=True)), **numbers_in(machine.extras)}
    values: dict[str, Any] = {
        name: np.full(1 + len(numbers), said[name]) for name in {*NUMBERS, *numbers}
    }
    for row, number in enumerate(numbers, start=1):
        if number in further:
            better = better_values(further[number], values[number][0], np.array([factor]))
            values[number][row] = better[0]
        else:
            values[number][row] = values[number][0] * factor  # whole numbers are rounded down
    four = {name: values[name] for name in NUMBERS}
    extras = with_numbers(
        machine.extras, {name: array for name, array in values.items() if name in further}
    )
    machines = replace(machine, **four, extras=extras)
    total_s = simulate_array(network, machines, placement, timing).total_s
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
