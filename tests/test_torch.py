"""Modules of PyTorch: counts against hand-worked numbers, PyTorch's own and the bundled networks."""

from __future__ import annotations

import copy

import pytest

import perfsim
from perfsim.network.work import total

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
nn = torch.nn


def layers(network):
    """(name, op, MACs, parameters) of each layer that is no view."""
    return [
        (each.name, each.op, total(each.macs), total(each.params))
        for each in perfsim.lower(network).layers
        if not each.is_view
    ]


def sums(network):
    program = perfsim.lower(network)
    return (
        sum(total(each.macs) for each in program.layers),
        sum(total(each.params) for each in program.layers),
    )


def counted_by_torch(module, *inputs):
    """(MACs, parameters) as PyTorch's own counter and the module say."""
    from torch.utils.flop_counter import FlopCounterMode

    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        bare = copy.deepcopy(module).eval().to("meta")
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            bare(*(each.to("meta") for each in inputs))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2, sum(each.numel() for each in module.parameters())


class BasicBlock(nn.Module):
    def __init__(self, before, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or before != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    def __init__(self, widths=(64, 128, 256, 512), blocks=2, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        before = widths[0]
        for index, width in enumerate(widths):
            stage = []
            for block in range(blocks):
                stage.append(BasicBlock(before, width, 2 if index and not block else 1))
                before = width
            setattr(self, f"layer{index + 1}", nn.Sequential(*stage))
        self.stages = len(widths)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for index in range(self.stages):
            x = getattr(self, f"layer{index + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1)).softmax(-1)


def conv_bn(before, channels, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(before, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU6(inplace=True),
    )


class InvertedResidual(nn.Module):
    def __init__(self, before, channels, expand, stride):
        super().__init__()
        wide = before * expand
        self.conv = nn.Sequential(
            *([conv_bn(before, wide, 1)] if expand != 1 else []),
            conv_bn(wide, wide, 3, stride, wide),
            nn.Conv2d(wide, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.shortcut = stride == 1 and before == channels

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self):
        super().__init__()
        features, before = [conv_bn(3, 32, 3, 2)], 32
        for expand, channels, blocks, stride in (
            *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
            *((6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)),
        ):
            for block in range(blocks):
                features.append(
                    InvertedResidual(before, channels, expand, stride if not block else 1)
                )
                before = channels
        self.features = nn.Sequential(*features, conv_bn(before, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3])).softmax(1)


@pytest.mark.parametrize(
    ("module", "bundled"), [(ResNet18, "resnet18"), (MobileNetV2, "mobilenet_v2")]
)
def test_a_module_and_the_bundled_network_agree_layer_by_layer(module, bundled):
    with torch.device("meta"):
        built = module()

    def rows(network):
        program = perfsim.lower(network)

        def moved(indices):
            return sorted(program.tensors[index].bytes for index in indices)

        found = [
            (
                *(each.op, total(each.macs), total(each.params), total(each.vector_ops)),
                *(moved(each.reads), moved(each.writes), moved(each.weights)),
            )
            for each in program.layers
            if not each.is_view
        ]
        return sorted(found)

    network = perfsim.from_torch(built, [(1, 3, 224, 224)])
    assert rows(network) == rows(perfsim.load_network(bundled))


def test_layers_are_called_as_in_the_tree_of_modules():
    with torch.device("meta"):
        network = perfsim.from_torch(ResNet18((8, 16)), [(1, 3, 32, 32)], name="small")
    assert network.name == "small"
    names = [node.name for node in network.nodes]
    assert names[:4] == ["conv1", "bn1", "relu", "maxpool"]
    assert {"layer1.0.conv1", "layer1.0.add", "layer2.0.downsample.0", "fc"} <= set(names)


def test_a_convolution_by_hand():
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()
    )
    network = perfsim.from_torch(module, [(2, 3, 8, 8)])
    # 2 images x 8 channels x 4 x 4, each 27 MACs; 8 x 27 weights, 8 biases, 8 scales and shifts
    assert layers(network) == [("0", "conv", 2 * 8 * 16 * 27, 216 + 8 + 16)]
    assert perfsim.lower(network).layers[0].members == ("0", "1", "2")


def test_no_weight_is_in_memory():
    with torch.device("meta"):
        module = nn.Sequential(nn.Linear(100_000, 100_000))
    assert sums(perfsim.from_torch(module, [(1, 100_000)])) == (10**10, 10**10 + 10**5)
