"""PyTorch's operators that compute nothing: other shapes, orders and parts, padding, resizing, embedding."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.torch_call import Call, Constant, Feature, Parts, Value
from perfsim.network import layout
from perfsim.network.operator import Unit
from perfsim.network.work import Shape

SAME = (
    *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "alias", "detach"),
    *("contiguous", "clone", "to", "_to_copy", "type_as", "lift_fresh_copy", "lift_fresh"),
)
RESHAPES = ("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view")
# What gives out its input's memory, or may; SAME and RESHAPES do as well.
OTHER_ALIASES = (
    *(
        "permute",
        "transpose",
        "swapaxes",
        "swapdims",
        "t",
        "numpy_T",
        "slice",
        "select",
        "narrow",
        "expand",
        "expand_as",
    ),
    *("split", "split_with_sizes", "chunk", "unbind", "getitem", "diagonal", "unfold", "view_as"),
)
# Tensors that have no more than their shape from the input.
BLANKS = (
    *("zeros_like", "ones_like", "full_like", "empty_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty"),
)
ALIASES = frozenset((*SAME, *RESHAPES, *OTHER_ALIASES))


def same(call: Call) -> Value:
    """The input itself: nothing is computed, or nothing at inference."""
    if call.get("train") and call.get("p"):
        raise call.refused("it drops elements at inference", "dropout that follows module.eval()")
    source: Value = call[next(iter(call.arguments))]
    return source


def numbers(value: Any) -> Any:
    """A setting as our operators write it: one number where all axes agree."""
    if isinstance(value, int):
        return value
    numbers = tuple(int(each) for each in value)
    return numbers[0] if len(set(numbers)) == 1 else numbers


def view(call: Call) -> Value:
    """Another shape for the same elements."""
    x: Feature = call["self"]
    if x.shape == call.shape:
        return x
    if call.shape == (x.shape[0], math.prod(x.shape[1:])):
        return call.emit(layout.Flatten(), x)
    if x.shape[:1] == call.shape[:1]:
        return call.emit(layout.Reshape(call.shape[1:]), x)
    return call.emit(tensor.Reshaped(call.shape), x)


def copied(name: str, call: Call) -> Value:
    """Elements in another order or number, of the shape that PyTorch says."""
    x: Feature = call[next(iter(call.arguments))]
    if name == "expand" and x.shape == call.shape:
        return x
    return call.emit(tensor.Declared(name, Unit.COPY, (call.shape,)), x)


def _order(call: Call, order: list[int]) -> Value:
    x: Feature = call["self"]
    if order == sorted(order):
        return x
    if [axis for axis in order if x.shape[axis] > 1] == [
        axis for axis in range(len(order)) if x.shape[axis] > 1
    ]:
        return view(call)  # axes of one element move no bytes
    return call.emit(layout.Transpose(tuple(order)), x)


def permute(call: Call) -> Value:
    """Axes in another order."""
    rank = len(call["self"].shape)
    return _order(call, [axis % rank for axis in call["dims"]])


def transpose(call: Call) -> Value:
    """Two axes exchanged."""
    order = list(range(len(call["self"].shape)))
    a = call.get("dim0", call.get("axis0", 0))
    b = call.get("dim1", call.get("axis1", len(order) - 1))
    if order:
        order[a], order[b] = order[b], order[a]
    return _order(call, order)


def concat(call: Call) -> Value:
    """Tensors one after another along an axis."""
    inputs, constants, _ = call.operands(call["tensors"])
    if len(inputs) == 1 and not constants:
        return inputs[0]
    return call.combine(layout.Concat(call["dim"] % len(call.shape)), call["tensors"])


def stack(call: Call) -> Value:
    """Tensors one after another along a new axis."""
    axis = call["dim"] % len(call.shape)
    one = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    parts = [call.emit(tensor.Reshaped(one), each) for each in call["tensors"]]
    return call.emit(layout.Concat(axis), *parts) if len(parts) > 1 else parts[0]


def _part(call: Call, axis: int, start: int, stop: int, step: int = 1) -> Feature:
    x: Feature = call["self"]
    if start == 0 and stop >= x.shape[axis] and step == 1:
        return x
    return call.emit(layout.Slice(axis, start, stop, step), x)


def sliced(call: Call) -> Value:
    """A part of one axis."""
    x: Feature = call["self"]
    axis = call["dim"] % len(x.shape)
    start, stop, step = slice(call["start"], call["end"], call["step"]).indices(x.shape[axis])
    return _part(call, axis, start, stop, step)


def narrow(call: Call) -> Value:
    """So many elements of one axis."""
    axis = call["dim"] % len(call["self"].shape)
    start = call["start"] % call["self"].shape[axis]
    return _part(call, axis, start, start + call["length"])


def _without(call: Call, part: Feature, axis: int) -> Feature:
    return call.emit(layout.Squeeze(axis), part)


def select(call: Call) -> Value:
    """One element of an axis, which goes."""
    x: Feature = call["self"]
    axis = call["dim"] % len(x.shape)
    start = call["index"] % x.shape[axis]
    return _without(call, _part(call, axis, start, start + 1), axis)


def split_sizes(call: Call, shape: Shape) -> tuple[int, list[int]]:
    """(the axis, the sizes of the parts) of a call that splits a tensor of this shape."""
    axis = call["dim"] % len(shape)
    whole = shape[axis]
    if call.op == "unbind":
        return axis, [1] * whole
    sizes = call.get("split_sizes", call.get("split_size"))
    if isinstance(sizes, list | tuple):
        return axis, [int(each) for each in sizes]
    each = -(-whole // call["chunks"]) if call.op == "chunk" else sizes
    return axis, [min(each, whole - start) for start in range(0, whole, each)]


def split(call: Call) -> Value:
    """Several parts along an axis, each made when it is read."""
    axis, sizes = split_sizes(call, call["self"].shape)

    def part(index: int) -> Value:
        start = sum(sizes[:index])
        taken = _part(call, axis, start, start + sizes[index])
        return _without(call, taken, axis) if call.op == "unbind" else taken

    return Parts(tuple(partial(part, index) for index in range(len(sizes))))


def pad(call: Call) -> Value:
    """Elements around the axes."""
    x, pads = call["self"], [int(each) for each in call["pad"]]
    if not any(pads):
        return same(call)
    if min(pads) < 0 or len(pads) != 2 * (len(x.shape) - 2):
        return copied("pad", call)
    before, after = tuple(pads[-2::-2]), tuple(pads[::-2])
    return call.emit(layout.Pad(before, after), x)


def embedding(call: Call) -> Value:
    """Rows of a table."""
    table = call.weight("weight")
    if table is None or len(table.shape) != 2:
        raise call.refused("its table is no matrix")
    return call.emit(layout.Embedding(*table.shape), call["indices"])


def resize(kind: Any, call: Call) -> Value:
    """Enlarged by whole numbers."""
    x: Feature = call[next(iter(call.arguments))]
    scales = [new / old for new, old in zip(call.shape[2:], x.shape[2:], strict=True)]
    if any(scale != int(scale) for scale in scales):
        raise call.refused("it does not enlarge by whole numbers", "a whole scale for each axis")
    return call.emit(kind(numbers([int(scale) for scale in scales])), x)


def index(call: Call) -> Value:
    """Elements picked by numbers, which are read as well."""
    indices = call.get("indices", call.get("index"))
    indices = indices if isinstance(indices, list) else [indices]
    inputs, shapes, _ = call.operands([call["self"], *indices])
    if not isinstance(call["self"], Feature) and shapes:
        raise call.refused("it picks from trained elements", "embedding")
    return call.emit(tensor.Declared(call.op, Unit.COPY, (call.shape,)), *inputs)


def blank(call: Call) -> Value:
    """A tensor that has its shape alone from the input."""
    return Constant(call.name, call.shape)
