"""PyTorch's recurrent layers, one node each, with the last states where they are read."""

from __future__ import annotations

from functools import partial
from typing import Any

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.torch_call import Call, Feature, Parts, Value
from perfsim.network.layout import Concat
from perfsim.network.work import Shape


def recurrent(kind: Any, call: Call) -> Value:
    """Batch and tokens are counted alike, so that it does not matter which comes first."""
    x = call["input"]
    if not isinstance(x, Feature) or len(x.shape) not in (2, 3) or "batch_sizes" in call.arguments:
        raise call.refused("its input is no batch of sequences")
    states = call["hx"] if isinstance(call["hx"], list | tuple) else [call["hx"]]
    features = tuple(each for each in states if isinstance(each, Feature))
    shape = states[0].shape
    number, directions = call["num_layers"], 2 if call["bidirectional"] else 1
    last: Feature = call.emit(tensor.Reshaped((1, *x.shape)), x) if len(x.shape) == 2 else x
    of_layer: Shape = (directions, *shape[1:])
    read = [part for part in call.parts if part]
    kept: list[tuple[Feature, ...]] = []
    for index in range(number):
        inner = kind(shape[-1], bidirectional=call["bidirectional"], bias=call["has_biases"])
        (output,) = inner.output_shapes((last.shape,))
        sequence = (output,) if index < number - 1 or 0 in call.parts else ()
        shapes = (*sequence, *(of_layer for _ in read))
        work = inner.work((last.shape,), (output,))
        operator = tensor.Declared(inner.name, inner.unit, shapes, work)
        given = features if index == 0 else ()
        made = call.emit_all(operator if read or given else inner, last, *given)
        last = made[0]
        kept.append(made[len(sequence) :])
    written = last
    if len(x.shape) == 2 and 0 in call.parts:
        written = call.emit(tensor.Reshaped(last.shape[1:]), last)

    def state(part: int) -> Value:
        ends = [each[read.index(part)] for each in kept]
        return call.emit(Concat(0), *ends) if len(ends) > 1 else ends[0]

    return Parts((lambda: written, partial(state, 1), partial(state, 2)))
