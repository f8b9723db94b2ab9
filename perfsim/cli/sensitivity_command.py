"""Which number of a machine helps most when it is better: overall, for each layer, and until what else bounds.

perfsim sensitivity mobilenet_v1 --hw 1MB_1GBs_1TF
perfsim sensitivity resnet50 --hw big.yaml --by 50% -o sensitivity.csv
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim sensitivity``."""
    common.add_network(parser)
    common.add_run_options(parser)
    parser.add_argument(
        "--by", metavar="PERCENT", default="10%", help="how much better (default: 10%%)"
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    factor = 1 + common.share(arguments.by, "--by")
    placement = common.chosen_placement(arguments)
    common.check_one_machine(arguments)
    common.check_outputs(arguments, [arguments.model], arguments.hw)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.program import lower
    from perfsim.report.improve import improvements_sheet
    from perfsim.sweeps.improve import improvements

    found = improvements(network, machine, placement, arguments.timing, factor=factor)
    sheet = improvements_sheet(lower(network), machine, found, factor, arguments.settings)
    common.give_out(sheet, arguments)
    return DONE
