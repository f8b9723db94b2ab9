"""ONNX's convolutions, matrix products, poolings and normalisations as our operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_fit import check_stretch, check_weights
from perfsim.frontends.onnx_graph import Step
from perfsim.frontends.tensor_operators import Declared, LayerNormWithoutShift, worked
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv, FullyConnected
from perfsim.network.matrix import Linear, Matmul
from perfsim.network.normalization import (
    BatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    Lrn,
    RmsNorm,
)
from perfsim.network.operator import Operator, Padding, Unit, axis_index, channels_and_space
from perfsim.network.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from perfsim.network.work import Product, Shape, Work, elements, per_element, shape_text


class Made(NamedTuple):
    """An operator, and what it takes its inputs for.

    Attributes:
        reads: the positions of the inputs that it reads.
        weights: the positions of its weights; all other constants unless given.
        widths: (bits of its weights, (count, bits) of others) where the inputs do not tell.
    """

    operator: Operator
    reads: tuple[int, ...] = (0,)
    weights: tuple[int, ...] | None = None
    widths: tuple[int, tuple[tuple[int, int], ...]] | None = None


Maker = Callable[[Step], Made | None]


def without_params(operator: Operator, inputs: tuple[Shape, ...]) -> Declared:
    """`operator`, whose weights another node writes: the same work, no parameters."""
    shapes = operator.output_shapes(inputs)
    return Declared(
        operator.name, operator.unit, shapes, replace(operator.work(inputs, shapes), params=())
    )


def _given(values: list[int] | None, axes: int, what: str) -> tuple[int, ...]:
    found = tuple(values) if values else (1,) * axes
    if len(found) != axes or min(found) < 1:
        raise ShapeError(
            "", found=f"{what} {list(found)}", expected=f"{axes} numbers of at least 1"
        )
    return found


def _padding(step: Step, axes: int) -> Padding:
    auto = step.text("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return "same"
    if auto == "VALID":
        return "valid"
    if auto != "NOTSET":
        raise InvalidValueError(
            "", found=f"auto_pad {auto}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER"
        )
    pads = step.integers("pads") or [0] * (2 * axes)
    if len(pads) != 2 * axes or min(pads) < 0:
        raise ShapeError("", found=f"pads {pads}", expected=f"{2 * axes} numbers of at least 0")
    return tuple((pads[axis], pads[axes + axis]) for axis in range(axes))


def _kernel(step: Step, weights: Shape, axes: int) -> tuple[int, ...]:
    kernel = step.integers("kernel_shape")
    if len(weights) != axes + 2 or (kernel and tuple(kernel) != weights[2:]):
        raise ShapeError(
            "the weights do not fit the input or the kernel",
            found=f"weights {shape_text(weights)}"
            + (f" and kernel_shape {kernel}" if kernel else ""),
            expected=f"{axes + 2} axes, the last of which are the kernel",
        )
    return _given(list(weights[2:]), axes, "a kernel")


def _conv(data: int, weight: int, bias: int | None) -> Maker:
    def make(step: Step) -> Made:
        channels, space = channels_and_space(step.shape(data))
        axes = len(space)
        weights = step.shape(weight)
        groups = step.integer("group", 1)
        kernel = _kernel(step, weights, axes)
        if groups < 1 or weights[1] * groups != channels or weights[0] % groups:
            raise ShapeError(
                "the weights do not fit the channels of the input",
                found=f"weights {shape_text(weights)} in {groups} groups for {channels} channels",
                expected="input channels / groups as the weights' second axis",
            )
        sliding: dict[str, Any] = {
            "kernel": kernel,
            "stride": _given(step.integers("strides"), axes, "strides"),
            "padding": _padding(step, axes),
            "dilation": _given(step.integers("dilations"), axes, "dilations"),
            "bias": bias is not None and step.has_bias(bias),
        }
        operator: Operator
        if groups > 1 and groups == channels:
            operator = DepthwiseConv(multiplier=weights[0] // channels, **sliding)
        else:
            operator = Conv(channels=weights[0], groups=groups, **sliding)
        return _of_weights(step, operator, data, (weight,) if bias is None else (weight, bias))

    return make


def _of_weights(step: Step, operator: Operator, data: int, weights: tuple[int, ...]) -> Made:
    """`operator` as it is, or, if a node writes its weights, as one that reads them."""
    matrix, *bias = weights
    weights = (matrix, *(each for each in bias if step.has_bias(each)))
    check_weights(step, operator, step.shape(data), weights)
    written = tuple(each for each in weights if step.has(each) and not step.value(each).is_weight)
    if not written:
        return Made(operator, (data,), weights)
    return Made(without_params(operator, (step.shape(data),)), (data, *written))


def _conv_transpose(step: Step) -> Made:
    channels, space = channels_and_space(step.shape(0))
    axes = len(space)
    weights = step.shape(1)
    groups = step.integer("group", 1)
    kernel = _kernel(step, weights, axes)
    if weights[0] != channels or groups < 1:
        raise ShapeError(
            "the weights do not fit the channels of the input",
            found=f"weights {shape_text(weights)} for {channels} channels",
            expected="input channels as the weights' first axis",
        )
    stride = _given(step.integers("strides"), axes, "strides")
    dilation = _given(step.integers("dilations"), axes, "dilations")
    more = step.integers("output_padding") or [0] * axes
    padding = _padding(step, axes)
    wanted = step.integers("output_shape")
    if wanted:
        natural = [
            (space[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1 + more[i]
            for i in range(axes)
        ]
        cut = [natural[i] - wanted[-axes + i] for i in range(axes)]
        padding = tuple((max(each, 0) // 2, max(each, 0) - max(each, 0) // 2) for each in cut)
        more = [more[i] + max(-cut[i], 0) for i in range(axes)]
    operator = ConvTranspose(
        channels=weights[1] * groups,
        kernel=kernel,
        stride=stride,
        padding=padding,
        output_padding=tuple(more),
        dilation=dilation,
        groups=groups,
        bias=step.has_bias(2),
    )
    return _of_weights(step, operator, 0, (1, 2))


def _gemm(step: Step) -> Made:
    a, b = step.shape(0), step.shape(1)
    if len(a) != 2 or len(b) != 2:
        raise ShapeError("", found=f"{shape_text(a)} and {shape_text(b)}", expected="two matrices")
    turned = bool(step.integer("transA", 0)), bool(step.integer("transB", 0))
    product = Matmul(*turned)
    shapes = product.output_shapes((a, b))
    columns = shapes[0][1]
    check_stretch(step, (2,), shapes[0])
    is_data = step.value(0).is_constant and not step.value(1).is_constant  # weights come first
    if step.value(1).is_weight and not turned[0] and not is_data:
        if not step.has_bias(2):
            return Made(FullyConnected(columns, bias=False), (0,), (1,))
        if step.value(2).is_weight and elements(step.shape(2)) == columns:
            return Made(FullyConnected(columns), (0,))
    work = product.work((a, b), shapes)
    added = per_element(shapes[0], 1, "add") if step.has(2) else ()
    return Made(Declared("matmul", Unit.MATRIX, shapes, replace(work, vector_ops=added)), (0, 1, 2))


def _matmul(first: int, second: int) -> Maker:
    def make(step: Step) -> Made:
        a, b = step.shape(first), step.shape(second)
        if len(a) > 1 and len(b) == 2 and step.value(second).is_constant:
            if a[-1] != b[0]:
                raise ShapeError(
                    "the axes that are summed over differ",
                    found=f"{shape_text(a)} times {shape_text(b)}",
                    expected="as many columns in the first input as rows in the second",
                )
            return Made(Linear(b[1], bias=False), (first,), (second,))
        return Made(Matmul(), (first, second))

    return make


def _pool(operator: type[MaxPool] | type[AvgPool]) -> Maker:
    def make(step: Step) -> Made:
        _, space = channels_and_space(step.shape(0))
        axes = len(space)
        return Made(
            operator(
                kernel=_given(step.integers("kernel_shape"), axes, "a kernel"),
                stride=_given(step.integers("strides"), axes, "strides"),
                padding=_padding(step, axes),
                dilation=_given(step.integers("dilations"), axes, "dilations"),
                ceil_mode=bool(step.integer("ceil_mode", 0)),
            )
        )

    return make


def _lp_pool(step: Step) -> Made:
    """Per window a power and an addition an element but one, and a root: twice the window."""
    window = math.prod(step.integers("kernel_shape") or step.shape(0)[2:])
    shape = step.output()
    each = (2 * window, "operations per window (power, addition, root)")
    work = Work(vector_ops=(Product("pooling", ((elements(shape), "output elements"), each)),))
    return Made(Declared("lp_pool", Unit.VECTOR, (shape,), work))


def _batch_norm(step: Step) -> Made:
    if step.integer("training_mode", 0) or len(step.outputs) > 1:
        raise InvalidValueError("", found="training mode", expected="a model for inference")
    for position in range(1, 5):
        step.value(position)
    return Made(BatchNorm(), weights=(1, 2))  # the statistics are folded into both


def _group_norm(step: Step) -> Made:
    operator = GroupNorm(groups=step.at_least_one("num_groups"))
    check_weights(step, operator, step.shape(0), (1, 2))
    return Made(operator)


def _instance_norm(step: Step) -> Made:
    check_weights(step, InstanceNorm(), step.shape(0), (1, 2))
    return Made(InstanceNorm())


def _layer_norm(step: Step) -> Made:
    shape = step.shape(0)
    axes = len(shape) - axis_index(step.integer("axis", -1), len(shape))
    check_stretch(step, (1, 2), shape[-axes:])
    operator = LayerNorm(axes) if step.has(2) else LayerNormWithoutShift(axes)
    if axes < len(shape):
        return Made(operator)
    return Made(worked(operator, ((1, *shape),), (shape,)))


def _rms_norm(step: Step) -> Made:
    shape = step.shape(0)
    axes = len(shape) - axis_index(step.integer("axis", -1), len(shape))
    check_stretch(step, (1,), shape[-axes:])
    if axes < len(shape):
        return Made(RmsNorm(axes))
    return Made(worked(RmsNorm(axes), ((1, *shape),), (shape,)))


COMPUTE: Mapping[str, Maker] = {
    "Conv": _conv(0, 1, 2),
    "ConvInteger": _conv(0, 1, None),
    "QLinearConv": _conv(0, 3, 8),
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "QLinearMatMul": _matmul(0, 3),
    "MaxPool": _pool(MaxPool),
    "AveragePool": _pool(AvgPool),
    "LpPool": _lp_pool,
    "GlobalLpPool": _lp_pool,
    "GlobalAveragePool": lambda step: Made(GlobalAvgPool()),
    "GlobalMaxPool": lambda step: Made(GlobalMaxPool()),
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "LRN": lambda step: Made(Lrn(step.at_least_one("size"))),
}
