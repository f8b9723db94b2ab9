"""The table of operators: what a network may be made of. What each costs is in its class (`cost`).

A family is loaded when one of its operators is first asked for: a run of a convolutional network needs no attention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType

from perfsim.network.operator import Operator

# module of this package -> the names of its operators
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "convolution": ("conv", "depthwise_conv", "conv_transpose", "fully_connected"),
        "matrix": ("linear", "matmul", "attention"),
        "recurrent": ("rnn", "lstm", "gru"),
        "pooling": (
            *("max_pool", "avg_pool", "global_max_pool", "global_avg_pool"),
            *("adaptive_max_pool", "adaptive_avg_pool"),
        ),
        "reduction": (
            *("reduce_mean", "reduce_sum", "reduce_max", "reduce_min", "reduce_var", "reduce_std"),
            *("arg_max", "arg_min", "cum_sum"),
        ),
        "normalization": (
            *("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "lrn"),
        ),
        "elementwise": (
            *("relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "sigmoid", "silu"),
            *("tanh", "gelu", "elu", "selu", "mish", "softplus", "softsign", "hard_tanh", "prelu"),
            *("softmax", "log_softmax"),
        ),
        "arithmetic": (
            *("add", "mul", "sub", "div", "pow", "minimum", "maximum"),
            *("exp", "log", "sqrt", "abs", "neg", "reciprocal", "clip"),
        ),
        "quantization": ("quantize", "dequantize"),
        "resize": ("resize_linear", "resize_nearest"),
        "transformer": ("learned_add", "learned_scale", "learned_tokens", "roll"),
        "selection": ("split", "gather", "top_k"),
        "layout": (
            *("concat", "transpose", "pad", "slice", "channel_shuffle", "embedding"),
            *("flatten", "reshape", "squeeze", "unsqueeze"),
        ),
    }
)


class _Table(Mapping[str, type[Operator]]):
    """name -> operator, each family loaded when it is needed."""

    def __init__(self, families: Mapping[str, tuple[str, ...]]) -> None:
        self._homes = {name: family for family, names in families.items() for name in names}
        self._loaded: dict[str, type[Operator]] = {}
        if len(self._homes) != sum(map(len, families.values())):
            raise RuntimeError("two operators have the same name")

    def __getitem__(self, name: str) -> type[Operator]:
        if name not in self._loaded:
            self._loaded |= operators_in(self._homes[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._homes

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


def operators_in(family: str) -> dict[str, type[Operator]]:
    """The operators that a module of this package defines, by name."""
    module = import_module(f"perfsim.network.{family}")
    return {
        each.name: each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, Operator)
        and each.__module__ == module.__name__
        and "name" in vars(each)
    }


OPERATORS: Mapping[str, type[Operator]] = _Table(FAMILIES)

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
        "var": "reduce_var",
        "std": "reduce_std",
        "argmax": "arg_max",
        "argmin": "arg_min",
        "cumsum": "cum_sum",
        "chunk": "split",
        "index_select": "gather",
        "take": "gather",
        "elman": "rnn",
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
        "layer_scale": "learned_scale",
        "class_token": "learned_tokens",
    }
)
