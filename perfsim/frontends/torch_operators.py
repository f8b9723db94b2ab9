"""The table from PyTorch's operators (aten) to ours. In-place ones are looked up without their underscore."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends import torch_layout as to
from perfsim.frontends import torch_matrix as matrix
from perfsim.frontends.torch_call import Call, Constant, Feature, Parts, Value
from perfsim.network import normalization, pooling, recurrent, reduction, resize
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv
from perfsim.network.operator import Operator, Unit
from perfsim.network.operators import OPERATORS
from perfsim.network.work import elements

Handler = Callable[[Call], Value]


def _one(name: str, call: Call) -> Value:
    """An operator of ours without attributes, of one input."""
    operator: Any = OPERATORS[name]
    return call.emit(operator(), call[next(iter(call.arguments))])


def _elementwise(name: str, ops: int, call: Call) -> Value:
    """All tensors stretched to one shape, `ops` operations each."""
    extra = 1 if call.get("alpha", 1) != 1 else 0
    return call.combine(tensor.Elementwise(name, ops + extra), list(call.arguments.values()))


def _arithmetic(name: str, call: Call) -> Value:
    """An operator of ours where both operands are computed; one is a number or constant otherwise."""
    inputs, shapes, _ = call.operands(list(call.arguments.values()))
    if len(inputs) == 2 and not shapes and call.get("alpha", 1) == 1:
        if call.get("rounding_mode"):
            return _elementwise(name, 2, call)
        operator: Any = OPERATORS[name]
        return call.emit(operator(), *inputs)
    return _elementwise(name, 1, call)


def _between(low: str, high: str, call: Call) -> Value:
    """min(max(x, low), high), by the name that its bounds have."""
    bounds = (call.get(low), call.get(high))
    if any(isinstance(bound, Feature | Constant) for bound in bounds):
        raise call.refused("its bounds are tensors", "numbers")
    names = {(0, 6): "relu6", (-1, 1): "hard_tanh", (0, None): "relu"}
    name = names.get(bounds)
    if name is None and None in bounds:
        return _elementwise("minimum" if bounds[0] is None else "maximum", 1, call)
    return _one(name or "clip", call)


def _prelu(call: Call) -> Value:
    x, slopes = call["self"], call.weight("weight")
    if slopes is not None and len(x.shape) > 1 and elements(slopes.shape) == x.shape[1]:
        return _one("prelu", call)
    return call.combine(tensor.Elementwise("prelu", 2), [x, slopes])


def _conv(call: Call) -> Value:
    x, weight, bias = call["input"], call.weight("weight"), call.weight("bias") is not None
    if weight is None or len(x.shape) != len(weight.shape):
        raise call.refused("its input has no batch")
    kernel, groups = to.numbers(weight.shape[2:]), call["groups"]
    shared = {
        "kernel": kernel,
        "stride": to.numbers(call["stride"]),
        "padding": call["padding"]
        if isinstance(call["padding"], str)
        else to.numbers(call["padding"]),
        "dilation": to.numbers(call["dilation"]),
        "bias": bias,
    }
    if call.get("transposed") or "transpose" in call.op:
        return call.emit(
            ConvTranspose(
                channels=weight.shape[1] * groups,
                groups=groups,
                output_padding=to.numbers(call["output_padding"]),
                **shared,
            ),
            x,
        )
    channels = weight.shape[0]
    if groups > 1 and groups == x.shape[1]:
        return call.emit(DepthwiseConv(multiplier=channels // groups, **shared), x)
    return call.emit(Conv(channels=channels, groups=groups, **shared), x)


def _batch_norm(call: Call) -> Value:
    if call.get("training"):
        raise call.refused("it takes its statistics from the data", "running statistics")
    return _one("batch_norm", call)


def _affine(call: Call) -> bool:
    weight, bias = call.weight("weight"), call.weight("bias")
    if (weight is None) != (bias is None):
        raise call.refused("it has a scale or a shift alone", "both or none")
    return weight is not None


def _layer_norm(call: Call) -> Value:
    axes = len(call["normalized_shape"])
    if call.weight("weight") is not None and call.weight("bias") is None:
        return call.emit(tensor.LayerNormWithoutShift(axes), call["input"])
    return call.emit(normalization.LayerNorm(axes, affine=_affine(call)), call["input"])


def _rms_norm(call: Call) -> Value:
    if call.weight("weight") is None:
        raise call.refused("it has no scale", "a trained scale")
    return call.emit(normalization.RmsNorm(len(call["normalized_shape"])), call["input"])


def _group_norm(call: Call) -> Value:
    operator = normalization.GroupNorm(call["num_groups"], affine=_affine(call))
    return call.emit(operator, call["input"])


def _instance_norm(call: Call) -> Value:
    if not call["use_input_stats"]:
        raise call.refused("it uses running statistics", "statistics of its input")
    return call.emit(normalization.InstanceNorm(affine=_affine(call)), call["input"])


def _softmax(call: Call) -> Value:
    operator: Any = OPERATORS["softmax"]
    return call.emit(operator(axis=call["dim"]), call["self"])


def _pool(kind: Any, call: Call) -> Value:
    x = call["self"]
    if len(x.shape) != len(call["kernel_size"]) + 2 and len(call["kernel_size"]) != 1:
        raise call.refused("its input has no batch")
    kernel = to.numbers(call["kernel_size"])
    pooling = kind(
        kernel=kernel,
        stride=to.numbers(call["stride"]) if call["stride"] else kernel,
        padding=to.numbers(call["padding"]),
        dilation=to.numbers(call.get("dilation", 1)),
        ceil_mode=bool(call["ceil_mode"]),
    )
    return call.emit(pooling, x)


def _adaptive_pool(to_one: type[Operator], to_any: Any, call: Call) -> Value:
    x, output = call["self"], tuple(call["output_size"])
    if len(x.shape) != len(output) + 2:
        raise call.refused("its input has no batch")
    if set(output) == {1}:
        return call.emit(to_one(), x)
    return call.emit(to_any(to.numbers(output)), x)


def _reduce(kind: Any, call: Call) -> Value:
    x: Feature = call["self"]
    rank = len(x.shape)
    given = call.get("dim")
    given = [given] if isinstance(given, int) else given
    axes = tuple(sorted(axis % rank for axis in (given or range(rank))))
    keep = bool(call.get("keepdim"))
    if kind is reduction.ReduceMean and rank >= 4 and axes == tuple(range(2, rank)):
        pooled = call.emit(pooling.GlobalAvgPool(), x)
        return pooled if keep else call.emit(tensor.Reshaped(call.shape), pooled)
    return call.emit(kind(axes=axes, keep_dims=keep), x)


def _recurrent(kind: Any, call: Call) -> Value:
    """Batch and tokens are counted alike, so that it does not matter which comes first."""
    if not isinstance(call["input"], Feature) or len(call["input"].shape) != 3:
        raise call.refused("its input is no batch of sequences")
    states = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    if not all(isinstance(state, Constant) for state in states):
        raise call.refused("its first state is computed from the inputs")
    x: Feature = call["input"]
    units = states[0].shape[-1]
    layers: list[Feature] = []
    for _ in range(call["num_layers"]):
        operator = kind(units, bidirectional=call["bidirectional"], bias=call["has_biases"])
        layers.append(call.emit(operator, layers[-1] if layers else x))
    shape = states[0].shape

    def last_output() -> Value:
        return call.emit(tensor.Declared("last_state", Unit.COPY, (shape,)), *layers)

    def last_cell() -> Value:
        raise call.refused("its last cell state is read", "its output or its last hidden state")

    return Parts((lambda: layers[-1], last_output, last_cell))


_ADAPTIVE_AVG = partial(_adaptive_pool, pooling.GlobalAvgPool, pooling.AdaptiveAvgPool)
_ADAPTIVE_MAX = partial(_adaptive_pool, pooling.GlobalMaxPool, pooling.AdaptiveMaxPool)

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
        **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv),
        "linear": matrix.linear,
        **dict.fromkeys(("matmul", "bmm", "mm"), matrix.matmul),
        "addmm": matrix.addmm,
        "einsum": matrix.einsum,
        "scaled_dot_product_attention": matrix.attention,
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "rms_norm": _rms_norm,
        "group_norm": _group_norm,
        "instance_norm": _instance_norm,
        "softmax": _softmax,
        "_softmax": _softmax,
        **{name: partial(_one, name) for name in ("relu", "relu6", "leaky_relu", "sigmoid")},
        **{name: partial(_one, name) for name in ("silu", "tanh", "gelu", "elu", "selu", "mish")},
        **{name: partial(_one, name) for name in ("softplus", "exp", "log", "sqrt", "abs", "neg")},
        "reciprocal": partial(_one, "reciprocal"),
        "hardswish": partial(_one, "hard_swish"),
        "hardsigmoid": partial(_one, "hard_sigmoid"),
        "hardtanh": partial(_between, "min_val", "max_val"),
        "clamp": partial(_between, "min", "max"),
        "clamp_min": partial(_between, "min", "max"),
        "clamp_max": partial(_between, "min", "max"),
        "prelu": _prelu,
        **{name: partial(_arithmetic, name) for name in ("add", "mul", "sub", "div", "pow")},
        **{name: partial(_arithmetic, name) for name in ("minimum", "maximum")},
        "rsub": partial(_elementwise, "sub", 1),
        "rsqrt": partial(_elementwise, "rsqrt", 2),
        **{name: partial(_elementwise, name, 1) for name in ("sin", "cos", "erf", "square")},
        **{name: partial(_elementwise, name, 1) for name in ("where", "masked_fill")},
        **{name: partial(_elementwise, name, 1) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
        **{
            f"{kind.name}{n}d": partial(_pool, kind)
            for kind in (pooling.MaxPool, pooling.AvgPool)
            for n in (1, 2, 3)
        },
        **{f"adaptive_avg_pool{n}d": _ADAPTIVE_AVG for n in (1, 2, 3)},
        "mean": partial(_reduce, reduction.ReduceMean),
        "sum": partial(_reduce, reduction.ReduceSum),
        "amax": partial(_reduce, reduction.ReduceMax),
        "amin": partial(_reduce, reduction.ReduceMin),
        **dict.fromkeys(to.SAME, to.same),
        **dict.fromkeys(to.RESHAPES, to.view),
        "permute": to.permute,
        **dict.fromkeys(("transpose", "swapaxes", "swapdims", "t", "numpy_T"), to.transpose),
        "cat": to.concat,
        "stack": to.stack,
        "slice": to.sliced,
        "select": to.select,
        "narrow": to.narrow,
        **dict.fromkeys(("split", "split_with_sizes", "chunk", "unbind"), to.split),
        **{name: partial(to.copied, name) for name in ("expand", "repeat", "roll", "flip")},
        **{name: partial(to.copied, name) for name in ("pixel_shuffle", "pixel_unshuffle")},
        "expand_as": partial(to.copied, "expand"),
        **dict.fromkeys(("pad", "constant_pad_nd"), to.pad),
        "embedding": to.embedding,
        **{f"upsample_nearest{n}d": partial(to.resize, resize.ResizeNearest) for n in (1, 2, 3)},
        "upsample_linear1d": partial(to.resize, resize.ResizeLinear),
        "upsample_bilinear2d": partial(to.resize, resize.ResizeLinear),
        "upsample_trilinear3d": partial(to.resize, resize.ResizeLinear),
        **dict.fromkeys(("index", "index_select", "gather"), to.index),
        **dict.fromkeys(to.BLANKS, to.blank),
        "lstm": partial(_recurrent, recurrent.Lstm),
        "gru": partial(_recurrent, recurrent.Gru),
    }
)
