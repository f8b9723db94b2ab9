"""The points of a sweep that no other beats: as good in every cost, and better in one.

perfsim pareto mobilenet_v1 --hw 1MB_1GBs_1TF --vary sram=64KiB:16MiB:log:64 --vary ddr_bandwidth=1GB/s:16GB/s:log:64
    --cost time --cost 'sram / 1 MB + bandwidth / 4 GB/s'

A cost is a column (total_s, energy_j, ddr_bytes, ...), a key that is varied, or an expression of them, which is then a
column by its text; less is better.
However many points there are, only the front is kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim.cli import DONE, common, complain
from perfsim.cli.sweep_options import Progress, add_points, add_sweep_policies, read_study
from perfsim.errors import OutputError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim pareto``."""
    common.add_network(parser, many=True)
    add_points(parser)
    parser.add_argument(
        "--cost",
        metavar="NAME",
        action="append",
        default=[],
        help="what shall be small; may be repeated (default: time and all that is varied of the machine)",
    )
    add_sweep_policies(parser)
    common.add_output_options(
        parser,
        "write all rows to a new file instead of printing them, its format by its suffix (.csv, .json, .parquet); "
        "may be repeated",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim.report.files import check_outputs, write_files

    check_outputs(arguments.outputs)
    for output in arguments.outputs:
        if Path(output).exists():
            raise OutputError("exists already").at(file=output)
    costs = arguments.cost or [
        "total_s",
        *dict.fromkeys(each.partition("=")[0].strip() for each in arguments.vary),
    ]
    study = read_study(arguments, costs=costs)

    from perfsim.report.sweep import sweep_sheet
    from perfsim.sweeps.costs import with_costs
    from perfsim.sweeps.front import front_of

    progress = Progress(study.count, arguments)
    rows = front_of(study, progress=progress)
    progress.end()
    rows = with_costs(study, rows)
    sheet = sweep_sheet(study, rows, arguments.settings, "non-dominated points")
    if not arguments.outputs:
        common.show_sheet(sheet, arguments)
        return DONE
    write_files(sheet, arguments.outputs)
    if not arguments.quiet:
        for output in arguments.outputs:
            complain(f"{output}: {len(rows['network']):,} rows")
    return DONE
