"""ONNX's recurrent layers as our operators."""

from __future__ import annotations

from collections.abc import Mapping

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_compute import Made, Maker
from perfsim.frontends.onnx_fit import check_weights
from perfsim.frontends.onnx_graph import Step
from perfsim.frontends.tensor_operators import Declared, adding, worked
from perfsim.network.recurrent import Gru, Lstm, Rnn
from perfsim.network.work import Product, Shape, elements, shape_text

_DIRECTIONS = ("forward", "reverse", "bidirectional")


# Of each gate and of the state, for one direction; every other choice is refused.
_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_PEEPHOLES = 3  # of the input, the output and the forget gate: a vector each
_CLIPPED = {"LSTM": 5, "GRU": 3, "RNN": 1}  # what activations read, for each unit


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
        _check_defaults(step, inner.directions)
        weights = (1, 2, 3) if step.has_bias(3) else (1, 2)
        check_weights(step, inner, read, weights)
        states = tuple(
            each for each in (5, 6) if step.has(each) and not step.value(each).is_constant
        )
        made = worked(inner, (read,), step.all_outputs())
        if step.op == "LSTM" and step.has_bias(7):
            made = _with_peepholes(step, made, inner, read)
            weights = (*weights, 7)
        if step.number("clip", 0.0) > 0:
            each = 2 * _CLIPPED[step.op]  # max, min
            made = adding(made, Product("clip", (*inner.states(read), (each, "operations each"))))
        return Made(made, (0, *states), weights)

    return make


def _check_defaults(step: Step, directions: int) -> None:
    """Raise InvalidValueError for other activations than ONNX's defaults, and for gates that are coupled."""
    named = step.attributes["activations"].strings if "activations" in step.attributes else []
    found = [each.decode(errors="replace") for each in named]
    expected = _ACTIVATIONS[step.op] * directions
    if found and [each.lower() for each in found] != [each.lower() for each in expected]:
        raise InvalidValueError(
            "", found=f"the activations {', '.join(found)}", expected=", ".join(expected)
        )
    if step.integer("input_forget", 0):
        raise InvalidValueError("", found="input_forget 1", expected="gates that are not coupled")


def _with_peepholes(step: Step, made: Declared, inner: Lstm | Gru | Rnn, read: Shape) -> Declared:
    """Each gate also reads the state, unit by unit: a multiplication and an addition."""
    vectors = (_PEEPHOLES, "vectors")
    units = ((inner.directions, "directions"), (inner.units, "units"))
    held = Product("peepholes", (vectors, *units))
    if elements(step.shape(7)) != held.value:
        found = f"peepholes of {shape_text(step.shape(7))}"
        raise ShapeError("the weights do not fit", found=found, expected=f"{held.value} numbers")
    operations = (vectors, (2, "operations each"))
    return adding(made, Product("peepholes", (*inner.states(read), *operations)), params=(held,))


RECURRENT: Mapping[str, Maker] = {
    "LSTM": _recurrent(Lstm),
    "GRU": _recurrent(Gru),
    "RNN": _recurrent(Rnn),
}
