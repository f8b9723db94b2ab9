"""Read network and machine files and say what is wrong with them, without simulating.

perfsim check net.yaml machine.yaml counts.csv
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, WRONG_INPUT, common, complain, show
from perfsim.errors import PerfsimError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim check``."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a network (.yaml, .csv, .onnx) or a machine (.yaml)",
    )
    common.add_settings(parser, "network's or (with hw.) the machine's file")
    common.add_allow_unpriced(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status: 2 when anything is wrong with any file."""
    from perfsim.report.check import check

    for_network, for_machine = common.split_settings(arguments.settings)
    status = DONE
    for file in arguments.files:
        try:
            checked = check(
                file,
                allow_unpriced=arguments.allow_unpriced,
                network_settings=for_network,
                machine_settings=for_machine,
            )
            for warning in checked.warnings:
                complain(f"warning: {warning}")
            show(f"{file}: ok, {checked.description}\n")
        except PerfsimError as error:
            for each in (error, *error.more):
                complain(f"error: {each}")
            status = WRONG_INPUT
    return status
