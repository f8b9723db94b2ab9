"""Which points a sweep has: full grids, lists, and samples, each point known by its number alone.

So any part of a sweep can be made by itself, in any order, and a grid of any size takes no memory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, describe
from perfsim.hardware.fields import Field

Array: TypeAlias = np.ndarray[Any, Any]

SCALES = ("log", "linear")
SAMPLERS = ("sobol", "random")
_MOST_SOBOL = 1 << 30  # points that scipy's engine has
_SEEDED = 1 << 16  # points that one generator makes, so that no point depends on how a sweep is cut
MOST_STEPS = 10**7  # of one range: all of them are kept


@dataclass(frozen=True, eq=False)
class Axis:
    """One number that is varied.

    Attributes:
        key: of the machine's file.
        values: those of a grid, in SI units; of a sample the two ends of its range, or the list that is drawn from.
        scale: of a range to sample: "log" or "linear"; empty for values that are taken as they are.
    """

    key: str
    values: Array
    scale: str = ""


def parse_axis(field: Field, text: str, *, sampled: bool = False) -> Axis:
    """The axis that ``--vary KEY=TEXT`` says.

    >>> parse_axis(field_of("sram"), "64KiB:16MiB:log:3").values
    array([   65536,  1048576, 16777216])

    text: a list ``1GB/s,2GB/s``, a range with its steps ``64KiB:16MiB:log:64`` (or ``linear``), or, to be `sampled`, a
        range without.

    Raises InvalidValueError for numbers that the machine's file could not state, and ranges that are empty.
    """
    key = field.key
    if ":" not in text:
        listed = [_number(field, part) for part in text.split(",")]
        if len(set(listed)) < len(listed):
            raise InvalidValueError("", found=describe(text), expected="each number once")
        return Axis(key, np.array(listed, dtype=np.int64 if field.whole else np.float64))
    first, last, *rest = text.split(":")
    scale = rest[0].strip() if rest else "log"
    if len(rest) > 2 or scale not in SCALES or (len(rest) < 2 and not sampled):
        expected = "FIRST:LAST:log or FIRST:LAST:linear"
        if not sampled:
            expected = "FIRST:LAST:log:64 or FIRST:LAST:linear:64 (any number of steps)"
        raise InvalidValueError("", found=describe(text), expected=expected)
    low, high = _number(field, first, scale), _number(field, last, scale)
    if not low < high:
        raise InvalidValueError(
            "the range is empty" if low == high else "the range is reversed",
            found=describe(text),
            expected="the smaller number first",
        )
    dtype = np.int64 if field.whole else np.float64
    if sampled:
        if len(rest) == 2:
            raise InvalidValueError(
                "", found=f"{describe(text)} beside --sample", expected="a range without steps"
            )
        return Axis(key, np.array([low, high], dtype=dtype), scale)
    spaced = _spaced(low, high, _steps(rest[1], text), scale)
    values = np.rint(spaced) if field.whole else spaced
    values[0], values[-1] = low, high
    if len(np.unique(values)) < len(values):
        raise InvalidValueError(
            "",
            found=f"{len(values)} steps in {describe(text)}",
            expected="no more steps than numbers",
        )
    return Axis(key, values.astype(dtype))


def _spaced(low: float, high: float, steps: int, scale: str) -> Array:
    between = np.geomspace if scale == "log" else np.linspace
    return np.asarray(between(low, high, steps))


def _number(field: Field, text: str, scale: str = "") -> float:
    """The number that a text gives, as the machine's file would state it."""
    text = text.strip()
    value: object = text
    if field.dimension is None:
        value = _plain(text)
    if scale == "log" and isinstance(value, int | float) and value <= 0:
        raise InvalidValueError("", found=describe(text), expected="a logarithmic range above zero")
    number = field.read(value)
    if not field.least <= number <= field.most:
        raise InvalidValueError(
            "", found=describe(text), expected=f"from {field.least:g} to {field.most:g}"
        )
    return number


def _plain(text: str) -> object:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _steps(text: str, whole: str) -> int:
    if not text.strip().isdecimal() or not 2 <= int(text) <= MOST_STEPS:
        raise InvalidValueError(
            "",
            found=f"{describe(text)} steps in {describe(whole)}",
            expected=f"2 to {MOST_STEPS:,}",
        )
    return int(text)


class Grid:
    """All combinations of the values of the axes; those of the last one change fastest."""

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self.count = math.prod(len(axis.values) for axis in axes)

    def points(self, start: int, stop: int) -> dict[str, Array]:
        """The points with these numbers, by key: arrays of shape (stop - start,)."""
        found: dict[str, Array] = {}
        times = 1
        for axis in reversed(self.axes):
            found[axis.key] = _cycled(axis.values, times, start, stop)
            times *= len(axis.values)
        return {axis.key: found[axis.key] for axis in self.axes}

    def description(self) -> dict[str, Any]:
        """What it is, for a record."""
        return {axis.key: axis.values.tolist() for axis in self.axes}


def _cycled(values: Array, times: int, start: int, stop: int) -> Array:
    """Of all values over and over, each so many times in a row, those at the positions from start to below stop."""
    first, last = start // times, -(-stop // times)
    at, runs = first % len(values), last - first
    if runs < len(values):  # of a long axis only what is asked for
        each = np.concatenate([values[at : at + runs], values[: max(at + runs - len(values), 0)]])
    else:
        each = np.resize(np.concatenate([values[at:], values[:at]]), runs)
    if times == 1:
        return each
    edges = np.clip(np.arange(first, last + 1) * times, start, stop)
    return np.repeat(each, np.diff(edges))


class Sample:
    """So many points drawn from ranges and lists.

    sampler: "sobol" for a scrambled Sobol sequence, which covers the space evenly, or "random".
    """

    def __init__(self, axes: Sequence[Axis], count: int, seed: int, sampler: str = "sobol") -> None:
        self.axes, self.count, self.seed, self.sampler = tuple(axes), count, seed, sampler
        if sampler == "sobol" and count > _MOST_SOBOL:
            raise InvalidValueError(
                "",
                found=f"{count:,} points",
                expected=f"at most {_MOST_SOBOL:,} of a Sobol sequence, or --sampler random",
            ).at(file="--sample")
        self._lock = Lock()
        self._sobol: tuple[int, Any] | None = None  # the number of the next point, and the engine

    def __reduce__(self) -> tuple[type[Sample], tuple[object, ...]]:
        return Sample, (self.axes, self.count, self.seed, self.sampler)

    def points(self, start: int, stop: int) -> dict[str, Array]:
        """The points with these numbers, by key: arrays of shape (stop - start,)."""
        if self.sampler == "sobol":
            with self._lock:
                shares = [self._even(start, stop)]
        else:
            shares = self._random(start, stop)
        parts = [
            [_spread(axis, part[:, at]) for part in shares] for at, axis in enumerate(self.axes)
        ]
        return {axis.key: np.concatenate(each) for axis, each in zip(self.axes, parts, strict=True)}

    def _even(self, start: int, stop: int) -> Array:
        from scipy.stats import qmc

        if self._sobol is None or self._sobol[0] > start:
            self._sobol = (0, qmc.Sobol(len(self.axes), scramble=True, seed=self.seed))
        at, engine = self._sobol
        self._sobol = None  # until it stands where it is said to stand
        if at < start:
            engine.fast_forward(start - at)
        # One first: of others than powers of two the engine would warn that they are no balanced set.
        found = np.concatenate([engine.random(1), engine.random(stop - start - 1)])
        self._sobol = (stop, engine)
        return found

    def _random(self, start: int, stop: int) -> list[Array]:
        parts: list[Array] = []
        for number in range(start // _SEEDED, -(-stop // _SEEDED)):
            first = number * _SEEDED
            drawn = np.random.default_rng([self.seed, number]).random((_SEEDED, len(self.axes)))
            parts.append(drawn[max(start - first, 0) : stop - first])
        return parts

    def description(self) -> dict[str, Any]:
        """What it is, for a record."""
        return {axis.key: [axis.scale, *axis.values.tolist()] for axis in self.axes} | {
            "sample": [self.sampler, self.count, self.seed]
        }


def _spread(axis: Axis, share: Array) -> Array:
    """Numbers of an axis for shares from 0 to 1."""
    values = axis.values
    if not axis.scale:
        return values[np.minimum((share * len(values)).astype(np.int64), len(values) - 1)]
    low, high = float(values[0]), float(values[1])
    if axis.scale == "log":
        found = np.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        found = low + share * (high - low)
    if values.dtype.kind == "i":
        found = np.rint(found)
    return np.clip(found, low, high).astype(values.dtype)


Space: TypeAlias = Grid | Sample
