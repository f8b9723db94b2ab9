"""The pictures in reports/pictures: MobileNet v1 and ResNet-50 on four machines, the reference network on its own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from perfsim import Result, load_hardware, load_network, plot, simulate

NETWORKS = ("mobilenet_v1", "resnet50")
MACHINES = ("256KB_1GBs_0.5TF", "1MB_2GBs_2TF", "4MB_4GBs_4TF", "16MB_16GBs_16TF")
EACH = ("roofline", "memory")  # kinds that are drawn for every network and machine
ONE = ("layers", "timeline")  # kinds that are drawn for every network and the second machine

# file name -> network, machines, kind
PICTURES: dict[str, tuple[str, tuple[str, ...], str]] = {
    f"{network}_{machine}_{kind}.svg": (network, (machine,), kind)
    for network in NETWORKS
    for machine in MACHINES
    for kind in (*EACH, *(ONE if machine == MACHINES[1] else ()))
}
PICTURES |= {f"{network}_pareto.svg": (network, MACHINES, "pareto") for network in NETWORKS}
PICTURES |= {
    f"mobilenet_1MB_1GBs_1TF_{kind}.svg": ("mobilenet", ("1MB_1GBs_1TF",), kind)
    for kind in ("roofline", *ONE)
}


def draw_pictures(folder: Path) -> None:
    """Draw every picture into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (network, machines, kind) in PICTURES.items():
        plot([_run(network, machine) for machine in machines], folder / name, kind=kind)


@cache
def _run(network: str, machine: str) -> Result:
    return simulate(load_network(network), load_hardware(machine))
