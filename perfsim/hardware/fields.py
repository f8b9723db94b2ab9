"""Every number of a machine's file by its dotted key: where it stands in a `Machine`, its unit, bounds and start.

One table for all that changes a machine's numbers without its file: a fit and a sweep. `with_values` gives the very
machine that the file would give with those numbers, for one value or an array of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from math import nextafter
from typing import Any, TypeAlias

from perfsim.errors import InvalidValueError, UnknownNameError, describe, unknown_name
from perfsim.hardware import units
from perfsim.hardware.machine import Machine
from perfsim.hardware.parts import LAYER_CLASSES, Array, Grid, Stream, WeightMemory

Values: TypeAlias = Any  # a number, or an array of shape (machines,)

_WIDTH = "<bits>"
LEAST_RATIO, MOST_RATIO = 1e-9, 1e6
_LARGEST_COUNT = 2**31


@dataclass(frozen=True)
class Field:
    """A number of a machine's file.

    Attributes:
        key: dotted, as ``--set hw.`` takes it; ``<bits>`` stands for a width.
        path: of the same number in a `Machine`, in its unit; empty for a key of the matrix unit's rate, from which
            several numbers follow.
        dimension: what units it is written in; None for a plain number.
        least, most: the smallest and the largest number that a file may state; an efficiency may be above 1 beside
            'above_one: true'.
        whole: whether it is a whole number.
        start: where a file leaves the key out: a number in the same unit to begin a search at, or the key whose number
            to begin at; None where the key cannot be added alone.
    """

    key: str
    path: str
    dimension: units.Dimension | None
    least: float
    most: float
    whole: bool = False
    start: float | str | None = None

    def read(self, value: object) -> float:
        """The number that `value`, as it would stand in a file, gives.

        Raises InvalidValueError for what is no such number; its bounds are checked where a file is read.
        """
        if self.dimension is not None:
            return _READERS[self.dimension.name](value)
        if self.most == 1 and isinstance(value, str):  # a share
            return units.parse_share(value)
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            kind = "a whole number" if self.whole else "a number"
            raise InvalidValueError("", found=describe(value), expected=kind)
        return value

    def written(self, number: float, digits: int = 17) -> str | float | int:
        """`number` as it stands in a file, with at most so many significant digits: ``"3.2 GB/s"``, ``0.85``.

        Whole numbers keep all of their digits; 17 digits read back to the same number.
        """
        if self.whole:
            digits = 17
        number = int(number) if self.whole else float(f"{number:.{digits}g}")
        if self.dimension is None:
            return number
        prefixes, unit = _WRITTEN[self.dimension.name]
        exact = Decimal(repr(number))
        fitting = [prefix for prefix, factor in prefixes.items() if exact >= factor]
        prefix = fitting[-1] if fitting else next(iter(prefixes))
        scaled = (exact / prefixes[prefix]).normalize()
        return f"{scaled:f} {prefix}{unit}"


def _prefixes(names: str, first: int) -> dict[str, Decimal]:
    """Prefixes, each 1000 times the one before, the first a power of ten."""
    return {name: Decimal(10) ** (first + 3 * place) for place, name in enumerate(names.split(","))}


_LARGE = _prefixes(",k,M,G,T,P", 0)
_SMALL = _prefixes("f,p,n,u,m,", -15)
_WRITTEN: Mapping[str, tuple[Mapping[str, Decimal], str]] = {  # by name of a dimension
    units.SIZE.name: (_LARGE, "B"),
    units.BANDWIDTH.name: (_LARGE, "B/s"),
    units.COMPUTE.name: (_LARGE, "FLOPS"),
    units.FREQUENCY.name: (_LARGE, "Hz"),
    units.TIME.name: (_prefixes("n,u,m,", -9), "s"),
    units.ENERGY.name: (_SMALL, "J"),
    units.POWER.name: (_SMALL, "W"),
}
_READERS: Mapping[str, Callable[[object], float]] = {
    units.SIZE.name: units.parse_bytes,
    units.BANDWIDTH.name: lambda value: units.parse_rate(value, units.BANDWIDTH),
    units.COMPUTE.name: lambda value: units.parse_rate(value, units.COMPUTE),
    units.FREQUENCY.name: lambda value: units.parse_rate(value, units.FREQUENCY),
    units.TIME.name: units.parse_seconds,
    units.ENERGY.name: lambda value: units.parse_amount(value, units.ENERGY),
    units.POWER.name: lambda value: units.parse_amount(value, units.POWER),
}


def _fields() -> dict[str, Field]:
    size = (units.SIZE, 1, 2**53, True)
    bandwidth = (units.BANDWIDTH, 1, 1e24)
    compute = (units.COMPUTE, 1, 1e24)
    seconds = (units.TIME, 1e-12, 1e9)
    energy = (units.ENERGY, 1e-24, 1e9)
    share = (None, LEAST_RATIO, 1)
    ratio = (None, LEAST_RATIO, MOST_RATIO)
    images = (None, 1, MOST_RATIO)
    count = (None, 1, _LARGEST_COUNT, True)
    array, extras = "extras.array", "extras"
    table = [
        Field("sram", "sram_bytes", *size),
        Field("ddr_bandwidth", "ddr_bytes_per_s", *bandwidth),
        Field("matrix", "", *compute),
        Field(f"matrix.{_WIDTH}", "", *compute),
        Field("vector", "vector_flops", *compute),
        Field("clock", "", units.FREQUENCY, 1, 1e24),
        Field("macs_per_cycle", "", *count),
        Field(f"macs_per_cycle.{_WIDTH}", "", *count),
        *(
            Field(f"array.{name}", f"{array}.{name}", *count, start=1)
            for name in ("pixels", "input_channels", "output_channels")
        ),
        *(
            Field(f"array.{name}", f"{array}.{name}", *count)
            for name in ("rows", "columns", "input_words", "weight_words")
        ),
        Field("array.buffer", f"{array}.buffer_bytes", *size),
        Field("array.partial_sum_bandwidth", f"{array}.partial_sum_bytes_per_s", *bandwidth),
        *(
            Field(f"array.{name}", f"{array}.{name}", *count)
            for name in (
                "depthwise.pixels",
                "depthwise.channels",
                "winograd.stride",
            )
        ),
        Field("array.winograd.kernel", f"{array}.winograd.kernel", None, 2, _LARGEST_COUNT, True),
        Field("array.winograd.gain", f"{array}.winograd.gain", None, nextafter(1, 2), MOST_RATIO),
        Field("array.winograd.weights", f"{array}.winograd.weights", *ratio),
        *(
            Field(f"efficiency.{name}", f"{extras}.efficiency.{name}", *share, start=0.8)
            for name in LAYER_CLASSES
        ),
        Field("ddr_efficiency", f"{extras}.ddr_efficiency", *share, start=0.8),
        Field("ddr_latency", f"{extras}.ddr_latency_s", *seconds, start=1e-7),
        Field("ddr_burst", f"{extras}.ddr_burst_bytes", *size, start=64),
        *(
            Field(
                f"stream.{name}bandwidth",
                f"{extras}.stream.{name}bytes_per_s",
                *bandwidth,
                start="ddr_bandwidth",
            )
            for name in ("", "read_", "write_", "operand_")
        ),
        Field(
            "weight_memory.bandwidth",
            f"{extras}.weight_memory.bytes_per_s",
            *bandwidth,
            start="ddr_bandwidth",
        ),
        Field("compression.feature_map", f"{extras}.feature_map_ratio", *ratio, start=1.0),
        Field("compression.weight", f"{extras}.weight_ratio", *ratio, start=1.0),
        *(
            Field(f"compression.weight.{name}", f"{extras}.weight_ratio.{name}", *ratio, start=1.0)
            for name in LAYER_CLASSES
        ),
        *(
            Field(
                f"weights_shared_by.{name}",
                f"{extras}.weights_shared_by.{name}",
                *images,
                start=1.0,
            )
            for name in LAYER_CLASSES
        ),
        Field("layer_cost", f"{extras}.layer_cost_s", *seconds, start=1e-6),
        Field("inference_cost", f"{extras}.inference_cost_s", *seconds, start=1e-4),
        Field("energy.mac", f"{extras}.energy.mac_j", *energy),
        Field(f"energy.mac.{_WIDTH}", f"{extras}.energy.mac_j.{_WIDTH}", *energy),
        *(
            Field(f"energy.{name}", f"{extras}.energy.{name}_j", *energy)
            for name in ("vector_op", "sram_byte", "ddr_byte")
        ),
        Field(
            "energy.weight_byte", f"{extras}.energy.weight_byte_j", *energy, start="energy.ddr_byte"
        ),
        Field("energy.static", f"{extras}.energy.static_w", units.POWER, 1e-24, 1e9, start=1e-3),
    ]
    return {field.key: field for field in table}


FIELDS: Mapping[str, Field] = _fields()

# Of these, one number stands for all classes or widths.
_FOR_ALL: Mapping[str, tuple[Any, ...]] = {
    "compression.weight": tuple(LAYER_CLASSES),
    "energy.mac": (1024,),
}
_EXTRAS = "extras."
_OF_THE_RATE = ("matrix", "clock", "macs_per_cycle")
_NEW_PARTS: Mapping[str, Any] = {
    "array": Grid(),
    "stream": Stream(),
    "weight_memory": WeightMemory(1.0),
}


def field_of(key: str) -> Field:
    """The field of a dotted key such as ``stream.bandwidth`` or ``matrix.8``; raises UnknownNameError."""
    found = FIELDS.get(key)
    if found is not None and _WIDTH not in key:
        return found
    front, _, width = key.rpartition(".")
    template = FIELDS.get(f"{front}.{_WIDTH}")
    if template is not None and width.isdecimal() and width.isascii() and 1 <= int(width) <= 1024:
        return replace(template, key=key, path=template.path.replace(_WIDTH, str(int(width))))
    raise unknown_name("number of a machine", key, list(FIELDS))


def peak_rates(clock_hz: Values, macs_per_cycle: Mapping[int, Values]) -> dict[int, Values]:
    """Peaks of a matrix unit [FLOP/s] by width from what it does in a cycle; a multiply-accumulate is 2 FLOP."""
    return {width: 2.0 * clock_hz * count for width, count in macs_per_cycle.items()}


def with_values(
    machine: Machine, stated: Mapping[str, Values], values: Mapping[str, Values]
) -> Machine:
    """`machine` with the numbers of some keys of its file replaced; parts that it lacks are added.

    stated: what its file states, by dotted key (`profile.stated_numbers`). values: the new numbers by dotted key, each
        one or an array of shape (machines,), in the unit of the machine's numbers.

    Whether the numbers contradict each other is the file's to say: see `profile.load_hardware` with settings.

    Raises UnknownNameError for an unknown key, or one of a part that the machine lacks and that needs more numbers.
    """
    numbers: dict[str, Any] = {}
    extras = machine.extras
    for key, number in values.items():
        path = field_of(key).path
        if key in _FOR_ALL:
            number = dict.fromkeys(_FOR_ALL[key], number)  # noqa: PLW2901
        try:
            if path.startswith(_EXTRAS):
                extras = _put(extras, path.removeprefix(_EXTRAS).split("."), number)
            elif path:
                numbers[path] = number
        except LookupError:
            raise UnknownNameError(
                f"'{machine.name}' does not state what '{key}' is a part of",
                expected="a key of its file",
            ).at(where=key) from None
    if any(key.split(".")[0] in (*_OF_THE_RATE, "array") for key in values):
        replaced = {key.split(".")[0] for key in values if key in _OF_THE_RATE}
        kept = {key: number for key, number in stated.items() if key.split(".")[0] not in replaced}
        rates = _rates({**kept, **values}, extras.array)
        native = next(iter(rates.values()))
        speed = {width: rate / native for width, rate in rates.items() if width}
        numbers["matrix_flops"] = native
        extras = replace(extras, matrix_speed=speed)
    return replace(machine, **numbers, extras=extras)


def start_of(key: str, stated: Mapping[str, float]) -> float | None:
    """The number that the file states for a key, or that to begin at; None where it cannot be added alone."""
    start = stated.get(key, field_of(key).start)
    return stated.get(start) if isinstance(start, str) else start


def flattened(values: Mapping[Any, Any], before: str = "") -> dict[str, float]:
    """The numbers of nested mappings by dotted key."""
    found: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{before}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{key}"] = value
    return found


def _put(part: Any, keys: list[str], number: Any) -> Any:
    """`part` with the number at a path; raises LookupError where a part on the way is absent."""
    if not keys:
        return number
    first, *rest = keys
    name: Any = int(first) if first.isdecimal() else first
    if isinstance(part, Mapping):
        return {**part, name: _put(part.get(name), rest, number)}
    if not hasattr(part, name):
        raise LookupError(name)
    inner = getattr(part, name)
    if inner is None and rest:
        inner = _NEW_PARTS[name]
    return replace(part, **{name: _put(inner, rest, number)})


def _rates(numbers: Mapping[str, Values], array: Array | None) -> dict[int, Values]:
    """Peaks of the matrix unit by width, the native one first; the width is 0 where none is given."""
    by_key: dict[str, dict[int, Values]] = {key: {} for key in ("matrix", "macs_per_cycle")}
    for key, number in numbers.items():
        first, _, width = key.partition(".")
        if first in by_key:
            by_key[first][int(width or 0)] = number
    per_cycle = by_key["macs_per_cycle"]
    if array is not None and not per_cycle:
        per_cycle = {0: array.macs_per_cycle}
    if "clock" in numbers and per_cycle:
        return peak_rates(numbers["clock"], per_cycle)
    return by_key["matrix"]
