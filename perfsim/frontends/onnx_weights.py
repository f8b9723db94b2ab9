"""The constants of an ONNX graph as weights: how many bits they have, and which node counts them.

An initializer that several nodes use is a parameter once: the first node counts it, the others read it as that node's.
This holds for matrices and larger; vectors count in every node, since exporters merge those that happen to be equal
(the biases and scales of a network that was not trained yet).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from perfsim.errors import ShapeError
from perfsim.frontends.onnx_compute import Made
from perfsim.frontends.onnx_graph import Step, Value
from perfsim.frontends.onnx_types import BOOL, bits_of, is_fraction
from perfsim.frontends.tensor_operators import Declared
from perfsim.network.graph import Node
from perfsim.network.operator import Unit
from perfsim.network.work import Shape, elements

_QUANTIZING = ("uantizeLinear", "QLinear", "Integer", "QGemm", "DynamicQuantize", "MatMulNBits")
_SAME_NUMBERS = (
    *("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"),
    *("QuantizeLinear", "DequantizeLinear"),
)


def quantizes(graph: Any) -> bool:
    """Whether the model works on quantised tensors."""
    return any(word in node.op_type for node in graph.node for word in _QUANTIZING)


class Weights:
    """Gives each node the widths of what it writes and of its weights, and the owners of shared ones.

    In a model that quantises, every tensor has the width of its type, unless a setting gives one for fractions; in
    any other, settings alone decide.

    outputs: of the graph.
    feature_map_bits, weight_bits: of fractions, where a setting gives them.
    """

    def __init__(
        self,
        *,
        is_quantized: bool,
        outputs: Iterable[str],
        feature_map_bits: int | None,
        weight_bits: int | None,
    ) -> None:
        self._is_quantized = is_quantized
        self._outputs = set(outputs)
        self._feature_map_bits = feature_map_bits
        self._weight_bits = weight_bits
        self._owner: dict[str, str] = {}  # initializer -> the node that counts it

    def initializer(self, name: str, value: Value) -> Value:
        """What is known of an initializer, as a weight.

        In a model that quantises, whole numbers of at most 8 bits are trained ones.
        """
        bits = bits_of(value.elem_type)
        if self._is_quantized and bits <= 8 and value.elem_type != BOOL:
            count = elements(value.shape)
            value = replace(value, params=count if count > 1 else 0, bits=bits)
        if sum(size > 1 for size in value.shape) > 1:
            value = replace(value, source=name)
        return value

    def input_bits(self, elem_type: int) -> int | None:
        """Bits of an element of a feature map of this type; None where a setting decides for all."""
        if not self._is_quantized:
            return None
        if is_fraction(elem_type) and self._feature_map_bits is not None:
            return self._feature_map_bits
        return bits_of(elem_type)

    def node(self, node: Node, step: Step, made: Made, types: list[int], work_params: int) -> Node:
        """`node` with its bits and its shared weights.

        types: of what it writes.
        work_params: how many parameters its operator counts.

        Raises ShapeError if some of the constants hold more numbers than these.
        """
        constants = _counted(step, made) if work_params else []
        shared = []
        for count, value in constants:
            owner = self._owner.setdefault(value.source, node.name) if value.source else node.name
            if owner != node.name:
                shared.append((owner, count))
        _check_counts([count for _, count in shared], work_params)
        node = replace(node, shared=tuple(shared))
        if not self._is_quantized:
            return node
        most, others = made.widths or self._widths(constants)
        _check_counts([count for count, _ in others], work_params)
        bits = tuple(self.input_bits(kind) or 8 for kind in types)
        if self._converts_output(node, step, bits):
            node = replace(node, operator=Declared("cast", Unit.COPY, (step.shape(0),)))
        return replace(node, output_bits=bits, weight_bits=most, other_weights=others)

    def _converts_output(self, node: Node, step: Step, bits: tuple[int, ...]) -> bool:
        """Whether it is a Cast that writes an output of the graph at another width than it reads."""
        is_last = step.op in ("Cast", "CastLike") and node.outputs[0] in self._outputs
        return is_last and bits[0] != self.input_bits(step.value(0).elem_type)

    def _widths(
        self, constants: list[tuple[int, Value]]
    ) -> tuple[int | None, tuple[tuple[int, int], ...]]:
        """(bits of most of the weights, (count, bits) of the others)."""
        counts: dict[int, int] = {}
        for count, value in constants:
            bits = value.bits or bits_of(value.elem_type)
            if value.bits is None and self._weight_bits and is_fraction(value.elem_type):
                bits = self._weight_bits
            counts[bits] = counts.get(bits, 0) + count
        if not counts:
            return None, ()
        most = max(counts, key=lambda bits: counts[bits])
        return most, tuple((count, bits) for bits, count in counts.items() if bits != most)


def _check_counts(counts: list[int], params: int) -> None:
    if sum(counts) > params:
        raise ShapeError(
            "the weights do not fit", found=f"{sum(counts)} numbers", expected=f"{params}"
        )


def shown_source(step: Step, shape: Shape) -> str:
    """The initializer whose numbers a node that reads only constants gives, however they are arranged."""
    data = step.inputs[0] if step.inputs else None
    if data is None or step.op not in _SAME_NUMBERS or elements(shape) != elements(data.shape):
        return ""
    return data.source


def _counted(step: Step, made: Made) -> list[tuple[int, Value]]:
    """(count, constant) of the constants that a node takes as its weights, or reads beside its inputs."""
    positions = made.weights
    if positions is None:
        positions = tuple(at for at in range(len(step.inputs)) if at not in made.reads)
    found = [
        (elements(value.shape), value)
        for at in positions
        if step.has(at) and (value := step.value(at)).is_constant
    ]
    return found + [
        (value.params, value)
        for at in made.reads
        if step.has(at) and (value := step.value(at)).is_constant and value.params
    ]
