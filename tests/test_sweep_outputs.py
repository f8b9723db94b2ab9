"""What the commands that look at many machines print and write: names, units, files, widths."""

from __future__ import annotations

import csv
import io
import json

import pytest

HW = "1MB_1GBs_1TF"
A = ("mobilenet_v1", "--hw", HW)


@pytest.mark.parametrize(("machine", "clock_hz"), [("kv260_dpu", 300e6), ("tpu_v1", 700e6)])
def test_a_rate_from_a_clock_is_named_clock_and_written_in_hertz(perfsim_cli, machine, clock_hz):
    """The clock is what the machine's file states."""
    arguments = ("sensitivity", "mobilenet_v1", "--hw", machine)
    rows = list(csv.DictReader(io.StringIO(perfsim_cli(*arguments, "--format", "csv").out)))
    of_clock = [row for row in rows if row["number"] == "clock" and row["name"] == "total"]
    assert [float(row["value"]) for row in of_clock] == [clock_hz]
    assert not [row for row in rows if row["number"] == "matrix"]
    (line,) = [
        line for line in perfsim_cli(*arguments).out.splitlines() if line.startswith("clock")
    ]
    assert f"{1.1 * clock_hz / 1e6:.0f} MHz" in line
    assert "FLOPS" not in line
