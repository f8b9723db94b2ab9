"""The JSON schemas accept what the readers accept and refuse what they refuse."""

from __future__ import annotations

import json
from functools import cache

import jsonschema
import pytest
import yaml
from conftest import MACHINE, TINY
from test_wrong_input import NETWORKS

from perfsim import catalog

YAML_NETWORKS = {
    name: path for name, path in catalog.bundled_networks().items() if path.suffix == ".yaml"
}


@cache
def checked(text: str) -> jsonschema.Draft202012Validator:
    """The validator of a schema that is one itself; looked at once."""
    document = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.fixture
def schema(perfsim_cli):
    return lambda kind: checked(perfsim_cli("schema", kind).out)


def test_bundled_files_fit(schema):
    networks, machines = schema("network"), schema("hardware")
    for path in YAML_NETWORKS.values():
        networks.validate(yaml.load(path.read_text(), yaml.CSafeLoader))
    for path in catalog.bundled_machines().values():
        machines.validate(yaml.safe_load(path.read_text()))
    networks.validate(yaml.safe_load(TINY))
    machines.validate(yaml.safe_load(MACHINE))


@pytest.mark.parametrize(
    "name",
    [
        "misspelt key",
        "misspelt operator",
        "misspelt attribute",
        "missing attribute",
        "missing input",
        "layer no mapping",
        "attributes beside the operator",
        "kernel 0",
        "kernel text",
        "negative channels",
        "misspelt padding",
        "misspelt activation",
        "repeat 0",
        "repeat without layers",
        "zero width",
        "input with a zero",
        "0 bits",
    ],
)
def test_wrong_networks_do_not_fit(name, schema):
    assert not schema("network").is_valid(yaml.safe_load(NETWORKS[name][0]))


def test_percentages_and_one_width_for_both_fit(schema):
    network = yaml.safe_load(TINY) | {"precision": 16}
    machine = yaml.safe_load(MACHINE) | {"ddr_efficiency": "90%", "efficiency": {"conv": "80%"}}
    schema("network").validate(network)
    schema("hardware").validate(machine)
    for wrong in (network | {"precision": 0}, network | {"precision": "int8"}):
        assert not schema("network").is_valid(wrong)


def test_wrong_machines_do_not_fit(schema):
    for wrong in (
        MACHINE.replace("sram", "srm"),
        MACHINE.replace("64 KB", "64"),
        MACHINE + "placement: none\n",
    ):
        assert not schema("hardware").is_valid(yaml.safe_load(wrong))


def test_every_key_is_described(schema):
    for key, value in schema("hardware").schema["properties"].items():
        assert value.get("description"), key
