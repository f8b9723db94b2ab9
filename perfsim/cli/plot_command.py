"""A picture of a run, as SVG or PNG.

perfsim plot resnet50 --hw 4MB_4GBs_4TF -o roofline.svg
perfsim plot resnet50 --hw 1MB_2GBs_2TF --kind memory -o memory.svg -o memory.png
perfsim plot mobilenet_v1 --hw 1MB_2GBs_2TF --hw 4MB_4GBs_4TF --kind pareto -o machines.svg
"""

from __future__ import annotations

import argparse

from perfsim import catalog
from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim plot``."""
    from perfsim.report.figures import COSTS, PICTURES

    common.add_network(parser)
    common.add_run_options(parser)
    pictures = "; ".join(f"{name}: {what}" for name, what in PICTURES.items())
    parser.add_argument(
        "--kind", metavar="NAME", default="roofline", help=f"(default: roofline) {pictures}"
    )
    parser.add_argument(
        "--against",
        metavar="NAME",
        default="sram",
        help=f"the other axis of a pareto picture: {', '.join(COSTS)} (default: sram)",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        required=True,
        dest="outputs",
        help="the file to write (.svg or .png); may be repeated",
    )
    parser.add_argument("--quiet", action="store_true", help="no warnings")


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    if arguments.kind != "pareto":
        common.check_one_machine(arguments)
    placement = common.chosen_placement(arguments)

    from perfsim.report.figures import SUFFIXES, plot
    from perfsim.report.files import check_outputs

    inputs = [catalog.find_network(arguments.model), *map(catalog.find_machine, arguments.hw)]
    check_outputs(arguments.outputs, inputs, suffixes=SUFFIXES)
    (network,), machines = common.load_inputs(arguments, [arguments.model])

    from perfsim.report.compare import differing_policies
    from perfsim.simulation import simulate

    results = [simulate(network, machine, placement, arguments.timing) for machine in machines]
    warning = differing_policies([results])
    if warning:
        common.warn(warning, arguments)
    plot(
        results,
        *arguments.outputs,
        kind=arguments.kind,
        against=arguments.against,
        settings=arguments.settings,
    )
    return DONE
