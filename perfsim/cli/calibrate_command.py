"""Fit a few numbers of a machine's file to measurements, and write the machine with them.

perfsim calibrate measured.csv --hw machine.yaml -o fitted.yaml
perfsim calibrate measured.csv --hw machine.yaml -o fitted.yaml --fit ddr_efficiency,layer_cost
perfsim calibrate a.csv b.csv --hw host.yaml -o fitted.yaml

MEASUREMENTS are CSV files as for 'perfsim validate'. Without --fit the numbers are chosen by how well they predict rows
that they were not fitted on. Numbers that the measurements do not determine keep their values, and are named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim calibrate``."""
    parser.add_argument(
        "files", nargs="+", metavar="MEASUREMENTS", help="CSV files of measured latencies"
    )
    common.add_machine(parser)
    parser.add_argument(
        "--fit",
        metavar="NAME,...",
        help="keys of the machine's file, such as ddr_efficiency,layer_cost,efficiency.conv",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FITTED.yaml",
        required=True,
        help="the machine's file with the fitted numbers",
    )
    common.add_format(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    common.check_one_machine(arguments)

    from perfsim import catalog
    from perfsim.calibration import calibrate
    from perfsim.report.calibrate import calibrate_sheet, write_calibrated
    from perfsim.report.files import check_outputs

    (profile,) = arguments.hw
    inputs = [*map(Path, arguments.files), catalog.find_machine(profile)]
    check_outputs([arguments.output], inputs, suffixes=catalog.MACHINE_SUFFIXES)
    keys = None
    if arguments.fit is not None:
        keys = [key.strip() for key in arguments.fit.split(",") if key.strip()]
    result = calibrate(arguments.files, profile, keys)
    for text in result.warnings:
        common.warn(text, arguments)
    write_calibrated(result, arguments.output)
    common.show_sheet(calibrate_sheet(result, arguments.output), arguments)
    return DONE
