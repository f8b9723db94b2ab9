"""The values that formulas are run on, by the names that their texts have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError
from perfsim.hardware.parts import LAYER_CLASSES
from perfsim.per_object import per_object
from perfsim.timing.formula import GLOBALS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.timing.terms import Traffic
    from perfsim.timing.work import LayerWork

CLASSES = tuple(LAYER_CLASSES)
Values: TypeAlias = Any  # float or numpy array; the formulas do not tell them apart

TRAFFIC = (
    *("ddr_bytes", "map_read_bytes", "weight_read_bytes", "write_bytes"),
    *("ddr_transfers", "weight_transfers", "prefetch_bytes"),
)
# The sizes of a layer's loops, on which the cycles of an array depend.
LOOPS = {"groups", "out_rows", "out_height", "out_columns", "taps", "tap_rows", "in_channels"}


# What formulas take that none of them makes, and that neither the counts of a layer nor the machine's file says.
MEANINGS = {
    "matrix_speed": "rate at {width} bit / native",
    "efficiency": "share of the rate that the layer's class reaches",
    "prefetch_bytes": "weights that have room while the layer before runs [bytes]",
    "before_idle_s": "the DMA is idle while the layer before runs [s]",
    "weight_ratio": "stored bytes for each byte of weights",
    "ddr_transfers": "how many tensors move, each way for itself",
    "weight_transfers": "how many of them are weights",
    "counted": "1 for a layer that takes time, 0 for a view",
    "begins": "1 for the first layer that takes time",
    "strips": "pieces in which the layer runs: rows of its output, or its channels where it has one row",
    "streams_weights": "1 where each strip needs weights of its own",
    "operand_bytes": "inputs that are read on the layer's way out [bytes]",
    "groups": "products of matrices, one after the other",
    "out_rows": "places along all axes but the last, images included",
    "out_height": "places along the axis before the last",
    "out_columns": "places along the last axis; of matrices their rows",
    "tap_rows": "kernel places along all axes but the last",
    "tap_columns": "kernel places along the last axis",
    "taps": "kernel places",
    "in_channels": "channels that are summed",
    "out_channels": "channels that are computed",
    "stride": "of the kernel along the last axis",
}


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
        if name in GLOBALS:
            raise KeyError(name)  # it is looked up behind the values
        value = self[name] = self._find(name)
        return value

    def _find(self, name: str) -> Values:
        position, extras = self._position, self._machine.extras
        if name == "efficiency":
            return _by_class(extras.efficiency, self._work.kind[position])
        if name == "matrix_speed":
            key = "matrix" if "matrix" in self._machine.places else "macs_per_cycle"
            return by_width(extras.matrix_speed, self._work, position, self._machine, key)
        if name == "mac_j" and extras.energy is not None:
            return by_width(extras.energy.mac_j, self._work, position, self._machine, "energy")
        if name == "winograd":
            return self._winograd()
        if name == "weight_ratio":
            kind = self._work.kind[position]
            ratio = _by_class(extras.weight_ratio, kind)
            ratio = ratio / _by_class(extras.weights_shared_by, kind)
            winograd = extras.array.winograd if extras.array is not None else None
            if winograd is None:
                return ratio
            return np.where(self["winograd"], ratio * winograd.weights, ratio)
        if name in TRAFFIC:
            moved = getattr(self._traffic, name)[position]
            return moved if self._traffic.which is None else moved[self._traffic.which]
        return self._checked(name) if name in LOOPS else getattr(self._work, name)[position]

    def _checked(self, name: str) -> Values:
        """A size of the layers' loops; raises InvalidValueError for layers whose loops are not known."""
        first = self._work.first_unshaped
        if first >= 0:
            raise InvalidValueError(
                f"'{self._machine.name}' has an array, and what it makes of a layer depends on the layer's loops",
                found=f"layer {first + 1} of a layer table, which has none",
                expected="a network with shapes, or a machine without 'array'",
            ).at(file=self._machine.places.get("array"))
        return getattr(self._work, name)[self._position]

    def _winograd(self) -> Values:
        """Whether the layers are of those that run with fewer multiplications."""
        array, work = self._machine.extras.array, self._work
        winograd = array.winograd if array is not None else None
        if winograd is None:
            raise KeyError("winograd")
        at = self._position
        fits = (work.depthwise[at] == 0) & (work.stride[at] == winograd.stride)
        return fits & (work.square[at] == winograd.kernel)


def _by_class(numbers: Mapping[str, Values], kinds: Values) -> Values:
    """The number of each layer's class: its own, else that of the class which stands in for it, else 1."""
    if np.ndim(kinds) == 0:
        name = CLASSES[int(kinds)] if kinds >= 0 else ""
        return numbers.get(name, numbers.get(LAYER_CLASSES.get(name) or "", 1.0))
    found: Values = 1.0
    for index, (name, instead) in enumerate(LAYER_CLASSES.items()):
        number = numbers.get(name, numbers.get(instead or "", 1.0))
        found = np.where(kinds == index, number, found)
    return found


def by_width(
    numbers: Mapping[int, Values],
    work: LayerWork,
    position: int | slice,
    machine: Machine,
    key: str,
) -> Values:
    """The number of the smallest width that holds the operands of each layer; `key` of the machine's file holds them.

    Raises InvalidValueError when a layer with multiply-accumulates has wider operands than any.
    """
    bits = work.bits[position]
    widest = max(numbers)
    too_wide = (bits > widest) & (work.macs[position] > 0)
    if too_wide.any():
        first = position if isinstance(position, int) else int(np.argmax(too_wide))
        raise InvalidValueError(
            f"'{machine.name}' states no number for layer {first + 1}",
            found=f"operands of {int(work.bits[first])} bits",
            expected=f"at most {widest} bits, such as --set precision.feature_map={widest} "
            f"--set precision.weight={widest}",
        ).at(file=machine.places.get(key), where=key)
    if np.ndim(bits) == 0:
        return numbers[min(width for width in numbers if bits <= width or width == widest)]
    found: Values = numbers[widest]
    for width in sorted(numbers, reverse=True)[1:]:
        found = np.where(bits <= width, numbers[width], found)
    return found


@per_object
def machine_values(machine: Machine) -> dict[str, Values]:
    """The machine's numbers by the names that formulas use; made once per machine, not to be changed."""
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
        for way in ("", "read_", "write_", "operand_"):
            values[f"stream_{way}bytes_per_s"] = getattr(extras.stream, f"{way}bytes_per_s")
    if extras.weight_memory is not None:
        values["weight_bytes_per_s"] = extras.weight_memory.bytes_per_s
    if extras.energy is not None:
        for name in ("vector_op_j", "sram_byte_j", "ddr_byte_j", "weight_byte_j", "static_w"):
            values[name] = getattr(extras.energy, name)
    return {name: value for name, value in values.items() if value is not None}
