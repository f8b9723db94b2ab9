"""The smallest memory, bandwidth or rate with which a network is fast enough, exactly.

perfsim size mobilenet_v1 --hw 1MB_1GBs_1TF --target 5ms --minimize sram
perfsim size mobilenet_v1 --hw 1MB_1GBs_1TF --target 5ms --minimize sram --minimize ddr_bandwidth

With two numbers: pairs of which neither can be smaller without the other being larger. With sram these are all pairs,
with two rates, or under a timing by which weights come in early, some of a curve. The exit status is 1 where no size
is enough.
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, LIMIT_BROKEN, common
from perfsim.errors import InputError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim size``."""
    common.add_network(parser)
    common.add_run_options(parser)
    parser.add_argument(
        "--target", metavar="TIME", required=True, help="the longest an inference may take: 5ms"
    )
    parser.add_argument(
        "--minimize",
        metavar="KEY",
        action="append",
        required=True,
        help="sram, ddr_bandwidth, matrix, vector, clock, ...; may be given twice: pairs of two numbers",
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    target_s = common.seconds(arguments.target, "--target")
    placement = common.chosen_placement(arguments)
    common.check_one_machine(arguments)
    common.check_outputs(arguments, [arguments.model], arguments.hw)
    (network,), (machine,) = common.load_inputs(arguments, [arguments.model])

    from perfsim.report.sizing import sizes_sheet
    from perfsim.sweeps.sizing import smallest_sizes

    try:
        sizes = smallest_sizes(
            network, machine, arguments.minimize, target_s, placement, arguments.timing
        )
    except InputError as error:
        raise error.at(file="--minimize") from None
    common.give_out(sizes_sheet(network.name, machine, sizes, target_s), arguments)
    return DONE if sizes.rows else LIMIT_BROKEN
