"""Counts that other people's definitions give."""

from __future__ import annotations

import pytest
from conftest import PUBLISHED, read_csv

from perfsim import catalog, load_network, lower
from perfsim.network.work import shape_text, total

COUNTS = read_csv(PUBLISHED / "counts.csv")


# What counts.csv calls a network that we bundle under another name.
NAMES = {
    ("timm", "mobilenetv1_100"): "mobilenet_v1",
    ("timm", "mobilenetv2_100"): "mobilenet_v2",
    ("timm", "mobilenetv3_large_100"): "mobilenet_v3_large",
    ("timm", "mnasnet_100"): "mnasnet_b1",
    ("timm", "legacy_xception"): "xception",
    ("timm", "vit_base_patch16_224"): "vit_b_16",
    ("keras", "MobileNetV2"): "mobilenet_v2",
    ("keras", "MobileNetV3Large"): "mobilenet_v3_large",
    ("keras", "MobileNetV3Small"): "mobilenet_v3_small",
    ("keras", "ResNet50"): "resnet50_v1",
    ("keras", "ResNet101"): "resnet101_v1",
    ("keras", "ResNet152"): "resnet152_v1",
    ("keras", "NASNetLarge"): "nasnet_large",
    ("keras", "NASNetMobile"): "nasnet_mobile",
    **{("keras", f"EfficientNetB{n}"): f"efficientnet_b{n}" for n in range(8)},
}
# Another definition than ours: Keras's has batch norms without a scale.
OTHER_DEFINITIONS = {("keras", "InceptionV3")}


def bundled(row: dict[str, str]) -> tuple[str, dict[str, float]]:
    """The bundled network and settings that a row of counts.csv speaks of."""
    name = NAMES.get((row["definition"], row["network"]), row["network"].lower())
    settings: dict[str, float] = {"resolution": int(row["input"].split("x")[1])}
    if name.startswith("mobilenet_") and name[-1].isdigit() and "." in name:  # mobilenet_v1_0.75
        name, width = row["network"].lower().rsplit("_", 1)
        settings["width"] = float(width)
    return ("mobilenet_v1" if name == "mobilenet" else name), settings


def is_ours(row: dict[str, str]) -> bool:
    known = (row["definition"], row["network"]) not in OTHER_DEFINITIONS
    return known and bundled(row)[0] in catalog.bundled_networks()


@pytest.mark.parametrize(
    "row",
    [row for row in COUNTS if is_ours(row)],
    ids=lambda row: f"{row['network']}-{row['input']}",
)
def test_network_counts(row):
    name, settings = bundled(row)
    program = lower(load_network(name, **settings))
    assert sum(total(layer.params) for layer in program.layers) == int(row["params"])
    # the first counts no products of attention, the second all
    assert sum(total(layer.macs) for layer in program.layers) == int(row["macs_with_attention"])


@pytest.mark.parametrize(
    "row",
    read_csv(PUBLISHED / "settings.csv"),
    ids=lambda row: f"{row['network']}-{row['settings']}",
)
def test_counts_with_another_setting(row):
    key, value = row["settings"].split("=")
    network = load_network(row["network"], **{key: float(value) if key == "width" else int(value)})
    layers = lower(network).layers
    assert sum(total(layer.params) for layer in layers) == int(row["params"])
    assert sum(total(layer.macs) for layer in layers) == int(row["macs"])


@pytest.mark.parametrize("width", [0.25, 0.33, 1, 1.5])
def test_the_width_of_a_resnet(width):
    """Every stage has `width` times its channels, rounded down: ResNet-18 of the paper's table 1, layer by layer."""
    layers: list[tuple[int, int, int, int]] = [(3, int(64 * width), 7, 112)]
    read = int(64 * width)
    for stage, size in enumerate((56, 28, 14, 7)):
        made = int((64 << stage) * width)
        layers += [(read, made, 3, size), *((made, made, 3, size),) * 3]
        if stage:
            layers.append((read, made, 1, size))
        read = made
    macs = sum(a * b * kernel**2 * size**2 for a, b, kernel, size in layers) + read * 1000
    params = sum(a * b * kernel**2 + 2 * b for a, b, kernel, _ in layers) + read * 1000 + 1000
    counted = lower(load_network("resnet18", width=width)).layers
    assert sum(total(layer.macs) for layer in counted) == macs
    assert sum(total(layer.params) for layer in counted) == params


# name, parameters, MACs: parameters as published (the paper or its reference implementation); MACs counted from the
# papers' tables and, where torchvision prints millions of them, equal to those
WITHOUT_A_ROW = [
    ("alexnet_grouped", 60_965_224, 724_406_816),
    ("mnist_autoencoder", 37_569, 1_919_232),  # 196 x 9 x 32 and 49 x 9 x 32 x 64, twice each
    ("convnext_t", 28_589_128, 4_455_531_264),  # torchvision: 4,456 M
    ("swin_t", 28_288_354, 4_490_566_656),  # torchvision: 4,491 M
    ("bert_base", 109_482_240, 11_174_215_680),
    ("gpt2", 124_439_808, 145_824_153_600),
]


@pytest.mark.parametrize(("name", "params", "macs"), WITHOUT_A_ROW)
def test_counts_of_networks_without_a_row(name, params, macs):
    layers = lower(load_network(name)).layers
    assert sum(total(layer.params) for layer in layers) == params
    assert sum(total(layer.macs) for layer in layers) == macs


def test_all_sixteen_members_of_the_mobilenet_family_are_there():
    paper = {(row["network"], row["input"]) for row in COUNTS if row["definition"] == "paper"}
    assert len(paper) == 16


LAYER_FILES = {
    "mobilenet_v1_1.0_224.csv": "mobilenet_v1",
    "mobilenet_v2.csv": "mobilenet_v2",
    "resnet50.csv": "resnet50",
    "alexnet.csv": "alexnet",
    "vgg16.csv": "vgg16",
    "inception_v3.csv": "inception_v3",
}
FUSED = ("BatchNorm2d", "ReLU", "ReLU6")


def published_layers(name: str) -> list[tuple[str, int, int]]:
    """(output shape, MACs, parameters) of each convolution and linear layer, with the batch norm behind it."""
    layers: list[list[object]] = []
    before = ""
    for row in read_csv(PUBLISHED / "layers" / name):
        if row["type"] in ("Conv2d", "Linear"):
            layers.append([row["out_shape"], int(row["macs"]), int(row["params"])])
        elif row["type"] in FUSED and before in ("Conv2d", *FUSED):
            layers[-1][2] += int(row["params"])
        before = row["type"]
    return [tuple(layer) for layer in layers]


def our_layers(name: str) -> list[tuple[str, int, int]]:
    """The same of ours."""
    return [
        (shape_text(layer.output_shapes[0][1:]), total(layer.macs), total(layer.params))
        for layer in lower(load_network(name)).layers
        if layer.macs
    ]


@pytest.mark.parametrize(
    "file", [file for file, name in LAYER_FILES.items() if name in catalog.bundled_networks()]
)
def test_layer_by_layer(file):
    ours, theirs = our_layers(LAYER_FILES[file]), published_layers(file)
    if (
        file == "inception_v3.csv"
    ):  # its functional poolings are no modules; branches in another order
        ours = sorted(layer for layer in ours if layer[1])
        theirs = sorted(layer for layer in theirs if layer[1])
    assert ours == theirs


def test_the_input_shapes_too():
    """Where the definition is a chain, what each layer reads."""
    theirs = [row["in_shape"] for row in read_csv(PUBLISHED / "layers/mobilenet_v1_1.0_224.csv")]
    types = [row["type"] for row in read_csv(PUBLISHED / "layers/mobilenet_v1_1.0_224.csv")]
    read = [shape for shape, kind in zip(theirs, types, strict=True) if kind == "Conv2d"]
    layers = lower(load_network("mobilenet_v1")).layers
    ours = [shape_text(layer.input_shapes[0][1:]) for layer in layers if "conv" in layer.op]
    assert ours == read
