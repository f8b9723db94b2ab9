"""Read network and machine files and say what is wrong with them, without simulating.

perfsim check net.yaml machine.yaml counts.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from perfsim import catalog
from perfsim.cli import DONE, WRONG_INPUT, common, complain
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
            common.show(f"{file}: ok, {_checked(_find(file))}\n")
        except PerfsimError as error:
            for each in (error, *error.more):
                complain(f"error: {each}")
            status = WRONG_INPUT
    return status


def _find(name: str) -> Path:
    """The file of this name, or the bundled machine or network so called."""
    if name in catalog.bundled_machines() and not Path(name).exists():
        return catalog.find_machine(name)
    return catalog.find_network(name)


def _checked(path: Path) -> str:
    """What the file holds, in a few words; raises what is wrong with it."""
    from perfsim.document import read_document
    from perfsim.frontends import load_network
    from perfsim.hardware.profile import HardwareProfile, read_machine
    from perfsim.network.file_schema import NetworkFile
    from perfsim.network.yaml_reader import read_network
    from perfsim.program import lower
    from perfsim.report.run import machine_text
    from perfsim.simulate import policies_of

    if path.suffix.lower() not in catalog.MACHINE_SUFFIXES and not path.is_dir():
        network = load_network(path)
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
    for text in network.warnings:
        complain(f"warning: {text}")
    layers = len(lower(network).layers)
    return f"network '{network.name}': {layers} layer{'s'[: layers != 1]}"
