"""A network as an ONNX model with random weights, for tools that read ONNX. docs/onnx.md says what is written as what.

perfsim export resnet18 -o resnet18.onnx
perfsim export mobilenet_v2 --set resolution=128 --seed 7 -o small.onnx
"""

from __future__ import annotations

import argparse

from perfsim import catalog
from perfsim.cli import DONE, common, complain
from perfsim.errors import InvalidValueError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim export``."""
    common.add_network(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the file to write (.onnx)"
    )
    common.add_settings(parser, "network's file")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the random weights (default: 0)"
    )
    parser.add_argument(
        "--opset",
        type=int,
        metavar="N",
        help="the version of ONNX's operators (default: the oldest from 18 that has all that the network needs)",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim.frontends import load_network
    from perfsim.report.export import export_onnx
    from perfsim.report.files import check_outputs

    check_outputs([arguments.output], [catalog.find_network(arguments.model)], suffixes=[".onnx"])
    settings, for_machine = common.split_settings(arguments.settings)
    if for_machine:
        raise InvalidValueError("", found="a key of a machine", expected="one of the network").at(
            file=f"--set hw.{next(iter(for_machine))}"
        )
    network = load_network(arguments.model, **settings)
    for text in network.warnings:
        complain(f"warning: {text}")
    export_onnx(network, arguments.output, seed=arguments.seed, opset=arguments.opset)
    return DONE
