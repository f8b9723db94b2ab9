"""reports/ is what the program prints today, and what was published."""

from __future__ import annotations

import importlib.util

import pytest
from conftest import PUBLISHED, ROOT, read_csv

REPORTS = ROOT / "reports"


@pytest.fixture(scope="module")
def regenerate():
    spec = importlib.util.spec_from_file_location("regenerate", REPORTS / "regenerate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fresh(regenerate, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    regenerate.main(folder)
    return folder


def test_the_committed_reports_are_fresh(fresh):
    made = {path.relative_to(fresh) for path in fresh.rglob("*") if path.is_file()}
    committed = {
        path.relative_to(REPORTS)
        for path in REPORTS.glob("*/*")
        if not {"__pycache__", "pictures"} & set(path.parts)  # pictures: tests/test_plot.py
        and path.suffix != ".svg"  # tests/test_validation_reports.py
    }
    assert made == committed
    for path in made:
        assert (REPORTS / path).read_text() == (fresh / path).read_text(), path


def test_the_index_of_the_networks_is_fresh(regenerate):
    assert (ROOT / "perfsim" / "networks_index.json").read_text() == regenerate.models_index()


def test_the_memory_table_is_the_published_one_to_the_byte(fresh):
    ours = (fresh / "reference/table3_memory.csv").read_text()
    assert ours == (PUBLISHED / "reference/table3_memory.csv").read_text()


def test_the_time_table_is_the_published_one_as_far_as_it_is_printed(fresh):
    ours = read_csv(fresh / "reference/table4_time.csv")
    theirs = read_csv(PUBLISHED / "reference/table4_time.csv")
    assert list(ours[0]) == list(theirs[0])
    for mine, published in zip(ours, theirs, strict=True):
        for column in list(published)[1:]:
            exact, printed = float(mine[column]), published[column]
            mantissa, _, exponent = printed.upper().partition("E")
            digits = len(mantissa.partition(".")[2]) - int(exponent or 0)
            # half a unit of the last digit, and the rounding of the comparison itself
            assert abs(exact - float(printed)) <= 0.5 * 10.0**-digits * (1 + 1e-9)
