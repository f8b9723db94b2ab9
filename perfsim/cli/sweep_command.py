"""Many machines, and networks at many scales: the total time, data movement and energy of each, exact to the bit.

perfsim sweep mobilenet_v1 --hw 1MB_1GBs_1TF --vary sram=64KiB:16MiB:log:64 --vary ddr_bandwidth=1GB/s,2GB/s -o x.csv
perfsim sweep resnet18 resnet50 --hw big.yaml --vary matrix=1TFLOPS:64TFLOPS --vary batch=1,8 --sample 10000 -o x.csv
perfsim sweep mobilenet_v1 --hw 1MB_1GBs_1TF --vary sram=64KiB:16MiB:log:64 --where 'total_s <= 5 ms'

What is varied: any number of the machine's file by its key, and width, resolution, batch, precision.feature_map and
precision.weight of the networks. VALUES is a list (1,2,4), a range with steps (64KiB:16MiB:log:64 or :linear:64), or,
with --sample, a range to draw from (64KiB:16MiB, :log unless :linear).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from perfsim.cli import DONE, INTERRUPTED, common, complain
from perfsim.cli.sweep_options import (
    Progress,
    add_points,
    add_sweep_policies,
    read_study,
    single_output,
    whole,
)
from perfsim.errors import InvalidValueError

if TYPE_CHECKING:
    from perfsim.sweeps.dataset import Compute
    from perfsim.sweeps.study import Study

MOST_JOBS = 1024
MOST_SHOWN = 1_000_000  # rows that are printed rather than written


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim sweep``."""
    common.add_network(parser, many=True)
    add_points(parser)
    add_sweep_policies(parser)
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="what to compute, such as total_s,ddr_bytes,peak_sram_bytes,bound,energy_j (the default), ddr_s, "
        "compute_s, steady_s, energy_delay_js",
    )
    parser.add_argument("--per-layer", action="store_true", help="a row for each layer")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted sweep: what is finished beside FILE is checked and kept",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="compute on many processes (local:4) or machines (tcp://scheduler:8786, Dask's); needs -o",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        help="compute on so many processes, for -o (default: as many as there are processors from 64 networks on, or "
        "where several need searches, else 1)",
    )
    common.add_output_options(
        parser,
        "write the rows to one new file instead of printing them, .parquet or .csv by its suffix",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    output = single_output(arguments)
    if arguments.resume and output is None:
        raise InvalidValueError("", found="no output", expected="-o FILE").at(file="--resume")
    if arguments.cluster is not None:
        from perfsim.sweeps.cluster import check_cluster

        if output is None:
            raise InvalidValueError("", found="no output", expected="-o FILE").at(file="--cluster")
        jobs = _jobs(arguments, output)  # which says that there can be one of them only
        check_cluster(arguments.cluster)
    else:
        jobs = _jobs(arguments, output)
    if arguments.per_layer and arguments.columns is not None:
        raise InvalidValueError(
            "",
            found="--columns beside --per-layer, which gives all of a layer",
            expected="one of them",
        ).at(file="--columns")
    columns = None if arguments.columns is None else arguments.columns.split(",")
    study = read_study(arguments, columns=columns, per_layer=arguments.per_layer)
    progress = Progress(study.count, arguments)
    if output is None:
        from perfsim.report.sweep import sweep_sheet

        if study.most_rows > MOST_SHOWN:
            raise InvalidValueError(
                "", found=f"{study.most_rows:,} rows without a file", expected="-o FILE"
            ).at(file="--output")
        rows = study.rows(0, study.count)
        common.give_out(sweep_sheet(study, rows, arguments.settings), arguments)
        return DONE

    from perfsim.sweeps.dataset import run_study
    from perfsim.sweeps.request import check_room

    try:
        with _computing(study, arguments, jobs) as (study, compute):
            check_room(study, output)
            count = run_study(
                study, output, compute=compute, resume=arguments.resume, progress=progress
            )
    except KeyboardInterrupt:
        progress.end()
        complain("stopped: what is done is kept; the same command with --resume goes on")
        return INTERRUPTED
    progress.end()
    if not arguments.quiet:
        complain(f"{output}: {count:,} rows")
    return DONE


def _jobs(arguments: argparse.Namespace, output: str | None) -> int | None:
    """The value of --jobs."""
    jobs = whole(arguments.jobs, "--jobs", least=1, most=MOST_JOBS)
    if jobs is None:
        return None
    if output is None or arguments.cluster is not None:
        found = "no output" if output is None else "--cluster beside it"
        expected = "-o FILE" if output is None else "one of them"
        raise InvalidValueError("", found=found, expected=expected).at(file="--jobs")
    return jobs


@contextmanager
def _computing(
    study: Study, arguments: argparse.Namespace, jobs: int | None
) -> Iterator[tuple[Study, Compute]]:
    """What computes the partitions: this process, others here, or a cluster while it is open; and of which study."""
    if arguments.cluster is None:
        from perfsim.sweeps.dataset import in_order
        from perfsim.sweeps.pool import default_jobs, open_pool

        jobs = jobs or default_jobs(study)
        if jobs == 1:
            yield study, in_order
            return
        with open_pool(jobs, study) as pool:
            yield pool.study, pool.compute
        return
    from perfsim.sweeps.cluster import open_cluster

    with open_cluster(arguments.cluster) as cluster:
        if not cluster.threads and not arguments.quiet:
            complain(f"{arguments.cluster} has no workers yet: waiting for them")
        yield study, cluster.compute
