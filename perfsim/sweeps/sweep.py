"""One network on any number of machines: each point the same bits as a run of its own.

numpy and what is compiled let go of the interpreter, so that several blocks of machines are computed at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.hardware.machine import Machine
from perfsim.network.graph import Network
from perfsim.simulation import check_type
from perfsim.sweeps.evaluation import Array, Columns, Evaluation
from perfsim.sweeps.machines import Points
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    import pandas as pd

    from perfsim.placement.placement import PlacementPolicy


@dataclass(frozen=True, eq=False)
class Sweep:
    """The totals of one network on many machines.

    Attributes:
        points: the numbers that differ, by key of a machine's file in SI units: arrays of shape (points,).
        columns: the totals by name, arrays of shape (points,): seconds, bytes, joules; "bound" holds codes into
            `timing.kernel.BOUNDS`.
    """

    points: Mapping[str, Array]
    columns: Columns

    @property
    def total_s(self) -> Array:
        """The time of one inference [s]."""
        return self.columns["total_s"]

    @property
    def ddr_bytes(self) -> Array:
        """Data movement [bytes]."""
        return self.columns["ddr_bytes"]

    @property
    def peak_sram_bytes(self) -> Array:
        """The most internal memory that any layer has in use [bytes]."""
        return self.columns["peak_sram_bytes"]

    @property
    def energy_j(self) -> Array:
        """Energy [J]; raises KeyError where the machine states none."""
        return self.columns["energy_j"]

    @cached_property
    def bound(self) -> Array:
        """What bounds the network: "ddr", "matrix", "vector", ..."""
        return np.array(BOUNDS)[self.columns["bound"]]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The points and their totals as a pandas DataFrame, a row for each point."""
        import pandas as pd

        columns: dict[str, Any] = {**self.points, **self.columns}
        if "bound" in columns:
            columns["bound"] = pd.Categorical.from_codes(
                self.columns["bound"].tolist(), pd.Index(BOUNDS)
            )
        return pd.DataFrame(columns)


def sweep(
    network: Network,
    machine: Machine,
    points: Mapping[str, Any],
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
) -> Sweep:
    """The totals of `network` on `machine` with other numbers, each point the same bits as `simulate` gives.

    >>> import numpy as np
    >>> found = sweep(network, machine, {"sram": np.array([2**18, 2**20]), "ddr_bandwidth": np.array([1e9, 2e9])})
    >>> found.total_s

    points: by key of a machine's file (``sram``, ``ddr_bandwidth``, ``matrix``, ``stream.bandwidth``, ...) arrays of
        one length in SI units; whole numbers (of any type) for sizes.
    placement, timing: names of policies, or a placement policy itself; the machine's own unless given.
    columns: of `COLUMNS`, those to compute; unless given those of `DEFAULT_COLUMNS` that the machine has.
    threads: how many blocks are computed at once; as many as there are processors unless given.

    A process that has swept keeps up to 64 MiB of freed memory (`freed_memory`).

    A plan is made once for all the memories for which it is the same, however many points there are.

    Raises InputError for unknown keys or policies, numbers that no machine's file may state, arrays of several lengths,
    and MemoryTooSmallError where a memory is too small for the network.
    """
    check_type(network, Network, "load_network")
    check_type(machine, Machine, "load_hardware")
    each = Points(machine, points)
    evaluation = Evaluation(network, each.sample, placement, timing, columns)
    found = evaluation.empty(each.count)
    size = evaluation.block
    blocks = [slice(start, min(start + size, each.count)) for start in range(0, each.count, size)]

    def compute(block: slice) -> None:
        part = {name: values[block] for name, values in found.items()}
        evaluation.totals(each.machines(block), block.stop - block.start, part)

    workers = min(threads or os.cpu_count() or 1, len(blocks))
    if workers == 1:
        for block in blocks:
            compute(block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(compute, blocks))
    return Sweep(each.arrays, found)
