"""An ONNX file without the values of its weights: a file of 100 MB is read as fast as one of 100 KB.

Only the outer layers of the protobuf are walked: https://protobuf.dev/programming-guides/encoding, and onnx.proto.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto

from perfsim.errors import FileError, InvalidValueError, ParseError, shortened
from perfsim.frontends.onnx_trained import LARGEST_LOOK, ROW_START, may_be_computed
from perfsim.frontends.onnx_types import bits_of
from perfsim.network.work import elements, shape_text

_GRAPH, _INITIALIZER, _RAW_DATA, _FLOAT_DATA = 7, 5, 9, 4
_VALUES = {_RAW_DATA, _FLOAT_DATA, 5, 6, 7, 10, 11}  # and int32, string, int64, double, uint64
_SMALL = 1 << 17  # bytes; a constant whose value may matter (4096 elements) takes less
_UNSIZED = ("UNDEFINED", "STRING", "FLOAT6E2M3", "FLOAT6E3M2")


def read_model(path: Path) -> Any:
    """The ModelProto in the file at `path`, without the values of its large initializers and external data.

    Raises FileError if the file cannot be read, ParseError if it is no protobuf of ONNX, and InvalidValueError for an
    initializer that has more or fewer bytes than its shape.
    """
    try:
        with path.open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise ParseError("", found="an empty file", expected="a protobuf of ONNX")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return ModelProto.FromString(_with_lean(data, 0, len(data), _GRAPH, _lean_graph))
    except FileNotFoundError:
        raise FileError("no such file") from None
    except OSError as error:
        raise FileError(f"cannot be read: {error.strerror}") from None
    except DecodeError:
        raise _not_onnx() from None


def check_data(tensor: Any) -> None:
    """Raise InvalidValueError if the raw data of `tensor` are not as long as its shape needs."""
    if tensor.HasField("raw_data"):
        _check_length(tensor, len(tensor.raw_data))


def _check_length(tensor: Any, length: int) -> None:
    """Raise InvalidValueError if `length` bytes of raw data are not what the shape of `tensor` needs."""
    kind = tensor.data_type
    if kind not in TensorProto.DataType.values() or TensorProto.DataType.Name(kind) in _UNSIZED:
        return
    needed = -(-elements(tuple(tensor.dims)) * bits_of(kind) // 8)
    if length != needed:
        raise InvalidValueError(
            "the data do not fill the shape",
            found=f"{length} bytes",
            expected=f"{needed} for {shape_text(tuple(tensor.dims))}",
        )


def _not_onnx() -> ParseError:
    return ParseError("not an ONNX model, or cut off", expected="a protobuf of ONNX")


def _fields(data: Any, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, first byte, first byte of the value, end) of each field of the message at start:end.

    The number of a field that is no bytes is 0: none of those is looked into.
    """
    at = start
    while at < end:
        begin = at
        tag, at = _varint(data, at, end)
        kind, value = tag & 7, at
        if kind == 2:
            size, value = _varint(data, at, end)
            at = value + size
        elif kind == 0:
            _, at = _varint(data, at, end)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise _not_onnx()
        if at > end:
            raise _not_onnx()
        yield (tag >> 3 if kind == 2 else 0), begin, value, at


def _varint(data: Any, at: int, end: int) -> tuple[int, int]:
    """The whole number at `at`, and where it ends."""
    number = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
    raise _not_onnx()


def _with_lean(data: Any, start: int, end: int, field: int, lean: Any) -> bytes:
    """The message at start:end with each of its fields `field` made lean."""
    out = bytearray()
    copied = start
    for number, begin, value, stop in _fields(data, start, end):
        if number == field and stop - value > _SMALL:
            out += data[copied:begin]
            out += _message(number, lean(data, value, stop))
            copied = stop
    return bytes(out + data[copied:end])


def _lean_graph(data: Any, start: int, end: int) -> bytes:
    return _with_lean(data, start, end, _INITIALIZER, _lean_tensor)


def _lean_tensor(data: Any, start: int, end: int) -> bytes:
    """The tensor without its values, whose number is checked where it needs no decoding.

    Values that may be those of a mask or a table of positions stay.
    """
    out = bytearray()
    raw = floats = None
    held = (start, start, start)
    for number, begin, value, stop in _fields(data, start, end):
        if number not in _VALUES:
            out += data[begin:stop]
        elif number == _RAW_DATA:
            raw, held = stop - value, (begin, value, stop)
        elif number == _FLOAT_DATA:
            floats = (floats or 0) + stop - value
    tensor = TensorProto.FromString(bytes(out))
    length = floats if raw is None and tensor.data_type == TensorProto.FLOAT else raw
    if length is not None:
        try:
            _check_length(tensor, length)
        except InvalidValueError as error:
            raise error.at(where=f"initializer '{shortened(tensor.name)}'") from None
    begin, first, stop = held
    is_small = tensor.data_type == TensorProto.FLOAT and 0 < (raw or 0) <= 4 * LARGEST_LOOK
    if is_small and may_be_computed(data[first : first + 4 * ROW_START], tensor.dims[-1]):
        out += data[begin:stop]
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    """The field `number` that holds the message `content`."""
    return _as_varint(number << 3 | 2) + _as_varint(len(content)) + content


def _as_varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])
