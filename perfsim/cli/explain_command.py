"""How the numbers of one layer came about: formula, values, and the limit that binds.

perfsim explain mobilenet --hw 1MB_1GBs_1TF --layer pw25
perfsim explain mobilenet --hw 1MB_1GBs_1TF --layer 25
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim explain``."""
    common.add_network(parser)
    common.add_run_options(parser)
    parser.add_argument(
        "--layer",
        metavar="NAME",
        required=True,
        help="the layer's name, the name of a part fused into it, or its number in the table",
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    common.check_one_machine(arguments)
    placement = common.chosen_placement(arguments)
    common.check_outputs(arguments, [arguments.model], arguments.hw)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.program import position_of
    from perfsim.report.explain import explain_sheet
    from perfsim.simulation import simulate

    result = simulate(network, machine, placement, arguments.timing)
    position = position_of(result.program, arguments.layer)
    common.give_out(explain_sheet(result, position, arguments.settings), arguments)
    return DONE
