"""Poolings: the vector unit reads each window element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from perfsim.network.operator import Operator, Padding, PerAxis, channels_and_space, per_axis
from perfsim.network.window import windows
from perfsim.network.work import Product, Shape, Work, elements


def _pooling_work(output: Shape, window: Shape, ops_per_window: int, what: str) -> Work:
    each = (ops_per_window, f"{what} per {'x'.join(map(str, window))} window")
    return Work(vector_ops=(Product("pooling", ((elements(output), "output elements"), each)),))


@dataclass(frozen=True)
class _WindowPool(Operator):
    """A window that moves by its own size unless `stride` says otherwise.

    Attributes:
        kernel, stride, dilation: one number, or one per spatial axis.
        padding: "same", "valid", or numbers.
        ceil_mode: whether a window that only starts inside the input counts as one.
    """

    kernel: PerAxis
    stride: PerAxis | None = None
    padding: Padding = "same"
    dilation: PerAxis = 1
    ceil_mode: bool = False

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        space, _ = self._windows(inputs[0])
        return ((*inputs[0][:2], *space),)

    def _windows(self, shape: Shape) -> tuple[Shape, Shape]:
        stride = self.kernel if self.stride is None else self.stride
        return windows(
            shape, self.kernel, stride, self.padding, self.dilation, ceil_mode=self.ceil_mode
        )


class MaxPool(_WindowPool):
    """The largest element of each window."""

    name: ClassVar[str] = "max_pool"
    selects: ClassVar[bool] = True
    cost: ClassVar[str] = "per output element: one comparison fewer than the window has elements"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = self._windows(inputs[0])
        return _pooling_work(outputs[0], sizes, math.prod(sizes) - 1, "comparisons")


class AvgPool(_WindowPool):
    """The mean of each window."""

    name: ClassVar[str] = "avg_pool"
    cost: ClassVar[str] = "per output element: the additions of its window and one scaling"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = self._windows(inputs[0])
        return _pooling_work(outputs[0], sizes, math.prod(sizes), "additions and scalings")


class _GlobalPool(Operator):
    """One window over the whole of each channel."""

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        channels, space = channels_and_space(inputs[0])
        return ((inputs[0][0], channels, *(1 for _ in space)),)


class GlobalMaxPool(_GlobalPool):
    """The largest element of each channel."""

    name: ClassVar[str] = "global_max_pool"
    selects: ClassVar[bool] = True
    cost: ClassVar[str] = "per channel: one comparison fewer than it has elements"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        space = inputs[0][2:]
        return _pooling_work(outputs[0], space, math.prod(space) - 1, "comparisons")


class GlobalAvgPool(_GlobalPool):
    """The mean of each channel."""

    name: ClassVar[str] = "global_avg_pool"
    cost: ClassVar[str] = "per channel: the additions of its elements and one scaling"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        space = inputs[0][2:]
        return _pooling_work(outputs[0], space, math.prod(space), "additions and scalings")


@dataclass(frozen=True)
class _AdaptivePool(Operator):
    """So many windows along each axis, window i from floor(i n / m) to ceil((i + 1) n / m).

    The definition of adaptive pooling in PyTorch, for n elements and m windows. The sizes of the windows add up
    to n + m - gcd(n, m): they share an element wherever a border falls inside one.

    Attributes:
        output: the windows along each axis: one number, or one per spatial axis.
    """

    output: PerAxis

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        _, space = channels_and_space(inputs[0])
        return ((*inputs[0][:2], *per_axis(self.output, len(space), "an output")),)

    @staticmethod
    def _work(inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], *, spared: int) -> Work:
        """Operations on all elements of all windows, but for `spared` of each window."""
        windows_of_a_channel = outputs[0][2:]
        read = math.prod(
            size + count - math.gcd(size, count)
            for size, count in zip(inputs[0][2:], windows_of_a_channel, strict=True)
        )
        each = (read - spared * math.prod(windows_of_a_channel), "operations in all windows")
        return Work(
            vector_ops=(Product("pooling", ((math.prod(inputs[0][:2]), "channels"), each)),)
        )


class AdaptiveMaxPool(_AdaptivePool):
    """The largest element of each window."""

    name: ClassVar[str] = "adaptive_max_pool"
    selects: ClassVar[bool] = True
    cost: ClassVar[str] = "per output element: one comparison fewer than the window has elements"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return self._work(inputs, outputs, spared=1)


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each window."""

    name: ClassVar[str] = "adaptive_avg_pool"
    cost: ClassVar[str] = "per output element: the additions of its window and one scaling"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return self._work(inputs, outputs, spared=0)
