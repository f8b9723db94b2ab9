"""Wrong ONNX models: one error with the file, the node, what was found and expected; status 2; nothing written."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT
IMAGE = [1, 3, 8, 8]


def weight(name, *shape):
    return helper.make_tensor(name, FLOAT, shape, np.zeros(shape, np.float32).tobytes(), raw=True)


def ints(name, *values):
    return helper.make_tensor(name, INT64, [len(values)], values)


def claimed(name, *shape, kind=FLOAT, external=False, raw=None):
    """An initializer without values, or with the bytes `raw`."""
    made = TensorProto(name=name, dims=shape, data_type=kind)
    if external:
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="missing.data")
    if raw is not None:
        made.raw_data = raw
    return made


def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(op, read="x", write="y", **attributes):
    return helper.make_node(op, read.split(), write.split(), name="n", **attributes)


def model(nodes, *weights, x=IMAGE, y=None, opset=17, declared=()):
    graph = helper.make_graph(nodes, "g", [info("x", x)], [info("y", y)], weights)
    graph.value_info.extend(declared)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def conv(**attributes):
    return model([node("Conv", "x w", **attributes)], weight("w", 4, 3, 3, 3))


def changed(made, change):
    change(made)
    return made


def nested_functions(depth, *, recursive=False):
    """F0 calls F1 calls F2 ..., the last is a Relu, or calls F0."""
    made = model([helper.make_node("F0", ["x"], ["y"], domain="me")])
    made.opset_import.append(helper.make_opsetid("me", 1))
    own = [helper.make_opsetid("", 17), helper.make_opsetid("me", 1)]
    for at in range(depth):
        called = helper.make_node(f"F{at + 1}", ["a"], ["b"], domain="me")
        if at == depth - 1:
            called = helper.make_node("Relu", ["a"], ["b"])
            if recursive:
                called = helper.make_node("F0", ["a"], ["b"], domain="me")
        made.functions.append(helper.make_function("me", f"F{at}", ["a"], ["b"], [called], own))
    return made


def nested_ifs(depth):
    inner = helper.make_node("Identity", ["x"], ["y"])
    for _ in range(depth):
        branch = helper.make_graph([inner], "b", [], [info("y", IMAGE)])
        inner = helper.make_node(
            "If", ["c"], ["y"], name="n", then_branch=branch, else_branch=branch
        )
    made = model([inner])
    made.graph.input.append(info("c", [], TensorProto.BOOL))
    return made


BIG = 2**60
WRONG = {
    "a text file": (b"name: net\nlayers: []\n", ["not an ONNX model"]),
}
