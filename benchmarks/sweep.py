"""Sweeps: points per second, beside what memory traffic and a call per point reach; Parquet; a front of many points.

    benchmarks/sweep.py [--points 1e7] [--pareto 1e8]

mobilenet_v1, `liveness`, SRAM from 64 sizes and random bandwidth, matrix and vector rates; plans are found anew in
each run. Wall-clock seconds of the best of several runs, on as many threads as there are processors; processor seconds
beside them, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from perfsim import bundled_networks, load_hardware, load_network, lower, simulate, sweep
from perfsim.hardware.machine import Machine
from perfsim.network.graph import Network
from perfsim.sweeps.dataset import run_study
from perfsim.sweeps.front import front_of
from perfsim.sweeps.pool import open_pool
from perfsim.sweeps.request import make_study

VELA_S = 0.38  # processor time of ethos-u-vela for one more configuration of a MobileNet, as issued
REPEATS = 5
CHAIN = """name: chain
input: [64, 14, 14]
precision: {{feature_map: 8, weight: 8}}
layers:
  - repeat: {blocks}
    layers:
      - depthwise_conv: {{kernel: 3}}
      - conv: {{channels: 64, kernel: 1}}
"""


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=float, default=1e7)
    parser.add_argument("--pareto", type=float, default=1e8)
    chosen = parser.parse_args()
    count = int(chosen.points)
    network, machine = load_network("mobilenet_v1"), load_hardware("1MB_1GBs_1TF")
    points = random_points(count)
    traffic = measured(lambda: move(points))
    print(f"{count:,} points, {os.cpu_count()} processors; million points per second")
    print(f"memory traffic of the same inputs and output: {shown(count, traffic)}")
    for timing in ("serial", "overlap"):
        call_s = naive(network, machine, points, timing)
        print(f"{timing}: a call of simulate for each point: {1e-6 / call_s:.4f}")
        for name, compiled in (("compiled", True), ("numpy", False)):
            took = measured(partial(total, machine, points, timing, compiled))
            ratios = f"traffic / {took[0] / traffic[0]:.1f}, {call_s * count / took[0]:,.0f} times the calls"
            print(f"  {name}: {shown(count, took)}; {ratios}")
    layers(machine)
    one_more(network, machine)
    parquet(machine)
    networks()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:  # for its memory
        alone.submit(pareto, int(chosen.pareto)).result()


def random_points(count: int) -> dict[str, Any]:
    """Random machines."""
    generator = np.random.default_rng(0)
    sizes = np.unique(np.geomspace(2**16, 2**24, 64).astype(np.int64))
    return {
        "sram": generator.choice(sizes, count),
        "ddr_bandwidth": generator.uniform(1e9, 1e11, count),
        "matrix": generator.uniform(1e11, 1e13, count),
        "vector": generator.uniform(1e9, 1e11, count),
    }


def total(machine: Machine, points: dict[str, Any], timing: str, compiled: bool) -> Any:
    """The total times, the network read anew so that nothing of its plans is known."""
    network = load_network("mobilenet_v1")
    with contextlib.ExitStack() as stack:
        if not compiled:
            never = "perfsim.sweeps.evaluation.is_compiled"
            stack.enter_context(mock.patch(never, return_value=False))
        return sweep(network, machine, points, "liveness", timing, columns=["total_s"])


def measured(run: Callable[[], Any]) -> tuple[float, float]:
    """(wall-clock, processor) seconds of the best of several runs, after one."""
    run()
    times = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    return min(wall for wall, _ in times), min(processor for _, processor in times)


def shown(count: int, took: tuple[float, float]) -> str:
    """Rates by both clocks."""
    wall, processor = took
    return f"{count / wall / 1e6:,.1f} ({count / processor / 1e6:,.1f} per processor)"


def move(points: dict[str, Any]) -> Any:
    """Reads all inputs and writes an output, in blocks that stay in the cache, on all processors."""
    count, block = len(points["sram"]), 1 << 16
    result = np.empty(count)

    def add(start: int) -> None:
        part = slice(start, start + block)
        np.add(points["sram"][part], points["ddr_bandwidth"][part], out=result[part])
        result[part] += points["matrix"][part]
        result[part] += points["vector"][part]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(add, range(0, count, block)))
    return result


def naive(network: Network, machine: Machine, points: dict[str, Any], timing: str) -> float:
    """Seconds of a call of `simulate` for one point."""

    def run() -> None:
        for at in range(200):
            one = replace(
                machine,
                sram_bytes=int(points["sram"][at]),
                ddr_bytes_per_s=float(points["ddr_bandwidth"][at]),
                matrix_flops=float(points["matrix"][at]),
                vector_flops=float(points["vector"][at]),
            )
            _ = simulate(network, one, "liveness", timing).totals.total_s

    return measured(run)[0] / 200


def layers(machine: Machine) -> None:
    """Rates for networks of several lengths."""
    print("by layers, 1,000,000 points (alternating two kinds of layers):")
    points = random_points(1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        for number in (28, 280, 2800):
            path = Path(folder) / "chain.yaml"
            path.write_text(CHAIN.format(blocks=number // 2))
            network = load_network(path)
            for timing in ("serial", "overlap"):
                took = measured(
                    partial(
                        sweep, network, machine, points, "liveness", timing, columns=["total_s"]
                    )
                )
                print(f"  {number} layers, {timing}: {shown(1_000_000, took)}")


def one_more(network: Network, machine: Machine) -> None:
    """Processor time of one more machine."""
    lower(network)
    sizes = iter(range(10**6, 10**9, 1009))

    def run() -> None:
        for _ in range(100):
            _ = simulate(network, replace(machine, sram_bytes=next(sizes)), "liveness").totals

    seconds = measured(run)[1] / 100
    print(
        f"one more machine: {seconds * 1e3:.3f} ms; Vela's {VELA_S} s / that: {VELA_S / seconds:,.0f}"
    )


def parquet(machine: Machine) -> None:
    """A sweep of ten million points to Parquet, beside pyarrow's own writing of the same table."""
    import pyarrow.parquet as pq

    study = make_study(
        ["mobilenet_v1"],
        lambda model, _: load_network(model),
        machine,
        ["sram=64KiB:16MiB:log", "ddr_bandwidth=1GB/s:100GB/s", "matrix=1TFLOPS:9TFLOPS"],
        sample=10_000_000,
        sampler="random",
        placement="liveness",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sweep.parquet"

        def run() -> None:
            path.unlink(missing_ok=True)
            run_study(study, str(path))

        took_s, _ = measured(run)
        table = pq.read_table(path)
        write = partial(pq.write_table, compression="zstd", row_group_size=1 << 20)
        alone_s, _ = measured(lambda: write(table, path))
        size = path.stat().st_size
    print(
        f"10,000,000 points to Parquet ({size / 1e6:,.0f} MB): {took_s:.1f} s; pyarrow alone {alone_s:.1f} s, "
        f"of whose speed that is {alone_s / took_s:.2f}"
    )


def networks() -> None:
    """All bundled networks at four batch sizes on 1,000 machines, by one process and by two, their start included."""
    study = make_study(
        list(bundled_networks()),
        scaled,
        load_hardware("4MB_4GBs_4TF"),
        [
            "batch=1,2,3,4",
            "sram=1MB:16MB:log:10",
            "ddr_bandwidth=1GB/s:9GB/s:linear:100",
        ],
    )
    for jobs in (1, 2, 1, 2):
        fresh = study.without_networks()
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "sweep.parquet")
            begin = time.perf_counter()
            if jobs == 1:
                run_study(fresh, path)
            else:
                with open_pool(jobs, fresh) as pool:
                    run_study(pool.study, path, compute=pool.compute)
            took_s = time.perf_counter() - begin
        print(f"{len(study.variants)} networks on 1,000 machines, {jobs} at once: {took_s:.1f} s")


def scaled(model: str, scales: Mapping[str, Any]) -> Network:
    """A bundled network."""
    return load_network(model, **scales)


def pareto(count: int) -> None:
    """Time and memory of the front of a large grid."""
    network, machine = load_network("mobilenet_v1"), load_hardware("1MB_1GBs_1TF")
    side = round((count / 64) ** (1 / 3))
    study = make_study(
        [network.name],
        lambda _model, _scales: network,
        machine,
        [
            "sram=64KiB:16MiB:log:64",
            f"ddr_bandwidth=1GB/s:100GB/s:log:{side}",
            f"matrix=100GFLOPS:10TFLOPS:log:{side}",
            f"vector=1GFLOPS:100GFLOPS:log:{side}",
        ],
        placement="liveness",
        timing="overlap",
        costs=["time", "sram / 1 MB + bandwidth / 4 GB/s + matrix / 1 TFLOPS + vector / 10 GFLOPS"],
    )
    begin = time.perf_counter()
    rows = front_of(study)
    took_s = time.perf_counter() - begin
    # Not ru_maxrss, which a process has from the one that started it.
    (peak_kb,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    peak = int(peak_kb) / 1024
    print(
        f"{study.count:,} points to a front of {len(rows['sram']):,}: {took_s:.1f} s, "
        f"{study.count / took_s / 1e6:.1f} million a second; peak memory of this process {peak:.0f} MiB"
    )


if __name__ == "__main__":
    main()
