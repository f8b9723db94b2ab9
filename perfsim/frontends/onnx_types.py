"""The element types of ONNX, as it numbers them."""

from __future__ import annotations

import onnx

from perfsim.network.work import Shape, elements

_KINDS = onnx.TensorProto
STRING = int(_KINDS.STRING)
BOOL = int(_KINDS.BOOL)
FLOAT = int(_KINDS.FLOAT)
UINT8 = int(_KINDS.UINT8)
INT64 = int(_KINDS.INT64)

_FRACTIONS = (
    *(_KINDS.FLOAT, _KINDS.FLOAT16, _KINDS.BFLOAT16, _KINDS.DOUBLE),
    *(_KINDS.FLOAT8E4M3FN, _KINDS.FLOAT8E5M2, _KINDS.FLOAT4E2M1),
)
_BITS: dict[int, int] = {
    int(kind): bits
    for bits, kinds in {
        128: (_KINDS.COMPLEX128,),
        64: (_KINDS.DOUBLE, _KINDS.INT64, _KINDS.UINT64, _KINDS.COMPLEX64),
        32: (_KINDS.FLOAT, _KINDS.INT32, _KINDS.UINT32),
        16: (_KINDS.FLOAT16, _KINDS.BFLOAT16, _KINDS.INT16, _KINDS.UINT16),
        4: (_KINDS.INT4, _KINDS.UINT4, _KINDS.FLOAT4E2M1),
    }.items()
    for kind in kinds
}


def bits_of(elem_type: int) -> int:
    """Bits of an element of this type."""
    return _BITS.get(elem_type, 8)


def is_fraction(elem_type: int) -> bool:
    """Whether elements of this type are fractions."""
    return elem_type in _FRACTIONS


def params_of(shape: Shape, elem_type: int) -> int:
    """Trained numbers in a constant: its elements if they are fractions and more than one."""
    count = elements(shape)
    return count if is_fraction(elem_type) and count > 1 else 0
