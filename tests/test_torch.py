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


class SqueezeExcite(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x):
        squeezed = nn.functional.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.up(torch.relu(self.down(squeezed))))


class Vit(nn.Module):
    """A class token, trained positions, layers in PyTorch's own writing."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.positions = nn.Parameter(torch.zeros(1, 17, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        return self.head(self.encoder(x)[:, 0])


class Gpt(nn.Module):
    """A layer with its attention written out, and a mask in a buffer."""

    def __init__(self):
        super().__init__()
        self.words, self.positions = nn.Embedding(50, 32), nn.Embedding(16, 32)
        self.norm, self.qkv, self.out = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.scale = nn.Parameter(torch.ones(32))
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)))

    def forward(self, words):
        batch, tokens = words.shape
        x = self.words(words) + self.positions(torch.arange(tokens, device=words.device))
        heads = [
            each.view(batch, tokens, 4, 8).transpose(1, 2)
            for each in self.qkv(self.norm(x)).split(32, 2)
        ]
        scores = heads[0] @ heads[1].transpose(-2, -1) * 8**-0.5
        scores = scores.masked_fill(self.mask[:tokens, :tokens] == 0, float("-inf"))
        mixed = (scores.softmax(-1) @ heads[2]).transpose(1, 2).contiguous()
        return x + self.scale * self.out(mixed.view(batch, tokens, 32))


class Window(nn.Module):
    """Shifted windows with a bias from a table, as in Swin."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(9, 2))
        self.register_buffer("index", torch.zeros(16, dtype=torch.int64))
        self.qkv = nn.Linear(8, 24)

    def forward(self, x):
        x = torch.roll(x, (1, 1), (1, 2)).permute(0, 2, 3, 1).reshape(-1, 4, 8)
        q, k, v = self.qkv(x).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        bias = self.table[self.index].view(4, 4, 2).permute(2, 0, 1).unsqueeze(0)
        return torch.softmax(q @ k.transpose(-2, -1) + bias, -1) @ v


class Several(nn.Module):
    """What is left: transposed and 3-D convolutions, normalisations, poolings that round up."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 6, 3, 2, 1, 1)
        self.one, self.each = nn.PReLU(), nn.PReLU(6)
        self.group, self.instance = nn.GroupNorm(2, 6), nn.InstanceNorm2d(6, affine=True)
        self.deep = nn.Conv3d(1, 2, 3, bias=False)
        self.norm = nn.LayerNorm([6], bias=False)

    def forward(self, x):
        x = self.group(self.each(self.one(self.up(x))))
        x = nn.functional.pad(self.instance(x), (1, 2, 0, 1))
        x = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
        y = nn.functional.hardswish(self.deep(x.unsqueeze(1)))
        x = nn.functional.avg_pool2d(x, 2, ceil_mode=True)
        x = nn.functional.interpolate(1 - x.abs(), scale_factor=2)
        return self.norm(x.permute(0, 2, 3, 1)).clamp(0, 6), torch.stack([y, y * 2], 1)


WORDS = torch.zeros((2, 16), dtype=torch.int64)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (ResNet18((8, 16)), (torch.zeros(2, 3, 32, 32),)),
        (SqueezeExcite(8), (torch.zeros(1, 8, 6, 6),)),
        (InvertedResidual(8, 8, 6, 1), (torch.zeros(1, 8, 6, 6),)),
        (nn.TransformerEncoderLayer(16, 2, 32), (torch.zeros(5, 2, 16),)),
        (
            nn.Transformer(16, 2, 1, 1, 32, batch_first=True),
            (torch.zeros(2, 3, 16), torch.zeros(2, 5, 16)),
        ),
        (Vit(), (torch.zeros(2, 3, 32, 32),)),
        (Gpt(), (WORDS,)),
        (Window(), (torch.zeros(1, 8, 8, 8),)),
        (Several(), (torch.zeros(1, 3, 9, 9),)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_macs_and_parameters_are_those_of_pytorch(module, inputs):
    network = perfsim.from_torch(module, inputs)
    assert sums(network) == counted_by_torch(module, *inputs)
    assert network.warnings == ()


def test_attention_by_hand():
    class Attention(nn.Module):
        def forward(self, q, k, v, mask):
            return nn.functional.scaled_dot_product_attention(q, k, v, mask)

    shapes = [(2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 3), (5, 7)]
    network = perfsim.from_torch(Attention(), shapes)
    (layer,) = perfsim.lower(network).layers
    scores = 2 * 4 * 5 * 7
    assert total(layer.macs) == scores * (8 + 3)
    assert total(layer.vector_ops) == scores * (6 + 1)
    assert layer.output_shapes == ((2, 4, 5, 3),)


def test_einsum_and_writes_into_constants():
    class Scores(nn.Module):
        def forward(self, q, k):
            mask = q.new_zeros(5, 7)
            mask[:, 3:] = -100.0
            return torch.einsum("bhid,bhjd->bhij", q, k) + mask

    network = perfsim.from_torch(Scores(), [(2, 4, 5, 8), (2, 4, 7, 8)])
    assert layers(network) == [("einsum", "einsum", 2 * 4 * 5 * 7 * 8, 0), ("add", "add", 0, 0)]
    assert network.inputs == ("q", "k", "new_zeros")


def test_recurrent_layers_by_hand():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(16, 8, 2, bidirectional=True, batch_first=True)
            self.gru = nn.GRU(16, 4)

        def forward(self, x):
            y, _ = self.lstm(x)
            _, last = self.gru(y)
            return last

    module = Last()
    network = perfsim.from_torch(module, [(2, 5, 16)])
    steps = 2 * 5
    macs = steps * (2 * 4 * 8 * (16 + 8) + 2 * 4 * 8 * (16 + 8) + 3 * 4 * (16 + 4))
    assert sums(network) == (macs, sum(each.numel() for each in module.parameters()))


def test_an_operand_that_is_trained_counts_and_one_that_is_not_moves_its_bytes():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4, 1, 1))
            self.register_buffer("mean", torch.ones(4, 1, 1))

        def forward(self, x):
            return (x - self.mean) * self.scale / 2

    network = perfsim.from_torch(Scaled(), [(1, 4, 2, 2)], precision={"feature_map": 16})
    assert layers(network) == [("sub", "sub", 0, 0), ("mul", "mul", 0, 4), ("div", "div", 0, 0)]
    assert network.inputs == ("x", "mean")
    assert {tensor.bits for tensor in network.tensors.values()} == {16}
    assert [total(each.vector_ops) for each in perfsim.lower(network).layers] == [16, 16, 16]


def test_a_shared_parameter_counts_once_and_is_read_twice():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(9, 4), nn.Linear(4, 9)
            self.head.weight = self.words.weight

        def forward(self, x):
            return self.head(self.words(x))

    program = perfsim.lower(perfsim.from_torch(Tied(), [WORDS]))
    assert [total(each.params) for each in program.layers] == [36, 9]
    assert [total(each.tied) for each in program.layers] == [0, 36]
    sizes = [sum(program.tensors[at].bytes for at in each.weights) for each in program.layers]
    assert sizes == [36, 45]


def test_the_module_stays_as_it_was():
    module = ResNet18((4, 8)).train()
    before = copy.deepcopy(module.state_dict())
    kept = dict(module.named_parameters())
    perfsim.from_torch(module, [(1, 3, 16, 16)])
    assert module.training
    assert module.bn1.training
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(each is kept[key] for key, each in module.named_parameters())
    assert module.conv1.weight.requires_grad
    assert torch.backends.mha.get_fastpath_enabled()


class Does(nn.Module):
    def __init__(self, what):
        super().__init__()
        self.what, self.conv = what, nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.what(self.conv(x))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (torch.cumsum, "cannot export"),
        (torch.linalg.det, "unknown operator 'aten.linalg_det.default' (node 'linalg_det')"),
        (lambda x: x if x.sum() > 0 else -x, "cannot export the module"),
        (lambda x: x + torch.rand(4, 1, 1), "random numbers"),
        (lambda x: torch.add(x, x, out=torch.empty_like(x)), "writes into a tensor"),
        (nn.functional.dropout, "drops elements at inference"),
        (lambda x: x[x > 0] * 2, "the shape of what aten.index.Tensor gives depends on data"),
        (lambda x: x.nonzero(), "the shape of what aten.nonzero.default gives depends on data"),
        (lambda x: nn.functional.batch_norm(x, None, None, training=True), "statistics"),
        (
            lambda x: nn.functional.interpolate(x, (5, 5), mode="bilinear", antialias=True),
            "unknown",
        ),
    ],
)
def test_what_cannot_be_priced_is_one_error(what, said):
    with pytest.raises(perfsim.PerfsimError) as caught:
        perfsim.from_torch(Does(what), [(1, 3, 8, 8)])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Does" in str(caught.value) or "layer '" in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((1, 3, 8, 8), "expected a list of shapes"),
        ("1x3", "expected a list of shapes"),
        ([(0, 3, 8, 8)], "at least 1"),
        ([(1, 3.5, 8, 8)], "whole numbers"),
        ([(1, 5, 8, 8)], "cannot export the module"),
        ([], "cannot export the module"),
        ([(1, 3, 8, 8)] * 2, "cannot export the module"),
    ],
)
def test_wrong_inputs_are_one_error(inputs, said):
    with pytest.raises(perfsim.InputError, match=said):
        perfsim.from_torch(Does(torch.relu), inputs)


def test_wrong_modules_and_settings_are_one_error():
    with pytest.raises(perfsim.InvalidValueError, match=r"torch\.nn\.Module"):
        perfsim.from_torch(torch.relu, [(1, 2)])
    with pytest.raises(perfsim.InputError, match="weight"):
        perfsim.from_torch(nn.Linear(2, 2), [(1, 2)], precision={"weights": 4})
    with pytest.raises(perfsim.InvalidValueError, match="expected"):
        perfsim.from_torch(nn.Linear(2, 2), [(1, 2)], precision="8")
    with pytest.raises(perfsim.InputError, match="no layers"):
        perfsim.from_torch(nn.Identity(), [(1, 2)])


def test_numbers_of_words_given_as_floats_are_pointed_to_a_tensor():
    with pytest.raises(perfsim.InputError, match=r"torch\.zeros\(shape, dtype=torch\.int64"):
        perfsim.from_torch(nn.Sequential(nn.Embedding(10, 4)), [(1, 6)])


def test_a_failing_export_is_silent(capfd):
    with pytest.raises(perfsim.InputError):
        perfsim.from_torch(nn.Sequential(nn.Linear(4, 4)), [(1, 5)])
    with pytest.raises(perfsim.InputError):
        perfsim.from_torch(Does(lambda x: x if x.sum() > 0 else -x), [(1, 3, 8, 8)])
    assert capfd.readouterr() == ("", "")


def test_without_pytorch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(perfsim.MissingExtraError, match=r"perfsim\[torch\]"):
        perfsim.from_torch(None, [])
