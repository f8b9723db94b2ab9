"""PyTorch's matrix products: linear layers, products of tensors, attention."""

from __future__ import annotations

from dataclasses import replace

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
        row = call.emit(tensor.Reshaped((1, *x.shape)), x)
        return call.emit(tensor.Reshaped((units,)), _with_weights(call, row, units, bias=bias))
    kind = FullyConnected if len(x.shape) == 2 else Linear
    return call.emit(kind(units=units, bias=bias), x)


def matmul(call: Call) -> Value:
    """The product of two tensors, or of one with weights."""
    a, b = list(call.arguments.values())[:2]
    if isinstance(a, Feature) and isinstance(b, Constant) and b.params and len(b.shape) == 2:
        return _with_weights(call, a, b.shape[1], bias=False)
    return call.emit(Matmul(), a, b)


def _in_batch(call: Call, value: Feature | Constant) -> Feature | Constant:
    """`value` as the one image of a batch."""
    shape = (1, *value.shape)
    if isinstance(value, Constant):
        return replace(value, shape=shape)
    return call.emit(tensor.Reshaped(shape), value)


def addmm(call: Call) -> Value:
    """A linear layer written out."""
    bias, a, b = call["self"], call["mat1"], call["mat2"]
    plain = (call["alpha"], call["beta"]) == (1, 1) and isinstance(a, Feature)
    trained = all(isinstance(each, Constant) and each.params for each in (bias, b))
    if plain and trained and bias.shape == b.shape[1:]:
        return _with_weights(call, a, b.shape[1], bias=True)
    return _added(call, call.emit(Matmul(), a, b))


def baddbmm(call: Call) -> Value:
    """Products of matrices, added to a tensor."""
    return _added(call, call.emit(Matmul(), call["batch1"], call["batch2"]))


def _added(call: Call, product: Feature) -> Value:
    """beta times the first argument plus alpha times a product."""
    if call["beta"] == 0:
        return product if call["alpha"] == 1 else call.emit(tensor.Elementwise("mul", 1), product)
    operations = 1 + (call["alpha"] != 1) + (call["beta"] != 1)
    return call.emit(tensor.Elementwise("add", operations), product, call["self"])


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
    is_single = len(call.shape) < 3
    if is_single:
        operands = [_in_batch(call, each) for each in operands]
    if call["attn_mask"] is not None:
        operands.append(call["attn_mask"])
    scored = call.emit(Attention(heads=1, causal=bool(call["is_causal"])), *operands)
    return call.emit(tensor.Reshaped(call.shape), scored) if is_single else scored
