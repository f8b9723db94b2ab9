"""Networks from YAML: layers in order, named inputs for branches, and repeated blocks.

Two passes: the first writes out the repeats and gives every layer its name; the second resolves the
inputs, which may name layers further down, and makes the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from perfsim.document import Document, KeyPath
from perfsim.errors import (
    CountError,
    GraphError,
    InputError,
    InvalidValueError,
    UnknownNameError,
    describe,
    nearest_name,
    unknown_name,
)
from perfsim.network.convolution import Conv
from perfsim.network.file_schema import (
    ComputingModel,
    LayerModel,
    MatrixModel,
    NetworkFile,
    layer_model,
)
from perfsim.network.graph import Network, Node, Tensor, build_network
from perfsim.network.operator import Operator
from perfsim.network.operators import ALSO_CALLED, OPERATORS
from perfsim.validation import validate

MAX_LAYERS = 100_000
INPUT = "input"
_REPEAT = "repeat"


def read_network(document: Document) -> Network:
    """The network that `document` describes; raises InputError with file, line and key."""
    header = validate(NetworkFile, document.value, document)
    layers = list(_Expansion(document).layers(header.layers, ("layers",)))
    if not layers:
        error = GraphError("the network has no layers", expected="at least one under 'layers'")
        raise document.place(error, ("layers",))
    shape = (header.batch, *_input_shape(header, document))
    return build_network(
        header.name or Path(document.file).stem,
        [Tensor(INPUT, shape, header.precision.feature_map)],
        _Resolution(document, layers, Fraction(str(header.width))).nodes(),
        feature_map_bits=header.precision.feature_map,
        weight_bits=header.precision.weight,
        description=header.description,
        file=document.file,
        warnings=_warnings(header, document),
    )


def _warnings(header: NetworkFile, document: Document) -> tuple[str, ...]:
    if len(header.input) == 4 and header.input[0] == 1:
        return (
            f"{document.place_text(('input',))}: input {header.input} is read as 1 channel with 3 spatial "
            "axes; if the 1 is the batch, leave it out",
        )
    return ()


def _input_shape(header: NetworkFile, document: Document) -> list[int]:
    if header.resolution is None:
        return header.input
    if len(header.input) < 2:
        error = InvalidValueError(
            "the input has no spatial axes that a resolution could replace",
            found=f"input {header.input}",
            expected="[channels, height, width]",
        )
        raise document.place(error, ("resolution",))
    return [header.input[0], *(header.resolution for _ in header.input[1:])]


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the file with its repeats written out."""

    name: str
    operator_name: str
    model: LayerModel
    path: KeyPath
    scope: tuple[str, ...]  # ".2" and ".2.1" for the first inner round in the second outer one
    previous: str  # the layer that it reads unless `inputs` says otherwise
    block_input: str  # what the first layer of its round reads


class _Expansion:
    """The first pass: from the file's entries to layers with unique names."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._models: dict[KeyPath, tuple[str, LayerModel]] = {}
        self._taken: dict[str, KeyPath] = {}
        self._automatic: dict[str, int] = {}
        self._given = _names_given(document.value)
        self._previous = INPUT
        self._count = 0

    def layers(
        self,
        entries: Any,
        path: KeyPath,
        scope: tuple[str, ...] = (),
        block_input: str = INPUT,
    ) -> Iterator[_Layer]:
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

    def _layer(self, entry: Any, path: KeyPath, scope: tuple[str, ...], block_input: str) -> _Layer:
        self._count += 1
        if self._count > MAX_LAYERS:
            error = CountError(f"the network has more than {MAX_LAYERS:,} layers")
            raise self._document.place(error, path)
        operator_name, model = self._model(entry, path)
        name = self._name(operator_name, model, path, scope)
        layer = _Layer(name, operator_name, model, path, scope, self._previous, block_input)
        self._previous = name
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


class _Resolution:
    """The second pass: from layers to nodes that name the tensors they read."""

    def __init__(self, document: Document, layers: list[_Layer], width: Fraction) -> None:
        self._document = document
        self._layers = layers
        self._width = width
        self._output = {INPUT: INPUT}  # layer -> the tensor that stands for it
        for layer in layers:
            self._output[layer.name] = layer.name + ["", *_suffixes(layer.model)][-1]

    def nodes(self) -> list[Node]:
        """The nodes of all layers, with batch norms and activations as nodes of their own."""
        inputs = [self._inputs(layer) for layer in self._layers]
        normalized = {
            name
            for layer, names in zip(self._layers, inputs, strict=True)
            if layer.operator_name == "batch_norm"
            for name in names
        }
        nodes: list[Node] = []
        for layer, names in zip(self._layers, inputs, strict=True):
            nodes += self._nodes(layer, names, normalized)
        return nodes

    def _nodes(self, layer: _Layer, names: tuple[str, ...], normalized: set[str]) -> list[Node]:
        place = (self._document.file, self._document.line(layer.path))
        operator = self._operator(layer, self._output[layer.name] in normalized)
        nodes = [Node(layer.name, operator, names, (layer.name,), place)]
        read = layer.name
        for suffix in _suffixes(layer.model):
            follower: Any = OPERATORS[suffix[1:]]
            name = layer.name + suffix
            nodes.append(Node(name, follower(), (read,), (name,), place))
            read = name
        return nodes

    def _operator(self, layer: _Layer, is_normalized: bool) -> Operator:
        kind: Any = OPERATORS[layer.operator_name]
        model: Any = layer.model
        attributes = {each.name: getattr(model, each.name) for each in fields(kind)}
        if isinstance(model, MatrixModel) and model.bias is None:
            attributes["bias"] = not (model.batch_norm or is_normalized)
        operator: Operator = kind(**attributes)
        if isinstance(operator, Conv) and self._width != 1:
            scaled = max(1, int(operator.channels * self._width))
            operator = replace(operator, channels=scaled)
        return operator

    def _inputs(self, layer: _Layer) -> tuple[str, ...]:
        if layer.model.inputs is None:
            return (self._output[layer.previous],)
        return tuple(
            self._output[self._layer_name(name, layer, position)]
            for position, name in enumerate(layer.model.inputs)
        )

    def _layer_name(self, name: str, layer: _Layer, position: int) -> str:
        """The full name of the layer that `layer` calls `name`: the nearest round first."""
        if name == "previous":
            return layer.previous
        if name == "block_input" and layer.scope:
            return layer.block_input
        # From inside a round, `a` and `a.1` are those of this round, the innermost first.
        base, rounds = _split_rounds(name)
        for suffix in (*layer.scope, ""):
            for candidate in (base + suffix + rounds, name + suffix):
                if candidate in self._output:
                    return candidate
        candidates = [*self._output, "previous", *(["block_input"] if layer.scope else [])]
        repeated = f"{name}.1"
        near = repeated if repeated in self._output else nearest_name(name, candidates)
        error = UnknownNameError(
            f"no layer is named '{name}'",
            expected="the name of a layer, previous, input, or in a repeat block_input",
            nearest=near,
        )
        path = (*layer.path, layer.operator_name, "inputs", position)
        raise self._document.place(error, path)


def _split_rounds(name: str) -> tuple[str, str]:
    """The rounds that a reference names itself: ``a.2.1`` is ("a", ".2.1")."""
    base = name.rstrip("0123456789.")
    rounds = name[len(base) :]
    return (base, rounds) if rounds.startswith(".") else (name, "")


def _suffixes(model: LayerModel) -> list[str]:
    """What the layer's own keys put behind it: ".batch_norm", ".relu"."""
    suffixes = []
    if isinstance(model, MatrixModel) and model.batch_norm:
        suffixes.append(".batch_norm")
    if isinstance(model, ComputingModel) and model.activation is not None:
        suffixes.append(f".{model.activation}")
    return suffixes
