"""Counts that other people's definitions give."""

from __future__ import annotations

import pytest
from conftest import PUBLISHED, read_csv

from perfsim import load_network, lower
from perfsim.network.work import shape_text, total

COUNTS = read_csv(PUBLISHED / "counts.csv")


def bundled(row: dict[str, str]) -> tuple[str, dict[str, float]]:
    """The bundled network and settings that a row of counts.csv speaks of."""
    name = row["network"].lower()
    settings: dict[str, float] = {"resolution": int(row["input"].split("x")[1])}
    if name.startswith("mobilenet"):
        width = name.rpartition("_")[2]
        settings["width"] = float(width) / (100 if width == "100" else 1)
        name = "mobilenet_v1"
    return name, settings


@pytest.mark.parametrize("row", COUNTS, ids=lambda row: f"{row['network']}-{row['input']}")
def test_network_counts(row):
    name, settings = bundled(row)
    program = lower(load_network(name, **settings))
    assert sum(total(layer.params) for layer in program.layers) == int(row["params"])
    assert sum(total(layer.macs) for layer in program.layers) == int(row["macs_conv_linear"])


def test_all_sixteen_members_of_the_mobilenet_family_are_there():
    paper = {(row["network"], row["input"]) for row in COUNTS if row["definition"] == "paper"}
    assert len(paper) == 16


def grouped(name: str) -> list[dict[str, object]]:
    """The published modules, with each batch norm and activation put into the module before it."""
    layers: list[dict[str, object]] = []
    for row in read_csv(PUBLISHED / "layers" / name):
        if row["type"] in ("BatchNorm2d", "ReLU", "ReLU6"):
            layers[-1]["params"] += int(row["params"])
        else:
            layers.append(
                {
                    "type": row["type"],
                    "input": row["in_shape"],
                    "output": row["out_shape"],
                    "macs": int(row["macs"]),
                    "params": int(row["params"]),
                }
            )
    return layers


OPERATORS = {
    "Conv2d": ("conv", "depthwise_conv"),
    "AdaptiveAvgPool2d": ("global_avg_pool",),
    "MaxPool2d": ("max_pool",),
    "Linear": ("fully_connected",),
}


def squeezed(shapes: tuple[tuple[int, ...], ...]) -> str:
    (shape,) = shapes
    return shape_text(shape[1:])


def test_mobilenet_v1_layer_by_layer():
    layers = lower(load_network("mobilenet_v1")).layers
    published = grouped("mobilenet_v1_1.0_224.csv")
    assert layers[-1].op == "softmax"  # the definition leaves it to the loss
    for ours, theirs in zip(layers[:-1], published, strict=True):
        assert ours.op in OPERATORS[theirs["type"]]
        assert total(ours.macs) == theirs["macs"]
        assert total(ours.params) == theirs["params"]
        assert squeezed(ours.output_shapes) == theirs["output"]
        if theirs["type"] != "Linear":
            assert squeezed(ours.input_shapes) == theirs["input"]


def test_resnet50_layer_by_layer():
    """All modules of the definition; what is a function there (add) is left out of both."""
    layers = [layer for layer in lower(load_network("resnet50")).layers if layer.op != "add"]
    published = grouped("resnet50.csv")
    for ours, theirs in zip(layers[:-1], published, strict=True):
        assert ours.op in OPERATORS[theirs["type"]]
        assert total(ours.macs) == theirs["macs"]
        assert total(ours.params) == theirs["params"]
        assert squeezed(ours.output_shapes) == theirs["output"]
