"""Times of a network and of its layers on this computer, in ONNX Runtime on the CPU; or the computer as a machine.

perfsim measure mobilenet_v2 -o measured.csv
perfsim measure net.onnx --set batch=4 --threads 2 --time 30s
perfsim measure --host -o host.yaml

A bundled network, or a file that is no ONNX, is written as ONNX in single precision with random weights first. The rows
are those that 'perfsim validate' reads: the whole network, then each layer that takes time.
"""

from __future__ import annotations

import argparse

from perfsim import catalog
from perfsim.cli import DONE, common
from perfsim.errors import InvalidValueError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim measure``."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help="a network: a path (.onnx, .yaml), or a name that 'perfsim models' lists",
    )
    parser.add_argument(
        "--host",
        action="store_true",
        help="measure no network but this computer, and write it as a machine's file (.yaml)",
    )
    common.add_settings(parser, "network's file", "width=0.5, batch=4")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="that one operator may use (default: 1)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--runs", type=int, metavar="N", help="how many runs to take (default: enough, see --time)"
    )
    length.add_argument(
        "--time",
        metavar="TIME",
        help="how long to run at most, such as 30s (default: 10s); ends when the median is known to 0.2%%",
    )
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    if arguments.host:
        return _measure_host(arguments)
    if arguments.model is None:
        raise InvalidValueError("", found="nothing to measure", expected="MODEL or --host")
    from perfsim.report.files import check_outputs

    check_outputs(arguments.outputs, [catalog.find_network(arguments.model)])
    settings, for_machine = common.split_settings(arguments.settings)
    if for_machine:
        raise InvalidValueError("", found="a key of a machine", expected="one of the network").at(
            file=f"--set hw.{next(iter(for_machine))}"
        )
    from perfsim.host.measuring import BUDGET_S, measure
    from perfsim.report.measure import measurement_sheet

    budget_s = BUDGET_S if arguments.time is None else common.seconds(arguments.time, "--time")
    measured = measure(
        arguments.model,
        threads=1 if arguments.threads is None else arguments.threads,
        runs=arguments.runs,
        budget_s=budget_s,
        **settings,
    )
    for text in measured.warnings:
        common.warn(text, arguments)
    common.give_out(measurement_sheet(measured), arguments)
    return DONE


def _measure_host(arguments: argparse.Namespace) -> int:
    unused = {
        "MODEL": arguments.model,
        "--set": arguments.settings,
        "--threads": arguments.threads,
        "--runs": arguments.runs,
        "--time": arguments.time,
    }
    for option, value in unused.items():
        if value not in (None, []):
            raise InvalidValueError("", found=option, expected="--host alone").at(file="--host")
    from perfsim.host.probing import measure_host
    from perfsim.report.files import check_outputs
    from perfsim.report.measure import host_sheet, write_host

    outputs, arguments.outputs = arguments.outputs, []
    check_outputs(outputs, suffixes=[".yaml", ".yml"])
    host = measure_host()
    write_host(host, outputs)
    common.give_out(host_sheet(host), arguments)
    return DONE
