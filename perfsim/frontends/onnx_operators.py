"""The table from ONNX's operators to ours; each entry makes our operator from one node.

What ONNX computes element by element and perfsim has no operator of its own for is counted as all functions are:
one vector operation for each arithmetic operation, comparison or elementary function on an element.
"""

from __future__ import annotations

from collections.abc import Mapping

from perfsim.errors import InvalidValueError, ShapeError, nearest_name
from perfsim.frontends.onnx_compute import COMPUTE, Made, Maker
from perfsim.frontends.onnx_fit import check_stretch
from perfsim.frontends.onnx_graph import DOMAINS, Step
from perfsim.frontends.onnx_layout import LAYOUT, gathered
from perfsim.frontends.onnx_quantized import CONTRIBUTED, DYNAMIC_OPS, QUANTIZED
from perfsim.frontends.onnx_recurrent import RECURRENT
from perfsim.frontends.tensor_operators import Declared, Einsum, Elementwise, adding, worked
from perfsim.network import arithmetic, elementwise
from perfsim.network.elementwise import (
    HardTanh,
    LeakyRelu,
    LogSoftmax,
    Prelu,
    Relu,
    Relu6,
    Silu,
    Softmax,
)
from perfsim.network.matrix import Attention
from perfsim.network.operator import Operator, Unit
from perfsim.network.reduction import CumSum
from perfsim.network.work import Product, Work, elements, per_element, shape_text

CONTROL_FLOW = ("If", "Loop", "Scan")
_SOFTCAP_OPS = 7  # per score: divide, tanh (5), multiply


def _all_inputs(operator: type[Operator]) -> Maker:
    def make(step: Step) -> Made | None:
        if len(step.inputs) == 1:
            return None
        return Made(operator(), tuple(range(len(step.inputs))))

    return make


def _elementwise(name: str, ops: int, *reads: int) -> Maker:
    """`ops` operations for each element of the output, on the inputs at `reads`, all unless given."""

    def make(step: Step) -> Made:
        return Made(Elementwise(name, ops), reads or tuple(range(len(step.inputs))))

    return make


def _mean(step: Step) -> Made:
    """The additions and one scaling."""
    operands = len(step.inputs)
    return Made(Elementwise("mean", operands), tuple(range(operands)))


def _clip(step: Step) -> Made:
    low: float | None
    high: float | None
    if step.version < 11:
        low = step.number("min", 0.0) if "min" in step.attributes else None
        high = step.number("max", 0.0) if "max" in step.attributes else None
    else:
        low, high = step.scalar(1), step.scalar(2)
        if any(step.has(at) and not step.value(at).is_constant for at in (1, 2)):
            return Made(arithmetic.Clip())
    bounds: Mapping[tuple[float | None, float | None], type[Operator]] = {
        (0.0, 6.0): Relu6,
        (-1.0, 1.0): HardTanh,
        (0.0, None): Relu,
    }
    return Made(bounds.get((low, high), arithmetic.Clip)())


def _softmax(step: Step) -> Made:
    kind = Softmax if step.op == "Softmax" else LogSoftmax
    return Made(kind(step.integer("axis", -1 if step.version >= 13 else 1)))


def _prelu(step: Step) -> Made:
    shape, slopes = step.shape(0), step.value(1)
    per_channel = slopes.shape[-len(shape) + 1 :] == (shape[1:2] + (1,) * (len(shape) - 2))
    if slopes.is_weight and len(shape) > 1 and per_channel and elements(slopes.shape) == shape[1]:
        return Made(Prelu())
    check_stretch(step, (1,), shape)
    return Made(Elementwise("prelu", 2), (0, 1))


def _attention(step: Step) -> Made:
    """Attention whose heads are an axis, or an attribute; the keys and values of earlier tokens come first."""
    inputs = [step.shape(position) for position in range(3)]
    if not len(inputs[0]) == len(inputs[1]) == len(inputs[2]) in (3, 4) or (
        step.has(4) and len(step.shape(4)) != 4
    ):
        raise ShapeError(
            "",
            found=f"query, key and value of {' and '.join(map(shape_text, inputs))}",
            expected="three tensors of 3 or of 4 axes, and earlier keys of 4",
        )
    heads, kv_heads = 1, None
    if len(inputs[0]) == 3:
        heads, kv_heads = step.at_least_one("q_num_heads"), step.at_least_one("kv_num_heads")
    if step.has(4):
        earlier = step.shape(4)[2]
        inputs[1:] = [(*each[:-2], each[-2] + earlier, each[-1]) for each in inputs[1:]]
    if step.has(3):
        inputs.append((inputs[0][-2], inputs[1][-2]))
    operator = Attention(heads, kv_heads, causal=bool(step.integer("is_causal", 0)))
    reads = tuple(position for position in range(len(step.inputs)) if step.has(position))
    made = worked(operator, tuple(inputs), step.all_outputs())
    if step.number("softcap", 0.0):
        scores = made.counts.vector_ops[0].factors[:-1]
        made = adding(made, Product("softcap", (*scores, (_SOFTCAP_OPS, "operations each"))))
    return Made(made, reads)


def _einsum(step: Step) -> Made:
    """A MAC for each combination of indices: the product of two tensors, however it is written."""
    equation = step.text("equation", "").replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    shapes = [step.shape(position) for position in range(len(step.inputs))]
    if "." in equation or len(terms) > 2 or [len(t) for t in terms] != [len(s) for s in shapes]:
        raise InvalidValueError(
            "", found=f"the equation '{equation}'", expected="one or two terms without '...'"
        )
    letters = "".join(terms)
    result = equation.partition("->")[2] if "->" in equation else _once(letters)
    if len(terms) == 2:
        return Made(Einsum(terms[0], terms[1], result), (0, 1))
    sizes = dict(zip(letters, shapes[0], strict=True))
    shape = step.output()
    factors = tuple((size, f"along {label}") for label, size in sizes.items())
    added = (Product("additions", factors),) if elements(shape) < elements(shapes[0]) else ()
    unit = Unit.VECTOR if added else Unit.COPY
    return Made(Declared("einsum", unit, (shape,), Work(vector_ops=added)))


def _once(letters: str) -> str:
    """The axes of a result that the equation does not name: those that stand in it once, sorted."""
    return "".join(sorted(letter for letter in letters if letters.count(letter) == 1))


def _priced(name: str, per_input: int, per_target: int, *reads: int) -> Maker:
    """So many operations for each element of the first input, and for each of the second."""

    def make(step: Step) -> Made:
        count = per_element(step.shape(0), per_input, name) if per_input else ()
        if per_target:
            count = (*count, *per_element(step.shape(1), per_target, name))
        taken = tuple(position for position in reads if step.has(position))
        return Made(Declared(name, Unit.VECTOR, step.all_outputs(), Work(vector_ops=count)), taken)

    return make


def _filled(name: str, ops: int) -> Maker:
    """What is made from a few numbers: so many operations for each element of the output."""

    def make(step: Step) -> Made:
        shape = step.output()
        unit = Unit.VECTOR if ops else Unit.COPY
        work = Work(vector_ops=per_element(shape, ops, name)) if ops else Work()
        return Made(Declared(name, unit, (shape,), work), tuple(range(len(step.inputs))))

    return make


def _cum_sum(step: Step) -> Made:
    axis = step.scalar(1)
    return Made(CumSum(0 if axis is None else int(axis)))  # the count is the same along every axis


def _swish(step: Step) -> Made:
    if step.number("alpha", 1.0) == 1.0:
        return Made(Silu())
    return Made(Elementwise("silu", 6))


def _swiglu(step: Step) -> Made:
    """Swish of the first input, as `Swish` counts it, times the second."""
    gate = 5 if step.number("alpha", 1.0) == 1.0 else 6
    return Made(Elementwise("swiglu", gate + 1), tuple(range(len(step.inputs))))


# Functions of one element that count as one operation, as exp does, or comparisons and logic between elements.
_ONE_OPERATION = {
    **{
        name: name.lower() for name in ("Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh")
    },
    **{name: name.lower() for name in ("Asinh", "Acosh", "Atanh", "Erf", "Floor", "Ceil", "Round")},
    **{
        name: name.lower()
        for name in ("Sign", "Not", "And", "Or", "Xor", "Equal", "Greater", "Less")
    },
    **{"GreaterOrEqual": "greater_or_equal", "LessOrEqual": "less_or_equal", "Where": "where"},
    **{"BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor"},
    **{"BitwiseNot": "bitwise_not", "BitShift": "bit_shift", "Mod": "mod", "IsNaN": "is_nan"},
    **{"IsInf": "is_inf"},
}

TABLE: Mapping[str, Maker] = {
    **COMPUTE,
    **LAYOUT,
    **RECURRENT,
    **QUANTIZED,
    "Relu": gathered(Relu),
    "LeakyRelu": gathered(LeakyRelu),
    "PRelu": _prelu,
    "HardSigmoid": gathered(elementwise.HardSigmoid),
    "HardSwish": gathered(elementwise.HardSwish),
    "Sigmoid": gathered(elementwise.Sigmoid),
    "Swish": _swish,
    "SwiGLU": _swiglu,
    "Tanh": gathered(elementwise.Tanh),
    "Gelu": gathered(elementwise.Gelu),
    "Elu": gathered(elementwise.Elu),
    "Selu": gathered(elementwise.Selu),
    "Softplus": gathered(elementwise.Softplus),
    "Softsign": gathered(elementwise.Softsign),
    "Mish": gathered(elementwise.Mish),
    "Clip": _clip,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Add": _all_inputs(arithmetic.Add),
    "Sum": _all_inputs(arithmetic.Add),
    "Mul": _all_inputs(arithmetic.Mul),
    "Sub": _all_inputs(arithmetic.Sub),
    "Div": _all_inputs(arithmetic.Div),
    "Pow": _all_inputs(arithmetic.Pow),
    "Min": _all_inputs(arithmetic.Minimum),
    "Max": _all_inputs(arithmetic.Maximum),
    "Mean": _mean,
    "Exp": gathered(arithmetic.Exp),
    "Log": gathered(arithmetic.Log),
    "Sqrt": gathered(arithmetic.Sqrt),
    "Abs": gathered(arithmetic.Abs),
    "Neg": gathered(arithmetic.Neg),
    "Reciprocal": gathered(arithmetic.Reciprocal),
    **{op: _elementwise(name, 1) for op, name in _ONE_OPERATION.items()},
    "Celu": _elementwise("celu", 5),  # elu, and x / a
    "ThresholdedRelu": _elementwise("thresholded_relu", 2),  # compare, select
    "Shrink": _elementwise("shrink", 4),  # two comparisons, add, select
    "Hardmax": _elementwise("hardmax", 2),  # max, compare
    "LpNormalization": _elementwise("lp_normalization", 3),  # power, sum, divide
    "MeanVarianceNormalization": _elementwise("mean_variance_normalization", 5),
    "CumSum": _cum_sum,
    "CumProd": _elementwise("cum_prod", 1, 0),
    "Attention": _attention,
    "Einsum": _einsum,
    "DynamicQuantizeLinear": _priced("dynamic_quantize", DYNAMIC_OPS, 0, 0),
    "NegativeLogLikelihoodLoss": _priced("nll_loss", 0, 2, 0, 1, 2),  # weight, add
    "SoftmaxCrossEntropyLoss": _priced("cross_entropy_loss", 5, 2, 0, 1, 2),  # log_softmax, nll
    "NonZero": _priced("non_zero", 1, 0, 0),  # compare
    "Range": _filled("range", 2),  # multiply, add
    "ConstantOfShape": _filled("constant_of_shape", 0),
    "RotaryEmbedding": _elementwise("rotary_embedding", 3, 0),  # two products and a sum
}


_NONE: Mapping[str, Maker] = {}
_BY_DOMAIN = {**dict.fromkeys(DOMAINS, TABLE), "com.microsoft": CONTRIBUTED}


def makers_of(domain: str) -> Mapping[str, Maker]:
    """The table for the operators of a domain; empty for one that is not known."""
    return _BY_DOMAIN.get(domain, _NONE)


def nearest_known(op: str) -> str | None:
    """The operator of the table that is spelt most like `op`."""
    return nearest_name(op, TABLE)
