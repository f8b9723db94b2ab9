"""What this computer can do: a base for a machine's file, each number asked of the system or measured with one core.

Rates are the best of many repetitions, as STREAM takes them (McCalpin, https://www.cs.virginia.edu/stream/ref.html).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from perfsim.host.computer import data_caches, processor_name
from perfsim.host.onnx_runtime import RuntimeSession, versioned_name

_PROBE_S = 1.0  # of each rate
_FEWEST_REPETITIONS = 10
_MATRIX_SIZE = 512  # a product takes about a millisecond: some are never interrupted
_OUT_OF_CACHE = 8  # arrays of so many times the last cache are read from memory


@dataclass(frozen=True)
class HostNumber:
    """One number of this computer.

    Attributes:
        key: of a machine's file, or what else it is. value: in SI units (bytes, bytes/s, FLOP/s).
        how: how it was found.
    """

    key: str
    value: float
    how: str


@dataclass(frozen=True)
class HostProfile:
    """This computer as a machine: one core of it, for networks in single precision.

    Attributes:
        processor: its name. date: of the measurement.
        numbers: sram, ddr_bandwidth, matrix, vector and the bandwidth of stream, as in a machine's file.
    """

    processor: str
    date: str
    numbers: tuple[HostNumber, ...]


def measure_host() -> HostProfile:
    """Ask and measure this computer (extra host); takes some seconds.

    Raises FileError where the system does not say what caches there are, MissingExtraError without onnxruntime.
    """
    library = versioned_name("--host")
    caches = data_caches()
    last, private = caches[-1], caches[min(1, len(caches) - 1)]
    copied = _OUT_OF_CACHE * last.size_bytes // 2
    held = last.size_bytes // 8
    return HostProfile(
        processor_name(),
        datetime.date.today().isoformat(),
        (
            HostNumber(
                "sram", last.size_bytes, f"the level {last.level} cache, as the system says"
            ),
            HostNumber(
                "ddr_bandwidth",
                copy_bytes_per_s(copied),
                f"read and written by numpy's copy of {copied >> 20} MiB, one core",
            ),
            HostNumber(
                "matrix",
                _matrix_flop_per_s(),
                f"a product of {_MATRIX_SIZE} x {_MATRIX_SIZE} float32 matrices in {library}, one thread",
            ),
            HostNumber(
                "vector",
                _vector_ops_per_s(private.size_bytes // 2),
                f"numpy's float32 product, element by element, of arrays in the level {private.level} cache, one core",
            ),
            HostNumber(
                "stream",
                copy_bytes_per_s(held),
                f"read and written by numpy's copy of {held >> 10} KiB, in the level {last.level} cache, one core",
            ),
        ),
    )


def copy_bytes_per_s(size_bytes: int) -> float:
    """Bytes read and written per second by a copy of so many bytes."""
    source = np.ones(size_bytes // 4, np.float32)
    target = np.zeros_like(source)
    return 2 * source.nbytes / _best_s(lambda: np.copyto(target, source))


def _vector_ops_per_s(working_set_bytes: int) -> float:
    """Products per second of three arrays that take so many bytes together."""
    one = np.ones(working_set_bytes // 12, np.float32)
    other, product = np.ones_like(one), np.zeros_like(one)
    return one.size / _best_s(lambda: np.multiply(one, other, out=product))


def _matrix_flop_per_s() -> float:
    """FLOP/s of a product of square matrices, a multiply-accumulate being two."""
    from onnx import TensorProto, helper, numpy_helper

    shape = (_MATRIX_SIZE, _MATRIX_SIZE)
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "product",
        described[:1],
        described[1:],
        [numpy_helper.from_array(values, "w")],
    )
    imports = [helper.make_opsetid("", 18)]
    model = helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports)
    )
    session = RuntimeSession(model.SerializeToString(), "--host", threads=1)
    inputs: dict[str, Any] = {"x": values}
    return 2 * _MATRIX_SIZE**3 / _best_s(lambda: session.run_s(inputs))


def _best_s(work: Callable[[], object]) -> float:
    """The shortest time of many repetitions after a first one [s]."""
    work()
    times_s: list[float] = []
    end = perf_counter() + _PROBE_S
    while len(times_s) < _FEWEST_REPETITIONS or perf_counter() < end:
        start = perf_counter()
        work()
        times_s.append(perf_counter() - start)
    return min(times_s)
