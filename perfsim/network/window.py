"""The arithmetic of sliding windows, which convolutions and poolings share."""

from __future__ import annotations

from perfsim.errors import ShapeError, nearest_name
from perfsim.network.operator import Padding, PerAxis, channels_and_space, per_axis
from perfsim.network.work import Shape

PADDING_WORDS = ("same", "valid")


def windows(
    shape: Shape, kernel: PerAxis, stride: PerAxis, padding: Padding, dilation: PerAxis = 1
) -> tuple[Shape, Shape]:
    """How many windows fit along each axis, and the size of one: ``((14, 14), (3, 3))``.

    shape: the input, (batch, channels, *space).
    padding: "same" gives ceil(size / stride) windows, "valid" pads nothing; a number pads that much
        on both sides of every axis, a list gives one number per axis.

    Per axis: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1, the definition of
    the Conv operator of ONNX; "same" as in TensorFlow. Raises ShapeError when no window fits.
    """
    _, space = channels_and_space(shape)
    axes = len(space)
    sizes = per_axis(kernel, axes, "a kernel")
    strides = per_axis(stride, axes, "a stride")
    dilations = per_axis(dilation, axes, "a dilation")
    if padding == "same":
        return tuple(-(-size // step) for size, step in zip(space, strides, strict=True)), sizes
    pads = _pads(padding, axes)
    counts = []
    for axis in range(axes):
        reach = dilations[axis] * (sizes[axis] - 1) + 1
        room = space[axis] + 2 * pads[axis]
        if reach > room:
            dilated = f" dilated by {dilations[axis]}" if dilations[axis] > 1 else ""
            raise ShapeError(
                f"the kernel of {sizes[axis]}{dilated} is larger than the padded input",
                found=f"an input of {space[axis]} with padding {pads[axis]}",
                expected=f"at least {reach}",
            )
        counts.append((room - reach) // strides[axis] + 1)
    return tuple(counts), sizes


def _pads(padding: Padding, axes: int) -> tuple[int, ...]:
    if isinstance(padding, str):
        if padding != "valid":
            raise ShapeError(
                "",
                found=f"the padding '{padding}'",
                expected="same, valid, or numbers",
                nearest=nearest_name(padding, PADDING_WORDS),
            )
        return (0,) * axes
    return per_axis(padding, axes, "a padding", least=0)
