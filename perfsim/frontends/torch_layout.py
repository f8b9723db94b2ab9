"""PyTorch's operators that compute nothing: other shapes, orders and parts, padding, resizing, embedding."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.torch_call import Call, Constant, Feature, Parts, Value
from perfsim.network import layout
from perfsim.network.operator import Operator, Unit
from perfsim.network.resize import ResizeLinear, ResizeNearest
from perfsim.network.work import Shape, Work, per_element

SAME = (
    *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "alias", "detach"),
    *("contiguous", "clone", "to", "_to_copy", "type_as", "lift_fresh_copy", "lift_fresh"),
)
RESHAPES = (
    *("view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view"),
    *("view_as", "reshape_as"),
)
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
    *("split", "split_with_sizes", "chunk", "unbind", "getitem", "diagonal", "unfold"),
    *("movedim", "moveaxis", "unsafe_chunk", "unsafe_split"),
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


def resize(mode: str, call: Call) -> Value:
    """The nearest element, or what is interpolated between the neighbours along the axes that change.

    A cubic interpolation along n axes weighs 4^n neighbours.
    """
    x: Feature = call[next(iter(call.arguments))]
    old, new = x.shape[2:], call.shape[2:]
    scales = [large // small for large, small in zip(new, old, strict=True)]
    whole = all(large == small * by for large, small, by in zip(new, old, scales, strict=True))
    size = {"scale": numbers(scales)} if whole else {"output": numbers(new)}
    if mode == "nearest":
        return call.emit(ResizeNearest(**size), x)
    if mode == "linear":
        return call.emit(ResizeLinear(**size), x)
    resized = sum(large != small for large, small in zip(new, old, strict=True))
    work = Work(vector_ops=per_element(call.shape, 2 * 4**resized, "interpolation"))
    return call.emit(tensor.Declared(f"resize_{mode}", Unit.VECTOR, (call.shape,), work), x)


def grid_sample(call: Call) -> Value:
    """Elements at positions that are read as well."""
    x, grid = call["input"], call["grid"]
    modes = ("linear", "nearest", "cubic")
    work = tensor.sampled(modes[call["interpolation_mode"]], call.shape)
    operator = tensor.Declared("grid_sample", Unit.VECTOR, (call.shape,), work)
    return call.emit(operator, x, grid)


def col2im(call: Call) -> Value:
    """Windows put back where they were, and added where they overlap: an addition for each element that is read."""
    x: Feature = call["self"]
    work = Work(vector_ops=per_element(x.shape, 1, "add"))
    return call.emit(tensor.Declared("col2im", Unit.VECTOR, (call.shape,), work), x)


def batched(call: Call, operator: Operator, rank: int) -> Value:
    """`operator` on the first argument, which gets a batch of 1 in front where it has one axis less than `rank`."""
    x: Feature = call[next(iter(call.arguments))]
    if len(x.shape) == rank and call.shapes:
        shapes = tuple(call.shapes[part] for part in call.parts)
        work = operator.work((x.shape,), operator.output_shapes((x.shape,)))
        return call.several(tensor.Declared(operator.name, operator.unit, shapes, work), x)
    if len(x.shape) == rank:
        return call.emit(operator, x)
    if len(x.shape) != rank - 1 or call.shapes:
        raise call.refused(f"its input has {len(x.shape)} axes", f"{rank}, the batch first")
    result = call.emit(operator, call.emit(tensor.Reshaped((1, *x.shape)), x))
    return call.emit(tensor.Reshaped(call.shape), result)


def movedim(call: Call) -> Value:
    """Some axes at other places, the others in their order."""
    rank = len(call["self"].shape)
    given = [call["source"], call["destination"]]
    source, target = (
        [axis % rank for axis in ([each] if isinstance(each, int) else each)] for each in given
    )
    others = [axis for axis in range(rank) if axis not in source]
    moved = dict(zip(target, source, strict=True))
    return _order(call, [moved[at] if at in moved else others.pop(0) for at in range(rank)])


def written(name: str, call: Call) -> Value:
    """A tensor a part of which is replaced: all that is read and written moves."""
    given = list(call.arguments.values())
    values = [each for value in given for each in (value if isinstance(value, list) else [value])]
    inputs, _, params = call.operands(values)
    work = Work(params=tensor.trained(params))
    return call.emit(tensor.Declared(name, Unit.COPY, (call.shape,), work), *inputs)


def replaced(call: Call) -> Value:
    """What is written over the whole of a tensor takes its place."""
    source: Feature | Constant = call["src"]
    if source.shape == call.shape:
        return source
    return call.emit(tensor.Declared("expand", Unit.COPY, (call.shape,)), source)


def filled(call: Call) -> Value:
    """One number over the whole of a tensor."""
    value = call["value"]
    if not isinstance(value, Feature):
        return blank(call)
    return call.emit(tensor.Declared("expand", Unit.COPY, (call.shape,)), value)


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
