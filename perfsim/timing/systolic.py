"""Cycles of a matrix product on a systolic array, in closed form, for one value or a million.

The product has `pixels` x `channels` results, each a sum of `depth` products. A convolution is such a product:
pixels = images x output height x output width, depth = kernel height x kernel width x input channels / groups,
channels = output channels / groups, computed `groups` times; a depthwise convolution has as many groups as
input channels. The array has `rows` x `columns` elements, each of which multiplies and adds once per cycle and
hands on to its neighbours once per cycle.

Two of the three sizes are laid out on the array and cut into folds of its size; the third streams through it. The
folds run one after the other, nothing of one overlaps the next, and a partial fold takes as long as a full one,
since its operands pass the idle elements too. Memory never stalls the array.

| flow | on the rows | on the columns | streams |
| --- | --- | --- | --- |
| output_stationary | pixels | channels | depth |
| weight_stationary | depth | channels | pixels |
| input_stationary | depth | pixels | channels |

Sources: Samajdar, Joseph, Zhu, Whatmough, Mattina, Krishna, "A Systematic Methodology for Characterizing Scalability
of DNN Accelerators using SCALE-Sim", ISPASS 2020, for what lies where and a product's time as folds times the
time of a fold; SCALE-Sim 3.0.0, scalesim/compute/systolic_compute_{os,ws,is}.py, `create_*_demand_mat`, for the
cycles of a fold: the lines of these matrices, one for each cycle. `tests/published/systolic/` holds cycles of
that program, which these formulas equal. It prints the number of a layer's last cycle, counted from 0: one less.

Every formula is elementwise arithmetic on numbers or numpy arrays that broadcast; all arguments are whole numbers of
at least 1, and the results are exact up to 2^53 as float64 and up to 2^63 as int64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Values: TypeAlias = Any  # whole number or numpy array; the formulas do not tell them apart


def folds(size: Values, width: Values) -> Values:
    """How many times `size` items go onto `width` rows or columns of the array; the last time may be partial."""
    return (size + width - 1) // width


def output_stationary_cycles(
    pixels: Values, depth: Values, channels: Values, rows: Values, columns: Values
) -> Values:
    """Cycles of a product whose sums stay in their elements, as SCALE-Sim's flow `os`.

    Inputs come in from the left, weights from the top, each row and column one cycle after the one before it. The
    element in the last row and column gets its first pair after a fill of (rows - 1) + (columns - 1) cycles and
    then adds `depth` pairs. Draining costs nothing: SCALE-Sim lets a sum leave in the cycle of its last addition.
    (The paper's 2 rows + columns + depth - 2 has another `rows` cycles for draining; its program does not.)

        folds(pixels, rows) * folds(channels, columns) * (rows + columns + depth - 2)
    """
    return folds(pixels, rows) * folds(channels, columns) * (rows + columns + depth - 2)


def weight_stationary_cycles(
    pixels: Values, depth: Values, channels: Values, rows: Values, columns: Values
) -> Values:
    """Cycles of a product whose weights stay in their elements, as SCALE-Sim's flow `ws`.

    A fold loads its weights in `rows` cycles, line by line from the top. Then a pixel enters each cycle, each row one
    cycle after the row above it; its sums run down the columns, (rows - 1) cycles to the bottom, and leave the last
    column (columns - 1) cycles after the first.

        folds(depth, rows) * folds(channels, columns) * (rows + pixels + (rows - 1) + (columns - 1))
    """
    return folds(depth, rows) * folds(channels, columns) * (2 * rows + columns + pixels - 2)


def input_stationary_cycles(
    pixels: Values, depth: Values, channels: Values, rows: Values, columns: Values
) -> Values:
    """Cycles of a product whose inputs stay in their elements, as SCALE-Sim's flow `is`.

    The product of the transposed matrices: inputs are loaded as weights are in `weight_stationary_cycles`, and the
    weights of one output channel enter each cycle.

        folds(depth, rows) * folds(pixels, columns) * (rows + channels + (rows - 1) + (columns - 1))
    """
    return weight_stationary_cycles(channels, depth, pixels, rows, columns)


def preloaded_cycles(
    streamed: Values,
    depth: Values,
    laid: Values,
    groups: Values,
    rows: Values,
    columns: Values,
) -> Values:
    """Cycles of `groups` products whose next fold is loaded while the one before is computed, as the TPU does.

    What streams through a fold takes as many cycles, or the next one's load where that takes longer; the first load and
    the way of the last results to the last column stay visible. `laid` is what lies on the columns: channels of a
    weight-stationary array, pixels of an input-stationary one. Source: Jouppi et al., ISCA 2017, section 2 (weights
    are double-buffered, 256 cycles to shift a tile in).

        groups * folds(depth, rows) * folds(laid, columns) * max(streamed, rows) + 2 * rows + columns - 2
    """
    loads = groups * folds(depth, rows) * folds(laid, columns)
    longer = streamed + (rows - streamed) * (rows > streamed)
    return loads * longer + 2 * rows + columns - 2


# By name of the flow: cycles of one product, of (pixels, depth, channels, rows, columns). None of them is monotone in
# the array: one larger than the product, or than the rest in its last fold, takes longer to fill. Twice the rows or
# columns never take more than twice the cycles.
FLOWS: Mapping[str, Callable[[Values, Values, Values, Values, Values], Values]] = {
    "output_stationary": output_stationary_cycles,
    "weight_stationary": weight_stationary_cycles,
    "input_stationary": input_stationary_cycles,
}
