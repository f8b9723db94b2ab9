"""Quantities with units, as people write them: "1 MB", "1 GB/s", "1 TFLOPS", "5 ms".

Decimal and binary prefixes are told apart: MB is 10^6 bytes and MiB is 2^20 (IEC 80000-13). A capital
B is a byte and a small b a bit, so "1 Gb/s" is 1.25e8 bytes/s. One multiply-accumulate is two FLOP,
and an OP of the "TOPS" in data sheets is counted as one FLOP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from perfsim.errors import InvalidValueError, describe, nearest_name

_DECIMAL = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_SMALL = {"": 0, "m": 3, "u": 6, "µ": 6, "n": 9, "p": 12, "f": 15}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}
_QUANTITY = re.compile(
    r"\s*([-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?)\s*(\S.*?)?\s*"
)
_WORD_VALUE = re.compile(r"\s*[-+]?\.?(nan|inf|infinity)\b.*", re.IGNORECASE)


def _prefixed(base: str, factor: Fraction, *, binary: bool) -> dict[str, Fraction]:
    units = {prefix + base: factor * 10**power for prefix, power in _DECIMAL.items()}
    if binary:
        units |= {prefix + base: factor * 2**power for prefix, power in _BINARY.items()}
    return units


_SIZES = _prefixed("B", Fraction(1), binary=True) | _prefixed("b", Fraction(1, 8), binary=True)


@dataclass(frozen=True)
class Dimension:
    """What is measured, and the units in which it may be written (unit -> factor to SI)."""

    name: str
    example: str
    units: dict[str, Fraction]


SIZE = Dimension("a size", "1 MB", _SIZES)
BANDWIDTH = Dimension(
    "a bandwidth", "1 GB/s", {f"{unit}/s": factor for unit, factor in _SIZES.items()}
)
COMPUTE = Dimension(
    "a compute rate",
    "1 TFLOPS",
    {
        unit: factor
        for base in ("FLOPS", "FLOP/s", "OPS", "OP/s")
        for unit, factor in _prefixed(base, Fraction(1), binary=False).items()
    },
)
TIME = Dimension(
    "a time",
    "5 ms",
    {"s": Fraction(1)}
    | dict.fromkeys(("us", "µs", "\N{GREEK SMALL LETTER MU}s"), Fraction(1, 10**6))
    | {"ms": Fraction(1, 10**3), "ns": Fraction(1, 10**9)},
)
FREQUENCY = Dimension("a frequency", "300 MHz", _prefixed("Hz", Fraction(1), binary=False))
ENERGY = Dimension(
    "an energy",
    "0.2 pJ",
    {f"{prefix}J": Fraction(1, 10**power) for prefix, power in _SMALL.items()},
)
POWER = Dimension(
    "a power",
    "0.5 W",
    {f"{prefix}W": Fraction(1, 10**power) for prefix, power in _SMALL.items()},
)
SHARE = Dimension("a percentage", "10%", {"%": Fraction(1, 100)})
_DIMENSIONS = (SIZE, BANDWIDTH, COMPUTE, TIME, FREQUENCY, ENERGY, POWER, SHARE)


def parse(text: object, dimension: Dimension) -> Fraction:
    """The quantity `text` ("1 MB") in the SI unit of `dimension`, exactly.

    >>> parse("1 KiB", SIZE)
    Fraction(1024, 1)

    Raises InvalidValueError for anything but a positive number with a unit of that dimension.
    """
    expected = f"{dimension.name} such as '{dimension.example}'"
    if not isinstance(text, str):
        missing = isinstance(text, int | float) and not isinstance(text, bool)
        found = f"{describe(text)} without a unit" if missing else describe(text)
        raise InvalidValueError("", found=found, expected=expected)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        if _WORD_VALUE.fullmatch(text):
            expected = f"a finite number above zero with a unit, such as '{dimension.example}'"
        raise InvalidValueError("", found=describe(text), expected=expected)
    number, unit = match.groups()
    if unit is None:
        raise InvalidValueError("", found=f"{describe(text)} without a unit", expected=expected)
    if unit not in dimension.units:
        raise _wrong_unit(text, number, unit, dimension, expected)
    value = Fraction(number) * dimension.units[unit]
    if value <= 0:
        raise InvalidValueError("", found=describe(text), expected=f"{dimension.name} above zero")
    return value


def _wrong_unit(
    text: str, number: str, unit: str, dimension: Dimension, expected: str
) -> InvalidValueError:
    for other in _DIMENSIONS:
        if unit in other.units:
            return InvalidValueError(
                "", found=f"{describe(text)}, which is {other.name}", expected=expected
            )
    near = _meant(unit, dimension) or nearest_name(unit, _alike(unit, dimension))
    nearest = f"{number} {near}" if near else None
    return InvalidValueError("", found=describe(text), expected=expected, nearest=nearest)


def _meant(unit: str, dimension: Dimension) -> str | None:
    """The unit that a prefix alone ("M", "G/s") or other capitals ("mb", "tflops") stand for; else None.

    No small prefix is among these dimensions' units, so that an "m" can only be an "M". Where both bits and bytes fit,
    the bytes of the example are meant.
    """
    if dimension not in (SIZE, BANDWIDTH, COMPUTE, FREQUENCY):
        return None
    usual = dimension.example.split()[1][1:]  # without its prefix
    prefix = unit.removesuffix("/s").upper()
    if f"{prefix}{usual}" in dimension.units:
        return f"{prefix}{usual}"
    others = [each for each in dimension.units if each.casefold() == unit.casefold()]
    return next((each for each in others if each.endswith(usual)), next(iter(others), None))


def _alike(unit: str, dimension: Dimension) -> list[str]:
    """The units that `unit` may have been meant to be: a hint must not change the size of a number.

    The prefix must be the same, and bits must not become bytes: "Gbit/s" and "Gbps" are bits.
    """
    candidates = [each for each in dimension.units if each[0] == unit[:1]]
    if dimension in (SIZE, BANDWIDTH):
        kind = "b" if "b" in unit else "B"
        candidates = [each for each in candidates if kind in each and kind in unit]
        if "i" not in unit[:2]:
            candidates = [each for each in candidates if "i" not in each]
    return candidates


def parse_bytes(text: object) -> int:
    """A size in whole bytes, at most 2^53 so that it stays exact as a float."""
    value = parse(text, SIZE)
    if value.denominator != 1:
        raise InvalidValueError("", found=describe(text), expected="a whole number of bytes")
    if value > 2**53:
        raise InvalidValueError("", found=describe(text), expected="at most 2^53 bytes (9 PB)")
    return value.numerator


def parse_rate(text: object, dimension: Dimension) -> float:
    """A rate per second as a float between 1 and 1e24, within which no time overflows."""
    value = parse(text, dimension)
    if not 1 <= value <= 10**24:
        raise InvalidValueError(
            "", found=describe(text), expected=f"{dimension.name} from 1 to 1e24 a second"
        )
    return float(value)


def parse_seconds(text: object) -> float:
    """A time in seconds ("5ms" is 0.005)."""
    seconds = parse(text, TIME)
    if not Fraction(1, 10**12) <= seconds <= 10**9:
        raise InvalidValueError("", found=describe(text), expected="a time from 1e-12 s to 1e9 s")
    return float(seconds)


def parse_amount(text: object, dimension: Dimension) -> float:
    """An energy [J] or a power [W], between 1e-24 and 1e9."""
    value = parse(text, dimension)
    if not Fraction(1, 10**24) <= value <= 10**9:
        raise InvalidValueError(
            "", found=describe(text), expected=f"{dimension.name} from 1e-24 to 1e9 of its unit"
        )
    return float(value)


def parse_share(text: object) -> float:
    """A percentage as a fraction ("10%" is 0.1), at most 10^6 percent."""
    share = parse(text, SHARE)
    if share > 10**4:
        raise InvalidValueError("", found=describe(text), expected="at most 1000000%")
    return float(share)
