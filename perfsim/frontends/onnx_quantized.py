"""ONNX's quantised operators, and those of ONNX Runtime (com.microsoft) that quantised models are made of.

A quantised operator computes what its name says on what its inputs stand for. The matrix unit reads and writes whole
numbers as they are; on the vector unit each input is dequantised and the output quantised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_compute import COMPUTE, Made, Maker
from perfsim.frontends.onnx_graph import Step, Value
from perfsim.frontends.onnx_types import FLOAT, UINT8, bits_of, is_fraction
from perfsim.frontends.tensor_operators import Declared
from perfsim.network import arithmetic, elementwise
from perfsim.network.convolution import FullyConnected
from perfsim.network.layout import Concat
from perfsim.network.matrix import Linear, Matmul
from perfsim.network.operator import Operator, Unit
from perfsim.network.pooling import GlobalAvgPool
from perfsim.network.quantization import Dequantize, Quantize, dequantizing
from perfsim.network.work import Count, Product, Work, elements, shape_text

DYNAMIC_OPS = 6  # per element quantised to the range that it has: min, max, and those of quantize


def dequantized(step: Step) -> Value:
    """What a constant stands for that a DequantizeLinear reads."""
    data = step.value(0)
    kind = step.types[0] if step.types and is_fraction(step.types[0]) else FLOAT
    count = elements(data.shape)
    bits = data.bits or bits_of(data.elem_type)
    params = count if count > 1 else 0
    return Value(data.shape, kind, True, params=params, bits=bits, source=data.source)


def entering_ops(constants: Iterable[Value]) -> Count:
    """What the vector unit does to read those of `constants` that are quantised: as for any dequantised input."""
    shapes = [each.shape for each in constants if each.bits and is_fraction(each.elem_type)]
    return tuple(product for shape in shapes for product in dequantizing(shape))


def _quantize(step: Step) -> Made:
    if step.node.domain:  # ONNX infers nothing outside its own domain
        step.types[0] = step.value(2).elem_type if step.has(2) else UINT8
    return Made(Quantize(bits_of(step.types[0])))


def _dequantize(step: Step) -> Made:
    if step.node.domain:
        step.types[0] = FLOAT
    return Made(Dequantize())


def _on_whole_numbers(operator: Operator, *reads: int) -> Maker:
    """`operator` on what the inputs at `reads` stand for."""

    return lambda step: _converting(step, operator, reads)


def _converting(step: Step, operator: Operator, reads: tuple[int, ...] = (0,)) -> Made:
    step.types[0] = step.value(reads[0]).elem_type
    inputs = tuple(step.shape(at) for at in reads)
    shapes = operator.output_shapes(inputs)
    work = operator.work(inputs, shapes)
    converting = [dequantizing(shape) for shape in inputs]
    converting.append(Quantize().work(shapes, shapes).vector_ops)
    ops = tuple(product for count in converting for product in count)
    counts = Work(vector_ops=work.vector_ops + ops)
    return Made(Declared(operator.name, operator.unit, shapes, counts), reads, ())


def _pool(step: Step) -> Made:
    made = None if step.integer("channels_last", 0) else COMPUTE["AveragePool"](step)
    if made is None:
        raise _channels_last()
    return _converting(step, made.operator)


def _global_pool(step: Step) -> Made:
    if step.integer("channels_last", 0):
        raise _channels_last()
    return _converting(step, GlobalAvgPool())


def _channels_last() -> InvalidValueError:
    return InvalidValueError("", found="channels_last 1", expected="channels before space")


def _softmax(step: Step) -> Made:
    return _converting(step, elementwise.Softmax(step.integer("axis", -1)))


def _concat(step: Step) -> Made:
    reads = tuple(range(2, len(step.inputs), 3))
    step.types[0] = step.value(2).elem_type
    return Made(Concat(step.integer("axis", 1)), reads, ())


def _product(
    weight: int, bias: int, *, turned: bool = False, written: int | None = None
) -> Callable[[Step], Made]:
    """A product with the matrix at `weight` and, where it is given, the vector at `bias`.

    turned: whether attributes may say that the factors are transposed.
    written: the type of what it writes; that of what it reads unless given.
    """

    def make(step: Step) -> Made:
        step.types[0] = written or step.value(0).elem_type
        a, b = step.shape(0), step.shape(weight)
        over, across = (1, 0) if turned and step.integer("transB", 0) else (0, 1)
        if len(b) != 2 or (turned and step.integer("transA", 0)) or not a or a[-1] != b[over]:
            raise ShapeError(
                "",
                found=f"{shape_text(a)} times {shape_text(b)}",
                expected="a matrix with as many rows as the input has columns",
            )
        if not step.value(weight).is_constant:
            product = Matmul(False, over == 1)
            return Made(product, (0, weight), ())
        positions = (weight, bias) if step.has(bias) else (weight,)
        kind = FullyConnected if turned else Linear  # as for Gemm and MatMul
        return Made(kind(b[across], bias=step.has(bias)), (0,), positions)

    return make


def _dynamic_product(step: Step) -> Made:
    """A product whose input is quantised, to the range that it has, on the way in."""
    made = _DYNAMIC(step)
    inputs = tuple(step.shape(at) for at in made.reads)
    shapes = made.operator.output_shapes(inputs)
    each = ((elements(inputs[0]), "input elements"), (DYNAMIC_OPS, "operations each"))
    work = replace(
        made.operator.work(inputs, shapes), vector_ops=(Product("dynamic_quantize", each),)
    )
    return made._replace(operator=Declared(made.operator.name, made.operator.unit, shapes, work))


def _few_bits(step: Step) -> Made:
    """A product with weights of few bits, in blocks that have a scale each."""
    rows, columns = step.integer("K", 0), step.integer("N", 0)
    bits, block = step.integer("bits", 4), max(step.integer("block_size", 32), 1)
    shape = step.shape(0)
    if rows < 1 or columns < 1 or not 1 <= bits <= 8 or not shape or shape[-1] != rows:
        raise ShapeError(
            "",
            found=f"{shape_text(shape)} for K {rows}, N {columns}, bits {bits}",
            expected="K columns in the input",
        )
    step.types[0] = step.value(0).elem_type
    scales = -(-rows // block) * columns
    inner = Linear(columns, bias=step.has_bias(5))
    work = inner.work((shape,), inner.output_shapes((shape,)))
    counts = replace(work, params=(*work.params, Product("scales", ((scales, "blocks"),))))
    operator = Declared("linear", Unit.MATRIX, inner.output_shapes((shape,)), counts)
    wide = bits_of(step.value(2).elem_type) if step.has(2) else 32
    others = [(scales, wide)]
    if inner.bias:
        others.append((columns, bits_of(step.value(5).elem_type)))
    return Made(operator, (0,), (), (bits, tuple(others)))


_DYNAMIC = _product(1, 4, written=FLOAT)

QUANTIZED: Mapping[str, Maker] = {"QuantizeLinear": _quantize, "DequantizeLinear": _dequantize}

# Operators of ONNX Runtime, domain com.microsoft.
CONTRIBUTED: Mapping[str, Maker] = {
    **QUANTIZED,
    "QLinearAdd": _on_whole_numbers(arithmetic.Add(), 0, 3),
    "QLinearMul": _on_whole_numbers(arithmetic.Mul(), 0, 3),
    "QLinearSigmoid": _on_whole_numbers(elementwise.Sigmoid(), 0),
    "QLinearLeakyRelu": _on_whole_numbers(elementwise.LeakyRelu(), 0),
    "QLinearSoftmax": _softmax,
    "QLinearAveragePool": _pool,
    "QLinearGlobalAveragePool": _global_pool,
    "QLinearConcat": _concat,
    "QGemm": _product(3, 6, turned=True),
    "MatMulIntegerToFloat": _product(1, 6, written=FLOAT),
    "DynamicQuantizeMatMul": _dynamic_product,
    "MatMulNBits": _few_bits,
}
