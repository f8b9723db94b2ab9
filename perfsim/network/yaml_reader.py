"""Networks from YAML: layers in order, named inputs for branches, and repeated blocks.

Two passes: the first (`yaml_expansion`) writes out repeats and blocks and gives every layer its name; the second
resolves the inputs, which may name layers further down, and makes the nodes.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

from perfsim.document import Document
from perfsim.errors import GraphError, InputError, InvalidValueError
from perfsim.network.file_schema import (
    ComputingModel,
    LayerModel,
    LayerPrecision,
    MatrixModel,
    NetworkFile,
)
from perfsim.network.graph import Network, Node, Tensor, build_network
from perfsim.network.operators import OPERATORS
from perfsim.network.yaml_expansion import Expansion, FileLayer
from perfsim.network.yaml_names import INPUT, find_layer
from perfsim.validation import validate


def read_network(document: Document) -> Network:
    """The network that `document` describes; raises InputError with file, line and key."""
    header = validate(NetworkFile, document.value, document)
    shape = (header.batch, *_input_shape(header, document))
    expansion = Expansion(document, header, shape)
    layers = expansion.layers(header.layers, ("layers",))
    if not layers:
        error = GraphError("the network has no layers", expected="at least one under 'layers'")
        raise document.place(error, ("layers",))
    _check_settings_used(document, header, expansion, layers)
    return build_network(
        header.name or Path(document.file).stem,
        [Tensor(INPUT, shape, header.precision.feature_map)],
        _Resolution(document, expansion, layers, Fraction(str(header.width))).nodes(),
        feature_map_bits=header.precision.feature_map,
        weight_bits=header.precision.weight,
        description=header.description,
        file=document.file,
        warnings=_warnings(header, document),
    )


def _check_settings_used(
    document: Document, header: NetworkFile, expansion: Expansion, layers: list[FileLayer]
) -> None:
    """Raise when `width` or `classes` is given and changes nothing."""
    scaled = any(layer.is_scaled and layer.operator_name == "conv" for layer in layers)
    for key, has_effect, is_given in (
        ("width", scaled, header.width != 1),
        ("classes", False, header.classes is not None),
    ):
        if is_given and not has_effect and key not in expansion.names_used:
            error = InvalidValueError(
                f"nothing in this network depends on '{key}'", expected=f"a layer with ${key} in it"
            )
            raise document.place(error, (key,))


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


_NO_PRECISION = LayerPrecision()


class _Resolution:
    """The second pass: from layers to nodes that name the tensors they read."""

    def __init__(
        self, document: Document, expansion: Expansion, layers: list[FileLayer], width: Fraction
    ) -> None:
        self._document = document
        self._layers = layers
        self._width = width
        self._found = expansion.found
        self._output = {INPUT: INPUT}  # layer or part -> the tensor that stands for it
        for layer in layers:
            suffix = ["", *_suffixes(layer.model)][-1]
            self._output.update((name, name + suffix) for name in layer.outputs)

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
        operator = layer.operator(self._width, has_bias=layer.name not in normalized)
        own = layer.model.precision or _NO_PRECISION
        bits = () if own.feature_map is None else (own.feature_map,) * len(layer.outputs)
        nodes = [Node(layer.name, operator, names, layer.outputs, place, bits, own.weight)]
        read = layer.name
        for suffix in _suffixes(layer.model):
            follower: Any = OPERATORS[suffix[1:]]
            name = layer.name + suffix
            nodes.append(Node(name, follower(), (read,), (name,), place, bits, own.weight))
            read = name
        return nodes

    def _inputs(self, layer: FileLayer) -> tuple[str, ...]:
        tensors = []
        for position, name in enumerate(layer.model.inputs or ["previous"]):
            try:
                found = find_layer(name, layer.scope, layer.previous, self._found)
            except InputError as error:
                path = (*layer.path, layer.operator_name)
                if layer.model.inputs is not None:
                    path = (*path, "inputs", position)
                raise self._document.place(error, path) from None
            tensors.append(self._output[self._found[found]])
        return tuple(tensors)


def _suffixes(model: LayerModel) -> list[str]:
    """What the layer's own keys put behind it: ".batch_norm", ".relu"."""
    suffixes = []
    if isinstance(model, MatrixModel) and model.batch_norm:
        suffixes.append(".batch_norm")
    if isinstance(model, ComputingModel) and model.activation is not None:
        suffixes.append(f".{model.activation}")
    return suffixes
