"""The arithmetic of sliding windows, which convolutions and poolings share."""

from __future__ import annotations

from perfsim.errors import ShapeError, nearest_name
from perfsim.network.operator import Amounts, Padding, PerAxis, channels_and_space, per_axis
from perfsim.network.work import Shape

PADDING_WORDS = ("same", "valid")


def windows(
    shape: Shape,
    kernel: PerAxis,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis = 1,
    *,
    ceil_mode: bool = False,
) -> tuple[Shape, Shape]:
    """How many windows fit along each axis, and the size of one: ``((14, 14), (3, 3))``.

    shape: the input, (batch, channels, *space).
    padding: "same" gives ceil(size / stride) windows, "valid" pads nothing; a number pads that much
        on both sides of every axis, a list gives one number or a pair (before, after) per axis.
    ceil_mode: round up instead of down; a window that would start behind the input is left out.

    Per axis: floor((size + before + after - dilation (kernel - 1) - 1) / stride) + 1, the definition of
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
        before, after = pads[axis]
        room = space[axis] + before + after
        if reach > room:
            dilated = f" dilated by {dilations[axis]}" if dilations[axis] > 1 else ""
            raise ShapeError(
                f"the kernel of {sizes[axis]}{dilated} is larger than the padded input",
                found=f"an input of {space[axis]} with padding {_pad_text(pads[axis])}",
                expected=f"at least {reach}",
            )
        if ceil_mode:
            count = -(-(room - reach) // strides[axis]) + 1
            starts_behind = (count - 1) * strides[axis] >= space[axis] + before
            counts.append(count - starts_behind)
        else:
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

    Per axis: (size - 1) stride - before - after + dilation (kernel - 1) + output_padding + 1, the definition
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
        - sum(pads[axis])
        + dilations[axis] * (sizes[axis] - 1)
        + more[axis]
        + 1
        for axis in range(axes)
    )
    if min(spreads) < 1:
        raise ShapeError(
            "the padding cuts off the whole output",
            found=f"padding {_pad_text(max(pads))}",
            expected="less",
        )
    return spreads, sizes


def pads_of(padding: Padding, axes: int) -> tuple[tuple[int, int], ...]:
    """The padding (before, after) of each axis, "same" apart: what it pads depends on the input."""
    if isinstance(padding, str):
        if padding != "valid":
            raise ShapeError(
                "",
                found=f"the padding '{padding}'",
                expected="same, valid, or numbers",
                nearest=nearest_name(padding, PADDING_WORDS),
            )
        return ((0, 0),) * axes
    given = (padding,) * axes if isinstance(padding, int) else padding
    pairs = [(each, each) if isinstance(each, int) else each for each in given]
    before = per_axis([pair[0] for pair in pairs], axes, "a padding", least=0)
    after = per_axis([pair[1] for pair in pairs], axes, "a padding", least=0)
    return tuple(zip(before, after, strict=True))


def _pad_text(pad: tuple[int, int]) -> str:
    before, after = pad
    return str(before) if before == after else f"{before} before and {after} after"
