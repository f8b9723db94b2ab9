"""The first pass over a network's file: repeats written out, every layer with its own name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from perfsim.document import Document, KeyPath
from perfsim.errors import (
    CountError,
    GraphError,
    InputError,
    InvalidValueError,
    UnknownNameError,
    describe,
    unknown_name,
)
from perfsim.network.file_schema import LayerModel, layer_model
from perfsim.network.operators import ALSO_CALLED, OPERATORS
from perfsim.validation import validate

MAX_LAYERS = 100_000
MAX_READS = 500_000
INPUT = "input"
_REPEAT = "repeat"


@dataclass(frozen=True, slots=True)
class FileLayer:
    """One layer of the file with its repeats written out."""

    name: str
    operator_name: str
    model: LayerModel
    path: KeyPath
    scope: tuple[str, ...]  # ".2" and ".2.1" for the first inner round in the second outer one
    previous: str  # the layer that it reads unless `inputs` says otherwise
    block_input: str  # what the first layer of its round reads


class Expansion:
    """The first pass: from the file's entries to layers with unique names."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._models: dict[KeyPath, tuple[str, LayerModel]] = {}
        self._taken: dict[str, KeyPath] = {}
        self._automatic: dict[str, int] = {}
        self._given = _names_given(document.value)
        self._previous = INPUT
        self._count = 0
        self._reads = 0

    def layers(
        self,
        entries: Any,
        path: KeyPath,
        scope: tuple[str, ...] = (),
        block_input: str = INPUT,
    ) -> Iterator[FileLayer]:
        for index, entry in enumerate(entries):
            here = (*path, index)
            if isinstance(entry, dict) and _REPEAT in entry:
                rounds, body = self._repeat(entry, here)
                for number in range(1, rounds + 1):
                    suffix = f"{scope[0] if scope else ''}.{number}"
                    yield from self.layers(
                        body, (*here, "layers"), (suffix, *scope), self._previous
                    )
            else:
                yield self._layer(entry, here, scope, block_input)

    def _layer(
        self, entry: Any, path: KeyPath, scope: tuple[str, ...], block_input: str
    ) -> FileLayer:
        self._count += 1
        if self._count > MAX_LAYERS:
            error = CountError(f"the network has more than {MAX_LAYERS:,} layers")
            raise self._document.place(error, path)
        operator_name, model = self._model(entry, path)
        name = self._name(operator_name, model, path, scope)
        layer = FileLayer(name, operator_name, model, path, scope, self._previous, block_input)
        self._previous = name
        self._reads += len(model.inputs or ())
        if self._reads > MAX_READS:
            error = CountError(f"the layers name more than {MAX_READS:,} inputs")
            raise self._document.place(error, path)
        return layer

    def _model(self, entry: Any, path: KeyPath) -> tuple[str, LayerModel]:
        """The operator and attributes of an entry; in a repeat they are read in the first round."""
        if path not in self._models:
            self._models[path] = self._read(entry, path)
        return self._models[path]

    def _read(self, entry: Any, path: KeyPath) -> tuple[str, LayerModel]:
        expected = "one operator with its attributes, such as 'conv: {channels: 16, kernel: 3}'"
        if not isinstance(entry, dict) or not entry:
            error: InputError = InvalidValueError("", found=describe(entry), expected=expected)
            raise self._document.place(error, path)
        operator_name = next(iter(entry))
        if operator_name not in OPERATORS:
            error = unknown_name("operator", operator_name, OPERATORS, also=ALSO_CALLED)
            raise self._document.place(error, (*path, operator_name))
        if len(entry) > 1:
            error = InvalidValueError("", found=f"the keys {', '.join(entry)}", expected=expected)
            raise self._document.place(error, (*path, list(entry)[1]))
        attributes = {} if entry[operator_name] is None else entry[operator_name]
        model = layer_model(operator_name)
        return operator_name, validate(model, attributes, self._document, (*path, operator_name))

    def _repeat(self, entry: dict[str, Any], path: KeyPath) -> tuple[int, list[Any]]:
        problem: tuple[InputError, str] | None = None
        for key in entry:
            if key not in (_REPEAT, "layers"):
                problem = unknown_name("key", key, (_REPEAT, "layers")), key
        rounds, body = entry[_REPEAT], entry.get("layers")
        if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < 1:
            expected = "a whole number of at least 1"
            problem = InvalidValueError("", found=describe(rounds), expected=expected), _REPEAT
        elif "layers" not in entry:
            problem = problem or (UnknownNameError("a repeat needs the key 'layers'"), _REPEAT)
        elif not isinstance(body, list) or not body:
            expected = "a list of layers"
            problem = InvalidValueError("", found=describe(body), expected=expected), "layers"
        elif rounds > MAX_LAYERS:
            problem = CountError(f"the network has more than {MAX_LAYERS:,} layers"), _REPEAT
        if problem is not None:
            raise self._document.place(problem[0], (*path, problem[1]))
        return rounds, list(body or [])

    def _name(
        self, operator_name: str, model: LayerModel, path: KeyPath, scope: tuple[str, ...]
    ) -> str:
        if model.name is None:
            while True:
                number = self._automatic.get(operator_name, 0) + 1
                self._automatic[operator_name] = number
                name = f"{operator_name}_{number}"
                if name not in self._taken and name not in self._given:
                    break
        else:
            name = model.name + (scope[0] if scope else "")
        if name in self._taken:
            line = self._document.line(self._taken[name])
            error = GraphError(
                f"the name '{name}' is used twice (also at line {line})", expected="unique names"
            )
            raise self._document.place(error, path)
        self._taken[name] = path
        return name


def _names_given(value: Any) -> set[str]:
    """Every `name` in the file, so that automatic names keep clear of names further down."""
    names: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("name"), str):
                names.add(item["name"])
            stack.extend(each for each in item.values() if isinstance(each, dict | list))
        elif isinstance(item, list):
            stack.extend(each for each in item if isinstance(each, dict | list))
    return names
