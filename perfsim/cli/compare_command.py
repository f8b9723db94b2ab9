"""The same work on several machines, side by side: time, speed-up against the first, what bounds it.

  perfsim compare mobilenet_v1 --hw 1MB_2GBs_2TF --hw 4MB_4GBs_4TF
  perfsim compare resnet18 resnet50 --hw old.yaml --hw new.yaml -o comparison.csv

Per network and per layer; in CSV the whole network is layer 0, named "total".
"""

from __future__ import annotations

import argparse

from perfsim.cli import common
from perfsim.cli.runs import simulate_all, status_of


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

    from perfsim.report.compare import compare_sheet

    runs = simulate_all(arguments, networks, machines, placement)
    common.give_out(compare_sheet(runs, arguments.settings), arguments)
    return status_of(runs, limit_s)
