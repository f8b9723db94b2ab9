"""PyTorch's operators one at a time: shapes as PyTorch says, operations as worked out by hand."""

from __future__ import annotations

import pytest

import perfsim
from perfsim.network.work import total

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
nn = torch.nn
F = nn.functional


class Does(nn.Module):
    """A function of its inputs, with modules that it may use."""

    def __init__(self, what, **parts):
        super().__init__()
        self.what = what
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs):
        return self.what(self, *inputs)


def layers(network):
    """(op, MACs, vector operations, parameters, output shapes) of each layer that is no view."""
    return [
        (
            each.op,
            total(each.macs),
            total(each.vector_ops),
            total(each.params),
            each.output_shapes,
        )
        for each in perfsim.lower(network).layers
        if not each.is_view
    ]


def made(what, *shapes, **parts):
    return layers(perfsim.from_torch(Does(what, **parts), list(shapes)))


X = (2, 3, 4, 6)  # 144 elements


@pytest.mark.parametrize(
    ("what", "op", "operations", "shape"),
    [
        (lambda _, x: x.cumsum(1), "cum_sum", 144, X),
        (lambda _, x: x.log_softmax(-1), "log_softmax", 144 * 5 + 24, X),
        (lambda _, x: x.argmax(1), "arg_max", 2 * 4 * 6 * 2, (2, 4, 6)),
        (lambda _, x: x.max(1).values, "reduce_max", 2 * 4 * 6 * 2, (2, 4, 6)),
        (lambda _, x: x.logsumexp(1), "reduce_log_sum_exp", 2 * 4 * 6 * (3 + 2 + 1), (2, 4, 6)),
        # per row of 6: 5 additions and a scaling, 6 subtractions, 6 squares, 5 additions and a scaling
        (lambda _, x: x.var(-1), "reduce_var", 24 * (5 + 1 + 6 + 6 + 5 + 1), (2, 3, 4)),
        (lambda _, x: x.std(-1), "reduce_std", 24 * (5 + 1 + 6 + 6 + 5 + 1 + 1), (2, 3, 4)),
        (lambda _, x: x.norm(dim=-1), "reduce_l2", 24 * (6 + 5 + 1), (2, 3, 4)),
        (lambda _, x: x.norm(p=1, dim=-1), "reduce_l1", 24 * (6 + 5), (2, 3, 4)),
        (lambda _, x: x.topk(4, -1).values, "top_k", 144 * (2 + 1), (2, 3, 4, 4)),
        (lambda _, x: F.glu(x, 1 - 2), "glu", 72 * 5, (2, 3, 4, 3)),
        (lambda _, x: F.adaptive_max_pool2d(x, (2, 3)), "adaptive_max_pool", 36 * 3, (2, 3, 2, 3)),
        (lambda _, x: F.interpolate(x, (5, 7)), "resize_nearest", 0, (2, 3, 5, 7)),
        (
            lambda _, x: F.interpolate(x, (5, 7), mode="bilinear"),
            "resize_linear",
            210 * 3 * 3,
            (2, 3, 5, 7),
        ),
        (
            lambda _, x: F.interpolate(x, (5, 7), mode="bicubic"),
            "resize_cubic",
            210 * 16 * 2,
            (2, 3, 5, 7),
        ),
        (lambda _, x: F.unfold(x, 2), "im2col", 0, (2, 12, 15)),
        (lambda _, x: x.movedim(1, 3), "transpose", 0, (2, 4, 6, 3)),
        (lambda _, x: torch.addcmul(x, x, x), "addcmul", 144 * 2, X),
    ],
)
def test_one_operator_by_hand(what, op, operations, shape):
    assert made(what, X) == [(op, 0, operations, 0, (shape,))]


def test_both_results_of_top_k_are_written():
    ((op, _, _, _, shapes),) = made(lambda _, x: x.topk(2, -1), X)
    assert (op, shapes) == ("top_k", ((2, 3, 4, 2), (2, 3, 4, 2)))


def test_indices_of_pooling_are_written_where_they_are_read():
    def pooled(m, x):
        return F.max_pool2d(x, 2, return_indices=True)

    assert made(pooled, X) == [("max_pool", 0, 36 * 3, 0, ((2, 3, 2, 3), (2, 3, 2, 3)))]
    assert made(lambda m, x: pooled(m, x)[0], X)[0][4] == ((2, 3, 2, 3),)


def test_the_last_states_of_an_lstm():
    lstm = nn.LSTM(5, 4, 2, batch_first=True)
    found = made(lambda m, x: torch.cat(m.lstm(x)[1], 1), (2, 7, 5), lstm=lstm)
    first, second = 4 * 4 * (5 + 4), 4 * 4 * (4 + 4)
    steps = 2 * 7
    ends = ((1, 2, 4), (1, 2, 4))
    assert found[:2] == [
        ("lstm", steps * first, steps * 4 * 26, first + 2 * 16, ((2, 7, 4), *ends)),
        ("lstm", steps * second, steps * 4 * 26, second + 2 * 16, ends),
    ]
    assert [each[0] for each in found[2:]] == ["concat"] * 3


def test_a_plain_recurrent_layer():
    rnn = nn.RNN(5, 4)
    macs = 7 * 2 * 4 * (5 + 4)
    assert made(lambda m, x: m.rnn(x)[0], (7, 2, 5), rnn=rnn) == [
        ("rnn", macs, 7 * 2 * 4 * 5, 4 * (5 + 4) + 2 * 4, ((7, 2, 4),))
    ]


def test_inputs_without_a_batch():
    conv, linear = nn.Conv2d(3, 8, 3), nn.Linear(8, 5)

    def model(m, x):
        return m.linear(F.max_pool2d(m.conv(x), 4)[:, 0, 0])

    found = made(model, (3, 6, 6), conv=conv, linear=linear)
    assert [(op, macs) for op, macs, *_ in found if macs] == [
        ("conv", 8 * 3 * 9 * 16),
        ("fully_connected", 40),
    ]
    assert ("max_pool", 0, 8 * 15, 0, ((1, 8, 1, 1),)) in found


@pytest.mark.parametrize("norm", [nn.GroupNorm(3, 6), nn.LayerNorm((4, 4))])
@pytest.mark.parametrize("left", ["weight", "bias"])
def test_a_scale_or_a_shift_alone(norm, left):
    parameters = getattr(norm, left).numel()
    kept = {name: getattr(norm, name) for name in ("weight", "bias")}
    setattr(norm, ({"weight", "bias"} - {left}).pop(), None)
    ((_, _, operations, params, _),) = made(lambda m, x: m.norm(x), (2, 6, 4, 4), norm=norm)
    for name, parameter in kept.items():
        setattr(norm, name, parameter)
    groups = 2 * 3 if isinstance(norm, nn.GroupNorm) else 2 * 6
    assert (operations, params) == (192 * (5 + 1) + groups * 3, parameters)


def test_a_trained_operand_of_any_operator_is_a_parameter():
    query = nn.Parameter(torch.zeros(1, 2, 3, 8))
    found = made(
        lambda m, k: F.scaled_dot_product_attention(m.query, k, k), (1, 2, 5, 8), query=query
    )
    assert found == [("attention", 2 * 2 * 15 * 8, 2 * 15 * 6, 48, ((1, 2, 3, 8),))]
    matrix = nn.Parameter(torch.zeros(4, 6))
    assert made(lambda m, x: m.matrix @ x, (2, 6, 5), matrix=matrix) == [
        ("matmul", 2 * 4 * 6 * 5, 0, 24, ((2, 4, 5),))
    ]


def test_products_that_are_added():
    def scaled(m, a, b, c):
        return torch.baddbmm(a, b, c, beta=2, alpha=3)

    assert made(scaled, (2, 3, 5), (2, 3, 4), (2, 4, 5)) == [
        ("matmul", 2 * 3 * 4 * 5, 0, 0, ((2, 3, 5),)),
        ("add", 0, 30 * 3, 0, ((2, 3, 5),)),
    ]


def test_writes_into_what_is_read_become_new_tensors():
    def shifted(m, x):
        y = torch.zeros_like(x)
        y[:, 1:] = x[:, :-1] * 2
        return y

    ops = [op for op, *_ in made(shifted, (2, 5, 3))]
    assert ops == ["slice", "mul", "slice_scatter"]


def test_attention_written_out_is_attention():
    def attention(m, q, k, v, mask):
        scores = (q * 0.5) @ k.transpose(-2, -1) + mask
        return scores.softmax(-1) @ v

    shapes = [(2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 3), (5, 7)]
    scores = 2 * 4 * 5 * 7
    assert made(attention, *shapes) == [
        ("attention", scores * (8 + 3), scores * (6 + 1), 0, ((2, 4, 5, 3),))
    ]

    def shown(m, q, k, v, mask):
        scores = (q @ k.transpose(-2, -1)).softmax(-1)
        return scores @ v, scores + mask

    assert "attention" not in [op for op, *_ in made(shown, *shapes)]


def test_unknown_operators_move_their_bytes_where_that_is_allowed():
    module = Does(lambda _, x: torch.linalg.det(x) + x.relu()[:, 0, 0])
    with pytest.raises(perfsim.UnknownNameError, match="allow_unpriced"):
        perfsim.from_torch(module, [(4, 3, 3)])
    network = perfsim.from_torch(module, [(4, 3, 3)], allow_unpriced=True)
    assert "1 unknown operator moves its bytes" in network.unpriced
    assert "aten.linalg_det.default (1)" in network.unpriced
    (unknown,) = (each for each in layers(network) if each[0].startswith("unpriced"))
    assert unknown[1:4] == (0, 0, 0)
