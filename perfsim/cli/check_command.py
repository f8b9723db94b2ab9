"""Read network and machine files and say what is wrong with them, without simulating.

perfsim check net.yaml machine.yaml counts.csv
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, WRONG_INPUT, complain, show
from perfsim.errors import PerfsimError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim check``."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a network (.yaml, .csv) or a machine (.yaml)"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status: 2 when anything is wrong with any file."""
    from perfsim.report.check import check

    status = DONE
    for file in arguments.files:
        try:
            checked = check(file)
            for warning in checked.warnings:
                complain(f"warning: {warning}")
            show(f"{file}: ok, {checked.description}\n")
        except PerfsimError as error:
            for each in (error, *error.more):
                complain(f"error: {each}")
            status = WRONG_INPUT
    return status
