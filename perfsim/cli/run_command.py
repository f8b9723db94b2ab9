"""Simulate one network on one machine: the per-layer table and the totals.

perfsim run mobilenet.yaml --hw 1MB_1GBs_1TF.yaml
perfsim run mobilenet_v1 --hw 4MB_4GBs_4TF --set width=0.5 --set hw.sram=512KB -o layers.csv
perfsim run net.yaml --hw machine.yaml --max-time 5ms --quiet
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, LIMIT_BROKEN, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim run``."""
    common.add_network(parser)
    common.add_run_options(parser)
    common.add_output_options(parser)
    common.add_limit(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    limit_s = common.limit_seconds(arguments)
    common.check_one_machine(arguments)
    placement = common.chosen_placement(arguments)
    common.check_outputs(arguments, [arguments.model], arguments.hw)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.report.run import run_sheet
    from perfsim.simulation import simulate

    result = simulate(network, machine, placement, arguments.timing)
    common.give_out(run_sheet(result, arguments.settings), arguments)
    slow = common.report_slow(result, limit_s)
    return LIMIT_BROKEN if slow else DONE
