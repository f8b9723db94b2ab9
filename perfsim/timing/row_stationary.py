"""How a layer lies on an array whose elements keep rows, in closed form, for one value or a million.

Each element keeps a row of a filter and a row of an input; a column of `taps` elements makes a row of the output, and
as many columns as the array is wide make neighbouring rows: a set. Sets lie below each other. They take further rows of
the output first, then (where all rows are there) further input channels or filters.

A pass adds some input channels to the partial sums, which lie in the global buffer: each pass reads and writes all of
them. Few channels a pass is what slows layers with large feature maps down.

Sources: Chen, Krishna, Emer, Sze, "Eyeriss: An Energy-Efficient Reconfigurable Accelerator for Deep Convolutional
Neural Networks", JSSC 52(1), 2017, section IV, for the mapping. How the buffer is divided is ours: with a quarter for
inputs the traffic of partial sums comes out that the paper reports for the rows in tests/published/measured.

All arguments are whole numbers of at least 1; the functions are elementwise.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Values: TypeAlias = Any  # whole number or numpy array; the formulas do not tell them apart


def _stacked(taps: Values, rows: Values) -> Values:
    """Sets below each other."""
    return np.maximum(np.floor(rows / taps), 1.0)


def _wide(outputs: Values, columns: Values) -> Values:
    """Columns of a set, on average: the output's rows in equal parts, none wider than the array."""
    return outputs / np.ceil(outputs / columns)


def active_elements(outputs: Values, taps: Values, rows: Values, columns: Values) -> Values:
    """Elements that work, of a rows x columns array, on an output of `outputs` rows with a kernel of `taps` rows.

    A set has min(taps, rows) x width elements; narrow ones stand side by side.
    """
    width = _wide(outputs, columns)
    beside = np.floor(columns / width)
    return np.minimum(
        np.minimum(taps, rows) * width * beside * _stacked(taps, rows), rows * columns
    )


def channels_per_pass(
    outputs: Values,
    width: Values,
    taps: Values,
    stride: Values,
    channels: Values,
    images: Values,
    word_bytes: Values,
    rows: Values,
    columns: Values,
    input_words: Values,
    weight_words: Values,
    buffer_bytes: Values,
) -> Values:
    """Input channels whose products are added up between two accesses to the partial sums.

    At most input_words / taps of them fit in an element, on as many sets as the output's rows leave free (at most
    two). Their inputs take a quarter of the buffer; partial sums of as many filters as an element holds, weight_words /
    input_words, take the rest, of as many images as fit. All are rounded down to powers of two, as channels are
    divided, and are at least one.
    """
    sets = np.ceil(outputs / columns)
    spare = np.clip(np.floor(_stacked(taps, rows) / sets), 1.0, 2.0)
    held = np.maximum(np.floor(input_words / taps), 1.0) * spare
    strip = np.minimum(outputs, _stacked(taps, rows) * columns)
    filters = 2.0 ** np.floor(np.log2(weight_words / input_words))
    sums_bytes = filters * strip * width * word_bytes
    together = np.clip(np.floor(0.75 * buffer_bytes / sums_bytes), 1.0, images)
    of_a_channel = ((strip - 1) * stride + taps) * ((width - 1) * stride + taps) * word_bytes
    fitting = np.floor(0.25 * buffer_bytes / (of_a_channel * together))
    most = np.clip(np.minimum(held, fitting), 1.0, channels)
    return 2.0 ** np.floor(np.log2(most))
