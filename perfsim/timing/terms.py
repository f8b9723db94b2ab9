"""Which formulas a machine's optional parts add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from perfsim.hardware.parts import ROUNDED, Grid, RowStationary, Systolic
from perfsim.per_object import per_object
from perfsim.timing.formula import Formula

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Shape:
    """Which parts a machine has: it decides the formulas, the numbers do not."""

    array: str = ""  # "grid", "row_stationary" or the flow of a systolic one
    packing: str = "none"
    packing_layers: str = ""
    rounded: tuple[str, ...] = ROUNDED
    preload: bool = False
    depthwise: bool = False
    winograd: bool = False
    efficiency: bool = False
    matrix_speed: bool = False
    ddr: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    output_stage: bool = False
    apart: bool = False  # what moves is not what the placement says, so reads and writes are stated
    stream: str = ""
    stream_hidden: bool = True
    weight_memory: bool = False
    weights_hidden: bool = False
    overhead: str = ""
    energy: tuple[str, ...] = ()


@per_object
def shape_of(machine: Machine) -> Shape:
    """The shape of a machine."""
    extras = machine.extras
    array = extras.array
    stream = extras.stream
    name = ""
    if array is not None:
        name = {Grid: "grid", RowStationary: "row_stationary"}.get(type(array), "")
    ways = []
    if stream is not None:
        both = "(input_bytes + output_bytes) / stream_bytes_per_s"
        ways = [both] if stream.bytes_per_s is not None else []
        if stream.operand_bytes_per_s is not None:
            ways += ["(input_bytes - operand_bytes) / stream_read_bytes_per_s"]
            ways += ["operand_bytes / stream_operand_bytes_per_s"]
        elif stream.read_bytes_per_s is not None:
            ways += ["input_bytes / stream_read_bytes_per_s"]
        ways += ["output_bytes / stream_write_bytes_per_s"] * (stream.write_bytes_per_s is not None)
    costs = [
        *(["counted * layer_cost_s"] if extras.layer_cost_s is not None else []),
        *(["begins * inference_cost_s"] if extras.inference_cost_s is not None else []),
    ]
    has_winograd = array is not None and array.winograd is not None
    return Shape(
        array=array.flow if isinstance(array, Systolic) else name,
        packing=array.packing if isinstance(array, Grid) else "none",
        packing_layers=array.packing_layers if isinstance(array, Grid) else "",
        rounded=array.rounded if isinstance(array, Grid) else ROUNDED,
        preload=isinstance(array, Systolic) and array.preload,
        depthwise=array is not None and array.depthwise is not None,
        winograd=has_winograd,
        efficiency=bool(extras.efficiency),
        matrix_speed=bool(extras.matrix_speed),
        ddr=tuple(
            key
            for key in ("ddr_efficiency", "ddr_latency_s", "ddr_burst_bytes")
            if getattr(extras, key) is not None
        ),
        ratios=tuple(
            name
            for name, present in (
                ("feature_map_ratio", extras.feature_map_ratio is not None),
                (
                    "weight_ratio",
                    bool(extras.weight_ratio or extras.weights_shared_by) or has_winograd,
                ),
            )
            if present
        ),
        output_stage=bool(extras.output_stage),
        apart=bool(extras.output_stage) or extras.write_through,
        stream=f"max({', '.join(ways)})" if len(ways) > 1 else "".join(ways),
        stream_hidden=stream is None or stream.hidden,
        weight_memory=extras.weight_memory is not None,
        weights_hidden=extras.weight_memory is not None and extras.weight_memory.hidden,
        overhead=" + ".join(costs),
        energy=_energies(machine),
    )


def _energies(machine: Machine) -> tuple[str, ...]:
    energy = machine.extras.energy
    if energy is None:
        return ()
    optional = ("weight_byte_j", "static_w")
    return ("mac_j", *(name for name in optional if getattr(energy, name) is not None))


class Traffic(Protocol):
    """What a placement moves while each layer runs: arrays of shape (layers,), or (layers, sizes) for several memories.

    Attributes:
        ddr_bytes: all of it.
        map_read_bytes, weight_read_bytes, write_bytes: its parts, from and to external memory.
        ddr_transfers, weight_transfers: how many tensors move, each way for itself; how many of them are weights.
        prefetch_bytes: of the weights, what can come in while the layer before runs.
        before: for each layer the position of the last one before it that takes time; -1 for none.
        which: of an array of machines, the memory that each has, shape (machines,); None for one machine.
    """

    @property
    def ddr_bytes(self) -> Counts: ...
    @property
    def map_read_bytes(self) -> Counts: ...
    @property
    def weight_read_bytes(self) -> Counts: ...
    @property
    def write_bytes(self) -> Counts: ...
    @property
    def ddr_transfers(self) -> Counts: ...
    @property
    def weight_transfers(self) -> Counts: ...
    @property
    def prefetch_bytes(self) -> Counts: ...
    @property
    def before(self) -> Counts: ...
    @property
    def which(self) -> Counts | None: ...


def traffic_formulas(shape: Shape, *, split: bool = False) -> tuple[Formula, ...]:
    """The formulas up to ddr_s, weight_s and stream_s; `split` where reads and writes are needed each for itself."""
    formulas: list[Formula] = []
    packed = shape.packing == "stride" and shape.packing_layers == "all"
    if split or shape.ratios or shape.weight_memory or shape.apart or packed:
        maps, weights, written = "map_read_bytes", "weight_read_bytes", "write_bytes"
        if "feature_map_ratio" in shape.ratios:
            maps = "ceil(map_read_bytes * feature_map_ratio)"
            written = "ceil(write_bytes * feature_map_ratio)"
        ratios = [" * weight_ratio"] * ("weight_ratio" in shape.ratios)
        if packed:
            formulas.append(_PACKED_WEIGHTS)
            ratios.append(" * packed_weights")
        if ratios:
            weights = f"ceil(weight_read_bytes{''.join(ratios)})"
        read = maps if shape.weight_memory else f"{maps} + {weights}"
        formulas += [
            Formula("ddr_read_bytes", read, "bytes from external memory"),
            Formula("ddr_write_bytes", written, "bytes to external memory"),
            Formula("ddr_bytes", "ddr_read_bytes + ddr_write_bytes", "data movement [bytes]"),
        ]
        if shape.weight_memory:
            formulas += [
                Formula("weight_memory_bytes", weights, "bytes from the weights' own memory"),
                Formula("weight_s", "weight_memory_bytes / weight_bytes_per_s", "their time [s]"),
            ]
    formulas.append(Formula("ddr_s", _ddr_text(shape), "data-movement time [s]"))
    if shape.stream:
        formulas.append(
            Formula("stream_s", shape.stream, "on-chip memory to and from the units [s]")
        )
    return tuple(formulas)


# A kernel that is cut up by its stride is filled up to whole strides with zeros.
_PACKED_WEIGHTS = Formula(
    "packed_weights",
    "ceil(tap_rows / fold_rows) * ceil(tap_columns / fold_columns) * fold_rows * fold_columns / taps",
    "bytes of packed weights for each of them",
)


def _ddr_text(shape: Shape) -> str:
    moved = "ddr_bytes"
    if "ddr_burst_bytes" in shape.ddr:
        moved = "ceil(ddr_bytes / ddr_burst_bytes) * ddr_burst_bytes"
    rate = "ddr_bytes_per_s"
    if "ddr_efficiency" in shape.ddr:
        rate = "(ddr_bytes_per_s * ddr_efficiency)"
    transfers = "(ddr_transfers - weight_transfers)" if shape.weight_memory else "ddr_transfers"
    latency = f" + {transfers} * ddr_latency_s" if "ddr_latency_s" in shape.ddr else ""
    return f"{moved} / {rate}{latency}"
