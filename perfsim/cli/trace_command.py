"""A run as a Chrome trace: what each part of the machine does when, and what lies in memory.

perfsim trace resnet50 --hw 4MB_4GBs_4TF -o trace.json.gz        # open it in ui.perfetto.dev
"""

from __future__ import annotations

import argparse

from perfsim import catalog
from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim trace``."""
    common.add_network(parser)
    common.add_run_options(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        required=True,
        help="the file to write (.json or .json.gz)",
    )
    parser.add_argument("--quiet", action="store_true", help="no warnings")


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    common.check_one_machine(arguments)
    placement = common.chosen_placement(arguments)

    from perfsim.report.files import check_outputs
    from perfsim.report.trace import SUFFIXES, trace

    inputs = [catalog.find_network(arguments.model), *map(catalog.find_machine, arguments.hw)]
    check_outputs([arguments.output], inputs, suffixes=SUFFIXES)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.simulation import simulate

    result = simulate(network, machine, placement, arguments.timing)
    if result.placement.spans is None:
        policy = result.placement_policy.name
        common.warn(
            f"the placement '{policy}' keeps no plan of what lies where: no tensors in the trace",
            arguments,
        )
    trace(result, arguments.output, arguments.settings)
    return DONE
