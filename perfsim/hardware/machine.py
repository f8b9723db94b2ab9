"""The machine as the formulas see it: SI numbers, one value or an array of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from perfsim.errors import InvalidValueError
from perfsim.hardware.parts import Calibration, Extras

if TYPE_CHECKING:
    import numpy as np

    Values: TypeAlias = float | np.ndarray[Any, np.dtype[np.float64]]
    WholeValues: TypeAlias = int | np.ndarray[Any, np.dtype[np.int64]]

DEFAULT_PLACEMENT = "liveness"
DEFAULT_TIMING = "overlap"

NUMBERS = ("sram_bytes", "ddr_bytes_per_s", "matrix_flops", "vector_flops")


@dataclass(frozen=True, eq=False)
class Machine:
    """What a machine can do, in SI units; one machine, or many at once.

    >>> Machine("tiny", sram_bytes=10**6, ddr_bytes_per_s=1e9, matrix_flops=1e12, vector_flops=1e10)

    Attributes:
        sram_bytes: internal memory [bytes], int or int array of shape (machines,).
        ddr_bytes_per_s: bandwidth to external memory [bytes/s], float or array (machines,).
        matrix_flops: peak of the matrix unit [FLOP/s; one multiply-accumulate is 2 FLOP].
        vector_flops: peak of the vector unit [operations/s].
        placement, timing: names of the policies that this machine uses unless a run says otherwise.
        double_buffered: whether every tile that passes through internal memory has a second buffer, into which the next
            one is read.
        extras: everything else that is known of it.
        places: where each key was read ("file:line"), for error messages.
        stated: the numbers that its file states, by dotted key, in SI units; empty where it was made by hand.
        changed: the dotted keys of its file that settings replaced.

    Raises InvalidValueError when a number is not above zero (NaN is not).
    """

    name: str
    sram_bytes: WholeValues
    ddr_bytes_per_s: Values
    matrix_flops: Values
    vector_flops: Values
    placement: str = DEFAULT_PLACEMENT
    timing: str = DEFAULT_TIMING
    description: str = ""
    double_buffered: bool = False
    extras: Extras = field(default_factory=Extras, repr=False)
    places: Mapping[str, str] = field(default_factory=dict, repr=False)
    stated: Mapping[str, float] = field(default_factory=dict, repr=False)
    changed: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for key, value in zip(NUMBERS, self.numbers, strict=True):
            if hasattr(value, "dtype") and not getattr(value, "shape", ()):
                object.__setattr__(self, key, value.item())  # a number of numpy's is a number
                value = value.item()  # noqa: PLW2901
            whole = key == "sram_bytes"
            if not _is_positive(value, whole=whole):
                expected = "a whole number of bytes above zero" if whole else "a number above zero"
                raise InvalidValueError("", found=repr(value), expected=expected).at(
                    where=f"machine '{self.name}', {key}"
                )

        values = [*self.numbers]
        further = numbers_in(self.extras)
        plain = {
            key: value.item()
            for key, value in further.items()
            if hasattr(value, "dtype") and not getattr(value, "shape", ())
        }
        if plain:
            object.__setattr__(self, "extras", with_numbers(self.extras, plain))
        for key, value in (further | plain).items():
            if not _is_positive(value, whole=False):
                raise InvalidValueError("", found=repr(value), expected="a number above zero").at(
                    where=f"machine '{self.name}', {key}"
                )
            values.append(value)
        shapes = [value.shape for value in values if hasattr(value, "shape")]
        if shapes:
            _check_shapes(self.name, shapes)

    @property
    def is_one(self) -> bool:
        """Whether it is one machine, not an array of them."""
        values = (*self.numbers, *numbers_in(self.extras).values())
        return all(isinstance(value, int | float) for value in values)

    @property
    def numbers(self) -> tuple[Any, ...]:
        """The values of `NUMBERS`, in that order."""
        return tuple(getattr(self, key) for key in NUMBERS)


def numbers_in(part: object) -> dict[str, Any]:
    """Every number of a part, by its path: ``{"stream.bytes_per_s": 1e9, "efficiency.conv": 0.8}``."""
    found: dict[str, Any] = {}
    for key, value in _entries(part):
        if isinstance(value, Mapping) or (
            is_dataclass(value) and not isinstance(value, Calibration)
        ):
            found |= {f"{key}.{inner}": number for inner, number in numbers_in(value).items()}
        elif not isinstance(value, bool | str | tuple | None | Calibration):
            found[str(key)] = value
    return found


def with_numbers(part: Any, numbers: Mapping[str, Any]) -> Any:
    """`part` with some of its numbers replaced, by their paths as in `numbers_in`; what is absent stays absent.

    Raises KeyError for a path that the part does not have.
    """
    changed: dict[Any, Any] = {}
    present = dict(_entries(part))
    inner: dict[Any, dict[str, Any]] = {}
    for path, number in numbers.items():
        key, _, rest = path.partition(".")
        name: Any = int(key) if key.isdecimal() else key
        if name not in present or present[name] is None:
            raise KeyError(path)
        if rest:
            inner.setdefault(name, {})[rest] = number
        else:
            changed[name] = number
    for name, rests in inner.items():
        changed[name] = with_numbers(present[name], rests)
    return {**part, **changed} if isinstance(part, Mapping) else replace(part, **changed)


def _entries(part: object) -> list[tuple[Any, Any]]:
    if isinstance(part, Mapping):
        return list(part.items())
    described: Any = part
    return [(each.name, getattr(part, each.name)) for each in fields(described)]


def _check_shapes(name: str, shapes: list[tuple[int, ...]]) -> None:
    longest = max(shapes)
    fitting = all(len(shape) == 1 and shape in (longest, (1,)) for shape in shapes)
    if not fitting or longest == (0,):
        lengths = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise InvalidValueError(
            "", found=f"arrays of lengths {lengths}", expected="arrays of one length, not empty"
        ).at(where=f"machine '{name}'")


def _is_positive(value: Any, *, whole: bool) -> bool:
    """Whether a number, or every number of an array, is finite, above zero and, if asked, whole."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return 0 < value < math.inf and not (whole and isinstance(value, float))
    kinds = {"i", "u"} if whole else {"i", "u", "f"}
    if getattr(getattr(value, "dtype", None), "kind", None) not in kinds:
        return False
    return not value.size or bool(
        value.min() > 0 and value.max() < math.inf
    )  # a NaN is its minimum
