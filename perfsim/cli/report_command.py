"""One page of a run or a comparison, to be opened in any browser: pictures, tables, formulas, in one file.

perfsim report resnet50 --hw 1MB_2GBs_2TF -o report.html
perfsim report mobilenet_v1 resnet50 --hw old.yaml --hw new.yaml -o report.html

The file needs no network, no server and no other file.
"""

from __future__ import annotations

import argparse

from perfsim import catalog
from perfsim.cli import common
from perfsim.cli.runs import simulate_all, status_of


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim report``."""
    common.add_network(parser, many=True)
    common.add_run_options(parser, many=True)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.html",
        action="append",
        required=True,
        dest="outputs",
        help="the page; may be repeated",
    )
    parser.add_argument("--quiet", action="store_true", help="no warnings; errors and files only")
    common.add_limit(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim.report.files import PAGE_SUFFIXES, check_outputs

    limit_s = common.limit_seconds(arguments)
    placement = common.chosen_placement(arguments)
    inputs = [catalog.find_network(model) for model in arguments.models]
    inputs += [catalog.find_machine(profile) for profile in arguments.hw]
    check_outputs(arguments.outputs, inputs, suffixes=PAGE_SUFFIXES)
    networks, machines = common.load_inputs(arguments, arguments.models)

    from perfsim.report.page import page_of

    runs = simulate_all(arguments, networks, machines, placement)
    page_of(runs, arguments.settings).write(*arguments.outputs)
    return status_of(runs, limit_s)
