"""Read network and machine files and say what is wrong with them, without simulating.

perfsim check net.yaml machine.yaml counts.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from perfsim.cli import DONE, WRONG_INPUT, common
from perfsim.errors import ParseError, PerfsimError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim check``."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a network (.yaml, .csv) or a machine (.yaml)"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status: 2 when anything is wrong with any file."""
    status = DONE
    for file in arguments.files:
        try:
            common.show(f"{file}: ok, {_checked(Path(file))}\n")
        except PerfsimError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            status = WRONG_INPUT
    return status


def _checked(path: Path) -> str:
    """What the file holds, in a few words; raises what is wrong with it."""
    from perfsim.document import read_document
    from perfsim.frontends.layer_table import read_layer_table
    from perfsim.hardware.profile import HardwareProfile, read_machine
    from perfsim.network.file_schema import NetworkFile
    from perfsim.network.yaml_reader import read_network
    from perfsim.program import lower
    from perfsim.report.run import machine_text
    from perfsim.simulate import policies_of

    if path.suffix.lower() == ".csv":
        network = read_layer_table(path, {})
    else:
        document = read_document(path)
        as_network = len(document.value.keys() & NetworkFile.model_fields.keys())
        as_machine = len(document.value.keys() & HardwareProfile.model_fields.keys())
        if as_network == as_machine:
            raise ParseError(
                "neither a network nor a machine",
                found=f"the keys {', '.join(document.value)}",
                expected="'input' and 'layers', or 'sram', 'ddr_bandwidth', 'matrix' and 'vector'",
            ).at(file=str(path), line=1)
        if as_machine > as_network:
            machine = read_machine(document)
            policies_of(machine, None, None)
            return f"machine '{machine.name}': {machine_text(machine)}"
        network = read_network(document)
    layers = len(lower(network).layers)
    return f"network '{network.name}': {layers} layer{'s'[: layers != 1]}"
