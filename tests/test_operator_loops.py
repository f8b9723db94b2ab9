"""Operators against nested loops that walk over every element, and shapes against numpy's."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import Add
from perfsim.network.convolution import Conv, ConvTranspose
from perfsim.network.elementwise import LogSoftmax
from perfsim.network.layout import Pad, Slice, Transpose
from perfsim.network.matrix import Attention, Linear, Matmul
from perfsim.network.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool
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
from perfsim.network.selection import Gather, Split
from perfsim.network.work import total

SMALL = st.integers(1, 4)
SHAPES = st.lists(SMALL, min_size=1, max_size=4).map(tuple)


def counted(operator, *shapes):
    """(output shape, MACs, vector operations, parameters) of an operator."""
    (output,) = operator.output_shapes(shapes)
    work = operator.work(shapes, (output,))
    return output, total(work.macs), total(work.vector_ops), total(work.params)


def every(shape):
    """All positions in a tensor."""
    return itertools.product(*map(range, shape))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_transposed_convolution(data):
    axes = data.draw(st.integers(1, 2))
    each = st.lists(st.integers(1, 3), min_size=axes, max_size=axes).map(tuple)
    kernel, stride, dilation = data.draw(each), data.draw(each), data.draw(each)
    space, groups = data.draw(each), data.draw(st.integers(1, 2))
    channels_in, channels_out = 2 * groups, 3 * groups
    macs, reached = 0, set()
    for position in every(space):
        for tap in every(kernel):
            reached.add(
                tuple(
                    p * s + t * d
                    for p, s, t, d in zip(position, stride, tap, dilation, strict=True)
                )
            )
            for channel_in in range(channels_in):
                for channel_out in range(channels_out):
                    macs += channel_in // 2 == channel_out // 3  # only within a group
    spread = tuple(1 + max(place[axis] for place in reached) for axis in range(axes))
    operator = ConvTranspose(
        channels_out, kernel, stride, "valid", 0, dilation, groups=groups, bias=False
    )
    output, counted_macs, _, _ = counted(operator, (1, channels_in, *space))
    assert (output, counted_macs) == ((1, channels_out, *spread), macs)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2))
def test_transposed_convolution_undoes_the_shape_of_a_convolution(size, kernel, stride, padding):
    conv = Conv(1, kernel, stride, padding)
    try:
        (smaller,) = conv.output_shapes(((1, 1, size),))
    except ShapeError:
        return
    lost = (size + 2 * padding - kernel) % stride
    back = ConvTranspose(1, kernel, stride, padding, output_padding=lost)
    assert back.output_shapes((smaller,)) == ((1, 1, size),)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_matrix_product(data):
    rows, summed, columns = data.draw(SMALL), data.draw(SMALL), data.draw(SMALL)
    lead = data.draw(st.lists(SMALL, max_size=2).map(tuple))
    a_lead = tuple(data.draw(st.sampled_from([size, 1])) for size in lead)
    transpose_a, transpose_b = data.draw(st.booleans()), data.draw(st.booleans())
    a = np.ones((*a_lead, rows, summed))
    b = np.ones((*lead[1:], summed, columns))
    expected = (a @ b).shape
    macs = sum(1 for _ in every(expected) for _ in range(summed))
    if not lead and rows == 1:  # a vector is a row in front and a column behind
        assert counted(Matmul(), (summed,), b.shape) == ((columns,), macs, 0, 0)
    if not lead and columns == 1:
        assert counted(Matmul(), a.shape, (summed,)) == ((rows,), macs, 0, 0)
    a_shape = a.swapaxes(-1, -2).shape if transpose_a else a.shape
    b_shape = b.swapaxes(-1, -2).shape if transpose_b else b.shape
    assert counted(Matmul(transpose_a, transpose_b), a_shape, b_shape) == (expected, macs, 0, 0)


@settings(max_examples=30, deadline=None)
@given(st.lists(SMALL, min_size=2, max_size=4).map(tuple), SMALL)
def test_linear(shape, units):
    macs = sum(1 for _ in every(shape[:-1]) for _ in range(units) for _ in range(shape[-1]))
    weights = sum(1 for _ in range(units) for _ in range(shape[-1]))
    assert counted(Linear(units), shape) == ((*shape[:-1], units), macs, 0, weights + units)


@settings(max_examples=30, deadline=None)
@given(SMALL, SMALL, SMALL, SMALL, SMALL, st.integers(1, 2), st.integers(1, 3))
def test_attention(batch, queries, keys, key_size, value_size, kv_heads, shared_by):
    heads = kv_heads * shared_by
    macs = scores = 0
    for _ in every((batch, heads, queries, keys)):
        scores += 1
        macs += sum(1 for _ in range(key_size))  # query times key
        macs += sum(1 for _ in range(value_size))  # score times value
    shapes = (
        (batch, queries, heads * key_size),
        (batch, keys, kv_heads * key_size),
        (batch, keys, kv_heads * value_size),
    )
    output, masked = (batch, queries, heads * value_size), 6 * scores + scores
    assert counted(Attention(heads, kv_heads), *shapes) == (output, macs, 6 * scores, 0)
    assert counted(Attention(heads, kv_heads, causal=True), *shapes) == (output, macs, masked, 0)
    # the same with the heads as an axis
    split = (
        (batch, heads, queries, key_size),
        (batch, kv_heads, keys, key_size),
        (batch, kv_heads, keys, value_size),
    )
    output = (batch, heads, queries, value_size)
    assert counted(Attention(1), *split) == (output, macs, 6 * scores, 0)
    assert counted(Attention(1), *split, (queries, keys)) == (output, macs, masked, 0)


def test_attention_as_its_parts():
    """The operator's MACs are those of its two matrix products."""
    heads, tokens, size = 3, 7, 4
    split = (2, heads, tokens, size)
    _, score_macs, _, _ = counted(Matmul(transpose_b=True), split, split)
    _, value_macs, _, _ = counted(Matmul(), (2, heads, tokens, tokens), split)
    whole = (2, tokens, heads * size)
    assert counted(Attention(heads), whole, whole, whole)[1] == score_macs + value_macs


@settings(max_examples=30, deadline=None)
@given(SMALL, SMALL, SMALL, SMALL, st.booleans(), st.booleans())
def test_recurrent(batch, tokens, features, units, bidirectional, bias):
    directions = 1 + bidirectional
    sigmoid, tanh = 4, 5
    for operator, gates, ops in (
        (Lstm, 4, 3 * sigmoid + 2 * tanh + len(("f c", "i g", "+", "o tanh c"))),
        (Rnn, 1, tanh),
        (Gru, 3, 2 * sigmoid + tanh + len(("r Uh", "+ Wx", "1 - z", "(1 - z) n", "z h", "+"))),
        (Rnn, 1, tanh),
    ):
        macs = vector_ops = params = 0
        for _ in every((directions, gates, units)):
            params += features + units + (2 if bias else 0)
        for _ in every((batch, tokens, directions, units)):
            vector_ops += ops
            for _ in range(gates):
                macs += sum(1 for _ in range(features)) + sum(1 for _ in range(units))
        output = (batch, tokens, directions * units)
        layer = operator(units, bidirectional, bias)
        assert counted(layer, (batch, tokens, features)) == (output, macs, vector_ops, params)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_reductions(shape, data):
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    keep_dims = data.draw(st.booleans())
    expected = np.ones(shape).sum(axis=tuple(axes), keepdims=keep_dims).shape
    seen, combined = set(), 0
    for position in every(shape):
        rest = tuple(p for axis, p in enumerate(position) if axis not in axes)
        combined += rest in seen  # the first element of each is only taken
        seen.add(rest)
    negative = tuple(axis - len(shape) for axis in axes)
    for chosen in (tuple(axes), negative):
        for operator in (ReduceSum, ReduceMax, ReduceMin):
            assert counted(operator(chosen, keep_dims), shape) == (expected, 0, combined, 0)
        mean = combined + len(seen)
        assert counted(ReduceMean(chosen, keep_dims), shape) == (expected, 0, mean, 0)
        # a difference and its square for each element, between two means
        variance = mean + math.prod(shape) + math.prod(shape) + mean
        assert counted(ReduceVar(chosen, keep_dims), shape) == (expected, 0, variance, 0)
        deviation = variance + len(seen)
        assert counted(ReduceStd(chosen, keep_dims), shape) == (expected, 0, deviation, 0)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_along_one_axis(shape, data):
    """Running sums, extremes, log_softmax and picking, line by line."""
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    array = np.arange(math.prod(shape)).reshape(shape)
    lines = np.moveaxis(array, axis, -1).reshape(-1, shape[axis])
    steps = logarithms = elements = 0
    for line in lines:
        logarithms += 1
        for at, _ in enumerate(line):
            elements += 1
            steps += at > 0  # compared with what is before it
    assert counted(CumSum(axis), shape) == (array.cumsum(axis).shape, 0, elements, 0)
    for operator, function in ((ArgMax, np.argmax), (ArgMin, np.argmin)):
        for keep in (False, True):
            expected = function(array, axis=axis, keepdims=keep).shape
            assert counted(operator(axis, keep), shape) == (expected, 0, steps, 0)
    assert counted(LogSoftmax(axis), shape) == (shape, 0, 5 * elements + logarithms, 0)
    picked = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=6))
    taken = array.take(picked, axis).shape
    assert counted(Gather(axis, len(picked)), shape) == (taken, 0, 0, 0)
    cuts = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    whole = (*shape[: axis % len(shape)], sum(cuts), *shape[axis % len(shape) + 1 :])
    parts = np.split(np.ones(whole), np.cumsum(cuts)[:-1], axis)
    assert Split(tuple(cuts), axis).output_shapes((whole,)) == tuple(each.shape for each in parts)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=2))
def test_adaptive_pooling(axes):
    """Windows as PyTorch's documentation defines them, walked over one by one."""
    space = tuple(size for size, _ in axes)
    output = tuple(count for _, count in axes)
    additions = comparisons = 0
    for position in every(output):
        window = [
            range(i * size // count, math.ceil((i + 1) * size / count))
            for i, (size, count) in zip(position, axes, strict=True)
        ]
        inside = sum(1 for _ in itertools.product(*window))
        additions += inside  # one less, and the scaling
        comparisons += inside - 1
    shape = (2, 3, *space)
    assert counted(AdaptiveAvgPool(output), shape) == ((2, 3, *output), 0, 6 * additions, 0)
    assert counted(AdaptiveMaxPool(output), shape) == ((2, 3, *output), 0, 6 * comparisons, 0)


def test_adaptive_pooling_that_divides_is_pooling():
    shape = (1, 3, 12, 12)
    assert counted(AdaptiveAvgPool(4), shape) == counted(AvgPool(3), shape)


@settings(max_examples=100, deadline=None)
@given(SHAPES, SHAPES)
def test_broadcasting(one, other):
    try:
        expected = np.broadcast_shapes(one, other)
    except ValueError:
        with pytest.raises(ShapeError, match="different shapes"):
            Add().output_shapes((one, other))
        return
    assert counted(Add(), one, other) == (expected, 0, math.prod(expected), 0)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.data())
def test_layout(shape, data):
    array = np.ones(shape)
    order = data.draw(st.permutations(range(len(shape))).map(tuple))
    assert counted(Transpose(order), shape)[0] == array.transpose(order).shape
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    bound = st.integers(-5, 5)
    start, stop, step = data.draw(bound), data.draw(st.none() | bound), data.draw(SMALL)
    index = [slice(None)] * len(shape)
    index[axis] = slice(start, stop, step)
    expected = array[tuple(index)].shape
    operator = Slice(axis, start, stop, step)
    if 0 in expected:
        with pytest.raises(ShapeError, match="nothing is left"):
            operator.output_shapes((shape,))
    else:
        assert counted(operator, shape)[0] == expected
    if len(shape) > 2:
        before, after = data.draw(st.integers(0, 3)), data.draw(st.none() | st.integers(0, 3))
        behind = before if after is None else after
        pads = [(0, 0)] * 2 + [(before, behind)] * (len(shape) - 2)
        assert counted(Pad(before, after), shape)[0] == np.pad(array, pads).shape
