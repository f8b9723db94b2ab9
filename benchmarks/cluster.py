"""Sweeps on local processes through Dask: two workers against one, and what bringing the rows back costs.

    benchmarks/cluster.py [--seconds 60]

resnet50 under `liveness` on random machines, `total_s` and `steady_s`, so many points as take a minute on one worker;
the start of the workers is not counted. Beside it what two processes of plain arithmetic reach against one, before and
after: no sweep does better than that, and how far the figures lie apart is the machine's noise.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfsim import load_hardware, load_network
from perfsim.network.graph import Network
from perfsim.sweeps.cluster import open_cluster
from perfsim.sweeps.dataset import Compute, in_order, run_study
from perfsim.sweeps.grid import Sample
from perfsim.sweeps.request import make_study
from perfsim.sweeps.study import PARTITION, Study

_STEPS = 3_000_000  # of plain arithmetic


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"two processes of plain arithmetic / one: {plain():.2f}")
    few = study("steady_s", ["total_s < 1 us"])
    few.partition(0)
    begin = time.perf_counter()
    few.partition(1)
    each_s = time.perf_counter() - begin
    few = resized(few, math.ceil(seconds / each_s))
    print(f"{few.count:,} points, few rows are written")
    took = {name: on(f"local:{name}", few) for name in ("1", "2")}
    again = on("local:1", few)
    print(f"one worker {took['1']:.1f} s, two {took['2']:.1f} s, one again {again:.1f} s")
    print(f"two against one: {(took['1'] + again) / 2 / took['2']:.2f}")
    print(f"two processes of plain arithmetic / one: {plain():.2f}")
    back()


def study(column: str, where: list[str]) -> Study:
    """Random machines."""

    def load(model: str, scales: Mapping[str, Any]) -> Network:
        return load_network(model, **scales)

    return make_study(
        ["resnet50"],
        load,
        load_hardware("1MB_1GBs_1TF"),
        [
            *("sram=64KiB:16MiB", "ddr_bandwidth=1GB/s:100GB/s"),
            *("matrix=100GFLOPS:10TFLOPS", "vector=1GFLOPS:100GFLOPS"),
        ],
        sample=4 * PARTITION,
        sampler="random",
        where=where,
        placement="liveness",
        columns=["total_s", column],
    )


def resized(found: Study, partitions: int) -> Study:
    """The same with so many partitions."""
    space = Sample(found.space.axes, partitions * PARTITION, 0, "random")
    return replace(found, space=space)


def on(address: str, swept: Study) -> float:
    """The seconds of a sweep to Parquet on a cluster that is there."""
    with open_cluster(address) as cluster:
        return written(swept, cluster.compute)


def written(swept: Study, compute: Compute) -> float:
    """The seconds of a sweep to Parquet."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run_study(swept, str(Path(folder) / "sweep.parquet"), compute=compute)
        return time.perf_counter() - begin


def back() -> None:
    """What bringing all rows back costs, where computing them costs next to nothing."""
    swept = resized(study("bound", []), 16)
    rows = swept.partition(0)  # compiles
    size = 16 * sum(values.nbytes for values in rows.values())
    begin = time.perf_counter()
    for _ in in_order(swept, range(16)):
        pass
    here_s = time.perf_counter() - begin
    with open_cluster("local:1") as cluster:
        list(cluster.compute(swept, range(1)))
        begin = time.perf_counter()
        for _ in cluster.compute(swept, range(16)):
            pass
        there_s = time.perf_counter() - begin
        there_written_s = written(swept, cluster.compute)
    here_written_s = written(swept, in_order)
    print(f"all rows of {swept.count:,} points, {size / 1e6:,.0f} MB, computed in {here_s:.2f} s:")
    print(f"  brought from one worker {there_s:.2f} s ({size / there_s / 1e6:,.0f} MB/s)")
    print(
        f"  to Parquet: without a cluster {here_written_s:.2f} s, from one worker {there_written_s:.2f} s"
    )


def plain() -> float:
    """How many times as much two processes of plain arithmetic do in the same time as one."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(_arithmetic, [1, 1]))
        begin = time.perf_counter()
        _ = [pool.submit(_arithmetic, _STEPS).result() for _ in range(6)]
        one_s = time.perf_counter() - begin
        begin = time.perf_counter()
        list(pool.map(_arithmetic, [_STEPS] * 6))
        return one_s / (time.perf_counter() - begin)


def _arithmetic(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += number * number % 7
    return total


if __name__ == "__main__":
    main()
