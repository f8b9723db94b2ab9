"""The table of operators: what a network may be made of, and what each costs (`cost`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from perfsim.network.convolution import Conv, DepthwiseConv, FullyConnected
from perfsim.network.elementwise import ACTIVATIONS, Add, BatchNorm, Mul, Softmax
from perfsim.network.layout import Concat, Flatten
from perfsim.network.pooling import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool

if TYPE_CHECKING:
    from perfsim.network.operator import Operator

_ALL: tuple[type[Operator], ...] = (
    Conv,
    DepthwiseConv,
    FullyConnected,
    MaxPool,
    AvgPool,
    GlobalMaxPool,
    GlobalAvgPool,
    BatchNorm,
    *ACTIVATIONS,
    Add,
    Mul,
    Softmax,
    Concat,
    Flatten,
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
        "linear": "fully_connected",
        "fc": "fully_connected",
        "gemm": "fully_connected",
        "pool": "max_pool",
        "average_pool": "avg_pool",
        "gap": "global_avg_pool",
        "bn": "batch_norm",
        "swish": "silu",
        "hardswish": "hard_swish",
        "multiply": "mul",
        "sum": "add",
        "concatenate": "concat",
        "cat": "concat",
    }
)

if len(OPERATORS) != len(_ALL):
    raise RuntimeError("two operators have the same name")
