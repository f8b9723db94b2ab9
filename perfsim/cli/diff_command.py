"""What changed between two results: the totals, and the layers that are not the same, the largest change first.

perfsim run net.yaml --hw board -o new.json --quiet
perfsim diff old.json new.json --max-regression 2%
perfsim diff old.json new.json --max-regression 2% --max-regression ddr_bytes=0% --quiet
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim.cli import DONE, LIMIT_BROKEN, common, complain


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim diff``."""
    parser.add_argument("old", metavar="OLD", help="a result of 'perfsim run -o old.json'")
    parser.add_argument("new", metavar="NEW", help="another one")
    parser.add_argument(
        "--max-regression",
        metavar="[NAME=]PERCENT",
        action="append",
        default=[],
        help="exit with status 1 when total_s, or the total called NAME (ddr_bytes, peak_sram_bytes, ...), is greater "
        "than before by more than this share; may be repeated",
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    limits = [_limit(text) for text in arguments.max_regression]

    from perfsim.report.diff import diff, diff_sheet

    if arguments.outputs:
        from perfsim.report.files import check_outputs

        check_outputs(arguments.outputs, [Path(arguments.old), Path(arguments.new)])
    difference = diff(arguments.old, arguments.new)
    broken = [difference.regression(name, limit) for name, limit in limits]
    common.give_out(diff_sheet(difference), arguments)
    for sentence in filter(None, broken):
        complain(f"limit: {sentence}")
    return LIMIT_BROKEN if any(broken) else DONE


def _limit(text: str) -> tuple[str, float]:
    """The total that a limit is of, and the limit as a fraction."""
    name, equals, share = text.rpartition("=")
    option = "--max-regression"
    # nothing more at all is the one percentage that need not be above zero
    limit = 0.0 if share.replace(" ", "") == "0%" else common.share(share, option)
    return (name.strip() if equals else "total_s"), limit
