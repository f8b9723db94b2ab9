"""Each operator's shape rule and work against hand-worked numbers and nested loops."""

from __future__ import annotations

import itertools
from dataclasses import fields, is_dataclass
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import (
    FUNCTIONS,
    Add,
    Div,
    Maximum,
    Minimum,
    Mul,
    Pow,
    Sub,
)
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv, FullyConnected
from perfsim.network.elementwise import ACTIVATIONS, LogSoftmax, Prelu, Softmax
from perfsim.network.layout import (
    ChannelShuffle,
    Concat,
    Embedding,
    Flatten,
    Pad,
    Reshape,
    Slice,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from perfsim.network.matrix import Attention, Linear, Matmul
from perfsim.network.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Lrn,
    RmsNorm,
)
from perfsim.network.operator import (
    Amounts,
    Number,
    Padding,
    Parts,
    PerAxis,
    Positive,
    Unit,
    Whole,
    Wholes,
)
from perfsim.network.operators import FAMILIES, OPERATORS, operators_in
from perfsim.network.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from perfsim.network.quantization import Dequantize, Quantize
from perfsim.network.recurrent import Gru, Lstm, Rnn
from perfsim.network.reduction import (
    ArgMax,
    ArgMin,
    CumSum,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceStd,
    ReduceSum,
    ReduceVar,
)
from perfsim.network.resize import ResizeLinear, ResizeNearest
from perfsim.network.selection import Gather, Split, TopK
from perfsim.network.transformer import LearnedAdd, LearnedScale, LearnedTokens, Roll
from perfsim.network.work import Work, elements, total

IMAGE = (1, 3, 32, 32)

# operator, input shapes, output shape, MACs, vector operations, parameters: worked by hand
BY_HAND = [
    (Quantize(bits=4), [IMAGE], IMAGE, 0, 4 * 3072, 0),
    (Dequantize(), [IMAGE], IMAGE, 0, 2 * 3072, 0),
    (Conv(channels=16, kernel=3), [IMAGE], (1, 16, 32, 32), 442_368, 0, 448),
    (Conv(channels=16, kernel=3, bias=False), [IMAGE], (1, 16, 32, 32), 442_368, 0, 432),
    (Conv(channels=16, kernel=3, stride=2), [IMAGE], (1, 16, 16, 16), 110_592, 0, 448),
    (Conv(channels=16, kernel=3, padding="valid"), [IMAGE], (1, 16, 30, 30), 388_800, 0, 448),
    (Conv(channels=16, kernel=5, padding=1), [IMAGE], (1, 16, 30, 30), 1_080_000, 0, 1216),
    (Conv(channels=8, kernel=[1, 3], padding=(0, 1)), [IMAGE], (1, 8, 32, 32), 73_728, 0, 80),
    (Conv(channels=4, kernel=3, dilation=2, padding=2), [IMAGE], (1, 4, 32, 32), 110_592, 0, 112),
    (
        Conv(channels=4, kernel=3, dilation=4, padding="valid"),
        [IMAGE],
        (1, 4, 24, 24),
        62_208,
        0,
        112,
    ),
    (Conv(channels=6, kernel=3, groups=3), [IMAGE], (1, 6, 32, 32), 55_296, 0, 60),
    (Conv(channels=8, kernel=3), [(1, 4, 10)], (1, 8, 10), 960, 0, 104),
    (Conv(channels=2, kernel=3, padding="valid"), [(1, 1, 4, 5, 6)], (1, 2, 2, 3, 4), 1296, 0, 56),
    (Conv(channels=16, kernel=3), [(4, 3, 32, 32)], (4, 16, 32, 32), 4 * 442_368, 0, 448),
    (DepthwiseConv(kernel=3), [IMAGE], (1, 3, 32, 32), 27_648, 0, 30),
    (DepthwiseConv(kernel=3, stride=2, multiplier=2), [IMAGE], (1, 6, 16, 16), 13_824, 0, 60),
    (ConvTranspose(8, 3, 2), [(1, 4, 5, 5)], (1, 8, 10, 10), 100 * 9 * 8, 0, 288 + 8),
    (
        ConvTranspose(8, 3, 2, padding=1, output_padding=1),
        [(1, 4, 5, 5)],
        (1, 8, 10, 10),
        100 * 9 * 8,
        0,
        296,
    ),
    (
        ConvTranspose(8, 3, 2, padding="valid", bias=False),
        [(1, 4, 5, 5)],
        (1, 8, 11, 11),
        7200,
        0,
        288,
    ),
    (
        ConvTranspose(6, (2, 3), padding=0, dilation=(1, 2), groups=2),
        [(1, 4, 3, 3)],
        (1, 6, 4, 7),
        36 * 6 * 3,
        0,
        4 * 6 * 3 + 6,
    ),
    (ConvTranspose(2, 4, 4), [(1, 3, 5)], (1, 2, 20), 120, 0, 26),
    (FullyConnected(units=10), [(1, 64)], (1, 10), 640, 0, 650),
    (FullyConnected(units=10, bias=False), [(2, 4, 3, 3)], (2, 10), 720, 0, 360),
    (Linear(units=10), [(1, 7, 16)], (1, 7, 10), 1120, 0, 170),
    (Linear(units=10, tied=True), [(1, 7, 16)], (1, 7, 10), 1120, 0, 10),
    (Linear(units=10, bias=False), [(2, 3, 5, 16)], (2, 3, 5, 10), 4800, 0, 160),
    (Matmul(), [(1, 4, 5), (1, 5, 6)], (1, 4, 6), 120, 0, 0),
    (Matmul(transpose_a=True), [(1, 5, 4), (1, 5, 6)], (1, 4, 6), 120, 0, 0),
    (Matmul(transpose_b=True), [(2, 3, 4, 5), (2, 1, 6, 5)], (2, 3, 4, 6), 720, 0, 0),
    (Matmul(transpose_a=True, transpose_b=True), [(1, 5, 4), (1, 6, 5)], (1, 4, 6), 120, 0, 0),
    (Attention(heads=2), [(1, 5, 8)] * 3, (1, 5, 8), 50 * 4 + 50 * 4, 50 * 6, 0),
    (
        # 4 x 3 x 5 scores from heads of 2 features, times values of 3 features a head
        Attention(heads=4, kv_heads=2, causal=True),
        [(1, 3, 8), (1, 5, 4), (1, 5, 6)],
        (1, 3, 12),
        60 * 2 + 60 * 3,
        60 * (6 + 1),
        0,
    ),
    (
        # heads as an axis: 6 of the query share 2 of key and value; the mask is the same for all heads
        Attention(heads=1),
        [(2, 6, 3, 8), (2, 2, 5, 8), (2, 2, 5, 4), (2, 1, 3, 5)],
        (2, 6, 3, 4),
        2 * 6 * 15 * (8 + 4),
        2 * 6 * 15 * (6 + 1),
        0,
    ),
    (
        # 5 windows of 2 x 3 tokens, 2 heads of 4 features; offsets from -1 to 1 and from -2 to 2
        Attention(heads=2, window=(2, 3)),
        [(1, 5, 6, 8)] * 3,
        (1, 5, 6, 8),
        5 * 72 * 4 * 2,
        5 * 72 * 7,
        3 * 5 * 2,
    ),
    # (3 + 4) numbers into 4 gates of 4 units at 5 tokens
    (Lstm(units=4), [(1, 5, 3)], (1, 5, 4), 560, 5 * 4 * 26, 112 + 32),
    (Lstm(4, bidirectional=True, bias=False), [(1, 5, 3)], (1, 5, 8), 1120, 1040, 224),
    (Lstm(units=20), [(1, 1, 10)], (1, 1, 20), 2400, 520, 2560),  # nn.LSTM(10, 20) has 2560
    (Gru(units=4), [(1, 5, 3)], (1, 5, 4), 420, 5 * 4 * 19, 84 + 24),
    (Rnn(units=4), [(1, 5, 3)], (1, 5, 4), 5 * 4 * (3 + 4), 5 * 4 * 5, 4 * (3 + 4) + 2 * 4),
    (Gru(4, bidirectional=True), [(1, 5, 3)], (1, 5, 8), 840, 760, 216),
    (MaxPool(kernel=2), [IMAGE], (1, 3, 16, 16), 0, 768 * 3, 0),
    (MaxPool(kernel=3, stride=2), [(1, 64, 112, 112)], (1, 64, 56, 56), 0, 200_704 * 8, 0),
    (AvgPool(kernel=7, stride=1, padding="valid"), [(1, 256, 7, 7)], (1, 256, 1, 1), 0, 12_544, 0),
    (GlobalAvgPool(), [(1, 1024, 7, 7)], (1, 1024, 1, 1), 0, 50_176, 0),
    (GlobalMaxPool(), [(1, 1024, 7, 7)], (1, 1024, 1, 1), 0, 49_152, 0),
    (AdaptiveAvgPool(output=1), [(1, 1024, 7, 7)], (1, 1024, 1, 1), 0, 50_176, 0),
    # windows of 3 and 3 along 5, of 3, 3 and 3 along 7: 6 x 9 elements in a channel's windows
    (AdaptiveAvgPool(output=(2, 3)), [(1, 4, 5, 7)], (1, 4, 2, 3), 0, 4 * 54, 0),
    (AdaptiveMaxPool(output=(2, 3)), [(1, 4, 5, 7)], (1, 4, 2, 3), 0, 4 * 54 - 24, 0),
    (AdaptiveMaxPool(output=7), [(1, 256, 14, 14)], (1, 256, 7, 7), 0, 256 * 49 * 3, 0),
    (ReduceMean(), [(1, 8, 4, 4)], (1,), 0, 128, 0),
    (ReduceMean(axes=(2, 3), keep_dims=True), [(1, 8, 4, 4)], (1, 8, 1, 1), 0, 128, 0),
    (ReduceSum(axes=(-1,)), [(1, 8, 4, 4)], (1, 8, 4), 0, 32 * 3, 0),
    (ReduceMax(axes=(1,)), [(1, 8, 4, 4)], (1, 4, 4), 0, 16 * 7, 0),
    (ReduceMin(axes=(1, 3), keep_dims=True), [(1, 8, 4, 4)], (1, 1, 4, 1), 0, 4 * 31, 0),
    (LayerNorm(), [(1, 5, 8)], (1, 5, 8), 0, 7 * 40 + 3 * 5, 16),
    (LayerNorm(axes=2, affine=False), [(1, 5, 8)], (1, 5, 8), 0, 5 * 40 + 3, 0),
    (LayerNorm(axes=2), [(1, 5, 8)], (1, 5, 8), 0, 283, 80),
    (GroupNorm(groups=2), [(1, 8, 3, 3)], (1, 8, 3, 3), 0, 7 * 72 + 3 * 2, 16),
    (InstanceNorm(), [(1, 8, 3, 3)], (1, 8, 3, 3), 0, 7 * 72 + 3 * 8, 16),
    (InstanceNorm(affine=False), [(1, 8, 3, 3)], (1, 8, 3, 3), 0, 5 * 72 + 3 * 8, 0),
    (RmsNorm(), [(1, 5, 8)], (1, 5, 8), 0, 4 * 40 + 3 * 5, 8),
    (RmsNorm(axes=2), [(1, 5, 8)], (1, 5, 8), 0, 163, 40),
    (Lrn(size=5), [(1, 96, 2, 2)], (1, 96, 2, 2), 0, 384 * 9, 0),
    (Prelu(), [IMAGE], IMAGE, 0, 6144, 3),
    (BatchNorm(), [IMAGE], IMAGE, 0, 6144, 6),
    (Add(), [IMAGE, IMAGE], IMAGE, 0, 3072, 0),
    (Add(), [IMAGE, IMAGE, IMAGE], IMAGE, 0, 6144, 0),
    (Mul(), [IMAGE, IMAGE], IMAGE, 0, 3072, 0),
    (Mul(), [(1, 8, 4, 4), (1, 8, 1, 1)], (1, 8, 4, 4), 0, 128, 0),
    (Add(), [(1, 1, 4, 4), (1, 8, 1, 1), (1, 8, 4, 1)], (1, 8, 4, 4), 0, 256, 0),
    (Sub(), [(1, 5, 1), (1, 1, 6)], (1, 5, 6), 0, 30, 0),
    (Div(), [(1, 6), (1, 6)], (1, 6), 0, 6, 0),
    (Pow(), [(1, 6), (1, 1)], (1, 6), 0, 6, 0),
    (Minimum(), [(1, 6), (1, 6)], (1, 6), 0, 6, 0),
    (Maximum(), [(1, 6), (1, 6), (1, 6)], (1, 6), 0, 12, 0),
    (LearnedAdd(shape=(-1, -1)), [(1, 5, 8)], (1, 5, 8), 0, 40, 40),
    (LearnedAdd(shape=(8,)), [(1, 5, 8)], (1, 5, 8), 0, 40, 8),
    (LearnedScale(shape=(-1, 1, 1)), [(1, 8, 3, 4)], (1, 8, 3, 4), 0, 96, 8),
    (LearnedScale(shape=(8, 3, 1)), [(1, 8, 3, 4)], (1, 8, 3, 4), 0, 96, 24),
    (Softmax(axis=-1), [(1, 2, 5, 5)], (1, 2, 5, 5), 0, 250, 0),
    (Softmax(), [(1, 1000)], (1, 1000), 0, 5000, 0),
    (Concat(), [(1, 3, 8, 8), (1, 5, 8, 8)], (1, 8, 8, 8), 0, 0, 0),
    (Flatten(), [(2, 3, 8, 8)], (2, 192), 0, 0, 0),
    (ResizeLinear(scale=3), [(1, 2, 4)], (1, 2, 12), 0, 24 * 3, 0),
    (ResizeLinear(scale=2), [(1, 1, 2, 2)], (1, 1, 4, 4), 0, 16 * 9, 0),
    (ResizeLinear(scale=(1, 2, 2)), [(1, 1, 2, 2, 2)], (1, 1, 2, 4, 4), 0, 32 * 9, 0),
    (ResizeLinear(output=(5, 3)), [(1, 2, 7, 3)], (1, 2, 5, 3), 0, 30 * 3, 0),
    (ResizeNearest(output=7), [(1, 3, 4, 5)], (1, 3, 7, 7), 0, 0, 0),
    (CumSum(), [(4, 3, 2)], (4, 3, 2), 0, 24, 0),
    (CumSum(axis=-1), [(4, 3, 2)], (4, 3, 2), 0, 24, 0),
    (ArgMax(), [(2, 10)], (2,), 0, 2 * 9, 0),
    (ArgMin(axis=-1, keep_dims=True), [(2, 3, 5)], (2, 3, 1), 0, 6 * 4, 0),
    # mean: 4 additions and a scaling; 5 differences, 5 squares; 4 additions and a scaling
    (ReduceVar(axes=(2,)), [(2, 3, 5)], (2, 3), 0, 6 * (5 + 5 + 5 + 5), 0),
    (ReduceStd(axes=(2,)), [(2, 3, 5)], (2, 3), 0, 6 * (5 + 5 + 5 + 5 + 1), 0),
    (LogSoftmax(), [(2, 10)], (2, 10), 0, 2 * (10 * 5 + 1), 0),
    (LogSoftmax(axis=-1), [(2, 3, 5)], (2, 3, 5), 0, 6 * (5 * 5 + 1), 0),
    (Gather(axis=2, indices=7), [(2, 3, 5)], (2, 3, 7), 0, 0, 0),
    (Gather(axis=1, indices=6), [(2, 3, 5), (2, 3, 2)], (2, 6, 5), 0, 0, 0),
    (Mul(value=0.17), [(1, 3, 5)], (1, 3, 5), 0, 15, 0),
    (Add(value=1), [(1, 3, 5), (1, 3, 1)], (1, 3, 5), 0, 30, 0),
    (Pow(value=2), [(1, 3, 5)], (1, 3, 5), 0, 15, 0),
    # 4 units at 5 tokens read 3 features and 4 units; 2 bias vectors
    (Rnn(units=4), [(1, 5, 3)], (1, 5, 4), 5 * 4 * (3 + 4), 5 * 4 * 5, 4 * (3 + 4) + 2 * 4),
    (ResizeNearest(scale=2), [(1, 3, 4, 5)], (1, 3, 8, 10), 0, 0, 0),
    (Transpose(order=(0, 2, 3, 1)), [(1, 3, 4, 5)], (1, 4, 5, 3), 0, 0, 0),
    (Pad(before=1), [(1, 3, 4, 5)], (1, 3, 6, 7), 0, 0, 0),
    (Pad(before=0, after=(1, 2)), [(1, 3, 4, 5)], (1, 3, 5, 7), 0, 0, 0),
    (Slice(axis=1, stop=2), [(1, 3, 8)], (1, 2, 8), 0, 0, 0),
    (Slice(axis=-1, start=1, stop=-1, step=2), [(1, 3, 8)], (1, 3, 3), 0, 0, 0),
    (ChannelShuffle(groups=4), [(1, 8, 4, 4)], (1, 8, 4, 4), 0, 0, 0),
    (Embedding(entries=100, features=8), [(1, 5)], (1, 5, 8), 0, 0, 800),
    (LearnedTokens(), [(1, 5, 8)], (1, 6, 8), 0, 0, 8),
    (LearnedTokens(tokens=3), [(1, 5, 8)], (1, 8, 8), 0, 0, 24),
    (Roll(axes=(1, -2), shifts=(-3, -3)), [(1, 7, 7, 8)], (1, 7, 7, 8), 0, 0, 0),
    (Reshape(shape=(4, -1)), [(1, 8, 3)], (1, 4, 6), 0, 0, 0),
    (Reshape(shape=(24,)), [(1, 8, 3)], (1, 24), 0, 0, 0),
    (Squeeze(axis=-1), [(1, 8, 3, 1)], (1, 8, 3), 0, 0, 0),
    (Unsqueeze(axis=1), [(1, 8)], (1, 1, 8), 0, 0, 0),
    (Unsqueeze(axis=-1), [(1, 8)], (1, 8, 1), 0, 0, 0),
]


@pytest.mark.parametrize(("operator", "inputs", "output", "macs", "vector_ops", "params"), BY_HAND)
def test_by_hand(operator, inputs, output, macs, vector_ops, params):
    shapes = tuple(inputs)
    outputs = operator.output_shapes(shapes)
    work = operator.work(shapes, outputs)
    assert outputs == (output,)
    assert (total(work.macs), total(work.vector_ops), total(work.params)) == (
        macs,
        vector_ops,
        params,
    )


OPS_PER_ELEMENT = {
    "relu": 1,  # max
    "relu6": 2,  # max, min
    "leaky_relu": 2,  # multiply, max
    "hard_sigmoid": 4,  # multiply, add, max, min
    "hard_swish": 5,  # hard_sigmoid, multiply
    "sigmoid": 4,  # negate, exp, add, divide
    "silu": 5,  # sigmoid, multiply
    "tanh": 5,  # multiply, exp, add, divide, subtract
    "gelu": 5,  # multiply, erf, add, multiply, multiply
    "elu": 4,  # exp, subtract, multiply, select
    "selu": 5,  # elu, multiply
    "softplus": 3,  # exp, add, log
    "mish": 9,  # softplus, tanh, multiply
    "softsign": 3,  # absolute value, add, divide
    "hard_tanh": 2,  # max, min
    "exp": 1,
    "log": 1,
    "sqrt": 1,
    "abs": 1,
    "neg": 1,
    "reciprocal": 1,
    "clip": 2,  # max, min
}


WITHOUT_WEIGHTS = [each for each in (*ACTIVATIONS, *FUNCTIONS) if each is not Prelu]


@pytest.mark.parametrize("function", WITHOUT_WEIGHTS, ids=lambda each: each.name)
def test_functions_of_an_element(function):
    work = function().work((IMAGE,), (IMAGE,))
    assert function().output_shapes((IMAGE,)) == (IMAGE,)
    assert total(work.vector_ops) == 3072 * OPS_PER_ELEMENT[function.name]
    assert (work.macs, work.params) == ((), ())


def test_every_operator_is_worked_by_hand():
    several_outputs = {Split.name, TopK.name}  # tests of their own
    tested = {row[0].name for row in BY_HAND} | set(OPS_PER_ELEMENT) | several_outputs
    assert tested == set(OPERATORS)


def test_every_operator_says_what_it_costs():
    assert all(operator.cost for operator in OPERATORS.values())


def loops(shape, channels, kernel, stride, pads, dilation, groups):
    """(windows along each axis, multiplications) of a convolution, by walking over all of them."""
    _, depth, *space = shape
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    starts = [
        [s for s in range(-p, n + p) if (s + p) % step == 0 and s + r <= n + p]
        for n, p, step, r in zip(space, pads, stride, reach, strict=True)
    ]
    multiplications = 0
    for _ in range(channels):
        for _ in itertools.product(*starts):
            for _ in itertools.product(*map(range, kernel)):
                multiplications += depth // groups
    return tuple(map(len, starts)), multiplications


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_convolutions_against_loops(data):
    axes = data.draw(st.integers(1, 3))
    each = st.lists(st.integers(1, 3), min_size=axes, max_size=axes).map(tuple)
    kernel, stride, dilation = data.draw(each), data.draw(each), data.draw(each)
    pads = data.draw(st.lists(st.integers(0, 2), min_size=axes, max_size=axes).map(tuple))
    space = data.draw(st.lists(st.integers(1, 7), min_size=axes, max_size=axes))
    groups = data.draw(st.integers(1, 2))
    shape = (1, 2 * groups, *space)
    conv = Conv(3 * groups, kernel, stride, pads, dilation, groups, bias=False)
    windows, multiplications = loops(shape, 3 * groups, kernel, stride, pads, dilation, groups)
    if 0 in windows:
        with pytest.raises(ShapeError):
            conv.output_shapes((shape,))
        return
    outputs = conv.output_shapes((shape,))
    assert outputs == ((1, 3 * groups, *windows),)
    assert total(conv.work((shape,), outputs).macs) == multiplications


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 30), st.integers(1, 7), st.integers(1, 5))
def test_same_padding_gives_a_window_per_stride(size, kernel, stride):
    (output,) = Conv(1, kernel, stride).output_shapes(((1, 1, size),))
    assert output[2] == len(range(0, size, stride))


def test_two_spellings_one_result():
    """A 1 x 1 convolution is a fully connected layer per pixel; depthwise is one group a channel."""
    shape = (1, 8, 5, 5)
    pointwise = Conv(16, 1)
    outputs = pointwise.output_shapes((shape,))
    per_pixel = FullyConnected(16)
    assert total(pointwise.work((shape,), outputs).macs) == 25 * total(
        per_pixel.work(((1, 8),), ((1, 16),)).macs
    )
    depthwise, grouped = DepthwiseConv(3), Conv(8, 3, groups=8)
    assert depthwise.output_shapes((shape,)) == grouped.output_shapes((shape,))
    assert total(depthwise.work((shape,), (shape,)).macs) == total(
        grouped.work((shape,), (shape,)).macs
    )
    assert total(depthwise.work((shape,), (shape,)).params) == total(
        grouped.work((shape,), (shape,)).params
    )


def test_batch_multiplies_work_but_not_parameters():
    for operator, inputs, *_ in BY_HAND:
        one = tuple(inputs)
        three = tuple((3 * shape[0], *shape[1:]) for shape in one)
        work_one = operator.work(one, operator.output_shapes(one))
        work_three = operator.work(three, operator.output_shapes(three))
        assert total(work_three.macs) == 3 * total(work_one.macs)
        assert total(work_three.vector_ops) == 3 * total(work_one.vector_ops)
        assert total(work_three.params) == total(work_one.params)


def test_a_vector_is_a_row_in_front_and_a_column_behind():
    for inputs, output, macs in (
        (((5,), (2, 5, 3)), (2, 3), 2 * 3 * 5),
        (((2, 5, 3), (5,)), (2, 3), 2 * 3 * 5),
        (((5,), (5,)), (), 5),
    ):
        turned = len(inputs[0]) == 3  # which leaves a vector as it is
        product = Matmul(transpose_a=turned, transpose_b=turned)
        assert product.output_shapes(inputs) == (output,)
        assert total(product.work(inputs, (output,)).macs) == macs


def test_the_largest_elements_and_their_numbers():
    for k, comparisons in ((1, 1), (2, 2), (3, 3), (4, 3), (5, 4)):
        top = TopK(k)
        outputs = top.output_shapes(((2, 3, 6),))
        assert outputs == ((2, 3, k), (2, 3, k))
        assert total(top.work(((2, 3, 6),), outputs).vector_ops) == 36 * comparisons
    with pytest.raises(ShapeError, match="at most 6"):
        TopK(7).output_shapes(((2, 3, 6),))


@pytest.mark.parametrize(
    ("split", "parts"),
    [
        (Split(3), [(2, 2, 4), (2, 2, 4), (2, 2, 4)]),
        (Split((1, 3), axis=-1), [(2, 6, 1), (2, 6, 3)]),
        (Split((6,)), [(2, 6, 4)]),
    ],
)
def test_a_split_has_its_parts_as_outputs(split, parts):
    outputs = split.output_shapes(((2, 6, 4),))
    assert outputs == tuple(parts)
    assert split.outputs == len(parts)
    assert split.work(((2, 6, 4),), outputs) == Work()


@pytest.mark.parametrize("shape", [(3, 1), (1, 8, 5), (1, 5, 8), (0,), (-2,)])
def test_a_trained_tensor_stretches_to_the_input_alone(shape):
    with pytest.raises(ShapeError):
        LearnedAdd(shape).output_shapes(((1, 5, 8),))


@pytest.mark.parametrize("window", [(2, 2), (-2, -3), (6,)])
def test_a_window_holds_the_tokens(window):
    shapes = ((1, 6, 8), (1, 5 if window == (6,) else 6, 8), (1, 5 if window == (6,) else 6, 8))
    with pytest.raises(ShapeError):
        Attention(heads=2, window=window).output_shapes(shapes)


@pytest.mark.parametrize("roll", [Roll((1, 2), (1,)), Roll((3,), (1,))])
def test_a_shift_for_each_axis_that_there_is(roll):
    with pytest.raises(ShapeError):
        roll.output_shapes(((1, 5, 8),))


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=lambda each: each.name)
def test_operators_compare_by_value(operator):
    arguments = {
        "channels": 4,
        "kernel": 3,
        "units": 4,
        "heads": 2,
        "groups": 2,
        "size": 5,
        "output": 2,
        "scale": 2,
        "before": 1,
        "axis": 1,
        "axes": (1,),
        "shifts": (2,),
        "order": (1, 0),
        "shape": (4, 2),
        "entries": 8,
        "features": 4,
        "parts": 2,
        "indices": 3,
        "k": 2,
    }
    names = getattr(operator, "__dataclass_fields__", {})
    chosen = {key: value for key, value in arguments.items() if key in names}
    assert operator(**chosen) == operator(**chosen)
    assert operator(**chosen) != object()


def test_the_table_lists_what_the_families_define():
    for family, names in FAMILIES.items():
        assert set(operators_in(family)) == set(names)
    assert len(OPERATORS) == len(set(OPERATORS)) == sum(map(len, FAMILIES.values()))


WHOLE = st.integers(-4, 4) | st.just(10**20)
SIZE = st.integers(1, 4) | st.just(10**20)
LISTED = st.lists(st.integers(-1, 4), min_size=1, max_size=3).map(tuple)
ATTRIBUTES = {  # what each type of attribute may be, fitting or not
    bool: st.booleans(),
    Positive: SIZE,
    PerAxis: SIZE | st.tuples(SIZE, SIZE),
    Amounts: st.integers(0, 4) | st.tuples(SIZE, st.integers(0, 2)),
    Padding: st.sampled_from(["same", "valid", "sam", 0, 1, (0, 1)]),
    Whole: WHOLE,
    Wholes: LISTED,
    Parts: SIZE | st.lists(SIZE, min_size=1, max_size=3).map(tuple),
    Number: st.floats(allow_nan=False, allow_infinity=False),
}
ATTRIBUTES |= {kind | None: st.none() | values for kind, values in ATTRIBUTES.items()}


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_inputs_that_do_not_fit_are_refused_and_all_others_have_their_counts(data):
    operator_class = data.draw(st.sampled_from(list(OPERATORS.values())))
    hints = get_type_hints(operator_class, include_extras=True)
    names = [each.name for each in fields(operator_class)] if is_dataclass(operator_class) else []
    operator = operator_class(**{name: data.draw(ATTRIBUTES[hints[name]]) for name in names})
    first = data.draw(st.lists(st.integers(1, 6), max_size=5).map(tuple))
    least, most = operator.inputs_allowed
    count = data.draw(st.integers(least, most or 3))
    shapes = (first, *(data.draw(st.sampled_from([first, first[1:]])) for _ in range(count - 1)))
    try:
        outputs = operator.output_shapes(shapes)
        work = operator.work(shapes, outputs)
    except ShapeError:
        return
    assert len(outputs) == operator.outputs
    assert all(size >= 1 for output in outputs for size in output)
    for count in (work.macs, work.vector_ops, work.params):
        assert all(value >= 0 for product in count for value, _ in product.factors)
    if operator.unit is Unit.VIEW:
        assert elements(outputs[0]) == elements(first)
    assert not work.macs or operator.unit is Unit.MATRIX
    assert not work.vector_ops or operator.unit in (Unit.MATRIX, Unit.VECTOR)
