"""What a model is run with: random fractions, and whole numbers that any table has a row for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perfsim.errors import FileError, InvalidValueError
from perfsim.network.graph import Network
from perfsim.network.layout import Embedding
from perfsim.network.work import elements

_FRACTIONS = {"float": np.float32, "float16": np.float16, "double": np.float64}
_WHOLE = {f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}


def check_weights(path: Path) -> None:
    """Raise FileError if weights of the ONNX model at `path` are in a file that is not there."""
    # both need a library that may be absent, which `onnx_runtime.versioned_name` finds first
    from perfsim.frontends.onnx_file import read_model
    from perfsim.frontends.onnx_types import is_external

    for tensor in read_model(path).graph.initializer:
        if is_external(tensor):
            location = {each.key: each.value for each in tensor.external_data}.get("location", "")
            if not (path.parent / location).is_file():
                raise FileError(
                    f"the weights of '{tensor.name}' are not there, and without them it cannot be run",
                    expected=f"the file '{location}' beside the model",
                ).at(file=str(path))


def precision_of(path: Path) -> str:
    """The type of most of the fractions among the constants of the ONNX model at `path`, such as ``fp32``."""
    from perfsim.frontends.onnx_file import read_model
    from perfsim.frontends.onnx_types import FLOAT, bits_of, is_fraction

    counts = {bits_of(FLOAT): 0}
    for tensor in read_model(path).graph.initializer:
        if is_fraction(tensor.data_type):
            bits = bits_of(tensor.data_type)
            counts[bits] = counts.get(bits, 0) + elements(tuple(tensor.dims))
    return f"fp{max(counts, key=lambda bits: counts[bits])}"


def random_inputs(network: Network, kinds: Mapping[str, str], file: str) -> dict[str, Any]:
    """An array for each input of `network`, of the types (``tensor(float)``) that ONNX Runtime wants.

    Fractions are normal numbers. Whole numbers number the rows of a table where an `embedding` reads them; else they
    are 1, which a mask of all tokens has too. Raises InvalidValueError for a type that is neither.
    """
    random = np.random.default_rng(0)
    rows = {
        node.inputs[0]: node.operator.entries
        for node in network.nodes
        if isinstance(node.operator, Embedding)
    }
    arrays: dict[str, Any] = {}
    for name, text in kinds.items():
        kind = text.removeprefix("tensor(").removesuffix(")")
        shape = network.tensors[name].shape
        if kind in _FRACTIONS:
            arrays[name] = random.standard_normal(shape).astype(_FRACTIONS[kind])
        elif kind in _WHOLE and name in rows:
            arrays[name] = random.integers(0, rows[name], shape).astype(_WHOLE[kind])
        elif kind in _WHOLE or kind == "bool":
            arrays[name] = np.ones(shape, _WHOLE.get(kind, "bool"))
        else:
            raise InvalidValueError(
                "", found=f"an input of type {kind}", expected="fractions, whole numbers or bool"
            ).at(file=file, where=f"input '{name}'")
    return arrays
