"""How far the calibrated machines may be from what was measured on them: rows left out of the fit, and those of it."""

from __future__ import annotations

import math
import statistics

import pytest
from conftest import PUBLISHED

from perfsim import load_hardware, validate

MEASURED = PUBLISHED / "measured"


@pytest.mark.parametrize(
    ("machine", "limit"), [("kv260_dpu", 0.08), ("stm32n6", 0.10), ("coral_usb", 0.10)]
)
def test_rows_left_out_of_the_fit_are_within_the_limit(machine, limit):
    """Their log errors are in the machine's file: measured / predicted by a fit without the row."""
    calibration = load_hardware(machine).extras.calibration
    assert len(calibration.fitted) <= 4
    errors = [abs(math.expm1(-error)) for error in calibration.log_errors]
    assert statistics.mean(errors) < limit


@pytest.mark.parametrize(
    ("machine", "rows", "limit"),
    [
        ("kv260_dpu", 10, 0.05),
        ("stm32n6", 15, 0.05),
        ("coral_usb", 6, 0.03),
        ("eyeriss_v1", 7, 0.11),
    ],
)
def test_rows_of_the_fit_are_within_the_limit(machine, rows, limit):
    validation = validate(MEASURED / f"{machine}.csv", load_hardware(machine))
    known = [
        abs(error)
        for row, error in zip(validation.measurements, validation.errors, strict=True)
        if row.network != "squeezenet1_0" or machine != "stm32n6"  # docs/validation.md says why
    ]
    assert len(known) == rows
    assert statistics.mean(known) < limit


def test_eyeriss_processes_in_the_measured_time():
    """The time of the array alone: with links so fast that they take none."""
    settings = {"ddr_bandwidth": "480 GB/s", "weight_memory.bandwidth": "480 GB/s"}
    validation = validate(
        MEASURED / "eyeriss_v1_processing.csv", load_hardware("eyeriss_v1", **settings)
    )
    assert validation.accuracy.rows == 7
    assert validation.accuracy.mape < 0.06
