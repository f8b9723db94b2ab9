"""What the matrix unit makes of a layer: its time from its rate, or from the cycles of its array.

An array's cycles count as multiply-accumulates: each cycle has room for so many of them, whether they are used or not.
So one number, the peak rate, stays the machine's speed.
"""

from __future__ import annotations

from perfsim.timing.formula import Formula
from perfsim.timing.terms import Shape

FLOP_PER_MAC = 2
_PRODUCT = "out_rows * out_columns, in_channels * taps, out_channels"
# What streams through a preloaded array, what is summed, and what lies on its columns.
_PRELOADED = {
    "weight_stationary": _PRODUCT,
    "input_stationary": "out_channels, in_channels * taps, out_rows * out_columns",
}


# Which layers are packed unless a machine says so.
_USUAL = {"kernel_row": "narrow", "stride": "narrow", "kernel": "all"}


def _grid_steps(shape: Shape, dimension: str, quotient: str) -> str:
    """A quotient, rounded up where the grid does so along this dimension."""
    return f"ceil({quotient})" if dimension in shape.rounded else f"({quotient})"


def _grid_depth(shape: Shape) -> str:
    """Of a grid: what takes its place among the input channels, times the kernel places that are left."""

    def channels(text: str) -> str:
        return _grid_steps(shape, "input_channels", f"{text} / array_input_channels")

    plain = f"taps * {channels('in_channels')}"
    places = (
        _grid_steps(shape, "taps", f"tap_{axis} / fold_{axis}") for axis in ("rows", "columns")
    )
    packed = {
        "none": plain,
        "kernel_row": f"tap_rows * {channels('in_channels * tap_columns')}",
        "kernel": channels("in_channels * taps"),
        "stride": f"{channels('in_channels * fold_rows * fold_columns')} * {' * '.join(places)}",
    }[shape.packing]
    if shape.packing == "none" or (shape.packing_layers or _USUAL[shape.packing]) == "all":
        return packed
    return f"where(in_channels < array_input_channels, {packed}, {plain})"


def matrix_formulas(shape: Shape) -> tuple[Formula, ...]:
    """The formulas up to matrix_s."""
    rate = "matrix_flops" + (" * efficiency" if shape.efficiency else "")
    rate += " * matrix_speed" if shape.matrix_speed else ""
    rate = f"({rate})" if "*" in rate else rate
    if not shape.array:
        return (
            Formula("matrix_s", f"{FLOP_PER_MAC} * macs / {rate}", "the matrix unit's time [s]"),
        )
    formulas = [Formula("array_cycles", _cycles(shape), "cycles of the array", "macs")]
    cycles = "array_cycles"
    if shape.winograd:
        formulas.append(
            Formula(
                "winograd_cycles",
                "array_cycles / winograd_gain",
                "cycles with fewer multiplications",
                "winograd",
            )
        )
        cycles = "where(winograd, winograd_cycles, array_cycles)"
    if shape.depthwise:
        formulas.append(
            Formula(
                "depthwise_cycles",
                "out_rows * ceil(out_columns / depthwise_pixels) * taps * "
                "ceil(groups * out_channels / depthwise_channels)",
                "cycles of the depthwise unit",
                "depthwise",
            )
        )
        cycles = f"where(depthwise, depthwise_cycles, {cycles})"
    formulas.append(
        Formula(
            "matrix_cycles", f"where(macs > 0, {cycles}, 0)", "cycles of the matrix unit", "macs"
        )
    )
    text = f"{FLOP_PER_MAC} * matrix_cycles * array_macs / {rate}"
    if shape.array == "row_stationary":
        formulas.append(_partial_sums())
        text = f"max({text}, partial_sum_s)"
    return (*formulas, Formula("matrix_s", text, "the matrix unit's time [s]"))


def _cycles(shape: Shape) -> str:
    if shape.array == "grid":
        pixels = _grid_steps(shape, "pixels", "out_columns / array_pixels")
        outputs = _grid_steps(shape, "output_channels", "out_channels / array_output_channels")
        return f"groups * out_rows * {pixels} * {_grid_depth(shape)} * {outputs}"
    if shape.array == "row_stationary":
        return "macs / active_elements(out_height, tap_rows, array_rows, array_columns)"
    if shape.preload:
        return f"preloaded_cycles({_PRELOADED[shape.array]}, groups, array_rows, array_columns)"
    return f"groups * {shape.array}_cycles({_PRODUCT}, array_rows, array_columns)"


def _partial_sums() -> Formula:
    channels = (
        "channels_per_pass(out_height, out_columns, tap_rows, stride, in_channels, out_rows / out_height, bits / 8, "
        "array_rows, array_columns, array_input_words, array_weight_words, array_buffer_bytes)"
    )
    text = f"where(macs > 0, ceil(in_channels / {channels}) * output_bytes / partial_sum_bytes_per_s, 0)"
    return Formula("partial_sum_s", text, "partial sums to and from the global buffer [s]", "macs")
