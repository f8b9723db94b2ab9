"""ONNX's recurrent layers as our operators."""

from __future__ import annotations

from collections.abc import Mapping

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_compute import Made, Maker
from perfsim.frontends.onnx_fit import check_weights
from perfsim.frontends.onnx_graph import Step
from perfsim.frontends.tensor_operators import worked
from perfsim.network.recurrent import Gru, Lstm, Rnn
from perfsim.network.work import shape_text

_DIRECTIONS = ("forward", "reverse", "bidirectional")


def _rnn(step: Step) -> Made | None:
    named = step.attributes["activations"].strings if "activations" in step.attributes else []
    others = {each.decode(errors="replace") for each in named} - {"Tanh"}
    if others:
        raise InvalidValueError(
            "", found=f"the activation {', '.join(sorted(others))}", expected="Tanh"
        )
    return _recurrent(Rnn)(step)


def _recurrent(operator: type[Lstm] | type[Gru] | type[Rnn]) -> Maker:
    def make(step: Step) -> Made:
        x, weights = step.shape(0), step.shape(2)
        if not len(x) == len(weights) == 3:
            found = f"{shape_text(x)} and weights of {shape_text(weights)}"
            raise ShapeError("", found=found, expected="three axes each")
        direction = step.text("direction", "forward")
        if direction not in _DIRECTIONS:
            expected = " or ".join(_DIRECTIONS)
            raise InvalidValueError("", found=f"direction '{direction}'", expected=expected)
        both = direction == "bidirectional"
        tokens_first = step.integer("layout", 0) == 0
        read = (x[1], x[0], x[2]) if tokens_first else x
        inner = operator(weights[-1], bidirectional=both, bias=step.has_bias(3))
        weights = (1, 2, 3) if step.has_bias(3) else (1, 2)
        check_weights(step, inner, read, weights)
        states = tuple(
            each for each in (5, 6) if step.has(each) and not step.value(each).is_constant
        )
        return Made(worked(inner, (read,), step.all_outputs()), (0, *states), weights)

    return make


RECURRENT: Mapping[str, Maker] = {
    "LSTM": _recurrent(Lstm),
    "GRU": _recurrent(Gru),
    "RNN": _rnn,
}
