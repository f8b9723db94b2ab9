"""reports/validation: the summary against other roads to its numbers; the pictures; what the documents say of them."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from statistics import fmean, stdev

import numpy as np
import pytest
import validation as report
from conftest import PUBLISHED, ROOT, read_csv
from test_plot import check_same_picture, check_texts, drawn, marks, vertices

from perfsim import catalog, load_hardware, validate
from perfsim.report.figures import canvas
from perfsim.report.figures.accuracy import draw_accuracies, draw_accuracy, row_names

FOLDER = ROOT / "reports" / "validation"
SUMMARY = {row["machine"]: row for row in read_csv(FOLDER / "summary.csv")}
# Student's t that 90 % lie within, by degrees of freedom, from printed tables.
STUDENT = {4: 2.132, 5: 2.015, 6: 1.943, 8: 1.860, 9: 1.833, 13: 1.771, 14: 1.761}


def interval_of(logs) -> tuple[float, float]:
    """Where the next ln(measured / predicted) lies with 90 %."""
    half = STUDENT[len(logs) - 1] * stdev(logs) * math.sqrt(1 + 1 / len(logs))
    return fmean(logs) - half, fmean(logs) + half


def errors_of(name, rows=slice(None)):
    """The errors of a machine's rows in its committed table."""
    table = read_csv(FOLDER / f"{name}.csv")[rows]
    return [float(row["predicted_ms"]) / float(row["measured_ms"]) - 1 for row in table]


def test_every_machine_with_measured_rows_is_there():
    measured = {path.stem for path in (PUBLISHED / "measured").glob("*.csv")}
    assert set(SUMMARY) == measured & set(catalog.bundled_machines())
    for name, row in SUMMARY.items():
        calibration = load_hardware(name).extras.calibration
        assert row["fitted"] == (" ".join(calibration.fitted) if calibration else "")
        assert bool(row["left_out_mape"]) == (name in report.CALIBRATED)


@pytest.mark.parametrize(("name", "rows"), [(each, slice(0, 15)) for each in report.CALIBRATED])
def test_the_fitted_rows(name, rows):
    """All but stm32n6's sixteenth, SqueezeNet."""
    errors = errors_of(name, rows)
    assert int(SUMMARY[name]["fitted_rows"]) == len(errors)
    assert float(SUMMARY[name]["fitted_mape"]) == pytest.approx(fmean(map(abs, errors)), rel=1e-12)


@pytest.mark.parametrize("name", report.CALIBRATED)
def test_the_left_out_rows(name):
    """ln(measured / predicted) turned back into errors, each in the interval of the others by a printed quantile."""
    logs = load_hardware(name).extras.calibration.log_errors
    errors = [(1 / math.exp(each)) - 1 for each in logs]
    assert float(SUMMARY[name]["left_out_mape"]) == pytest.approx(fmean(map(abs, errors)))
    within = 0
    for position, error in enumerate(logs):
        low, high = interval_of(logs[:position] + logs[position + 1 :])
        within += low <= error <= high
    assert int(SUMMARY[name]["left_out_within"]) == within


def test_the_plain_roofline_is_a_machine_of_four_numbers(write):
    """2 x 2048 multiply-accumulates at 300 MHz, 9.6 GB/s, 256 KiB, 19.2 GFLOPS: what kv260_dpu.yaml states."""
    plain = "name: m\nsram: 256 KiB\nddr_bandwidth: 9.6 GB/s\nmatrix: 1228.8 GFLOPS\nvector: 19.2 GFLOPS\n"
    file, machine = PUBLISHED / "measured/kv260_dpu.csv", load_hardware(write("m.yaml", plain))
    mape = {
        (placement, timing): validate(file, machine, placement, timing).accuracy.mape
        for placement in ("liveness", "pinned")
        for timing in ("overlap", "serial")
    }
    summary = SUMMARY["kv260_dpu"]
    usual, least = mape["liveness", "overlap"], min(mape.values())
    assert float(summary["roofline_mape"]) == pytest.approx(usual, rel=1e-9)
    assert float(summary["best_roofline_mape"]) == pytest.approx(least, rel=1e-9)
    assert float(summary["fitted_best_roofline_mape"]) == pytest.approx(least, rel=1e-9)


def test_the_document_has_the_whole_summary():
    assert (FOLDER / "summary.md").read_text() in (ROOT / "docs/validation.md").read_text()


def test_the_readme_has_the_calibrated_machines():
    lines = (ROOT / "README.md").read_text()
    for name in report.CALIBRATED:
        row, logs = SUMMARY[name], load_hardware(name).extras.calibration.log_errors
        worst = max((math.exp(-each) - 1 for each in logs), key=abs)
        cells = f"| {float(row['fitted_mape']):.1%} | {float(row['left_out_mape']):.1%} | {worst:+.1%} |"
        assert re.search(
            rf"^\| `{name}` \| {row['fitted_rows']} [^|]*\| {len(row['fitted'].split())} {re.escape(cells)}",
            lines,
            re.MULTILINE,
        ), name


@pytest.mark.thorough
@drawn
def test_the_committed_pictures_are_fresh(tmp_path):
    report.draw_validation(tmp_path)
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in FOLDER.glob("*.svg")}
    for name in made:
        check_same_picture(tmp_path / name, FOLDER / name)


def mark_places(svg, name) -> np.ndarray:
    """The middles of a group's marks, shape (marks, 2): uses of one shape, or where there is one mark the shape."""
    group = next(each for each in svg.iter() if each.get("id") == name)
    uses = [[float(each.get(key)) for key in "xy"] for each in group.iter() if each.get("x")]
    points = vertices(svg, name)
    return np.array(uses or [(points.min(axis=0) + points.max(axis=0)) / 2])


@drawn
@pytest.mark.parametrize("name", report.MACHINES)
def test_each_row_is_a_mark_at_its_times(name):
    """A time is at the same share of either axis, linear in its logarithm."""
    svg = ET.parse(FOLDER / f"{name}.svg").getroot()
    table = read_csv(FOLDER / f"{name}.csv")
    ends = vertices(svg, "equal times")  # from the lower left to the upper right
    times, shares = [], []
    for kind, group in (("True", "inside"), ("False", "outside"), ("", "without")):
        of = [row for row in table if row.get("within_interval", "") == kind]
        assert marks(svg, f"rows {group}") == len(of)
        if of:
            times += [[float(row[key]) for key in ("measured_ms", "predicted_ms")] for row in of]
            shares += [(mark_places(svg, f"rows {group}") - ends[0]) / (ends[-1] - ends[0])]
    logs, found = np.log(times).ravel(), np.concatenate(shares).ravel()
    assert 0 < found.min() < found.max() < 1
    slope, start = np.polyfit(logs, found, 1)
    assert slope > 0
    assert slope * logs + start == pytest.approx(found, abs=1e-5)


@drawn
@pytest.mark.parametrize("name", report.CALIBRATED)
def test_the_band_is_where_the_interval_holds_the_measured_time(name):
    """measured <= high * predicted, so its lower edge is 1 / high times the line of equal times."""
    svg = ET.parse(FOLDER / f"{name}.svg").getroot()
    ends = vertices(svg, "equal times")
    shape = next(each for each in svg.iter() if each.get("id") == "interval band")
    moved = [[float(each.get(key)) for key in "xy"] for each in shape.iter() if each.get("x")]
    band = vertices(svg, "interval band") + moved[0]
    inside = [row for row in read_csv(FOLDER / f"{name}.csv") if row["within_interval"] == "True"]
    logs = np.log([float(row["measured_ms"]) for row in inside])
    across, _ = (mark_places(svg, "rows inside") - ends[0]).T
    per_log = np.polyfit(logs, across, 1)[0] / (ends[-1] - ends[0])[0]  # share of an axis
    above_line = (ends[0] - band[np.isclose(band[:, 0], ends[0][0])])[:, 1] / np.ptp(ends[:, 1])
    low, high = interval_of(load_hardware(name).extras.calibration.log_errors)
    found = (above_line.min() / per_log, above_line.max() / per_log)
    assert found == pytest.approx((-high, -low), abs=1e-3)


@pytest.mark.thorough
@drawn
@pytest.mark.parametrize("name", [*report.MACHINES, "all"])
def test_no_text_lies_over_another_or_outside_the_picture(name, monkeypatch):
    with canvas.drawing():
        if name == "all":
            validations = [report.validation_of(each) for each in report.MACHINES]
            figure = draw_accuracies(validations, "all", "facts " * 40)
        else:
            figure = draw_accuracy(report.validation_of(name), name, "facts " * 40)
    check_texts(figure, monkeypatch)


def test_rows_are_named_by_network_settings_and_layer():
    assert row_names(report.validation_of("eyeriss_v1"))[0] == (
        "alexnet_grouped resolution=227 conv1"
    )
    assert row_names(report.validation_of("kv260_dpu"))[0] == "efficientnet_edgetpu_s"
