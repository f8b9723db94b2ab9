"""The same network from a PyTorch module and from ONNX as both of PyTorch's exporters write it: equal layers."""

from __future__ import annotations

import contextlib
import io
import warnings

import pytest

import perfsim
from perfsim.network.work import total

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxscript", reason="PyTorch's exporter of ONNX needs onnxscript")
nn = torch.nn


def rows(network):
    """(MACs, parameters, bytes read, written, of weights) of each layer that has MACs or parameters."""
    program = perfsim.lower(network)
    found = []
    for layer in program.layers:
        moved = (layer.reads, layer.writes, layer.weights)
        sizes = [sum(program.tensors[each].bytes for each in set(names)) for names in moved]
        if total(layer.macs) or total(layer.params):
            found.append((total(layer.macs), total(layer.params), *sizes))
    return found


def exported(module, inputs, path, **settings):
    """From ONNX, batch normalisation kept as it is."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, inputs, str(path), **settings)
    return perfsim.load_network(path)


def trained(module):
    """`module` without the zeros and ones that modules begin with, which exporters take out or share."""
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                tensor.add_(torch.rand_like(tensor) * 0.1 + 0.01)
    return module.eval()


def conv_bn(before, after, kernel, stride=1, groups=1, act=nn.ReLU):
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        act() if act else nn.Identity(),
    )


class Residual(nn.Module):
    """A basic block (kernels 3, 3) or a bottleneck (1, 3, 1) of ResNet."""

    def __init__(self, before, inner, after, stride, kernels):
        super().__init__()
        widths = [before, *[inner] * (len(kernels) - 1), after]
        parts = [
            conv_bn(
                widths[i],
                widths[i + 1],
                kernel,
                stride if kernel == 3 and kernels[:i].count(3) == 0 else 1,
                act=nn.ReLU if i < len(kernels) - 1 else None,
            )
            for i, kernel in enumerate(kernels)
        ]
        self.body = nn.Sequential(*parts)
        self.skip = conv_bn(before, after, 1, stride, act=None)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.body(x)
        y += self.skip(x)
        return self.relu(y)


class Inverted(nn.Module):
    """MobileNet v2's block with EfficientNet's squeeze and excitation."""

    def __init__(self, channels, act):
        super().__init__()
        wide = 4 * channels
        self.expand = conv_bn(channels, wide, 1, act=act)
        self.depthwise = conv_bn(wide, wide, 5, groups=wide, act=act)
        self.squeeze = nn.Conv2d(wide, 4, 1)
        self.excite = nn.Conv2d(4, wide, 1)
        self.project = conv_bn(wide, channels, 1, act=None)
        self.act = act()

    def forward(self, x):
        y = self.depthwise(self.expand(x))
        gate = self.excite(self.act(self.squeeze(nn.functional.adaptive_avg_pool2d(y, 1))))
        return x + self.project(y * gate.sigmoid())


class Fire(nn.Module):
    """SqueezeNet's."""

    def __init__(self):
        super().__init__()
        self.squeeze, self.one = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.three, self.pool = nn.Conv2d(4, 8, 3, padding=1), nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, x):
        x = self.squeeze(self.pool(x)).relu()
        return torch.cat([self.one(x).relu(), self.three(x).relu()], 1)


class Shuffle(nn.Module):
    """ShuffleNet v2's unit of stride 1."""

    def __init__(self):
        super().__init__()
        self.branch = nn.Sequential(
            conv_bn(4, 4, 1), conv_bn(4, 4, 3, groups=4, act=None), conv_bn(4, 4, 1)
        )

    def forward(self, x):
        left, right = x.chunk(2, dim=1)
        x = torch.cat((left, self.branch(right)), dim=1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Dense(nn.Module):
    """Two layers of DenseNet and its transition."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(c), nn.ReLU(inplace=True), nn.Conv2d(c, 4, 3, padding=1, bias=False)
            )
            for c in (8, 12)
        )
        self.last = nn.Sequential(nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False))
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.pool(self.last(x))


class Mlp(nn.Sequential):
    def __init__(self, features):
        super().__init__(
            nn.Linear(features, 4 * features), nn.GELU(), nn.Linear(4 * features, features)
        )


class VitBlock(nn.Module):
    """Patches, a class token, positions, and a block of ViT as PyTorch's attention writes it."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 16))
        self.places = nn.Parameter(torch.zeros(1, 5, 16))
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(16), nn.LayerNorm(16), Mlp(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.mlp(self.norm2(x))
        return self.head(x[:, 0])


class SwinBlock(nn.Module):
    """Shifted windows of 2 by 2 with a bias for each pair of positions, attention written out."""

    def __init__(self):
        super().__init__()
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(8), nn.LayerNorm(8), Mlp(8)
        self.qkv, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.bias = nn.Parameter(torch.zeros(2, 4, 4))
        self.reduce = nn.Linear(32, 16, bias=False)

    def forward(self, x):
        n, h, w, c = x.shape
        y = torch.roll(self.norm1(x), (-1, -1), (1, 2))
        y = y.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(y).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * 4**-0.5) @ k.transpose(-2, -1) + self.bias
        y = self.project((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, c))
        y = y.view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        x = x + torch.roll(y, (1, 1), (1, 2))
        x = x + self.mlp(self.norm2(x))
        parts = [x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)]
        return self.reduce(torch.cat(parts, -1))


class GptBlock(nn.Module):
    """Words, positions, a block of GPT-2 with a causal mask, and scores for all words."""

    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50, 16), nn.Embedding(6, 16)
        self.norm1, self.norm2, self.mlp = nn.LayerNorm(16), nn.LayerNorm(16), Mlp(16)
        self.qkv, self.project = nn.Linear(16, 48), nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)

    def forward(self, words):
        x = self.words(words) + self.places(torch.arange(6))
        q, k, v = (
            each.view(1, 6, 2, 8).transpose(1, 2) for each in self.qkv(self.norm1(x)).split(16, -1)
        )
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(y.transpose(1, 2).reshape(1, 6, 16))
        return self.head(x + self.mlp(self.norm2(x)))


NETWORKS = {
    "basic": lambda: Residual(3, 8, 8, 2, [3, 3]),
    "bottleneck": lambda: Residual(3, 4, 16, 2, [1, 3, 1]),
    "mobilenet_v2": lambda: nn.Sequential(conv_bn(3, 8, 3, 2, act=nn.ReLU6), Inverted(8, nn.ReLU6)),
    "efficientnet": lambda: nn.Sequential(conv_bn(3, 8, 3, 2, act=nn.SiLU), Inverted(8, nn.SiLU)),
    "squeezenet": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), Fire(), nn.Conv2d(16, 5, 1)),
    "shufflenet_v2": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), Shuffle()),
    "densenet": lambda: nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), Dense()),
    "vit": VitBlock,
    "swin": lambda: nn.Sequential(nn.Conv2d(3, 8, 2, 2), Permute(), SwinBlock()),
    "gpt2": GptBlock,
}


class Permute(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def written(network):
    """What the module itself says: parameters, and MACs of PyTorch's own counter."""
    return [sum(row[at] for row in rows(network)) for at in (0, 1)]


@pytest.mark.parametrize("name", NETWORKS)
def test_modules_and_both_exporters_agree_layer_by_layer(name, tmp_path):
    module = trained(NETWORKS[name]())
    inputs = (torch.zeros(1, 6, dtype=torch.int64) if name == "gpt2" else torch.zeros(1, 3, 8, 8),)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        direct = rows(perfsim.from_torch(module, inputs))
        kept = torch.onnx.TrainingMode.PRESERVE
        old = exported(
            module, inputs, tmp_path / "a.onnx", dynamo=False, training=kept, opset_version=18
        )
        new = exported(
            module, inputs, tmp_path / "b.onnx", dynamo=True, optimize=False, verbose=False
        )
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert rows(old) == direct
    assert rows(new) == direct
    assert sum(row[1] for row in direct) == sum(each.numel() for each in module.parameters())


def test_an_encoder_that_the_exporter_optimises_keeps_its_attention(tmp_path):
    """As torch.onnx.export writes it unless told otherwise: the keys are transposed before the heads are split."""
    module = trained(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True))
    inputs = (torch.zeros(1, 6, 16),)
    found = exported(module, inputs, tmp_path / "a.onnx", dynamo=True, verbose=False)
    assert rows(found) == rows(perfsim.from_torch(module, inputs))
