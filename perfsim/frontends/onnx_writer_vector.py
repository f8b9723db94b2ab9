"""Our activations, arithmetic, normalisations, reductions and quantisations as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfsim.frontends.onnx_types import FLOAT, INT64
from perfsim.frontends.onnx_writer_graph import Writing, quantized_kind
from perfsim.frontends.onnx_writer_matrix import Writer
from perfsim.network.operator import axis_index
from perfsim.network.work import Shape

_EPSILON = 1e-5


def _function(op: str, since: int = 0) -> Writer:
    """A node without attributes that reads one tensor."""
    return lambda w: w.write(op, w.read(), since=since)


def _clip(low: float, high: float) -> Writer:
    return lambda w: w.write("Clip", w.read(), w.number("low", low), w.number("high", high))


def _silu(w: Writing) -> None:
    source = w.read()
    w.last("Mul", source, w.named("Sigmoid", source))


def _prelu(w: Writing) -> None:
    shape = w.shapes[0]
    slopes = (shape[1], *(1 for _ in shape[2:]))
    w.write("PRelu", w.read(), w.trained("slopes", slopes, mean=0.25))


def _along_axis(op: str) -> Writer:
    return lambda w: w.write(op, w.read(), axis=w.operator.axis)


def _operands(w: Writing) -> list[str]:
    found = [w.read(position) for position in range(len(w.shapes))]
    return found if w.operator.value is None else [*found, w.number("value", w.operator.value)]


def _of_any(op: str, op_of_more: str) -> Writer:
    """`op` of two operands, `op_of_more` of any other number of them."""
    return lambda w: w.write(op if len(_count(w)) == 2 else op_of_more, *_operands(w))


def _count(w: Writing) -> range:
    return range(len(w.shapes) + (w.operator.value is not None))


def _mul(w: Writing) -> None:
    """A product of more than two is several nodes."""
    first, *others, last = _operands(w)
    for each in others:
        first = w.part("Mul", first, each)
    w.write("Mul", first, last)


def _of_two(op: str) -> Writer:
    return lambda w: w.write(op, *_operands(w))


def _batch_norm(w: Writing) -> None:
    channels = (w.shapes[0][1],)
    w.write(
        "BatchNormalization",
        w.read(),
        w.trained("scale", channels, mean=1.0),
        w.trained("shift", channels),
        w.trained("mean", channels),
        w.trained("variance", channels, mean=1.0),
    )


def _scale_and_shift(w: Writing, shape: Shape) -> tuple[str, str]:
    return w.trained("scale", shape, mean=1.0), w.trained("shift", shape)


def _layer_norm(w: Writing) -> None:
    axes = w.operator.axes
    if not w.operator.affine:
        _normalized_by_parts(w, w.read(), range(-axes, 0))
        return
    weights = _scale_and_shift(w, w.shapes[0][-axes:])
    w.write("LayerNormalization", w.read(), *weights, axis=-axes)


def _group_norm(w: Writing) -> None:
    shape, groups = w.shapes[0], w.operator.groups
    if w.operator.affine:
        weights = _scale_and_shift(w, shape[1:2])
        w.write("GroupNormalization", w.read(), *weights, num_groups=groups, since=21)
        return
    by_group = w.reshaped(w.read(), (shape[0], groups, -1))
    normalized = _parts(w, by_group, (2,))
    w.last("Reshape", w.named("Mul", *normalized), w.integers("output_shape", shape))


def _instance_norm(w: Writing) -> None:
    if w.operator.affine:
        weights = _scale_and_shift(w, w.shapes[0][1:2])
        w.write("InstanceNormalization", w.read(), *weights)
        return
    _normalized_by_parts(w, w.read(), range(2, len(w.shapes[0])))


def _normalized_by_parts(w: Writing, source: str, axes: range) -> None:
    w.write("Mul", *_parts(w, source, tuple(axes)))


def _parts(w: Writing, source: str, axes: Shape) -> tuple[str, str]:
    """(the differences from the mean along `axes`, what to multiply them with).

    ONNX's own operators have weights; these nodes cost what ours without weights does.
    """
    numbers = w.integers("axes", axes)
    centred = w.part("Sub", source, w.part("ReduceMean", source, numbers))
    squares = w.part("Mul", centred, centred)
    variance = w.part("ReduceMean", squares, numbers)
    deviation = w.part("Sqrt", w.part("Add", variance, w.number("epsilon", _EPSILON)))
    return centred, w.part("Reciprocal", deviation)


def _rms_norm(w: Writing) -> None:
    axes = w.operator.axes
    scale = w.trained("scale", w.shapes[0][-axes:], mean=1.0)
    w.write("RMSNormalization", w.read(), scale, axis=-axes, since=23)


def _reduced_axes(w: Writing) -> Shape:
    rank, axes = len(w.shapes[0]), w.operator.axes
    return tuple(range(1, rank)) if axes is None else tuple(axis_index(each, rank) for each in axes)


def _reduction(op: str) -> Writer:
    def write(w: Writing) -> None:
        axes = w.integers("axes", _reduced_axes(w))
        keep = int(w.operator.keep_dims)
        w.write(op, w.read(), axes, keepdims=keep, noop_with_empty_axes=1)

    return write


def _variance(*, root: bool) -> Writer:
    """The mean of the squares of the differences from the mean."""

    def write(w: Writing) -> None:
        axes = w.integers("axes", _reduced_axes(w))
        how: dict[str, Any] = {"noop_with_empty_axes": 1}
        centred = w.part("Sub", w.read(), w.part("ReduceMean", w.read(), axes, **how))
        squares = w.part("Mul", centred, centred)
        how["keepdims"] = int(w.operator.keep_dims)
        if root:
            w.write("Sqrt", w.part("ReduceMean", squares, axes, **how))
        else:
            w.write("ReduceMean", squares, axes, **how)

    return write


def _extreme(op: str) -> Writer:
    def write(w: Writing) -> None:
        keep = int(w.operator.keep_dims)
        w.write(op, w.read(), kinds=(INT64,), axis=w.operator.axis, keepdims=keep)

    return write


def _cum_sum(w: Writing) -> None:
    w.write("CumSum", w.read(), w.integers("axis", (w.operator.axis,), ()))


def _resize(mode: str) -> Writer:
    def write(w: Writing) -> None:
        how: dict[str, Any] = {"mode": mode}
        if mode == "nearest":
            how |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        w.write("Resize", w.read(), "", "", w.integers("sizes", w.outputs[0]), **how)

    return write


def _kind_of(w: Writing, bits: int) -> tuple[int, int]:
    known = quantized_kind(bits)
    if known is None:
        raise w.refuse(f"{bits} bits", "4, 8 or 16")
    return known


def _scale(w: Writing, bits: int) -> str:
    """The whole numbers of so many bits stand for fractions from -2 to 2."""
    return w.number("scale", 4 / 2**bits)


def _quantize(w: Writing) -> None:
    bits = w.operator.bits
    kind, since = _kind_of(w, bits)
    numbers = (_scale(w, bits), w.zero(kind))
    w.write("QuantizeLinear", w.read(), *numbers, kinds=(kind,), since=since)


def _dequantize(w: Writing) -> None:
    bits = w.graph.network.tensors[w.node.inputs[0]].bits
    kind, since = _kind_of(w, bits)
    w.write("DequantizeLinear", w.read(0, kind), _scale(w, bits), w.zero(kind), since=since)


def _top_k(w: Writing) -> None:
    count = w.integers("k", (w.operator.k,))
    w.write("TopK", w.read(), count, axis=w.operator.axis, kinds=(FLOAT, INT64))


def _learned(op: str, mean: float) -> Writer:
    def write(w: Writing) -> None:
        shape = w.shapes[0]
        sizes = zip(w.operator.shape, shape[len(shape) - len(w.operator.shape) :], strict=True)
        trained = tuple(given if size == -1 else size for size, given in sizes)
        w.write(op, w.read(), w.trained("trained", trained, mean=mean))

    return write


VECTOR: Mapping[str, Writer] = {
    "relu": _function("Relu"),
    "relu6": _clip(0, 6),
    "leaky_relu": _function("LeakyRelu"),
    "hard_sigmoid": _function("HardSigmoid"),
    "hard_swish": _function("HardSwish"),
    "sigmoid": _function("Sigmoid"),
    "silu": _silu,
    "tanh": _function("Tanh"),
    "gelu": _function("Gelu", 20),
    "elu": _function("Elu"),
    "selu": _function("Selu"),
    "mish": _function("Mish"),
    "softplus": _function("Softplus"),
    "softsign": _function("Softsign"),
    "hard_tanh": _clip(-1, 1),
    "prelu": _prelu,
    "softmax": _along_axis("Softmax"),
    "log_softmax": _along_axis("LogSoftmax"),
    "add": _of_any("Add", "Sum"),
    "mul": _mul,
    "sub": _of_two("Sub"),
    "div": _of_two("Div"),
    "pow": _of_two("Pow"),
    "minimum": _of_any("Min", "Min"),
    "maximum": _of_any("Max", "Max"),
    "exp": _function("Exp"),
    "log": _function("Log"),
    "sqrt": _function("Sqrt"),
    "abs": _function("Abs"),
    "neg": _function("Neg"),
    "reciprocal": _function("Reciprocal"),
    "clip": _clip(0, 1),
    "global_max_pool": _function("GlobalMaxPool"),
    "global_avg_pool": _function("GlobalAveragePool"),
    "reduce_mean": _reduction("ReduceMean"),
    "reduce_sum": _reduction("ReduceSum"),
    "reduce_max": _reduction("ReduceMax"),
    "reduce_min": _reduction("ReduceMin"),
    "reduce_var": _variance(root=False),
    "reduce_std": _variance(root=True),
    "arg_max": _extreme("ArgMax"),
    "arg_min": _extreme("ArgMin"),
    "cum_sum": _cum_sum,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "rms_norm": _rms_norm,
    "lrn": lambda w: w.write("LRN", w.read(), size=w.operator.size),
    "resize_linear": _resize("linear"),
    "resize_nearest": _resize("nearest"),
    "quantize": _quantize,
    "dequantize": _dequantize,
    "top_k": _top_k,
    "learned_add": _learned("Add", 0.0),
    "learned_scale": _learned("Mul", 1.0),
}
