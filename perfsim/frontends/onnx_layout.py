"""ONNX's operators that move, cut or renumber data, and its reductions, as our operators."""

from __future__ import annotations

from collections.abc import Mapping

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_compute import Made, Maker
from perfsim.frontends.onnx_graph import Step
from perfsim.frontends.tensor_operators import Declared, sampled, worked
from perfsim.network.layout import (
    Concat,
    Embedding,
    Flatten,
    Pad,
    Reshape,
    Slice,
    Transpose,
)
from perfsim.network.operator import Operator, Unit
from perfsim.network.pooling import GlobalAvgPool
from perfsim.network.reduction import ArgMax, ArgMin, ReduceMax, ReduceMean, ReduceMin, ReduceSum
from perfsim.network.resize import ResizeLinear, ResizeNearest
from perfsim.network.selection import TopK
from perfsim.network.work import Product, Work, elements, per_element, shape_text


def view(name: str) -> Maker:
    """The same bytes under the shape that ONNX gives."""

    def make(step: Step) -> Made:
        found, shape = step.shape(0), step.output()
        if elements(found) != elements(shape):
            raise ShapeError(
                "the elements do not fill the shape",
                found=f"{shape_text(found)} as {shape_text(shape)}",
                expected=f"{elements(found)} elements",
            )
        if name == "reshape" and found[:1] == shape[:1] and len(shape) > 1:
            return Made(Reshape(shape[1:]))
        if name == "flatten" and shape == (found[:1] or (1,)) + (elements(found[1:]),):
            return Made(Flatten())
        return Made(Declared(name, Unit.VIEW, (shape,)))

    return make


def copy(name: str, *reads: int) -> Maker:
    """What moves bytes: its data, and indices where those are known only when it runs."""

    def make(step: Step) -> Made:
        return Made(Declared(name, Unit.COPY, step.all_outputs()), reads or (0,))

    return make


def _dropout(step: Step) -> Made | None:
    return None if len(step.outputs) == 1 else copy("dropout")(step)


def _concat(step: Step) -> Made | None:
    if len(step.inputs) == 1:
        return None
    return Made(Concat(step.integer("axis", 1)), tuple(range(len(step.inputs))))


def _pad(step: Step) -> Made:
    found, shape = step.shape(0), step.output()
    pads = step.integers("pads") or step.integers("paddings") or step.numbers(1)
    rank = len(found)
    spatial = rank > 2 and pads is not None and not step.has(3) and len(pads) == 2 * rank
    if spatial and pads and min(pads) >= 0 and not any((*pads[:2], *pads[rank : rank + 2])):
        return Made(Pad(tuple(pads[2:rank]), tuple(pads[rank + 2 :])))
    return Made(Declared("pad", Unit.COPY, (shape,)))


def _slice(step: Step) -> Made:
    rank = len(step.shape(0))
    if step.has(1):
        starts, ends = step.numbers(1), step.numbers(2)
        axes = step.numbers(3) if step.has(3) else list(range(len(starts or ())))
        steps = step.numbers(4) if step.has(4) else [1] * len(starts or ())
    else:
        starts, ends = step.integers("starts"), step.integers("ends")
        axes = step.integers("axes") or list(range(len(starts or ())))
        steps = [1] * len(starts or ())
    known = [each for each in (starts, ends, axes, steps) if each is not None]
    if len(known) == 4 and all(len(each) == 1 for each in known) and known[3][0] > 0:
        (start,), (end,), (axis,), (pace,) = known
        size = step.shape(0)[axis % rank] if -rank <= axis < rank else 0
        return Made(Slice(axis, start, None if end >= size else end, pace))
    reads = tuple(at for at in range(5) if step.has(at) and not step.value(at).is_constant)
    return Made(Declared("slice", Unit.COPY, (step.output(),)), reads or (0,))


def _transpose(step: Step) -> Made:
    rank = len(step.shape(0))
    order = step.integers("perm") or list(reversed(range(rank)))
    if rank < 2:
        return Made(Declared("transpose", Unit.COPY, (step.output(),)))
    moved = [axis for axis in order if step.shape(0)[axis] != 1]
    if moved == sorted(moved):  # axes of one element move no bytes
        return Made(Declared("transpose", Unit.VIEW, (step.output(),)))
    return Made(Transpose(tuple(order)))


def _gather(step: Step) -> Made:
    table = step.value(0)
    rows = len(table.shape) == 2 and table.params and step.integer("axis", 0) == 0
    if table.is_constant and not step.value(1).is_constant and rows:
        return Made(Embedding(*table.shape), (1,))
    return Made(Declared("gather", Unit.COPY, (step.output(),)), (0, 1))


def _scatter(name: str) -> Maker:
    def make(step: Step) -> Made:
        combines = step.text("reduction", "none") != "none"
        ops = per_element(step.shape(2), 1, "combine") if combines else ()
        unit = Unit.VECTOR if combines else Unit.COPY
        return Made(Declared(name, unit, (step.output(),), Work(vector_ops=ops)), (0, 1, 2))

    return make


def _resize(step: Step) -> Made:
    found, shape = step.shape(0), step.output()
    mode = step.text("mode", "nearest")
    if step.integer("antialias", 0):
        raise InvalidValueError("", found="a resize with antialias", expected="one without")
    if len(found) != len(shape) or not elements(found):
        raise ShapeError(
            "",
            found=f"{shape_text(found)} as {shape_text(shape)}",
            expected="as many axes, none empty",
        )
    scales = [new // old for old, new in zip(found, shape, strict=True)]
    whole = all(new == old * by for old, new, by in zip(found, shape, scales, strict=True))
    enlarged = len(found) > 2 and whole and scales[:2] == [1, 1]
    resized = sum(old != new for old, new in zip(found, shape, strict=True))
    if mode == "nearest":
        if enlarged:
            return Made(ResizeNearest(tuple(scales[2:])))
        return Made(Declared("resize_nearest", Unit.COPY, (shape,)))
    if mode == "linear":
        if enlarged:
            return Made(ResizeLinear(tuple(scales[2:])))
        each = (3 * (2**resized - 1), "operations (subtract, multiply, add per interpolation)")
    elif mode == "cubic":
        each = (2 * 4**resized, "operations (multiply, add per neighbour)")
    else:
        raise InvalidValueError("", found=f"mode '{mode}'", expected="nearest, linear or cubic")
    work = Work(vector_ops=(Product("interpolation", ((elements(shape), "elements"), each)),))
    return Made(Declared(f"resize_{mode}", Unit.VECTOR, (shape,), work))


_SAMPLED = {"bilinear": "linear", "bicubic": "cubic"}  # as they were called before opset 20


def _grid_sample(step: Step) -> Made:
    mode = step.text("mode", "linear")
    mode = _SAMPLED.get(mode, mode)
    if mode not in ("nearest", "linear", "cubic"):
        raise InvalidValueError("", found=f"mode '{mode}'", expected="nearest, linear or cubic")
    work = sampled(mode, step.output())
    return Made(Declared("grid_sample", Unit.VECTOR, (step.output(),), work), (0, 1))


def _col2im(step: Step) -> Made:
    """Windows put back where they were, and added where they overlap."""
    work = Work(vector_ops=per_element(step.shape(0), 1, "add"))
    return Made(Declared("col2im", Unit.VECTOR, (step.output(),), work))


def _expand(step: Step) -> Made | None:
    if step.output() == step.shape(0):
        return None
    return Made(Declared("expand", Unit.COPY, (step.output(),)))


def _axes(step: Step) -> tuple[list[int] | None, bool]:
    """(axes, whether they are known): as an attribute, or since opset 13 and 18 as an input."""
    if step.has(1):
        return step.numbers(1), step.value(1).array is not None
    return step.integers("axes"), True


def _reduce(
    operator: type[ReduceMean] | type[ReduceSum] | type[ReduceMax] | type[ReduceMin],
) -> Maker:
    def make(step: Step) -> Made | None:
        found = step.shape(0)
        axes, known = _axes(step)
        if not known:
            return _by_sizes(step, operator)
        if not axes:
            if step.integer("noop_with_empty_axes", 0):
                return None
            axes = list(range(len(found)))
        keep = bool(step.integer("keepdims", 1))
        spatial = sorted(axis % max(len(found), 1) for axis in axes) == list(range(2, len(found)))
        if operator is ReduceMean and spatial and len(found) > 3:
            if keep:
                return Made(GlobalAvgPool())
            return Made(worked(GlobalAvgPool(), (found,), (step.output(),)))
        return Made(operator(tuple(axes), keep_dims=keep))

    return make


def _by_sizes(
    step: Step, operator: type[ReduceMean] | type[ReduceSum] | type[ReduceMax] | type[ReduceMin]
) -> Made:
    """A reduction whose axes are known only when it runs: what its declared output says."""
    shape = step.output()
    each = elements(step.shape(0)) // max(elements(shape), 1) - 1 + operator.scalings
    count = Product("reduction", ((elements(shape), "output elements"), (each, operator.what)))
    return Made(Declared(operator.name, Unit.VECTOR, (shape,), Work(vector_ops=(count,))), (0, 1))


def _reduction(name: str, before: int, after: int) -> Maker:
    """Additions, with so many operations on each element before and on each result after."""

    def make(step: Step) -> Made:
        found, shape = step.shape(0), step.output()
        each = elements(found) // max(elements(shape), 1)
        operations = (each * (before + 1) - 1 + after, "operations each")
        count = Product(name, ((elements(shape), "output elements"), operations))
        return Made(Declared(name, Unit.VECTOR, (shape,), Work(vector_ops=(count,))))

    return make


def _top_k(step: Step) -> Made:
    shapes, axis = step.all_outputs(), step.integer("axis", -1)
    return Made(worked(TopK(max(shapes[0][axis], 1), axis), (step.shape(0),), shapes))


def _arg(operator: type[ArgMax] | type[ArgMin]) -> Maker:
    def make(step: Step) -> Made:
        return Made(operator(step.integer("axis", 0), bool(step.integer("keepdims", 1))))

    return make


def gathered(operator: type[Operator]) -> Maker:
    """An operator without attributes that reads its first input."""
    return lambda step: Made(operator())


LAYOUT: Mapping[str, Maker] = {
    "Identity": lambda step: None,
    "Dropout": _dropout,
    "Cast": view("cast"),
    "CastLike": view("cast"),
    "BitCast": view("cast"),
    "Flatten": view("flatten"),
    "Reshape": view("reshape"),
    "Squeeze": view("squeeze"),
    "Unsqueeze": view("unsqueeze"),
    "Concat": _concat,
    "Split": copy("split"),
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": copy("gather_elements", 0, 1),
    "GatherND": copy("gather_nd", 0, 1),
    "Scatter": _scatter("scatter_elements"),
    "ScatterElements": _scatter("scatter_elements"),
    "ScatterND": _scatter("scatter_nd"),
    "TensorScatter": copy("tensor_scatter", 0, 1, 2),
    "DepthToSpace": copy("depth_to_space"),
    "SpaceToDepth": copy("space_to_depth"),
    "ReverseSequence": copy("reverse_sequence"),
    "Trilu": copy("trilu"),
    "Tile": copy("tile"),
    "Expand": _expand,
    "Compress": copy("compress", 0, 1),
    "CenterCropPad": copy("center_crop_pad"),
    "OneHot": copy("one_hot"),
    "EyeLike": copy("eye_like"),
    "GridSample": _grid_sample,
    "Col2Im": _col2im,
    "MaxUnpool": copy("max_unpool", 0, 1),
    "Upsample": _resize,
    "Resize": _resize,
    "ReduceMean": _reduce(ReduceMean),
    "ReduceSum": _reduce(ReduceSum),
    "ReduceMax": _reduce(ReduceMax),
    "ReduceMin": _reduce(ReduceMin),
    "ReduceProd": _reduction("reduce_prod", 0, 0),
    "ReduceL1": _reduction("reduce_l1", 1, 0),
    "ReduceL2": _reduction("reduce_l2", 1, 1),
    "ReduceSumSquare": _reduction("reduce_sum_square", 1, 0),
    "ReduceLogSum": _reduction("reduce_log_sum", 0, 1),
    "ReduceLogSumExp": _reduction("reduce_log_sum_exp", 1, 1),
    "ArgMax": _arg(ArgMax),
    "ArgMin": _arg(ArgMin),
    "TopK": _top_k,
}
