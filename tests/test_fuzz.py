"""Damaged files: a result or one of our errors in one line, whatever the damage."""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import pytest
from conftest import MACHINE, ROOT, TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto, helper

from perfsim import PerfsimError, check, load_network, lower

BYTES = (
    b"0 1 9 -1 1e9 .nan ~ {} [] [[ }} : - # & * ! % @ ` ' \" \\ \n \r \t \0 \x7f \xff \xc3\xa9 , ; | >".split(
        b" "
    )
    + b"repeat layers conv inputs name previous block_input input true null kernel *a &a <<".split(
        b" "
    )
)
FILES = {
    "net.yaml": TINY.encode(),
    "block.yaml": (ROOT / "models" / "resnet18.yaml").read_bytes()[:1500],
    "machine.yaml": MACHINE.encode(),
    "net.csv": (ROOT / "models" / "mobilenet_printed.csv").read_bytes()[:400],
}


@st.composite
def damaged(draw, original: bytes) -> bytes:
    """The original with a few pieces replaced, left out, doubled or put in."""
    data = original
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(
            st.one_of(st.sampled_from(BYTES), st.binary(max_size=3), st.just(data[start:end]))
        )
        data = data[:start] + piece + data[end if draw(st.booleans()) else start :]
    return data


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files(name, data, tmp_path):
    path = Path(tmp_path) / name
    path.write_bytes(data.draw(damaged(FILES[name])))
    try:
        description = check(path).description
    except PerfsimError as error:
        description = str(error)
    assert description
    assert "\n" not in description


LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
WHOLES = (0, 1, 2, 3, -1, -5, 7, 255, 2**31, -(2**31), 2**53, 2**60, 2**63 - 1, -(2**63))
OPERATORS = sorted({each.name for each in onnx.defs.get_all_schemas()})


def small_models():
    """Models of a few nodes, between them with all kinds of attributes and inputs, and a whole network."""
    node = helper.make_node
    for op, attributes, shapes, constants in (
        ("Conv", {"pads": [1] * 4, "group": 1}, [[1, 3, 8, 8]], [[4, 3, 3, 3], [4]]),
        ("MaxPool", {"kernel_shape": [2, 2], "ceil_mode": 1}, [[1, 3, 8, 8]], []),
        ("LayerNormalization", {"axis": -1}, [[2, 5, 8]], [[8], [8]]),
        ("LSTM", {"hidden_size": 4, "direction": "forward"}, [[7, 3, 5]], [[1, 16, 5], [1, 16, 4]]),
        ("Attention", {"q_num_heads": 2, "kv_num_heads": 2}, [[1, 4, 16]] * 3, []),
        ("Split", {"axis": 1, "num_outputs": 2}, [[1, 4, 6]], []),
        ("Einsum", {"equation": "ij,jk->ik"}, [[4, 5], [5, 6]], []),
    ):
        reads = [helper.make_tensor_value_info(f"x{i}", 1, each) for i, each in enumerate(shapes)]
        held = [TensorProto(name=f"w{i}", dims=d, data_type=1) for i, d in enumerate(constants)]
        names = [each.name for each in (*reads, *held)]
        made = node(op, names, ["h", "k"] if op == "Split" else ["h"], name="n", **attributes)
        target = helper.make_tensor("s", TensorProto.INT64, [2], [1, -1])
        nodes = [made, node("Reshape", ["h", "s"], ["r"]), node("Relu", ["r"], ["y"])]
        writes = [helper.make_tensor_value_info("y", 1, None)]
        graph = helper.make_graph(nodes, "g", reads, writes, [*held, target])
        yield helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)])
    yield onnx.load(LIGHT / "light_squeezenet.onnx")


def change(model, chance):
    """Change one thing of a model, as ONNX's own interface can."""
    graph = model.graph
    node = chance.choice(graph.node)
    names = [each for other in graph.node for each in (*other.input, *other.output)]
    held = chance.choice(graph.initializer)
    what = chance.randrange(12)
    if what < 4 and node.attribute:
        attribute = chance.choice(node.attribute)
        if attribute.type == AttributeProto.INT:
            attribute.i = chance.choice(WHOLES)
        elif attribute.type == AttributeProto.INTS and attribute.ints:
            attribute.ints[chance.randrange(len(attribute.ints))] = chance.choice(WHOLES)
        elif attribute.type == AttributeProto.STRING:
            attribute.s = chance.choice((b"", b"VALID", b"ii->i", b"\xff"))
        else:
            attribute.type = chance.randrange(15)
    elif what == 4 and held.dims:
        held.dims[chance.randrange(len(held.dims))] = chance.choice(WHOLES)
    elif what == 5:
        sizes = chance.choice(graph.input).type.tensor_type.shape.dim
        (chance.choice(sizes) if sizes else sizes.add()).dim_value = chance.choice(WHOLES)
    elif what == 6 and node.input:
        node.input[chance.randrange(len(node.input))] = chance.choice([*names, ""])
    elif what == 7:
        node.output.append(chance.choice([*names, "new", ""]))
    elif what == 8:
        node.op_type = chance.choice(OPERATORS)
    elif what == 9 and len(graph.node) > 1:
        graph.node.remove(node)
    elif what == 10:
        model.opset_import[0].version = chance.randrange(1, 30)
    else:
        held.data_type = chance.randrange(30)


def flipped(data, chance):
    """The bytes with a few of them changed, or cut off."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed[: chance.randrange(len(changed))] if chance.random() < 0.2 else changed)


def outcome(path, **settings):
    """How many layers there are, or our error; any other exception is the test's."""
    try:
        return str(len(lower(load_network(path, **settings)).layers))
    except PerfsimError as error:
        return str(error)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_onnx(seed, tmp_path):
    path = tmp_path / "net.onnx"
    chance = random.Random(seed)
    original = list(small_models())[seed].SerializeToString()
    path.write_bytes(original)
    assert outcome(path).isdecimal()
    for _ in range(60):
        model = onnx.ModelProto.FromString(original)
        for _ in range(chance.choice((1, 1, 2, 4))):
            change(model, chance)
        for data in (model.SerializeToString(), flipped(original, chance)):
            path.write_bytes(data)
            assert "\n" not in outcome(path, allow_unpriced=chance.random() < 0.2)
