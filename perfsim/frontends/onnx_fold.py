"""Values that are known before a network runs: the arithmetic that exporters do on shapes.

Only small values are worked out; of larger ones, such as weights, the shape is all that is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from perfsim.frontends.onnx_graph import Step

LARGEST_VALUE = 4096  # elements of a constant whose value is kept


def fold(step: Step) -> list[Any] | None:
    """The values of the outputs of `step`, whose inputs are all constant; None where they are not kept.

    Raises ArithmeticError, IndexError, TypeError or ValueError for what cannot be worked out.
    """
    rule = RULES.get(step.op)
    if rule is None or any(value is not None and value.array is None for value in step.inputs):
        return None
    arrays = [None if value is None else value.array for value in step.inputs]
    with np.errstate(all="ignore"):
        result = rule(step, *arrays)
    results = result if isinstance(result, list) else [result]
    if any(each is None or each.size > LARGEST_VALUE or each.dtype.hasobject for each in results):
        return None
    return results


def _elementwise(function: Any) -> Callable[..., Any]:
    return lambda step, *arrays: np.asarray(function(*arrays))


def _div(step: Step, a: Any, b: Any) -> Any:
    if np.issubdtype(a.dtype, np.integer):
        if not np.all(b):
            raise ZeroDivisionError("a division by zero")
        return np.asarray(np.trunc(a / b), a.dtype)
    return np.asarray(a / b, a.dtype)


def _axes(step: Step, axes: Any, rank: int) -> list[int]:
    given = step.integers("axes") if axes is None else [int(axis) for axis in axes.ravel()]
    return [axis % rank if rank else 0 for axis in given or []]


def _squeeze(step: Step, data: Any, axes: Any = None) -> Any:
    found = _axes(step, axes, data.ndim)
    return np.squeeze(data, tuple(found) if found else None)


def _unsqueeze(step: Step, data: Any, axes: Any = None) -> Any:
    given = step.integers("axes") if axes is None else axes.ravel().tolist()
    return np.expand_dims(data, tuple(given or ()))


def _reshape(step: Step, data: Any, shape: Any) -> Any:
    sizes = shape.ravel().tolist()
    if not step.integer("allowzero", 0):
        sizes = [data.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return data.reshape(sizes)


def _slice(step: Step, data: Any, starts: Any = None, ends: Any = None, *more: Any) -> Any:
    if starts is None:
        begin, end = step.integers("starts") or [], step.integers("ends") or []
        axes, steps = step.integers("axes") or list(range(len(begin))), [1] * len(begin)
    else:
        begin, end = starts.tolist(), ends.tolist()
        axes = more[0].tolist() if more and more[0] is not None else list(range(len(begin)))
        steps = more[1].tolist() if len(more) > 1 and more[1] is not None else [1] * len(begin)
    cut: list[Any] = [slice(None)] * data.ndim
    for first, last, axis, pace in zip(begin, end, axes, steps, strict=True):
        # going down, an end at or before -size - 1 means beyond the first element
        stop = None if pace < 0 and last < -data.shape[axis] else last
        cut[axis] = slice(first, stop, pace)
    return data[tuple(cut)]


def _constant_of_shape(step: Step, shape: Any) -> Any:
    sizes = shape.ravel().tolist()
    if math.prod(sizes) > LARGEST_VALUE:
        return None
    value = step.tensor("value")
    return np.full(sizes, np.float32(0) if value is None else value.ravel()[0])


def _expand(step: Step, data: Any, shape: Any) -> Any:
    sizes = np.broadcast_shapes(data.shape, tuple(shape.ravel().tolist()))
    return None if math.prod(sizes) > LARGEST_VALUE else np.broadcast_to(data, sizes)


def _tile(step: Step, data: Any, repeats: Any) -> Any:
    times = repeats.ravel().tolist()
    return None if data.size * math.prod(times) > LARGEST_VALUE else np.tile(data, times)


def _range(step: Step, start: Any, limit: Any, delta: Any) -> Any:
    if not delta:
        raise ZeroDivisionError("a range with a step of 0")
    count = max(math.ceil((limit - start) / delta), 0)
    if count > LARGEST_VALUE:
        return None
    return (start + np.arange(count) * delta).astype(start.dtype)


def _reduce(function: Any) -> Callable[..., Any]:
    def reduced(step: Step, data: Any, axes: Any = None) -> Any:
        found = tuple(_axes(step, axes, data.ndim)) or None
        keep = bool(step.integer("keepdims", 1))
        return np.asarray(function(data, axis=found, keepdims=keep), data.dtype)

    return reduced


def _split(step: Step, data: Any, sizes: Any = None) -> Any:
    axis = step.integer("axis", 0)
    given = step.integers("split") if sizes is None else sizes.tolist()
    if given is None:
        count = len(step.outputs)
        each = -(-data.shape[axis] // count)
        given = [each] * (count - 1)
    else:
        given = given[:-1]
    return np.split(data, np.cumsum(given).tolist(), axis)


def _clip(step: Step, data: Any, low: Any = None, high: Any = None) -> Any:
    if step.version < 11:
        low = step.number("min", -math.inf) if "min" in step.attributes else None
        high = step.number("max", math.inf) if "max" in step.attributes else None
    if low is None and high is None:
        return data
    return np.asarray(np.clip(data, low, high), data.dtype)


def _scatter_nd(step: Step, data: Any, at: Any, updates: Any) -> Any:
    if step.text("reduction", "none") != "none":
        return None
    result = data.copy()
    result[tuple(np.moveaxis(at, -1, 0))] = updates
    return result


RULES: Mapping[str, Callable[..., Any]] = {
    "Identity": lambda step, data: data,
    "Cast": lambda step, data: step.cast(data),
    "CastLike": lambda step, data, like: np.asarray(data, like.dtype),
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _div,
    "Mod": lambda step, a, b: np.asarray(
        (np.fmod if step.integer("fmod", 0) else np.mod)(a, b), a.dtype
    ),
    "Pow": lambda step, a, b: np.asarray(np.power(a, b), a.dtype),
    "Min": lambda step, *arrays: np.asarray(_of_all(np.minimum, arrays)),
    "Max": lambda step, *arrays: np.asarray(_of_all(np.maximum, arrays)),
    "Floor": _elementwise(np.floor),
    "Ceil": _elementwise(np.ceil),
    "Round": _elementwise(np.round),
    "Sqrt": _elementwise(np.sqrt),
    "Clip": _clip,
    "Relu": lambda step, data: np.maximum(data, 0),
    "Sin": _elementwise(np.sin),
    "Cos": _elementwise(np.cos),
    "Tanh": _elementwise(np.tanh),
    "CumSum": lambda step, data, axis: (
        None
        if step.integer("exclusive", 0) or step.integer("reverse", 0)
        else np.cumsum(data, int(axis), dtype=data.dtype)
    ),
    "NonZero": lambda step, data: np.asarray(np.nonzero(data), np.int64),
    "Trilu": lambda step, data, k=0: (np.triu if step.integer("upper", 1) else np.tril)(
        data, int(k)
    ),
    "GatherND": lambda step, data, at: (
        None if step.integer("batch_dims", 0) else data[tuple(np.moveaxis(at, -1, 0))]
    ),
    "GatherElements": lambda step, data, at: np.take_along_axis(data, at, step.integer("axis", 0)),
    "ScatterND": _scatter_nd,
    "Exp": _elementwise(np.exp),
    "Log": _elementwise(np.log),
    "Reciprocal": _elementwise(np.reciprocal),
    "Abs": _elementwise(np.abs),
    "Neg": _elementwise(np.negative),
    "Sign": _elementwise(np.sign),
    "Not": _elementwise(np.logical_not),
    "And": _elementwise(np.logical_and),
    "Or": _elementwise(np.logical_or),
    "Xor": _elementwise(np.logical_xor),
    "Equal": _elementwise(np.equal),
    "Greater": _elementwise(np.greater),
    "GreaterOrEqual": _elementwise(np.greater_equal),
    "Less": _elementwise(np.less),
    "LessOrEqual": _elementwise(np.less_equal),
    "Where": _elementwise(np.where),
    "Gather": lambda step, data, at: np.asarray(np.take(data, at, axis=step.integer("axis", 0))),
    "Concat": lambda step, *arrays: np.concatenate(arrays, axis=step.integer("axis", 1)),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Reshape": _reshape,
    "Flatten": lambda step, data: data.reshape(
        math.prod(data.shape[: step.integer("axis", 1)]), -1
    ),
    "Transpose": lambda step, data: np.transpose(data, step.integers("perm")),
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Tile": _tile,
    "Range": _range,
    "Split": _split,
    "ReduceProd": _reduce(np.prod),
    "ReduceSum": _reduce(np.sum),
    "ReduceMin": _reduce(np.min),
    "ReduceMax": _reduce(np.max),
    "ReduceMean": _reduce(np.mean),
}


def _of_all(function: Any, arrays: tuple[Any, ...]) -> Any:
    result = arrays[0]
    for each in arrays[1:]:
        result = function(result, each)
    return result
