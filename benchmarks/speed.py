"""Start-up of the command line, one more machine, and long chains, as ratios taken in one run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from perfsim import Machine, load_network, lower, simulate

RUNS = 21
BASE = "python -c 'import numpy, yaml'"


def main() -> None:
    """Print every figure, a line each."""
    print("whole processes, warm file cache: ratio to", BASE)
    for name, ratio, milliseconds in _processes():
        print(f"  {name:<42}{ratio:6.2f}   ({milliseconds:.0f} ms)")
    print("in process")
    for placement in ("liveness", "accumulate"):
        milliseconds = 1e3 * _one_more_machine(placement)
        print(f"  {f'one more machine, mobilenet_v1, {placement}':<42}{milliseconds:6.3f} ms")
    seconds = [_chain(layers) for layers in (10_000, 20_000)]
    print(f"  {'load and lower a chain of 10,000 layers':<42}{seconds[0]:6.2f} s")
    print(f"  {'20,000 layers / 10,000 layers':<42}{seconds[1] / seconds[0]:6.2f}")


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


def _one_more_machine(placement: str) -> float:
    """Median seconds of `simulate` with its totals on machines that were not seen before."""
    network = load_network("mobilenet_v1")
    machines = [Machine("m", size, 1e9, 1e12, 1e10) for size in range(100_000, 1_100_000, 5_000)]
    _ = simulate(network, machines[0], placement).totals
    return statistics.median(
        _timed(lambda machine=machine: simulate(network, machine, placement).totals)  # type: ignore[misc]
        for machine in machines
    )


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
