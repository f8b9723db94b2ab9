"""The runs of the commands that set networks on machines side by side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from perfsim.cli import DONE, LIMIT_BROKEN, common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.result import Result


def simulate_all(
    arguments: argparse.Namespace,
    networks: Sequence[Network],
    machines: Sequence[Machine],
    placement: str | PlacementPolicy | None,
) -> list[list[Result]]:
    """Each network on all machines; says on standard error where their policies differ."""
    from perfsim.report.compare import differing_policies
    from perfsim.simulation import simulate

    runs = [
        [simulate(network, machine, placement, arguments.timing) for machine in machines]
        for network in networks
    ]
    warning = differing_policies(runs)
    if warning:
        common.warn(warning, arguments)
    return runs


def status_of(runs: Sequence[Sequence[Result]], limit_s: float | None) -> int:
    """The exit status of runs that --max-time may limit; each that is slower is said."""
    slow = [common.report_slow(result, limit_s) for results in runs for result in results]
    return LIMIT_BROKEN if any(slow) else DONE
