"""What an entry of a list of layers can be: a layer, a repeat, a condition, or the use of a block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from perfsim.document import Document, KeyPath
from perfsim.errors import InvalidValueError, UnknownNameError, describe, unknown_name
from perfsim.network.file_schema import Block
from perfsim.network.operators import ALSO_CALLED, OPERATORS

_ONE_OPERATOR = "one operator with its attributes, such as 'conv: {channels: 16, kernel: 3}'"


@dataclass(frozen=True, slots=True)
class Layer:
    """``conv: {channels: 16, kernel: 3}``"""

    operator_name: str
    attributes: Any


@dataclass(frozen=True, slots=True)
class Repeat:
    """``repeat: 3`` with ``layers``"""

    rounds: Any
    layers: list[Any]


@dataclass(frozen=True, slots=True)
class When:
    """``when: $(stride == 1)`` with ``layers``"""

    condition: Any
    layers: list[Any]


@dataclass(frozen=True, slots=True)
class BlockUse:
    """``InvertedResidual: {channels: 24}``: the block's layers with these values for its parameters."""

    block: str
    name: str | None
    input: str | None
    values: dict[str, Any]
    layers: list[Any]


Entry: TypeAlias = Layer | Repeat | When | BlockUse


class Entries:
    """Reads entries, once each however often they are repeated."""

    def __init__(self, document: Document, blocks: Mapping[str, Block]) -> None:
        self._document = document
        self._blocks = blocks
        self._read: dict[KeyPath, Entry] = {}

    def read(self, value: Any, path: KeyPath) -> Entry:
        """The entry `value`, which stands at `path`."""
        if path not in self._read:
            self._read[path] = self._entry(value, path)
        return self._read[path]

    def _entry(self, value: Any, path: KeyPath) -> Entry:
        if not isinstance(value, dict) or not value:
            raise self._document.place(
                InvalidValueError("", found=describe(value), expected=_ONE_OPERATOR), path
            )
        for key in ("repeat", "when"):
            if key in value:
                layers = self._body(key, value, path)
                return Repeat(value[key], layers) if key == "repeat" else When(value[key], layers)
        name = next(iter(value))
        if name not in OPERATORS and name not in self._blocks:
            known = [*OPERATORS, *self._blocks]
            raise self._document.place(
                unknown_name("operator", name, known, also=ALSO_CALLED), (*path, name)
            )
        if len(value) > 1:
            found = f"the keys {', '.join(value)}"
            raise self._document.place(
                InvalidValueError("", found=found, expected=_ONE_OPERATOR), (*path, list(value)[1])
            )
        attributes = {} if value[name] is None else value[name]
        if name in self._blocks:
            return self._block_use(name, attributes, (*path, name))
        return Layer(name, attributes)

    def _body(self, key: str, value: dict[str, Any], path: KeyPath) -> list[Any]:
        """The `layers` of a repeat or a condition."""
        for other in value:
            if other not in (key, "layers"):
                raise self._document.place(
                    unknown_name("key", other, (key, "layers")), (*path, other)
                )
        if "layers" not in value:
            raise self._document.place(
                UnknownNameError(f"a {key} needs the key 'layers'"), (*path, key)
            )
        return self._list_of_layers(value["layers"], (*path, "layers"))

    def _list_of_layers(self, value: Any, path: KeyPath) -> list[Any]:
        if not isinstance(value, list) or not value:
            error = InvalidValueError("", found=describe(value), expected="a list of layers")
            raise self._document.place(error, path)
        return value

    def _block_use(self, block: str, attributes: Any, path: KeyPath) -> BlockUse:
        definition = self._blocks[block]
        if not isinstance(attributes, dict):
            error = InvalidValueError("", found=describe(attributes), expected="a mapping")
            raise self._document.place(error, path)
        parameters = dict(definition.parameters)
        name, inputs = attributes.get("name"), attributes.get("inputs")
        for key, value in attributes.items():
            if key in parameters:
                parameters[key] = value
            elif key not in ("name", "inputs"):
                known = [*parameters, "name", "inputs"]
                raise self._document.place(unknown_name("key", key, known), (*path, key))
        for key, value in parameters.items():
            if value is None:
                raise self._document.place(
                    UnknownNameError(f"the parameter '{key}' is missing"), path
                )
        if name is not None and not (isinstance(name, str) and name.strip() and name.isprintable()):
            error = InvalidValueError("", found=describe(name), expected="a name")
            raise self._document.place(error, (*path, "name"))
        if inputs is not None and not (
            isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], str)
        ):
            error = InvalidValueError(
                "", found=describe(inputs), expected="a list of one name: what the block reads"
            )
            raise self._document.place(error, (*path, "inputs"))
        layers = self._list_of_layers(definition.layers, ("blocks", block, "layers"))
        return BlockUse(block, name, inputs[0] if inputs else None, parameters, layers)
