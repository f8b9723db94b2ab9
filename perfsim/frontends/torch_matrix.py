"""PyTorch's matrix products: linear layers, products of tensors, attention."""

from __future__ import annotations

from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.torch_call import Call, Constant, Feature, Value
from perfsim.network.convolution import FullyConnected
from perfsim.network.matrix import Attention, Linear, Matmul


def linear(call: Call) -> Value:
    """Weights times the last axis."""
    x, weight, bias = call["input"], call.weight("weight"), call.weight("bias") is not None
    if weight is None or len(weight.shape) != 2:
        raise call.refused("its weights are no matrix")
    return _with_weights(call, x, weight.shape[0], bias=bias)


def _with_weights(call: Call, x: Feature, units: int, *, bias: bool) -> Feature:
    if len(x.shape) == 1:
        raise call.refused("its input has no batch")
    kind = FullyConnected if len(x.shape) == 2 else Linear
    return call.emit(kind(units=units, bias=bias), x)


def matmul(call: Call) -> Value:
    """The product of two tensors, or of one with weights."""
    a, b = list(call.arguments.values())[:2]
    if isinstance(a, Feature) and isinstance(b, Constant) and b.params and len(b.shape) == 2:
        return _with_weights(call, a, b.shape[1], bias=False)
    return call.emit(Matmul(), a, b)


def addmm(call: Call) -> Value:
    """A linear layer written out."""
    bias, a, b = call.weight("self"), call["mat1"], call.weight("mat2")
    if bias is None or b is None or bias.shape != b.shape[1:] or not isinstance(a, Feature):
        raise call.refused("it is no linear layer", "input times weights plus a bias")
    if (call["alpha"], call["beta"]) != (1, 1):
        raise call.refused("it scales its operands", "alpha and beta of 1")
    return _with_weights(call, a, b.shape[1], bias=True)


def einsum(call: Call) -> Value:
    """A product of two tensors by the letters of their axes."""
    terms, arrow, result = call["equation"].replace(" ", "").partition("->")
    sides = terms.split(",")
    if not (arrow and len(sides) == len(call["tensors"]) == 2 and terms.isascii()) or "." in terms:
        raise call.refused("it is no product of two tensors with all axes named", "ij,jk->ik")
    a, b = sides
    alone = (set(a) ^ set(b)) - set(result)
    if alone or any(len(set(letters)) != len(letters) for letters in (a, b, result)):
        raise call.refused("it sums over an axis of one tensor, or repeats one", "ij,jk->ik")
    return call.emit(tensor.Einsum(a, b, result), *call["tensors"])


def attention(call: Call) -> Value:
    """Attention whose heads are an axis."""
    if call["dropout_p"]:
        raise call.refused("it drops scores at inference", "dropout_p of 0")
    operands = [call["query"], call["key"], call["value"]]
    if call["attn_mask"] is not None:
        operands.append(call["attn_mask"])
    if len(call.shape) < 3:
        raise call.refused("its inputs have no batch", "heads x tokens x features")
    return call.combine(Attention(heads=1, causal=bool(call["is_causal"])), operands)
