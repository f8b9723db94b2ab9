"""Reading a file to the end to find out what is wrong with it, without simulating."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from perfsim import catalog
from perfsim.document import read_document
from perfsim.errors import ParseError
from perfsim.frontends import load_network
from perfsim.hardware.profile import HardwareProfile, read_machine
from perfsim.network.file_schema import NetworkFile
from perfsim.network.graph import Network
from perfsim.network.yaml_reader import read_network
from perfsim.program import lower
from perfsim.report.machine import machine_text
from perfsim.settings import apply_settings
from perfsim.simulation import policies_of


class Checked(NamedTuple):
    """A file in order: what it holds, in a few words, and what is allowed but likely not meant."""

    description: str
    warnings: tuple[str, ...] = ()


def check(
    file: str | PathLike[str],
    *,
    allow_unpriced: bool = False,
    network_settings: Mapping[str, Any] = MappingProxyType({}),
    machine_settings: Mapping[str, Any] = MappingProxyType({}),
) -> Checked:
    """What the network or machine file holds; raises the InputError that a run with it would.

    allow_unpriced: as in `load_network`. network_settings, machine_settings: keys of a file of that kind to replace.

    The error's `more` are further problems of the same file.
    """
    path = _find(file)
    if path.suffix.lower() not in catalog.MACHINE_SUFFIXES and not path.is_dir():
        return _network(load_network(path, allow_unpriced=allow_unpriced, **network_settings))
    document = read_document(path)
    as_network = len(document.value.keys() & NetworkFile.model_fields.keys())
    as_machine = len(document.value.keys() & HardwareProfile.model_fields.keys())
    if as_network == as_machine:
        raise ParseError(
            "neither a network nor a machine",
            found=f"the keys {', '.join(document.value)}",
            expected="'input' and 'layers', or 'sram', 'ddr_bandwidth', 'matrix' and 'vector'",
        ).at(file=str(path), line=1)
    apply_settings(document, network_settings if as_network > as_machine else machine_settings)
    if as_network > as_machine:
        return _network(read_network(document))
    machine = read_machine(document)
    policies_of(machine, None, None)
    return Checked(f"machine '{machine.name}': {machine_text(machine)}")


def _network(network: Network) -> Checked:
    layers = len(lower(network).layers)
    text = f"network '{network.name}': {layers} layer{'s'[: layers != 1]}"
    return Checked(text, network.warnings)


def _find(file: str | PathLike[str]) -> Path:
    """The file of this name, or the bundled machine or network so called."""
    if file in catalog.bundled_machines() and not Path(file).exists():
        return catalog.find_machine(file)
    return catalog.find_network(file)
