"""The machines of a sweep: one machine with some numbers of its file replaced by arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, UnknownNameError, describe
from perfsim.hardware.fields import Field, field_of, with_values
from perfsim.hardware.machine import NUMBERS

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine

Array: TypeAlias = np.ndarray[Any, Any]

_OF_THE_RATE = ("matrix", "clock", "macs_per_cycle", "array")
# Of an array, what makes its multiply-accumulates per cycle.
_LANES = ("pixels", "input_channels", "output_channels", "rows", "columns")


class Points:
    """The points of a sweep as machines.

    machine: what all have in common. arrays: by key of a machine's file, arrays of shape (points,) in SI units.

    Raises InputError for unknown keys, what is no array of numbers, numbers that no file may state, several lengths,
    and keys that would contradict what the machine's file states.
    """

    def __init__(self, machine: Machine, arrays: Mapping[str, Any]) -> None:
        if not machine.is_one:
            raise InvalidValueError(
                "", found=f"several machines in '{machine.name}'", expected="one, and points"
            )
        if not isinstance(arrays, Mapping) or not arrays:
            raise InvalidValueError(
                "", found=describe(arrays), expected="a mapping of a machine's keys to arrays"
            ).at(where="points")
        self._machine = machine
        self.arrays: dict[str, Array] = {}
        for key, values in arrays.items():
            self.arrays[key] = _checked(key, values)
        lengths = {len(values) for values in self.arrays.values()}
        if len(lengths) > 1:
            found = ", ".join(f"{len(values):,} of {key}" for key, values in self.arrays.items())
            raise InvalidValueError("", found=found, expected="arrays of one length").at(
                where="points"
            )
        (self.count,) = lengths
        check_rate(machine, self.arrays)

    @cached_property
    def sample(self) -> Machine:
        """The first of the machines, as an array of one."""
        return self.machines(slice(0, 1))

    def machines(self, block: slice) -> Machine:
        """Some of the machines; raises InvalidValueError for a number that no file may state."""
        for key, values in self.arrays.items():
            _check_range(key, values, block)
        return machines_with(
            self._machine, {key: values[block] for key, values in self.arrays.items()}
        )


def machines_with(machine: Machine, arrays: Mapping[str, Array]) -> Machine:
    """`machine` with arrays of numbers by key of its file."""
    paths = {field_of(key).path: values for key, values in arrays.items()}
    if "matrix" in arrays and not machine.extras.matrix_speed:
        paths["matrix_flops"] = paths.pop("")
    if paths.keys() <= set(NUMBERS):
        changed: Any = paths  # looked at once, where each key by itself would look at all again
        return replace(machine, **changed)
    return with_values(machine, machine.stated, arrays)


def check_rate(machine: Machine, keys: Mapping[str, Any]) -> None:
    """Raise where keys of the matrix unit's rate would contradict what the machine's file states beside them."""
    stated = {key.partition(".")[0] for key in machine.stated}
    varied = {
        key.partition(".")[0]: key
        for key in keys
        if not key.startswith("array.") or key.partition(".")[2] in _LANES
    }
    if not varied.keys() & set(_OF_THE_RATE):
        return
    for key, others in (
        ("matrix", ("clock",)),
        ("clock", ("matrix",)),
        ("macs_per_cycle", ("matrix", "array")),
        ("array", ("matrix", "macs_per_cycle") if "clock" in stated else ()),
    ):
        for other in others:
            if key in varied and other in stated and other not in varied:
                raise InvalidValueError(
                    f"'{machine.name}' states '{other}', which '{varied[key]}' would contradict",
                    expected="one of them in the machine's file",
                ).at(where=varied[key])
    known = {*stated, *varied}
    has_lanes = "macs_per_cycle" in known or machine.extras.array is not None
    for key in ("clock", "macs_per_cycle"):
        if key in varied and not ("clock" in known and has_lanes):
            raise UnknownNameError(
                f"'{machine.name}' states no {'macs_per_cycle' if key == 'clock' else 'clock'} beside it",
                expected="'matrix'",
            ).at(where=varied[key])


def _checked(key: str, values: Any) -> Array:
    try:
        field = field_of(key)
    except UnknownNameError as error:
        raise error.at(where="points") from None
    try:
        array = np.asarray(values)
    except ValueError:  # lists of several lengths
        array = np.asarray(None)
    numbers = "whole numbers" if field.whole else "numbers"
    where = f"points, {key}"
    if array.shape == (0,):
        raise InvalidValueError("", found="an empty array", expected=numbers).at(where=where)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        found = describe(values)
        if isinstance(values, np.ndarray):
            found = f"an array of {array.dtype} with {array.ndim} dimensions"
        expected = f"an array of {numbers} with one dimension"
        raise InvalidValueError("", found=found, expected=expected).at(where=where)
    if not field.whole:
        return array.astype(np.float64, copy=False)
    if array.dtype.kind == "f":
        _check_range(key, array, slice(0, len(array)))
    wholes = array.astype(np.int64, copy=False)
    if array.dtype.kind == "f" and not np.array_equal(wholes, array):
        raise _out_of_range(field, array, wholes != array)
    return wholes


def _check_range(key: str, array: Array, block: slice) -> None:
    """Raise where one of some numbers is none that a machine's file may state."""
    field, part = field_of(key), array[block]
    if not (field.least <= part.min() and part.max() <= field.most):  # NaN is neither
        raise _out_of_range(field, array, ~((array >= field.least) & (array <= field.most)))


def _out_of_range(field: Field, array: Array, wrong: Array) -> InvalidValueError:
    """The error for the first number of an array that is wrong, of which there is one."""
    at = int(np.argmax(wrong))
    kind = "whole numbers" if field.whole else "numbers"
    return InvalidValueError(
        "",
        found=f"{array[at].item()!r} at position {at} of {len(array):,}",
        expected=f"{kind} from {field.least:g} to {field.most:g}",
    ).at(where=f"points, {field.key}")
