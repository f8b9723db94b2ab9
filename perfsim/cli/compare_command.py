"""The same work on several machines, side by side: time, speed-up against the first, what bounds it.

  perfsim compare mobilenet_v1 --hw 1MB_2GBs_2TF --hw 4MB_4GBs_4TF
  perfsim compare resnet18 resnet50 --hw old.yaml --hw new.yaml -o comparison.csv

Per network and per layer; in CSV the whole network is layer 0, named "total".
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, LIMIT_BROKEN, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim compare``."""
    common.add_network(parser, many=True)
    common.add_run_options(parser, many=True)
    common.add_output_options(parser)
    common.add_limit(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    limit_s = common.limit_seconds(arguments)
    placement = common.chosen_placement(arguments)
    common.check_outputs(arguments, arguments.models, arguments.hw)
    networks, machines = common.load_inputs(arguments, arguments.models)

    from perfsim.report.compare import compare_sheet, differing_policies
    from perfsim.simulation import simulate

    runs = [
        [simulate(network, machine, placement, arguments.timing) for machine in machines]
        for network in networks
    ]
    warning = differing_policies(runs)
    if warning:
        common.warn(warning, arguments)
    common.give_out(compare_sheet(runs, arguments.settings), arguments)
    slow = [common.report_slow(result, limit_s) for results in runs for result in results]
    return LIMIT_BROKEN if any(slow) else DONE
