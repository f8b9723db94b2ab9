"""The JSON schemas accept what the readers accept and refuse what they refuse."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml
from conftest import MACHINE, TINY
from test_wrong_input import NETWORKS

from perfsim import catalog

YAML_NETWORKS = {
    name: path for name, path in catalog.bundled_networks().items() if path.suffix == ".yaml"
}


@pytest.fixture
def schema(perfsim_cli):
    def read(kind: str) -> dict[str, object]:
        document = json.loads(perfsim_cli("schema", kind).out)
        jsonschema.Draft202012Validator.check_schema(document)
        return document

    return read


def test_bundled_files_fit(schema):
    networks = jsonschema.Draft202012Validator(schema("network"))
    for path in YAML_NETWORKS.values():
        networks.validate(yaml.load(path.read_text(), yaml.CSafeLoader))
    for path in catalog.bundled_machines().values():
        jsonschema.validate(yaml.safe_load(path.read_text()), schema("hardware"))
    jsonschema.validate(yaml.safe_load(TINY), schema("network"))
    jsonschema.validate(yaml.safe_load(MACHINE), schema("hardware"))


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
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(NETWORKS[name][0]), schema("network"))


def test_percentages_and_one_width_for_both_fit(schema):
    network = yaml.safe_load(TINY) | {"precision": 16}
    machine = yaml.safe_load(MACHINE) | {"ddr_efficiency": "90%", "efficiency": {"conv": "80%"}}
    jsonschema.validate(network, schema("network"))
    jsonschema.validate(machine, schema("hardware"))
    for wrong in (network | {"precision": 0}, network | {"precision": "int8"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema("network"))


def test_wrong_machines_do_not_fit(schema):
    for wrong in (
        MACHINE.replace("sram", "srm"),
        MACHINE.replace("64 KB", "64"),
        MACHINE + "placement: none\n",
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(wrong), schema("hardware"))


def test_every_key_is_described(schema):
    for key, value in schema("hardware")["properties"].items():
        assert value.get("description"), key
