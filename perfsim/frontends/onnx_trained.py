"""Which constants of fractions were not trained: what the exporter says, masks, and tables of sines and cosines."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

SIGNATURE = "pkg.torch.export.ExportedProgram.graph_signature"
_UNTRAINED = re.compile(r": (?:BUFFER|CONSTANT_TENSOR) target='([^']*)'")
_MASKED = -100.0  # e^-100 of a score is less than the smallest normal float32
ROW_START = 16  # elements of the first row that are looked at before all are
LARGEST_LOOK = 2**24  # elements of a constant that may be a mask or a table of positions
_TOLERANCE = 1e-2  # of a table in float32 at positions of some thousands


def untrained_names(graph: Any) -> set[str]:
    """The initializers that torch.onnx.export notes as buffers or constants of the module."""
    texts = [each.value for each in graph.metadata_props if each.key == SIGNATURE]
    return {name for text in texts for name in _UNTRAINED.findall(text)}


def is_computed(array: Any) -> bool:
    """Whether a constant of fractions, by its values, is a mask or a table of positions, which nobody trains."""
    if array.size < 2 or array.dtype.kind != "f":
        return False
    if not _starts_as_computed(array.ravel()[: min(ROW_START, array.shape[-1])]):
        return False
    values = np.asarray(array, np.float64)
    hidden = values <= _MASKED
    if hidden.any():
        return bool(((values == 0) | hidden).all() and not hidden.all())
    return _is_table(values)


def may_be_computed(data: bytes, columns: int) -> bool:
    """Whether a constant may be a mask or a table, by its first bytes, in single precision, and its last axis."""
    return _starts_as_computed(np.frombuffer(data[: 4 * ROW_START], "<f4")[:columns])


def _starts_as_computed(row: Any) -> bool:
    hides = (row == 0) | (row <= _MASKED)
    return bool(hides.all() or (row == 1).all())


def _is_table(values: Any) -> bool:
    """Whether every column is the cosine, or every column the sine, of position times an angle of its own.

    Rotary position embedding (Su et al., arXiv:2104.09864): angles from 1 down, each position a row.
    """
    if values.ndim < 2 or values.shape[-2] < 3 or np.abs(values).max() > 1:
        return False
    if values.size != values.shape[-2] * values.shape[-1]:
        return False
    rows = values.reshape(values.shape[-2:])
    positions = np.arange(len(rows))[:, None]
    if not np.ptp(rows[1]) and not np.ptp(rows[:, 0]):
        return False
    by_cosine = np.cos(positions * np.arccos(rows[1]))
    by_sine = np.sin(positions * np.arcsin(rows[1]))
    return any(bool(np.abs(each - rows).max() < _TOLERANCE) for each in (by_cosine, by_sine))
