"""Our operators of the matrix unit, and our poolings, as nodes of ONNX."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from perfsim.frontends.onnx_writer_graph import Writing
from perfsim.network.operator import per_axis
from perfsim.network.window import pads_of
from perfsim.network.work import Shape, elements

Writer = Callable[[Writing], None]


def _sliding(w: Writing, stride: Any) -> dict[str, Any]:
    """The attributes of a window that moves over the input; "same" pads as in TensorFlow, the odd one behind."""
    operator, space = w.operator, w.shapes[0][2:]
    kernel = per_axis(operator.kernel, len(space), "a kernel")
    strides = per_axis(stride, len(space), "a stride")
    dilations = per_axis(operator.dilation, len(space), "a dilation")
    if operator.padding == "same":
        each = zip(space, w.outputs[0][2:], kernel, strides, dilations, strict=True)
        missing = [max((n - 1) * step + d * (k - 1) + 1 - size, 0) for size, n, k, step, d in each]
        pads = tuple((total // 2, total - total // 2) for total in missing)
    else:
        pads = pads_of(operator.padding, len(space))
    attributes = {
        "kernel_shape": kernel,
        "strides": strides,
        "pads": [pad[0] for pad in pads] + [pad[1] for pad in pads],
    }
    return attributes | ({"dilations": dilations} if max(dilations) > 1 else {})


def _conv(w: Writing) -> None:
    operator, channels = w.operator, w.shapes[0][1]
    how = _sliding(w, operator.stride)
    depth = channels // operator.groups
    fan_in = depth * math.prod(how["kernel_shape"])
    weight = w.weight("weight", (operator.channels, depth, *how["kernel_shape"]), fan_in=fan_in)
    w.write("Conv", w.read(), weight, *w.bias(operator.channels), group=operator.groups, **how)


def _depthwise_conv(w: Writing) -> None:
    channels, written = w.shapes[0][1], w.outputs[0][1]
    how = _sliding(w, w.operator.stride)
    kernel = how["kernel_shape"]
    weight = w.weight("weight", (written, 1, *kernel), fan_in=math.prod(kernel))
    w.write("Conv", w.read(), weight, *w.bias(written), group=channels, **how)


def _conv_transpose(w: Writing) -> None:
    operator, (_, channels, *space) = w.operator, w.shapes[0]
    axes = len(space)
    kernel = per_axis(operator.kernel, axes, "a kernel")
    strides = per_axis(operator.stride, axes, "a stride")
    dilations = per_axis(operator.dilation, axes, "a dilation")
    more = per_axis(operator.output_padding, axes, "an output_padding", least=0)
    if operator.padding == "same":
        each = zip(kernel, strides, dilations, strict=True)
        cut = [d * (k - 1) + 1 - step for k, step, d in each]
        more = tuple(max(-size, 0) for size in cut)
        pads = tuple((max(size, 0) // 2, max(size, 0) - max(size, 0) // 2) for size in cut)
    else:
        pads = pads_of(operator.padding, axes)
    depth = operator.channels // operator.groups
    # an output element reads as many taps as strides leave of the kernel
    taps = max(math.prod(kernel) // math.prod(strides), 1)
    fan_in = channels // operator.groups * taps
    weight = w.weight("weight", (channels, depth, *kernel), fan_in=fan_in)
    w.write(
        "ConvTranspose",
        *(w.read(), weight, *w.bias(operator.channels)),
        kernel_shape=kernel,
        strides=strides,
        dilations=dilations,
        output_padding=more,
        pads=[pad[0] for pad in pads] + [pad[1] for pad in pads],
        group=operator.groups,
    )


def _fully_connected(w: Writing) -> None:
    units, features = w.operator.units, elements(w.shapes[0][1:])
    source = w.read() if len(w.shapes[0]) == 2 else w.part("Flatten", w.read(), axis=1)
    weight = w.weight("weight", (units, features), fan_in=features)
    w.write("Gemm", source, weight, *w.bias(units), transB=1)


def _linear(w: Writing) -> None:
    units, features = w.operator.units, w.shapes[0][-1]
    if w.operator.tied:
        weight = _tied(w, features, units)
    else:
        weight = w.weight("weight", (features, units), fan_in=features)
        w.graph.matrices.append((weight, (features, units)))
    if not w.operator.bias:
        w.write("MatMul", w.read(), weight)
        return
    w.last("Add", w.named("MatMul", w.read(), weight), *w.bias(units))


def _tied(w: Writing, features: int, units: int) -> str:
    """The matrix of an earlier layer that fits, turned if need be."""
    for name, shape in w.graph.matrices:
        if shape == (features, units):
            return name
        if shape == (units, features):
            return w.part("Transpose", name, perm=(1, 0))
    raise w.refuse(
        "tied weights", f"an earlier embedding or linear layer with {units} x {features} weights"
    )


def _matmul(w: Writing) -> None:
    operator = w.operator
    factors = []
    for position, is_turned in enumerate((operator.transpose_a, operator.transpose_b)):
        factor, rank = w.read(position), len(w.shapes[position])
        if is_turned and rank > 1:
            factor = w.part("Transpose", factor, perm=(*range(rank - 2), rank - 1, rank - 2))
        factors.append(factor)
    w.write("MatMul", *factors)


def _attention(w: Writing) -> None:
    """Attention with its heads as an attribute; other axes in front of the tokens are laid into the batch."""
    operator, query = w.operator, w.shapes[0]
    heads = operator.heads
    inputs = [w.read(position) for position in range(3)]
    how: dict[str, Any] = {"is_causal": int(operator.causal)}
    lead = query[:-2]
    by_heads = len(query) == 4 and heads == 1 and operator.kv_heads in (None, 1)
    is_merged = len(query) > 3 and not by_heads
    if by_heads and any(shape[0] != query[0] for shape in w.shapes[:3]):
        raise w.refuse(w.input_text(), "equal batches")
    if not by_heads:
        how |= {"q_num_heads": heads, "kv_num_heads": operator.kv_heads or heads}
        if any(shape[:-2] != lead for shape in w.shapes[:3]):
            raise w.refuse(w.input_text(), "equal axes before the tokens")
    if is_merged:
        merged = [(math.prod(lead), *shape[-2:]) for shape in w.shapes[:3]]
        inputs = [w.reshaped(*each) for each in zip(inputs, merged, strict=True)]
    inputs += _masks(w, is_merged=is_merged)
    if not is_merged:
        w.write("Attention", *inputs, since=23, **how)
        return
    w.graph.need(23, w.node.name)
    shape = w.integers("output_shape", w.outputs[0])
    w.last("Reshape", w.named("Attention", *inputs, **how), shape)


def _masks(w: Writing, *, is_merged: bool) -> list[str]:
    """What is added to the scores of (batch, heads, queries, keys)."""
    if len(w.shapes) > 3 and w.operator.window:
        raise w.refuse("a mask and a window", "one of them")
    if w.operator.window:
        return [_window_biases(w)]
    if len(w.shapes) == 3:
        return []
    mask, rank = w.shapes[3], len(w.shapes[0])
    if is_merged and math.prod(mask[:-2]) > 1:
        raise w.refuse(w.input_text(), "a mask that is the same along the axes before the tokens")
    name = w.read(3)
    if is_merged:
        return [w.reshaped(name, (1,) * (2 - len(mask)) + mask[-2:])]
    if rank == 3 and w.operator.heads == 1 and len(mask) == 3:
        return [w.reshaped(name, (mask[0], 1, *mask[1:]))]
    return [name if len(mask) > 1 else w.reshaped(name, (1, *mask))]


def _window_biases(w: Writing) -> str:
    """(1, heads, queries, keys) out of the table of a bias for each offset and head.

    Liu et al., arXiv:2103.14030, section 3.2: along an axis of n places the offsets run from 1 - n to n - 1.
    """
    window = tuple(w.operator.window)
    table = w.trained("biases", (math.prod(2 * size - 1 for size in window), w.operator.heads))
    tokens = math.prod(window)
    numbers = [_offset(query, key, window) for query in range(tokens) for key in range(tokens)]
    rows = w.part("Gather", table, w.integers("offsets", numbers), axis=0)
    by_place = w.reshaped(rows, (1, tokens, tokens, w.operator.heads))
    return w.part("Transpose", by_place, perm=(0, 3, 1, 2))


def _offset(query: int, key: int, window: Shape) -> int:
    """The row of the table for two tokens of a window: their distance along each axis, as one number."""
    row, pace = 0, 1
    for size in reversed(window):
        row += (query % size - key % size + size - 1) * pace
        pace *= 2 * size - 1
        query, key = query // size, key // size
    return row


def _recurrent(op: str, **how: Any) -> Writer:
    """ONNX has the tokens first, and an axis for the directions before the batch."""

    def write(w: Writing) -> None:
        operator, (batch, tokens, features) = w.operator, w.shapes[0]
        directions, units = 2 if operator.bidirectional else 1, operator.units
        rows = operator.gates * units
        source = w.part("Transpose", w.read(), perm=(1, 0, 2))
        weights = [
            w.weight("input_weight", (directions, rows, features), fan_in=features),
            w.weight("recurrent_weight", (directions, rows, units), fan_in=units),
        ]
        if operator.bias:
            weights.append(w.trained("bias", (directions, 2 * rows)))
        direction = "bidirectional" if operator.bidirectional else "forward"
        states = w.named(op, source, *weights, hidden_size=units, direction=direction, **how)
        turned = w.part("Transpose", states, perm=(2, 0, 1, 3))
        w.last("Reshape", turned, w.integers("shape", (batch, tokens, directions * units)))

    return write


def _pool(op: str) -> Writer:
    def write(w: Writing) -> None:
        operator = w.operator
        how = _sliding(w, operator.kernel if operator.stride is None else operator.stride)
        since = 19 if op == "AveragePool" and "dilations" in how else 0
        w.write(op, w.read(), ceil_mode=int(operator.ceil_mode), since=since, **how)

    return write


def _adaptive_pool(op: str) -> Writer:
    """ONNX has equal windows only."""

    def write(w: Writing) -> None:
        space, output = w.shapes[0][2:], w.outputs[0][2:]
        if any(size % count for size, count in zip(space, output, strict=True)):
            raise w.refuse(
                f"{'x'.join(map(str, output))} windows over {'x'.join(map(str, space))} elements",
                "windows that divide each axis evenly",
            )
        if set(output) == {1}:
            w.write(f"Global{op}", w.read())
            return
        sizes = [size // count for size, count in zip(space, output, strict=True)]
        w.write(op, w.read(), kernel_shape=sizes, strides=sizes)

    return write


MATRIX: Mapping[str, Writer] = {
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "conv_transpose": _conv_transpose,
    "fully_connected": _fully_connected,
    "linear": _linear,
    "matmul": _matmul,
    "attention": _attention,
    "rnn": _recurrent("RNN"),
    "lstm": _recurrent("LSTM"),
    "gru": _recurrent("GRU", linear_before_reset=1),
    "max_pool": _pool("MaxPool"),
    "avg_pool": _pool("AveragePool"),
    "adaptive_max_pool": _adaptive_pool("MaxPool"),
    "adaptive_avg_pool": _adaptive_pool("AveragePool"),
}
