"""Addresses for buffers: byte offsets so that no two that live at the same time overlap.

perfsim plan buffers.csv --capacity "1 MiB" -o planned.csv
perfsim plan buffers.csv --time-limit 5s

BUFFERS is a CSV file with the columns id, lower, upper (exclusive), size and, if wanted, alignment and offset
(where given, the buffer must lie there). Without --capacity the height is made as small as is found in the time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim.cli import DONE, LIMIT_BROKEN, common, complain


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim plan``."""
    from perfsim.placement.addresses import SEARCHES

    parser.add_argument("file", metavar="BUFFERS", help="a CSV file of buffers")
    parser.add_argument(
        "--capacity", metavar="SIZE", help="the bytes there are, such as 1048576 or 1MiB"
    )
    parser.add_argument(
        "--alignment",
        metavar="SIZE",
        default="1",
        help="every offset is a multiple of this, where the file says nothing else (default: 1)",
    )
    parser.add_argument(
        "--time-limit",
        metavar="TIME",
        default="60s",
        help="after about this time the best found is given out (default: 60s)",
    )
    searches = "; ".join(f"{name}: {what}" for name, what in SEARCHES.items())
    parser.add_argument(
        "--search", metavar="NAME", default="auto", help=f"(default: auto) {searches}"
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    capacity = (
        None if arguments.capacity is None else common.size_bytes(arguments.capacity, "--capacity")
    )
    alignment = common.size_bytes(arguments.alignment, "--alignment")
    time_limit_s = common.seconds(arguments.time_limit, "--time-limit")
    if arguments.outputs:
        from perfsim.report.files import check_outputs

        check_outputs(arguments.outputs, [Path(arguments.file)])

    from perfsim.placement.address_table import read_buffers
    from perfsim.placement.addresses import check_search, plan_addresses
    from perfsim.report.plan import plan_sheet, shortfall

    check_search(arguments.search)
    table = read_buffers(Path(arguments.file), alignment)
    plan = plan_addresses(
        table.buffers, capacity, search=arguments.search, time_limit_s=time_limit_s
    )
    common.give_out(plan_sheet(arguments.file, table, plan), arguments)
    if plan.fits:
        return DONE
    complain(f"limit: {shortfall(plan)}")
    return LIMIT_BROKEN
