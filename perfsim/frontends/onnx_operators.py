"""The table from ONNX's operators to ours; each entry makes our operator from one node.

What ONNX computes element by element and perfsim has no operator of its own for is counted as all functions are:
one vector operation for each arithmetic operation, comparison or elementary function on an element.
"""

from __future__ import annotations

from collections.abc import Mapping

from perfsim.errors import InvalidValueError, nearest_name
from perfsim.frontends.onnx_compute import COMPUTE, Made, Maker
from perfsim.frontends.onnx_graph import Step
from perfsim.frontends.onnx_layout import LAYOUT, gathered
from perfsim.frontends.tensor_operators import Declared
from perfsim.network import arithmetic, elementwise
from perfsim.network.arithmetic import broadcast
from perfsim.network.elementwise import (
    HardTanh,
    LeakyRelu,
    Prelu,
    Relu,
    Relu6,
    Silu,
    Softmax,
)
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import Product, Work, elements, per_element

CONTROL_FLOW = ("If", "Loop", "Scan")


def _all_inputs(operator: type[Operator]) -> Maker:
    def make(step: Step) -> Made | None:
        if len(step.inputs) == 1:
            return None
        return Made(operator(), tuple(range(len(step.inputs))))

    return make


def _elementwise(name: str, ops: int, *reads: int) -> Maker:
    """`ops` operations for each element of the output, on the inputs at `reads`, all unless given."""

    def make(step: Step) -> Made:
        taken = reads or tuple(range(len(step.inputs)))
        inferred = step.inferred[0] if step.inferred else None
        shape = inferred or broadcast(tuple(step.shape(position) for position in taken))
        work = Work(vector_ops=per_element(shape, ops, name))
        return Made(Declared(name, Unit.VECTOR, (shape,), work), taken)

    return make


def _mean(step: Step) -> Made:
    """The additions and one scaling."""
    return _elementwise("mean", len(step.inputs))(step) or Made(Relu())


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
    return Made(Softmax(step.integer("axis", -1 if step.version >= 13 else 1)))


def _prelu(step: Step) -> Made:
    shape, slopes = step.shape(0), step.value(1)
    per_channel = slopes.shape[-len(shape) + 1 :] == (shape[1:2] + (1,) * (len(shape) - 2))
    if slopes.is_weight and len(shape) > 1 and per_channel and elements(slopes.shape) == shape[1]:
        return Made(Prelu())
    work = Work(vector_ops=per_element(shape, 2, "multiply, select"))
    return Made(Declared("prelu", Unit.VECTOR, (shape,), work), (0, 1))


def _attention(step: Step) -> Made:
    """Both products, and scale, mask and softmax on each score, also with the keys and values of earlier tokens."""
    query, key, value = step.shape(0), step.shape(1), step.shape(2)
    shapes = step.all_outputs()
    if len(query) == 4:
        batch, heads, queries, size = query
        keys, value_size = key[2], value[3]
    else:
        heads, shared = step.integer("q_num_heads", 1), step.integer("kv_num_heads", 1)
        batch, queries, features = query
        keys, size, value_size = key[1], features // max(heads, 1), value[2] // max(shared, 1)
    if step.has(4):
        keys += step.shape(4)[2]
    scores = (
        *((batch, "images"), (heads, "heads")),
        *((queries, "queries"), (keys, "keys")),
    )
    work = Work(
        macs=(
            Product("query times key", (*scores, (size, "features of a head"))),
            Product("scores times value", (*scores, (value_size, "features of a head"))),
        ),
        vector_ops=(Product("scale and softmax", (*scores, (6 + step.has(3), "operations each"))),),
    )
    reads = tuple(position for position in range(len(step.inputs)) if step.has(position))
    return Made(Declared("attention", Unit.MATRIX, shapes, work), reads)


def _einsum(step: Step) -> Made:
    """A MAC for each combination of indices: the product of two tensors, however it is written."""
    equation = step.text("equation", "").replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    shapes = [step.shape(position) for position in range(len(step.inputs))]
    if "." in equation or len(terms) > 2 or [len(t) for t in terms] != [len(s) for s in shapes]:
        raise InvalidValueError(
            "", found=f"the equation '{equation}'", expected="one or two terms without '...'"
        )
    sizes = {
        label: size
        for term, shape in zip(terms, shapes, strict=True)
        for label, size in zip(term, shape, strict=True)
    }
    shape = step.output()
    factors = tuple((size, f"along {label}") for label, size in sizes.items())
    if len(terms) == 2:
        work = Work(macs=(Product("matrix product", factors),))
        return Made(Declared("einsum", Unit.MATRIX, (shape,), work), (0, 1))
    added = (Product("additions", factors),) if elements(shape) < elements(shapes[0]) else ()
    unit = Unit.VECTOR if added else Unit.COPY
    return Made(Declared("einsum", unit, (shape,), Work(vector_ops=added)))


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


def _swish(step: Step) -> Made:
    if step.number("alpha", 1.0) == 1.0:
        return Made(Silu())
    return _elementwise("silu", 6)(step) or Made(Silu())


def _swiglu(step: Step) -> Made | None:
    """Swish of the first input, as `Swish` counts it, times the second."""
    gate = 5 if step.number("alpha", 1.0) == 1.0 else 6
    return _elementwise("swiglu", gate + 1)(step)


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
    "LogSoftmax": _elementwise("log_softmax", 5),  # max, subtract, exp, sum, subtract
    "Hardmax": _elementwise("hardmax", 2),  # max, compare
    "LpNormalization": _elementwise("lp_normalization", 3),  # power, sum, divide
    "MeanVarianceNormalization": _elementwise("mean_variance_normalization", 5),
    "CumSum": _elementwise("cum_sum", 1, 0),
    "CumProd": _elementwise("cum_prod", 1, 0),
    "QuantizeLinear": _elementwise("quantize", 4, 0),  # divide, round, add, clip
    "DequantizeLinear": _elementwise("dequantize", 2, 0),  # subtract, multiply
    "Attention": _attention,
    "Einsum": _einsum,
    "DynamicQuantizeLinear": _priced("dynamic_quantize", 6, 0, 0),  # min, max, and quantize
    "NegativeLogLikelihoodLoss": _priced("nll_loss", 0, 2, 0, 1, 2),  # weight, add
    "SoftmaxCrossEntropyLoss": _priced("cross_entropy_loss", 5, 2, 0, 1, 2),  # log_softmax, nll
    "NonZero": _priced("non_zero", 1, 0, 0),  # compare
    "Range": _filled("range", 2),  # multiply, add
    "ConstantOfShape": _filled("constant_of_shape", 0),
    "RotaryEmbedding": _elementwise("rotary_embedding", 3, 0),  # two products and a sum
}


def nearest_known(op: str) -> str | None:
    """The operator of the table that is spelt most like `op`."""
    return nearest_name(op, TABLE)
