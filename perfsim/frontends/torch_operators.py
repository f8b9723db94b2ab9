"""The table from PyTorch's operators (aten) to ours. In-place ones are looked up without their underscore."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends import torch_layout as to
from perfsim.frontends import torch_matrix as matrix
from perfsim.frontends import torch_recurrent as recurrence
from perfsim.frontends import torch_reduction as reducing
from perfsim.frontends.torch_call import Call, Constant, Feature, Value
from perfsim.network import normalization, pooling, recurrent, reduction
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv
from perfsim.network.elementwise import LogSoftmax, Softmax
from perfsim.network.operator import Operator, Unit
from perfsim.network.operators import OPERATORS
from perfsim.network.work import Work, elements, per_element

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
    weight, bias = call.weight("weight"), call.weight("bias") is not None
    if weight is None:
        raise call.refused("it has no weights")
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
        return to.batched(
            call,
            ConvTranspose(
                channels=weight.shape[1] * groups,
                groups=groups,
                output_padding=to.numbers(call["output_padding"]),
                **shared,
            ),
            len(weight.shape),
        )
    channels, rank = weight.shape[0], len(weight.shape)
    if groups > 1 and weight.shape[1] == 1:
        return to.batched(call, DepthwiseConv(multiplier=channels // groups, **shared), rank)
    return to.batched(call, Conv(channels=channels, groups=groups, **shared), rank)


def _batch_norm(call: Call) -> Value:
    if call.get("training"):
        raise call.refused("it takes its statistics from the data", "running statistics")
    operator = normalization.BatchNorm()
    return (
        call.several(operator, call["input"]) if call.shapes else call.emit(operator, call["input"])
    )


def _normalized(make: Callable[[bool], Operator], call: Call) -> Value:
    """A normalisation with a scale and a shift, none, or one of them: one operation for each element."""
    x: Feature = call["input"]
    weight, bias = call.weight("weight"), call.weight("bias")
    if (weight is None) == (bias is None):
        return call.emit(make(weight is not None), x)
    plain = make(False)
    work = plain.work((x.shape,), (x.shape,))
    operations = (*work.vector_ops, *per_element(x.shape, 1, "scale or shift"))
    held = tensor.trained(elements(weight.shape if weight else bias.shape if bias else ()))
    counts = Work(vector_ops=operations, params=held)
    return call.emit(tensor.Declared(plain.name, Unit.VECTOR, (x.shape,), counts), x)


def _layer_norm(call: Call) -> Value:
    axes = len(call["normalized_shape"])
    if call.weight("weight") is not None and call.weight("bias") is None:
        return call.emit(tensor.LayerNormWithoutShift(axes), call["input"])
    return _normalized(lambda affine: normalization.LayerNorm(axes, affine=affine), call)


def _rms_norm(call: Call) -> Value:
    if call.weight("weight") is None:
        raise call.refused("it has no scale", "a trained scale")
    return call.emit(normalization.RmsNorm(len(call["normalized_shape"])), call["input"])


def _group_norm(call: Call) -> Value:
    groups = call["num_groups"]
    return _normalized(lambda affine: normalization.GroupNorm(groups, affine=affine), call)


def _instance_norm(call: Call) -> Value:
    if not call["use_input_stats"]:
        raise call.refused("it uses running statistics", "statistics of its input")
    return _normalized(lambda affine: normalization.InstanceNorm(affine=affine), call)


def _softmax(kind: type[Softmax], call: Call) -> Value:
    return call.emit(kind(axis=call["dim"]), call["self"])


def _pool(kind: Any, call: Call) -> Value:
    rank = int(re.findall(r"(\d)d", call.op)[0]) + 2
    kernel = to.numbers(call["kernel_size"])
    pooling = kind(
        kernel=kernel,
        stride=to.numbers(call["stride"]) if call["stride"] else kernel,
        padding=to.numbers(call["padding"]),
        dilation=to.numbers(call.get("dilation", 1)),
        ceil_mode=bool(call["ceil_mode"]),
    )
    return to.batched(call, pooling, rank)


def _adaptive_pool(to_one: type[Operator], to_any: Any, call: Call) -> Value:
    output = tuple(call["output_size"])
    rank = len(output) + 2
    one = all(size == 1 for size in output)
    return to.batched(call, to_one() if one else to_any(to.numbers(output)), rank)


def _glu(call: Call) -> Value:
    """Half of an axis times the sigmoid of the other half: 4 operations and one."""
    work = Work(vector_ops=per_element(call.shape, 5, "sigmoid, multiply"))
    return call.emit(tensor.Declared("glu", Unit.VECTOR, (call.shape,), work), call["self"])


def _cum_sum(call: Call) -> Value:
    return call.emit(reduction.CumSum(call["dim"]), call["self"])


_COPIED = (
    *("expand", "repeat", "roll", "flip", "tile", "repeat_interleave", "tril", "triu"),
    *("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "im2col", "unfold", "diagonal"),
)
# What gives out a tensor a part of which is replaced.
_WRITTEN = (
    *("slice_scatter", "select_scatter", "scatter", "index_put", "masked_scatter", "index_copy"),
)

# Functions of one element that count as one operation, as exp does, or comparisons and logic between elements.
_ONE_OPERATION = (
    *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "erf", "square", "exp2"),
    *("floor", "ceil", "round", "trunc", "sign", "sgn", "where", "masked_fill"),
    *("eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "atan2"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
)

_ADAPTIVE_AVG = partial(_adaptive_pool, pooling.GlobalAvgPool, pooling.AdaptiveAvgPool)
_ADAPTIVE_MAX = partial(_adaptive_pool, pooling.GlobalMaxPool, pooling.AdaptiveMaxPool)

HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), _conv),
        **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _conv),
        "linear": matrix.linear,
        **dict.fromkeys(("matmul", "bmm", "mm"), matrix.matmul),
        "addmm": matrix.addmm,
        "baddbmm": matrix.baddbmm,
        "einsum": matrix.einsum,
        "scaled_dot_product_attention": matrix.attention,
        "batch_norm": _batch_norm,
        "_native_batch_norm_legit_no_training": _batch_norm,
        "layer_norm": _layer_norm,
        "rms_norm": _rms_norm,
        "group_norm": _group_norm,
        "instance_norm": _instance_norm,
        **dict.fromkeys(("softmax", "_softmax"), partial(_softmax, Softmax)),
        **dict.fromkeys(("log_softmax", "_log_softmax"), partial(_softmax, LogSoftmax)),
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
        **{name: partial(_elementwise, name, 1) for name in _ONE_OPERATION},
        **{name: partial(_elementwise, name, 2) for name in ("expm1", "log1p", "log2", "log10")},
        "fmod": partial(_elementwise, "mod", 1),
        "remainder": partial(_elementwise, "mod", 1),
        "floor_divide": partial(_elementwise, "div", 2),
        "addcmul": partial(_elementwise, "addcmul", 2),  # multiply, add
        "lerp": partial(_elementwise, "lerp", 3),  # subtract, multiply, add
        "celu": partial(_elementwise, "celu", 5),  # elu, and x / a
        "threshold": partial(_elementwise, "threshold", 2),  # compare, select
        "hardshrink": partial(_elementwise, "hardshrink", 3),  # two comparisons, select
        "softshrink": partial(_elementwise, "softshrink", 4),  # two comparisons, add, select
        "log_sigmoid": partial(_elementwise, "log_sigmoid", 4),  # negate, exp, add, log
        "glu": _glu,
        "cumsum": _cum_sum,
        "cumprod": partial(_elementwise, "cum_prod", 1),
        **{
            f"{kind.name}{n}d": partial(_pool, kind)
            for kind in (pooling.MaxPool, pooling.AvgPool)
            for n in (1, 2, 3)
        },
        **{f"max_pool{n}d_with_indices": partial(_pool, pooling.MaxPool) for n in (1, 2, 3)},
        **{f"adaptive_avg_pool{n}d": _ADAPTIVE_AVG for n in (1, 2, 3)},
        **{f"adaptive_max_pool{n}d": _ADAPTIVE_MAX for n in (1, 2, 3)},
        "mean": partial(reducing.reduce, reduction.ReduceMean),
        "sum": partial(reducing.reduce, reduction.ReduceSum),
        "amax": partial(reducing.reduce, reduction.ReduceMax),
        "amin": partial(reducing.reduce, reduction.ReduceMin),
        "max": partial(reducing.counted, "reduce_max", 0, 0),
        "min": partial(reducing.counted, "reduce_min", 0, 0),
        "argmax": partial(reducing.arg, reduction.ArgMax),
        "argmin": partial(reducing.arg, reduction.ArgMin),
        "prod": partial(reducing.counted, "reduce_prod", 0, 0),
        **{name: partial(reducing.counted, name, 0, 0) for name in ("any", "all")},
        "logsumexp": partial(reducing.counted, "reduce_log_sum_exp", 1, 1),
        **dict.fromkeys(("var", "var_mean"), partial(reducing.variance, reduction.ReduceVar)),
        **dict.fromkeys(("std", "std_mean"), partial(reducing.variance, reduction.ReduceStd)),
        **dict.fromkeys(("linalg_vector_norm", "norm"), reducing.norm),
        **dict.fromkeys(("topk", "sort", "argsort"), reducing.top_k),
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
        **{name: partial(to.copied, name) for name in _COPIED},
        **{name: partial(to.written, name) for name in _WRITTEN},
        "copy": to.replaced,
        "fill": to.filled,
        "movedim": to.movedim,
        "moveaxis": to.movedim,
        "expand_as": partial(to.copied, "expand"),
        **dict.fromkeys(("pad", "constant_pad_nd"), to.pad),
        "embedding": to.embedding,
        **{f"upsample_nearest{n}d": partial(to.resize, "nearest") for n in (1, 2, 3)},
        **{f"_upsample_nearest_exact{n}d": partial(to.resize, "nearest") for n in (1, 2, 3)},
        "upsample_linear1d": partial(to.resize, "linear"),
        "upsample_bilinear2d": partial(to.resize, "linear"),
        "upsample_trilinear3d": partial(to.resize, "linear"),
        "upsample_bicubic2d": partial(to.resize, "cubic"),
        "grid_sampler": to.grid_sample,
        "grid_sampler_2d": to.grid_sample,
        "col2im": to.col2im,
        **dict.fromkeys(("index", "index_select", "gather"), to.index),
        **dict.fromkeys(to.BLANKS, to.blank),
        "lstm": partial(recurrence.recurrent, recurrent.Lstm),
        "rnn_tanh": partial(recurrence.recurrent, recurrent.Rnn),
        "gru": partial(recurrence.recurrent, recurrent.Gru),
    }
)
