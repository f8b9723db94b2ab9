"""What a machine's optional parts add to the formulas, and the values that the formulas are run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError
from perfsim.hardware.parts import LAYER_CLASSES, Grid, RowStationary, Systolic
from perfsim.timing.formula import FUNCTIONS, Formula

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.timing.work import LayerWork

Values: TypeAlias = Any  # float or numpy array; the formulas do not tell them apart
Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Shape:
    """Which parts a machine has: it decides the formulas, the numbers do not."""

    array: str = ""  # "grid", "row_stationary" or the flow of a systolic one
    packing: str = "none"
    preload: bool = False
    depthwise: bool = False
    winograd: bool = False
    efficiency: bool = False
    matrix_speed: bool = False
    ddr: tuple[str, ...] = ()
    ratios: tuple[str, ...] = ()
    stream: str = ""
    stream_hidden: bool = True
    weight_memory: bool = False
    weights_hidden: bool = False
    overhead: str = ""
    energy: tuple[str, ...] = ()


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
        ways += ["input_bytes / stream_read_bytes_per_s"] * (stream.read_bytes_per_s is not None)
        ways += ["output_bytes / stream_write_bytes_per_s"] * (stream.write_bytes_per_s is not None)
    costs = [
        *(["counted * layer_cost_s"] if extras.layer_cost_s is not None else []),
        *(["begins * inference_cost_s"] if extras.inference_cost_s is not None else []),
    ]
    has_winograd = array is not None and array.winograd is not None
    return Shape(
        array=array.flow if isinstance(array, Systolic) else name,
        packing=array.packing if isinstance(array, Grid) else "none",
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
                ("weight_ratio", bool(extras.weight_ratio) or has_winograd),
            )
            if present
        ),
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
        ddr_transfers: how many tensors move, each way for itself.
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
    def prefetch_bytes(self) -> Counts: ...
    @property
    def before(self) -> Counts: ...
    @property
    def which(self) -> Counts | None: ...


TRAFFIC = (
    *("ddr_bytes", "map_read_bytes", "weight_read_bytes", "write_bytes"),
    *("ddr_transfers", "prefetch_bytes"),
)


def traffic_formulas(shape: Shape, *, split: bool = False) -> tuple[Formula, ...]:
    """The formulas up to ddr_s, weight_s and stream_s; `split` where reads and writes are needed each for itself."""
    formulas: list[Formula] = []
    if split or shape.ratios or shape.weight_memory:
        maps, weights, written = "map_read_bytes", "weight_read_bytes", "write_bytes"
        if "feature_map_ratio" in shape.ratios:
            maps = "ceil(map_read_bytes * feature_map_ratio)"
            written = "ceil(write_bytes * feature_map_ratio)"
        if "weight_ratio" in shape.ratios:
            weights = "ceil(weight_read_bytes * weight_ratio)"
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


def _ddr_text(shape: Shape) -> str:
    moved = "ddr_bytes"
    if "ddr_burst_bytes" in shape.ddr:
        moved = "ceil(ddr_bytes / ddr_burst_bytes) * ddr_burst_bytes"
    rate = "ddr_bytes_per_s"
    if "ddr_efficiency" in shape.ddr:
        rate = "(ddr_bytes_per_s * ddr_efficiency)"
    latency = " + ddr_transfers * ddr_latency_s" if "ddr_latency_s" in shape.ddr else ""
    return f"{moved} / {rate}{latency}"


class LayerValues(dict[str, Values]):
    """What formulas are run on, by name: the machine's numbers, and the counts of some layers where they are asked for.

    position: which layers: all of them on one machine, or one by its number on an array of machines.
    """

    def __init__(
        self, work: LayerWork, traffic: Traffic, machine: Machine, position: int | slice
    ) -> None:
        super().__init__(machine_values(machine))
        self._work = work
        self._traffic = traffic
        self._machine = machine
        self._position = position

    def __missing__(self, name: str) -> Values:
        if name in FUNCTIONS:
            raise KeyError(name)  # it is looked up behind the values
        value = self[name] = self._find(name)
        return value

    def _find(self, name: str) -> Values:
        position, extras = self._position, self._machine.extras
        if name == "efficiency":
            return _by_class(extras.efficiency, self._work.kind[position])
        if name == "matrix_speed":
            return by_width(extras.matrix_speed, self._work, position, self._machine)
        if name == "mac_j" and extras.energy is not None:
            return by_width(extras.energy.mac_j, self._work, position, self._machine)
        if name == "winograd":
            return self._winograd()
        if name == "weight_ratio":
            ratio = _by_class(extras.weight_ratio, self._work.kind[position])
            winograd = extras.array.winograd if extras.array is not None else None
            if winograd is None:
                return ratio
            return np.where(self["winograd"], ratio * winograd.weights, ratio)
        if name in TRAFFIC:
            moved = getattr(self._traffic, name)[position]
            return moved if self._traffic.which is None else moved[self._traffic.which]
        return getattr(self._work, name)[position]

    def _winograd(self) -> Values:
        """Whether the layers are of those that run with fewer multiplications."""
        array, work = self._machine.extras.array, self._work
        winograd = array.winograd if array is not None else None
        if winograd is None:
            raise KeyError("winograd")
        fits = (work.groups == 1) & (work.stride == winograd.stride)
        return (fits & (work.square == winograd.kernel))[self._position]


def _by_class(numbers: Mapping[str, Values], kinds: Values) -> Values:
    """The number of each layer's class: its own, else that of the class which stands in for it, else 1."""
    found: Values = 1.0
    for index, (name, instead) in enumerate(LAYER_CLASSES.items()):
        number = numbers.get(name, numbers.get(instead or "", 1.0))
        found = np.where(kinds == index, number, found)
    return found


def by_width(
    numbers: Mapping[int, Values], work: LayerWork, position: int | slice, machine: Machine
) -> Values:
    """The number of the smallest width that holds the operands of each layer.

    Raises InvalidValueError when a layer with multiply-accumulates has wider operands than any.
    """
    bits = work.bits[position]
    widest = max(numbers)
    too_wide = (bits > widest) & (work.macs[position] > 0)
    if np.any(too_wide):
        raise InvalidValueError(
            f"'{machine.name}' states no rate for operands of {int(np.max(bits * too_wide))} bits",
            expected=f"at most {widest} bits, such as --set precision.feature_map={widest} "
            f"--set precision.weight={widest}",
        )
    found: Values = numbers[widest]
    for width in sorted(numbers, reverse=True)[1:]:
        found = np.where(bits <= width, numbers[width], found)
    return found


def machine_values(machine: Machine) -> dict[str, Values]:
    """The machine's numbers by the names that formulas use."""
    extras = machine.extras
    values: dict[str, Values] = {
        "ddr_bytes_per_s": machine.ddr_bytes_per_s,
        "matrix_flops": machine.matrix_flops,
        "vector_flops": machine.vector_flops,
    }
    for name in (
        *("ddr_efficiency", "ddr_latency_s", "ddr_burst_bytes", "feature_map_ratio"),
        *("layer_cost_s", "inference_cost_s"),
    ):
        values[name] = getattr(extras, name)
    array = extras.array
    if array is not None:
        values["array_macs"] = array.macs_per_cycle
        for name in (
            *("pixels", "input_channels", "output_channels", "rows", "columns"),
            *("input_words", "weight_words", "buffer_bytes"),
        ):
            values[f"array_{name}"] = getattr(array, name, None)
        values["partial_sum_bytes_per_s"] = getattr(array, "partial_sum_bytes_per_s", None)
        if array.depthwise is not None:
            values["depthwise_pixels"] = array.depthwise.pixels
            values["depthwise_channels"] = array.depthwise.channels
        if array.winograd is not None:
            values["winograd_gain"] = array.winograd.gain
    if extras.stream is not None:
        for name in ("bytes_per_s", "read_bytes_per_s", "write_bytes_per_s"):
            values[f"stream_{name}"] = getattr(extras.stream, name)
    if extras.weight_memory is not None:
        values["weight_bytes_per_s"] = extras.weight_memory.bytes_per_s
    if extras.energy is not None:
        for name in ("vector_op_j", "sram_byte_j", "ddr_byte_j", "weight_byte_j", "static_w"):
            values[name] = getattr(extras.energy, name)
    return {name: value for name, value in values.items() if value is not None}
