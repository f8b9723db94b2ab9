"""Networks as ONNX models with random weights. docs/onnx.md says what is written as what.

A tensor of weights is made, written and forgotten before the next, so that a model takes no more memory than the
largest of them. A protobuf is a run of fields, each with its length in front where it is a message, so that the
graph's length must be known first: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from onnx import ModelProto, TensorProto

from perfsim.errors import CountError, InvalidValueError
from perfsim.frontends.onnx_types import FLOAT
from perfsim.frontends.onnx_writer_graph import GraphWriter, Weight, Writing, newest_opset
from perfsim.frontends.onnx_writer_layout import LAYOUT
from perfsim.frontends.onnx_writer_matrix import MATRIX, Writer
from perfsim.frontends.onnx_writer_vector import VECTOR
from perfsim.network.graph import Network
from perfsim.network.operators import OPERATORS

WRITERS: Mapping[str, Writer] = {**MATRIX, **VECTOR, **LAYOUT}

_LARGEST_BYTES = 2**31 - 1  # of a protobuf
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9


@dataclass(frozen=True)
class OnnxModel:
    """A model without its weights, and the weights that belong to it.

    Attributes:
        frame: a ModelProto, complete but for the initializers of the weights.
        weights: what they are to be.
    """

    frame: Any
    weights: tuple[Weight, ...]

    def write(self, file: BinaryIO, seed: int) -> None:
        """Write the model, with weights that depend on nothing but `seed`; raises CountError beyond 2 GiB."""
        outer = ModelProto()
        outer.CopyFrom(self.frame)
        outer.ClearField("graph")
        graph = self.frame.graph.SerializeToString()
        heads = [_head(weight) for weight in self.weights]
        sizes = [4 * math.prod(weight.shape) for weight in self.weights]
        fields = [_start(_INITIALIZER, len(h) + n) + h for h, n in zip(heads, sizes, strict=True)]
        length = len(graph) + sum(map(len, fields)) + sum(sizes)
        if length + outer.ByteSize() + 16 > _LARGEST_BYTES:
            raise CountError(
                "an ONNX file cannot be so large",
                found=f"{length} bytes",
                expected=f"at most {_LARGEST_BYTES}",
            ).at(where=f"network '{self.frame.graph.name}'")
        random = np.random.default_rng(seed)
        file.write(outer.SerializeToString() + _start(_GRAPH, length) + graph)
        for weight, field in zip(self.weights, fields, strict=True):
            file.write(field)
            values = random.standard_normal(math.prod(weight.shape), np.float32)
            values *= weight.deviation
            values += weight.mean
            file.write(values.astype("<f4", copy=False).data)


def onnx_model(network: Network, opset: int | None = None) -> OnnxModel:
    """`network` as an ONNX model; nodes and tensors have the names of ours.

    opset: the version of ONNX's operators; the oldest from 18 that has all that is needed unless given.

    Raises InvalidValueError, naming the layer, for an operator that ONNX has no counterpart of, and for an opset that
    is older than what the network needs or newer than the installed onnx.
    """
    graph = GraphWriter(network)
    for node in network.nodes:
        writer = WRITERS.get(node.operator.name)
        if writer is None or type(node.operator) is not OPERATORS.get(node.operator.name):
            error = InvalidValueError(
                f"'{node.operator.name}' cannot be written as ONNX",
                found="an operator that another format or a table of counts brought along",
                expected="an operator of docs/operators.md",
            )
            raise node.locate(error)
        writer(Writing(graph, node))
    return OnnxModel(graph.model(_opset(graph, opset)), tuple(graph.weights))


def _opset(graph: GraphWriter, asked: int | None) -> int:
    newest = newest_opset()
    if graph.opset > newest:
        raise InvalidValueError(
            f"'{graph.newest_part}' needs opset {graph.opset} of ONNX",
            found=f"an installed onnx that ends with {newest}",
            expected="pip install -U onnx",
        )
    if asked is None:
        return graph.opset
    if not graph.opset <= asked <= newest:
        why = f", which '{graph.newest_part}' needs," if graph.newest_part else ""
        raise InvalidValueError(
            "", found=f"opset {asked}", expected=f"from {graph.opset}{why} to {newest}"
        )
    return asked


def _head(weight: Weight) -> bytes:
    """What stands in a TensorProto in front of its numbers."""
    tensor = TensorProto(name=weight.name, dims=weight.shape, data_type=FLOAT)
    return bytes(tensor.SerializeToString() + _start(_RAW_DATA, 4 * math.prod(weight.shape)))


def _start(field: int, length: int) -> bytes:
    """The number of a field of so many bytes, and their number."""
    out = bytearray([field << 3 | 2])
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out)
