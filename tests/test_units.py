"""Quantities with units."""

from __future__ import annotations

from fractions import Fraction

import pytest

from perfsim.errors import InvalidValueError
from perfsim.hardware import units

RIGHT = [
    ("1 MB", units.SIZE, 10**6),
    ("1MB", units.SIZE, 10**6),
    ("1 MiB", units.SIZE, 2**20),
    ("1 KB", units.SIZE, 1000),
    ("1 kB", units.SIZE, 1000),
    ("1 KiB", units.SIZE, 1024),
    ("0.5 MB", units.SIZE, 500_000),
    ("1e3 kB", units.SIZE, 10**6),
    ("8 Mb", units.SIZE, 10**6),
    ("512 B", units.SIZE, 512),
    ("1 GB/s", units.BANDWIDTH, 10**9),
    ("1 Gb/s", units.BANDWIDTH, 125_000_000),
    ("1 GiB/s", units.BANDWIDTH, 2**30),
    ("12.8GB/s", units.BANDWIDTH, 12_800_000_000),
    ("1 TFLOPS", units.COMPUTE, 10**12),
    ("1 TFLOP/s", units.COMPUTE, 10**12),
    ("4 TOPS", units.COMPUTE, 4 * 10**12),
    ("10 GFLOPS", units.COMPUTE, 10**10),
    ("5ms", units.TIME, Fraction(5, 1000)),
    ("5 us", units.TIME, Fraction(5, 10**6)),
    ("5 µs", units.TIME, Fraction(5, 10**6)),
    ("1.5 s", units.TIME, Fraction(3, 2)),
]


@pytest.mark.parametrize(("text", "dimension", "value"), RIGHT)
def test_right(text, dimension, value):
    assert units.parse(text, dimension) == value


WRONG = [
    "",
    "MB",
    "1",
    "1 mb",
    "1 M",
    "1 MBB",
    "1,5 MB",
    "1 MB extra",
    "one MB",
    "1 MB/h",
    "--1 MB",
]


@pytest.mark.parametrize("text", [*WRONG, 1, 1.5, True, None, ["1 MB"], "0 MB", "-1 MB", "nan MB"])
def test_wrong(text):
    with pytest.raises(InvalidValueError):
        units.parse(text, units.SIZE)


@pytest.mark.parametrize(
    ("text", "dimension", "nearest"),
    [
        ("1 GBs", units.BANDWIDTH, "1 GB/s"),
        ("8 Gbps", units.BANDWIDTH, "8 Gb/s"),
        ("8 Gbit/s", units.BANDWIDTH, "8 Gb/s"),
        ("1 GT/s", units.BANDWIDTH, None),
        ("3200 MT/s", units.BANDWIDTH, None),
        ("1 TFLOP", units.COMPUTE, "1 TFLOPS"),
        ("1 mb", units.SIZE, "1 MB"),
        ("2M", units.SIZE, "2 MB"),
        ("2mb", units.SIZE, "2 MB"),
        ("2 k", units.SIZE, "2 KB"),
        ("2 mib", units.SIZE, "2 MiB"),
        ("1 G/s", units.BANDWIDTH, "1 GB/s"),
        ("1 gb/s", units.BANDWIDTH, "1 GB/s"),
        ("1 T", units.COMPUTE, "1 TFLOPS"),
        ("1 tops", units.COMPUTE, "1 TOPS"),
        ("300 mhz", units.FREQUENCY, "300 MHz"),
        ("1 MJ", units.ENERGY, None),
        ("1 S", units.TIME, None),
    ],
)
def test_a_hint_is_a_unit_of_the_same_prefix(text, dimension, nearest):
    with pytest.raises(InvalidValueError) as caught:
        units.parse(text, dimension)
    assert caught.value.nearest == nearest


def test_every_unit_of_every_dimension_is_told_apart():
    for dimension in (units.SIZE, units.BANDWIDTH, units.COMPUTE, units.TIME):
        for other in (units.SIZE, units.BANDWIDTH, units.COMPUTE, units.TIME):
            if dimension is not other:
                assert not dimension.units.keys() & other.units.keys()


def test_decimal_fractions_are_exact():
    assert units.parse_bytes("0.1 kB") == 100
    assert units.parse_rate("0.1 GB/s", units.BANDWIDTH) == 1e8
