"""A machine in a line, and all its numbers."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from perfsim.hardware.machine import NUMBERS, numbers_in
from perfsim.hardware.parts import Grid, RowStationary, Systolic
from perfsim.report.text import amount, duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsim.hardware.machine import Machine
    from perfsim.hardware.parts import Array


def machine_record(machine: Machine) -> dict[str, Any]:
    """The numbers of a machine in SI units, those of its parts by their paths, with what else a part says.

    >>> machine_record(load_hardware("kv260_dpu"))["array.pixels"]
    8
    """
    return {
        **dict(zip(NUMBERS, machine.numbers, strict=True)),
        **numbers_in(machine.extras),
        **_words_in(machine.extras),
    }


def _words_in(part: Any, above: str = "") -> dict[str, str | bool]:
    """What is said in words: the kind of an array, its packing or flow, whether something is hidden."""
    found: dict[str, str | bool] = {}
    for each in fields(part):
        value, path = getattr(part, each.name), f"{above}{each.name}"
        if isinstance(value, str | bool):
            if above or value:  # what no part of its own says is left out where it is not so
                found[path] = value
        elif isinstance(value, tuple) and value:
            found[path] = "+".join(value)
        elif is_dataclass(value) and each.name != "calibration":
            if each.name == "array":
                found[f"{path}.kind"] = type(value).__name__
            found |= _words_in(value, f"{path}.")
    return found


def machine_text(machine: Machine, *, varied: Iterable[str] = ()) -> str:
    """The numbers of a machine in one line: its four, and the main ones of its parts.

    varied: keys of its file that it does not stand for; of the four these are left out.
    """
    number: Any = machine
    four = {
        "sram": f"{amount(number.sram_bytes, 'B')} SRAM",
        "ddr_bandwidth": f"{amount(number.ddr_bytes_per_s, 'B/s')} DDR",
        "matrix": _matrix(machine),
        "vector": f"{amount(number.vector_flops, 'FLOPS')} vector",
    }
    for key in varied:
        first = key.partition(".")[0]
        four.pop("matrix" if first in ("clock", "macs_per_cycle", "array") else first, None)
    return ", ".join((*four.values(), *_parts(machine.extras)))


def matrix_rates(machine: Machine) -> dict[int, float]:
    """The matrix unit's rate [FLOPS] by the width of the operands [bits], the native one first; empty for one rate.

    The native rate is the one that `matrix_flops` is.
    """
    speeds = machine.extras.matrix_speed
    native_first = sorted(speeds, key=lambda width: speeds[width] != 1)
    return {width: float(machine.matrix_flops * speeds[width]) for width in native_first}


def _matrix(machine: Machine) -> str:
    rates = matrix_rates(machine)
    if not rates:
        return f"{amount(float(machine.matrix_flops), 'FLOPS')} matrix"
    (native, native_flops), *others = rates.items()
    rest = "".join(f"; {width} bit {amount(rate, 'FLOPS')}" for width, rate in others)
    return f"{amount(native_flops, 'FLOPS')} matrix at {native} bit{rest}"


def _parts(extras: Any) -> list[str]:
    found = [] if extras.array is None else [_array(extras.array)]
    if extras.efficiency:
        shares = ", ".join(f"{name} {share:.3g}" for name, share in extras.efficiency.items())
        found.append(f"efficiency {shares}")
    if extras.ddr_efficiency is not None:
        found.append(f"DDR efficiency {extras.ddr_efficiency:.3g}")
    if extras.stream is not None:
        rates = (
            extras.stream.bytes_per_s,
            extras.stream.read_bytes_per_s,
            extras.stream.write_bytes_per_s,
        )
        found.append(f"{' and '.join(amount(each, 'B/s') for each in rates if each)} stream")
    if extras.weight_memory is not None:
        hidden = "" if extras.weight_memory.hidden else " (not hidden)"
        found.append(f"{amount(extras.weight_memory.bytes_per_s, 'B/s')} weights{hidden}")
    for seconds, of in ((extras.layer_cost_s, "layer"), (extras.inference_cost_s, "inference")):
        if seconds is not None:
            found.append(f"{duration(seconds)} a {of}".replace("a inference", "an inference"))
    return found


def _array(array: Array) -> str:
    if isinstance(array, Grid):
        sizes = (array.pixels, array.input_channels, array.output_channels)
        text = f"{' x '.join(map(str, sizes))} array"
    elif isinstance(array, Systolic):
        text = f"{array.rows} x {array.columns} {array.flow.replace('_', '-')} array"
    elif isinstance(array, RowStationary):
        text = f"{array.rows} x {array.columns} row-stationary array"
    if array.depthwise is not None:
        text += f" with {array.depthwise.pixels} x {array.depthwise.channels} for depthwise"
    return text
