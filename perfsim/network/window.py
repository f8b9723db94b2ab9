"""The arithmetic of sliding windows, which convolutions and poolings share."""

from __future__ import annotations

from perfsim.errors import ShapeError, nearest_name
from perfsim.network.operator import Amounts, Padding, PerAxis, channels_and_space, per_axis
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
    pads = pads_of(padding, axes)
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


def spread(
    shape: Shape,
    kernel: PerAxis,
    stride: PerAxis,
    padding: Padding,
    output_padding: Amounts,
    dilation: PerAxis,
) -> tuple[Shape, Shape]:
    """What a transposed convolution makes of each axis, and the size of its kernel.

    Per axis: (size - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1, the definition
    of ConvTranspose in ONNX and PyTorch; "same" gives size stride, as in TensorFlow. Raises ShapeError
    when nothing is left.
    """
    _, space = channels_and_space(shape)
    axes = len(space)
    sizes = per_axis(kernel, axes, "a kernel")
    strides = per_axis(stride, axes, "a stride")
    dilations = per_axis(dilation, axes, "a dilation")
    more = per_axis(output_padding, axes, "an output_padding", least=0)
    if padding == "same":
        if any(more):
            raise ShapeError(
                "same fixes the output's size",
                found=f"output_padding {max(more)}",
                expected="0, or numbers as padding",
            )
        return tuple(size * step for size, step in zip(space, strides, strict=True)), sizes
    pads = pads_of(padding, axes)
    spreads = tuple(
        (space[axis] - 1) * strides[axis]
        - 2 * pads[axis]
        + dilations[axis] * (sizes[axis] - 1)
        + more[axis]
        + 1
        for axis in range(axes)
    )
    if min(spreads) < 1:
        raise ShapeError(
            "the padding cuts off the whole output", found=f"padding {max(pads)}", expected="less"
        )
    return spreads, sizes


def pads_of(padding: Padding, axes: int) -> tuple[int, ...]:
    """The padding of each axis, "same" apart: what it pads depends on the input."""
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
