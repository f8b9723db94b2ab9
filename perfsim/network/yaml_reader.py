"""Networks from YAML: layers in order, named inputs for branches, and repeated blocks.

Two passes: the first writes out the repeats and gives every layer its name; the second resolves the
inputs, which may name layers further down, and makes the nodes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from perfsim.document import Document
from perfsim.errors import (
    GraphError,
    InvalidValueError,
    UnknownNameError,
    nearest_name,
)
from perfsim.network.convolution import Conv
from perfsim.network.file_schema import (
    ComputingModel,
    LayerModel,
    MatrixModel,
    NetworkFile,
)
from perfsim.network.graph import Network, Node, Tensor, build_network
from perfsim.network.operator import Operator
from perfsim.network.operators import OPERATORS
from perfsim.network.yaml_expansion import INPUT, Expansion, FileLayer
from perfsim.validation import validate


def read_network(document: Document) -> Network:
    """The network that `document` describes; raises InputError with file, line and key."""
    header = validate(NetworkFile, document.value, document)
    layers = list(Expansion(document).layers(header.layers, ("layers",)))
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


class _Resolution:
    """The second pass: from layers to nodes that name the tensors they read."""

    def __init__(self, document: Document, layers: list[FileLayer], width: Fraction) -> None:
        self._document = document
        self._layers = layers
        self._width = width
        self._output = {INPUT: INPUT}  # layer -> the tensor that stands for it
        for layer in layers:
            self._output[layer.name] = layer.name + ["", *_suffixes(layer.model)][-1]

    def nodes(self) -> list[Node]:
        """The nodes of all layers, with batch norms and activations as nodes of their own."""
        inputs = [self._inputs(layer) for layer in self._layers]
        readers = Counter(name for names in inputs for name in names)
        normalized = {
            names[0]
            for layer, names in zip(self._layers, inputs, strict=True)
            if layer.operator_name == "batch_norm" and readers[names[0]] == 1
        }
        nodes: list[Node] = []
        for layer, names in zip(self._layers, inputs, strict=True):
            nodes += self._nodes(layer, names, normalized)
        return nodes

    def _nodes(self, layer: FileLayer, names: tuple[str, ...], normalized: set[str]) -> list[Node]:
        place = (self._document.file, self._document.line(layer.path))
        # A batch norm that alone reads the layer's own output takes the bias over.
        operator = self._operator(layer, layer.name in normalized)
        nodes = [Node(layer.name, operator, names, (layer.name,), place)]
        read = layer.name
        for suffix in _suffixes(layer.model):
            follower: Any = OPERATORS[suffix[1:]]
            name = layer.name + suffix
            nodes.append(Node(name, follower(), (read,), (name,), place))
            read = name
        return nodes

    def _operator(self, layer: FileLayer, is_normalized: bool) -> Operator:
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

    def _inputs(self, layer: FileLayer) -> tuple[str, ...]:
        if layer.model.inputs is None:
            return (self._output[layer.previous],)
        return tuple(
            self._output[self._layer_name(name, layer, position)]
            for position, name in enumerate(layer.model.inputs)
        )

    def _layer_name(self, name: str, layer: FileLayer, position: int) -> str:
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
