"""PyTorch's operators that make one number of many: means, extremes, variances, norms, the k largest."""

from __future__ import annotations

import math
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.torch_call import Call, Feature, Value
from perfsim.network import pooling, reduction
from perfsim.network.operator import Unit
from perfsim.network.selection import TopK
from perfsim.network.work import Product, Work, elements


def _reduced(call: Call) -> tuple[tuple[int, ...], bool]:
    """(the axes that are reduced, all unless given; whether they stay as one element)."""
    rank = len(call["self"].shape)
    given = call.get("dim")
    given = [given] if isinstance(given, int) else given
    return tuple(sorted(axis % rank for axis in (given or range(rank)))), bool(call.get("keepdim"))


def reduce(kind: Any, call: Call) -> Value:
    """A mean, sum or extreme, by the operator of ours."""
    x: Feature = call["self"]
    axes, keep = _reduced(call)
    if kind is reduction.ReduceMean and len(x.shape) >= 4 and axes == tuple(range(2, len(x.shape))):
        pooled = call.emit(pooling.GlobalAvgPool(), x)
        return pooled if keep else call.emit(tensor.Reshaped(call.shape), pooled)
    return call.emit(kind(axes=axes, keep_dims=keep), x)


def counted(name: str, before: int, after: int, call: Call) -> Value:
    """Additions or comparisons, with so many operations on each element before and on each result after."""
    x: Feature = call[next(iter(call.arguments))]
    shapes = tuple(call.shapes[part] for part in call.parts) if call.shapes else (call.shape,)
    each = elements(x.shape) // elements(shapes[0])
    operations = (each * (before + 1) - 1 + after, "operations each")
    work = Work(vector_ops=(Product(name, ((elements(shapes[0]), "output elements"), operations)),))
    operator = tensor.Declared(name, Unit.VECTOR, shapes, work)
    return call.several(operator, x) if call.shapes else call.emit(operator, x)


def arg(kind: type[reduction.ArgMax] | type[reduction.ArgMin], call: Call) -> Value:
    """The number of an extreme along one axis, or of all elements."""
    if call["dim"] is None:
        return counted(kind.name, 0, 0, call)
    return call.emit(kind(call["dim"], bool(call["keepdim"])), call["self"])


def variance(kind: type[reduction.ReduceVar], call: Call) -> Value:
    """A variance, alone or with the mean that it is made from."""
    x: Feature = call["self"]
    operator = kind(*_reduced(call))
    if not call.shapes:
        return call.emit(operator, x)
    shapes = tuple(call.shapes[part] for part in call.parts)
    return call.several(tensor.worked(operator, (x.shape,), shapes), x)


def norm(call: Call) -> Value:
    """The sum of the powers, and the root of it; of the first norm the sum of the magnitudes."""
    order = call.get("ord", call.get("p", 2))
    if isinstance(order, float) and math.isinf(order):
        return counted("reduce_norm", 1, 0, call)
    return counted("reduce_l1" if order == 1 else "reduce_l2", 1, int(order != 1), call)


def top_k(call: Call) -> Value:
    """The k largest; sorted, all of them are."""
    x: Feature = call["self"]
    kept = call.get("k", x.shape[call["dim"]] if x.shape else 1)
    shapes = tuple(call.shapes[part] for part in call.parts) if call.shapes else (call.shape,)
    operator = tensor.worked(TopK(kept, call["dim"]), (x.shape or (1,),), shapes)
    return call.several(operator, x) if call.shapes else call.emit(operator, x)
