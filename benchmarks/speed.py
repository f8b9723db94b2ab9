"""Start-up of the command line, one more machine, machines with parts, and long chains, as ratios taken in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from perfsim import Machine, load_network, lower, simulate, simulate_array
from perfsim.hardware.parts import (
    DepthwiseUnit,
    Energy,
    Extras,
    Grid,
    Stream,
    WeightMemory,
    Winograd,
)

RUNS = 21
MACHINES = 20_000
PLAIN = Machine("plain", 10**6, 1e9, 1e12, 1e10)
WITH_PARTS = Machine(
    *("all parts", 10**6, 1e9, 1e12, 1e10),
    extras=Extras(
        ddr_efficiency=0.7,
        ddr_latency_s=1e-6,
        ddr_burst_bytes=64.0,
        array=Grid(8, 16, 16, "kernel_row", DepthwiseUnit(4, 16), Winograd(3, 1, 2.25, 16 / 9)),
        efficiency={"conv": 0.5, "dense": 0.2},
        matrix_speed={8: 1.0, 16: 0.5},
        stream=Stream(2e9),
        weight_memory=WeightMemory(5e8),
        feature_map_ratio=0.6,
        weight_ratio={"conv": 0.5, "dense": 1.5},
        layer_cost_s=1e-5,
        inference_cost_s=1e-4,
        energy=Energy({8: 1e-12, 16: 4e-12}, 2e-12, 3e-12, 1e-10, 5e-11, 0.5),
    ),
)
BASE = "python -c 'import numpy, yaml'"


def main() -> None:
    """Print every figure, a line each."""
    print("whole processes, warm file cache: ratio to", BASE)
    for name, ratio, milliseconds in _processes():
        print(f"  {name:<48}{ratio:6.2f}   ({milliseconds:.0f} ms)")
    print("in process")
    for placement in ("liveness", "accumulate"):
        milliseconds = 1e3 * _one_more_machine(placement)
        print(f"  {f'one more machine, mobilenet_v1, {placement}':<48}{milliseconds:6.3f} ms")
    for name, machine, timing, limit in (
        ("plain", PLAIN, "overlap", 2),
        ("plain, pipelined", PLAIN, "pipelined", 5),
        ("all parts", WITH_PARTS, "overlap", 2),
        ("all parts, pipelined", WITH_PARTS, "pipelined", 5),
    ):
        milliseconds = 1e3 * _one_more_machine("liveness", machine, timing)
        shown = f"simulate mobilenet_v1, {name}"
        print(f"  {shown:<48}{milliseconds:6.3f} ms  (limit {limit} ms)")
    for name, machine, timing in (
        ("all parts", WITH_PARTS, "overlap"),
        ("plain, pipelined", PLAIN, "pipelined"),
        ("all parts, pipelined", WITH_PARTS, "pipelined"),
    ):
        ratio = _many_machines(machine, timing)
        shown = f"{MACHINES:,} machines, {name} / plain"
        print(f"  {shown:<48}{ratio:6.2f}" + ("     (limit 3)" if timing == "overlap" else ""))
    seconds = [_chain(layers) for layers in (10_000, 20_000)]
    print(f"  {'load and lower a chain of 10,000 layers':<48}{seconds[0]:6.2f} s")
    print(f"  {'20,000 layers / 10,000 layers':<48}{seconds[1] / seconds[0]:6.2f}")


def _processes() -> list[tuple[str, float, float]]:
    """(name, median ratio to the base of the same round, median ms) of each command."""
    perfsim = str(Path(sys.executable).with_name("perfsim"))
    commands = {
        BASE: [sys.executable, "-c", "import numpy, yaml"],
        "perfsim --help": [perfsim, "--help"],
        "perfsim run mobilenet_v1": [perfsim, "run", "mobilenet_v1", "--hw", "1MB_1GBs_1TF"],
        "perfsim run resnet50": [perfsim, "run", "resnet50", "--hw", "1MB_2GBs_2TF"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS + 1):  # the first warms the file cache
        for name, command in commands.items():
            seconds[name].append(_timed(lambda command=command: _call(command)))  # type: ignore[misc]
    base = seconds[BASE][1:]
    return [
        (
            name,
            statistics.median(one / other for one, other in zip(times[1:], base, strict=True)),
            1e3 * statistics.median(times[1:]),
        )
        for name, times in seconds.items()
    ]


def _call(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def _one_more_machine(
    placement: str, machine: Machine | None = None, timing: str = "overlap"
) -> float:
    """Median seconds of `simulate` with its totals on machines that were not seen before."""
    network = load_network("mobilenet_v1")
    machines = [
        replace(machine or PLAIN, sram_bytes=size) for size in range(100_000, 1_100_000, 5_000)
    ]
    _ = simulate(network, machines[0], placement, timing).totals
    return statistics.median(
        _timed(lambda machine=machine: simulate(network, machine, placement, timing).totals)  # type: ignore[misc]
        for machine in machines
    )


def _many_machines(machine: Machine, timing: str) -> float:
    """Median ratio of `simulate_array` on a machine's kind to that on machines of four numbers, by turns."""
    network, ratios = load_network("mobilenet_v1"), []
    random = np.random.default_rng(1)
    rates = {
        name: getattr(PLAIN, name) * random.uniform(0.1, 10, MACHINES)
        for name in ("ddr_bytes_per_s", "matrix_flops", "vector_flops")
    }
    plain, other = replace(PLAIN, **rates), replace(machine, **rates)
    for _ in range(RUNS):
        base = _timed(lambda: simulate_array(network, plain, timing="overlap"))
        ratios.append(_timed(lambda: simulate_array(network, other, timing=timing)) / base)
    return statistics.median(ratios)


def _chain(layers: int) -> float:
    """The least of three times to load and lower a chain of so many layers."""
    layer = "conv: {{name: c{}, channels: 16, kernel: 3, batch_norm: true, activation: relu}}"
    text = "input: [16, 8, 8]\nlayers:\n" + "".join(
        f"  - {layer.format(index)}\n" for index in range(layers)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.yaml"
        path.write_text(text)
        return min(_timed(lambda: lower(load_network(str(path)))) for _ in range(3))


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
