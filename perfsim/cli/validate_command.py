"""Predictions beside measurements: the error of each row, their mean, median, worst, bias, and the rank correlation.

perfsim validate measured.csv --hw machine.yaml
perfsim validate measured.csv --hw nvdla_2048 --set hw.ddr_bandwidth=8GB/s --max-error 10% -o compared.csv

MEASUREMENTS are CSV files with the columns network, set, precision, batch, measured_ms and, for single layers,
convolution or layer, and with (layers that are in the same time); further columns are carried along. The steady time
is compared: that of every inference after the first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim.cli import DONE, LIMIT_BROKEN, common, complain
from perfsim.errors import UnknownNameError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim validate``."""
    parser.add_argument(
        "files", nargs="+", metavar="MEASUREMENTS", help="CSV files of measured latencies"
    )
    common.add_machine(parser)
    common.add_settings(parser, "machine's file", "hw.ddr_bandwidth=4GB/s")
    common.add_policies(parser)
    common.add_output_options(parser)
    parser.add_argument(
        "--max-error",
        metavar="PERCENT",
        help="exit with status 1 when the mean absolute error is above this, such as 10%%",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    max_error = (
        None if arguments.max_error is None else common.share(arguments.max_error, "--max-error")
    )
    common.check_one_machine(arguments)
    placement = common.chosen_placement(arguments)
    for_network, for_machine = common.split_settings(arguments.settings)
    for key, setting in for_network.items():
        raise UnknownNameError(
            "the networks are what the column 'set' says",
            found=f"the key '{key}'",
            expected="a key of the machine, such as hw.sram",
        ).at(file=setting.origin)

    from perfsim import catalog
    from perfsim.accuracy import validate
    from perfsim.hardware.profile import load_hardware
    from perfsim.report.files import check_outputs
    from perfsim.report.validate import percent, validate_sheet

    (profile,) = arguments.hw
    check_outputs(arguments.outputs, [*map(Path, arguments.files), catalog.find_machine(profile)])
    machine = load_hardware(profile, **for_machine)
    validation = validate(arguments.files, machine, placement, arguments.timing)
    for text in validation.warnings:
        common.warn(text, arguments)
    common.give_out(validate_sheet(validation, arguments.settings, max_error), arguments)
    mape = validation.accuracy.mape
    if max_error is None or mape <= max_error:
        return DONE
    complain(
        f"limit: the mean absolute error is {percent(mape)}, more than --max-error {percent(max_error)}"
    )
    return LIMIT_BROKEN
