"""The table of operators: what a network may be made of, and what each costs (`cost`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

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
from perfsim.network.elementwise import ACTIVATIONS, Softmax
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
from perfsim.network.pooling import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
)
from perfsim.network.recurrent import Gru, Lstm
from perfsim.network.reduction import ReduceMax, ReduceMean, ReduceMin, ReduceSum
from perfsim.network.resize import ResizeLinear, ResizeNearest

if TYPE_CHECKING:
    from perfsim.network.operator import Operator

_ALL: tuple[type[Operator], ...] = (
    Conv,
    DepthwiseConv,
    ConvTranspose,
    FullyConnected,
    Linear,
    Matmul,
    Attention,
    Lstm,
    Gru,
    MaxPool,
    AvgPool,
    GlobalMaxPool,
    GlobalAvgPool,
    AdaptiveMaxPool,
    AdaptiveAvgPool,
    ReduceMean,
    ReduceSum,
    ReduceMax,
    ReduceMin,
    BatchNorm,
    LayerNorm,
    GroupNorm,
    InstanceNorm,
    RmsNorm,
    Lrn,
    *ACTIVATIONS,
    *FUNCTIONS,
    Add,
    Mul,
    Sub,
    Div,
    Pow,
    Minimum,
    Maximum,
    Softmax,
    ResizeLinear,
    ResizeNearest,
    Concat,
    Transpose,
    Pad,
    Slice,
    ChannelShuffle,
    Embedding,
    Flatten,
    Reshape,
    Squeeze,
    Unsqueeze,
)

OPERATORS: Mapping[str, type[Operator]] = MappingProxyType(
    {operator.name: operator for operator in _ALL}
)

# What other tools call them, for the hint after an unknown name.
ALSO_CALLED: Mapping[str, str] = MappingProxyType(
    {
        "convolution": "conv",
        "conv1d": "conv",
        "conv2d": "conv",
        "conv3d": "conv",
        "dw_conv": "depthwise_conv",
        "separable_conv": "depthwise_conv",
        "dense": "fully_connected",
        "fc": "fully_connected",
        "gemm": "fully_connected",
        "deconv": "conv_transpose",
        "transposed_conv": "conv_transpose",
        "bmm": "matmul",
        "multi_head_attention": "attention",
        "pool": "max_pool",
        "average_pool": "avg_pool",
        "gap": "global_avg_pool",
        "mean": "reduce_mean",
        "bn": "batch_norm",
        "ln": "layer_norm",
        "swish": "silu",
        "hardswish": "hard_swish",
        "multiply": "mul",
        "sum": "add",
        "subtract": "sub",
        "divide": "div",
        "power": "pow",
        "clamp": "clip",
        "permute": "transpose",
        "view": "reshape",
        "resize": "resize_nearest",
        "upsample": "resize_nearest",
        "concatenate": "concat",
        "cat": "concat",
    }
)

if len(OPERATORS) != len(_ALL):
    raise RuntimeError("two operators have the same name")
