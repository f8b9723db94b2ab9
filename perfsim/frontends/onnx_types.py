"""The element types of ONNX, as it numbers them."""

from __future__ import annotations

from typing import Any

import onnx

from perfsim.network.work import Shape, elements

_KINDS = onnx.TensorProto
STRING = int(_KINDS.STRING)
BOOL = int(_KINDS.BOOL)
FLOAT = int(_KINDS.FLOAT)
UINT8 = int(_KINDS.UINT8)
INT64 = int(_KINDS.INT64)

_FRACTION_NAMES = (
    *("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"),
    *("FLOAT8E4M3FN", "FLOAT8E5M2", "FLOAT4E2M1"),
)
_NAMES_BY_BITS = {
    128: ("COMPLEX128",),
    64: ("DOUBLE", "INT64", "UINT64", "COMPLEX64"),
    32: ("FLOAT", "INT32", "UINT32"),
    16: ("FLOAT16", "BFLOAT16", "INT16", "UINT16"),
    4: ("INT4", "UINT4", "FLOAT4E2M1"),
    2: ("INT2", "UINT2"),
}
_KNOWN = dict(_KINDS.DataType.items())  # older libraries lack the newest types
_FRACTIONS = {_KNOWN[name] for name in _FRACTION_NAMES if name in _KNOWN}
_BITS = {
    _KNOWN[name]: bits for bits, names in _NAMES_BY_BITS.items() for name in names if name in _KNOWN
}


def bits_of(elem_type: int) -> int:
    """Bits of an element of this type."""
    return _BITS.get(elem_type, 8)


def is_fraction(elem_type: int) -> bool:
    """Whether elements of this type are fractions."""
    return elem_type in _FRACTIONS


def is_external(tensor: Any) -> bool:
    """Whether the values of a TensorProto are in a file beside the model."""
    return bool(tensor.data_location == _KINDS.EXTERNAL)


def params_of(shape: Shape, elem_type: int) -> int:
    """Trained numbers in a constant: its elements if they are fractions and more than one."""
    count = elements(shape)
    return count if is_fraction(elem_type) and count > 1 else 0
