"""Whether the weights of a node fit what it computes: ONNX's own inference does not look at all of them."""

from __future__ import annotations

from perfsim.errors import ShapeError
from perfsim.frontends.onnx_graph import Step
from perfsim.network.arithmetic import broadcast
from perfsim.network.operator import Operator
from perfsim.network.work import Shape, elements, shape_text


def check_weights(step: Step, operator: Operator, data: Shape, positions: tuple[int, ...]) -> None:
    """Raise ShapeError unless the inputs at `positions` hold as many numbers as `operator` has parameters."""
    params = operator.work((data,), operator.output_shapes((data,))).params
    needed = sum(product.value for product in params)
    weights = [step.shape(position) for position in positions if step.has(position)]
    if sum(map(elements, weights)) != needed:
        raise ShapeError(
            "the weights do not fit",
            found=f"weights of {' and '.join(map(shape_text, weights))}",
            expected=f"{needed} numbers",
        )


def check_stretch(step: Step, positions: tuple[int, ...], shape: Shape) -> None:
    """Raise ShapeError unless the inputs at `positions` that are there stretch to `shape`."""
    for position in positions:
        if step.has(position) and broadcast((shape, step.shape(position))) != shape:
            raise ShapeError(
                "the weights do not fit",
                found=f"weights of {shape_text(step.shape(position))}",
                expected=f"what stretches to {shape_text(shape)}",
            )
