"""Which number of a machine helps most when it is better: overall, for each layer, and until what else bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError
from perfsim.hardware.fields import field_of
from perfsim.sweeps.evaluation import Evaluation
from perfsim.sweeps.machines import machines_with
from perfsim.sweeps.sizing import MEMORY, RATES
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy

Array: TypeAlias = np.ndarray[Any, Any]

# Numbers of which less is better.
COSTS = ("layer_cost", "inference_cost", "ddr_latency")
MOST = 1000.0  # times: how far the next bottleneck is looked for
_STEPS = 1000


@dataclass(frozen=True)
class Improvement:
    """One number of a machine made better, the others as they are.

    Attributes:
        key: of the machine's file: "clock" where the matrix unit's rate comes from one; "matrix" stands for its rates
            of all widths.
        value, better_value: as it is, and as it was simulated, in SI units.
        total_s, better_total_s: the time of an inference with the one and with the other [s].
        saved_s: of each layer [s], in execution order.
        next_value: from how much on something else bounds the network; None where nothing does up to `MOST` times.
        next_bound: what bounds it then, else what does now.
    """

    key: str
    value: float
    better_value: float
    total_s: float
    better_total_s: float
    saved_s: tuple[float, ...]
    next_value: float | None
    next_bound: str

    @property
    def saved_share(self) -> float:
        """What it saves, as a share of the time of an inference; 0 where that takes none."""
        return (self.total_s - self.better_total_s) / self.total_s if self.total_s else 0.0


def improvements(
    network: Network,
    machine: Machine,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
    *,
    factor: float = 1.1,
) -> tuple[Improvement, ...]:
    """What each number of the machine gains when it is `factor` times as good, those that gain most first.

    >>> improvements(network, machine)[0].key
    'ddr_bandwidth'

    Looked at are the memory, all rates that the machine states, and its fixed costs. Every time is that of a whole run,
    with its own placement, the same bits as `simulate` gives.

    Raises InvalidValueError for a factor that is not above one, otherwise as `simulate`.
    """
    if not factor > 1.0:
        raise InvalidValueError("", found=f"the factor {factor}", expected="a number above 1")
    return tuple(
        sorted(
            (
                _improvement(network, machine, keys, factor, placement, timing)
                for keys in _groups(machine)
            ),
            key=lambda each: each.better_total_s,
        )
    )


def _groups(machine: Machine) -> list[list[str]]:
    """The keys that are made better together."""
    rate = [key for key in machine.stated if key.partition(".")[0] in ("matrix", "clock")]
    groups = [[MEMORY], ["ddr_bandwidth"], rate or ["matrix"], ["vector"]]
    return groups + [[key] for key in further_keys(machine)]


def further_keys(machine: Machine) -> list[str]:
    """The keys of all rates and fixed costs that a machine states beside its four numbers."""
    # Shares end at 1, and a clock is a part of the matrix unit's rate.
    others = ("ddr_bandwidth", "matrix", "clock", "vector", "ddr_efficiency", "efficiency")
    return [
        key
        for key in machine.stated
        if key in (*RATES, *COSTS) and key.partition(".")[0] not in others
    ]


def _improvement(
    network: Network,
    machine: Machine,
    keys: Sequence[str],
    factor: float,
    placement: str | PlacementPolicy | None,
    timing: str | None,
) -> Improvement:
    values = {key: _number(machine, key) for key in keys}

    def machines(factors: Array) -> Machine:
        return machines_with(
            machine, {key: better_values(key, value, factors) for key, value in values.items()}
        )

    two = np.array([1.0, factor])
    evaluation = Evaluation(network, machines(two[:1]), placement, timing, ["total_s", "bound"])
    times = evaluation.totals(machines(two), 2)["total_s"].tolist()
    layer_s = evaluation.layers(machines(two), 2)["layer_s"]

    def bounds(factors: Array) -> Array:
        return evaluation.totals(machines(factors), len(factors))["bound"]

    first = keys[0]
    found = _next(bounds)
    better = better_values(first, values[first], two)
    return Improvement(
        key="matrix" if first.startswith("matrix.") else first,
        value=better[0].item(),
        better_value=better[1].item(),
        total_s=times[0],
        better_total_s=times[1],
        saved_s=tuple((layer_s[0] - layer_s[1]).tolist()),
        next_value=None
        if found is None
        else better_values(first, values[first], np.array([found[0]]))[0].item(),
        next_bound=BOUNDS[int(bounds(two[:1])[0]) if found is None else found[1]],
    )


def _number(machine: Machine, key: str) -> float:
    numbers = {
        MEMORY: machine.sram_bytes,
        "ddr_bandwidth": machine.ddr_bytes_per_s,
        "matrix": machine.matrix_flops,
        "vector": machine.vector_flops,
    }
    number: Any = machine.stated.get(key, numbers.get(key))
    return float(number)


def better_values(key: str, value: float, factors: Array) -> Array:
    """The numbers that are so many times as good; whole ones are rounded down."""
    if key in COSTS:
        return np.asarray(value / factors)
    better = value * factors
    return np.floor(better).astype(np.int64) if field_of(key).whole else np.asarray(better)


def _next(bounds: Any) -> tuple[float, int] | None:
    """The first factor found at which something else bounds the network, to a millionth; None for none."""
    factors = np.geomspace(1.0, MOST, _STEPS)
    codes = bounds(factors)
    changed = np.flatnonzero(codes != codes[0])
    if not len(changed):
        return None
    low, high = float(factors[changed[0] - 1]), float(factors[changed[0]])
    code = int(codes[changed[0]])
    while high / low > 1 + 1e-6:
        middle = (low * high) ** 0.5
        other = int(bounds(np.array([middle]))[0])
        if other != codes[0]:
            high, code = middle, other
        else:
            low = middle
    return high, code
