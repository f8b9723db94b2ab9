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


VARY = ("--vary", "sram=100kB:4MB:log:5", "--vary", "ddr_bandwidth=1GB/s,4GB/s")


def test_help_states_the_formats_that_a_command_writes(perfsim_cli):
    for command, formats in (("sweep", ".parquet or .csv"), ("pareto", "(.csv, .json, .parquet)")):
        assert formats in " ".join(perfsim_cli(command, "--help").out.split())


def test_an_expression_cost_is_a_column(perfsim_cli):
    """What the expression says, row by row, of the columns beside it."""
    cost = "sram/1MB + bandwidth / 4 GB/s"
    words = ("pareto", *A, *VARY, "--cost", "time", "--cost", cost)
    rows = json.loads(perfsim_cli(*words, "--format", "json").out)["points"]
    assert rows
    for row in rows:
        assert row[cost] == pytest.approx(row["sram"] / 1e6 + row["ddr_bandwidth"] / 4e9, rel=1e-12)
        assert "time" not in row
    assert cost in perfsim_cli(*words).out
    assert cost in perfsim_cli(*words, "--format", "csv").out.splitlines()[0]


def test_a_front_in_a_file_is_not_printed_and_not_overwritten(perfsim_cli, tmp_path):
    words = ("pareto", *A, *VARY, "-o", "front.csv", "-o", "front.json")
    told = perfsim_cli(*words)
    rows = len((tmp_path / "front.csv").read_text().splitlines()) - 1
    assert told.out == ""
    assert told.err == f"front.csv: {rows} rows\nfront.json: {rows} rows\n"
    told = perfsim_cli(*words)
    assert (told.status, told.out, told.err) == (2, "", "error: front.csv: exists already\n")


@pytest.mark.parametrize(
    ("machine", "vary", "head", "cell"),
    [
        (HW, "ddr_bandwidth=2GB/s,4GB/s", "ddr_bandwidth [GB/s]", "2.000"),
        (HW, "matrix=1TFLOPS", "matrix [TFLOPS]", "1.000"),
        (HW, "ddr_latency=1ns", "ddr_latency [ns]", "1.000"),
        (HW, "ddr_bandwidth=1MB/s,1TB/s", "ddr_bandwidth [GB/s]", "0.001"),
        ("kv260_dpu", "clock=300MHz", "clock [MHz]", "300.000"),
        ("kv260_dpu", "energy.ddr_byte=20pJ", "energy.ddr_byte [pJ]", "20.000"),
    ],
)
def test_what_is_varied_is_shown_in_its_unit(perfsim_cli, machine, vary, head, cell):
    words = ("sweep", "lenet5", "--hw", machine, "--vary", vary)
    heads, _, row = perfsim_cli(*words).out.split("\n\n")[1].splitlines()[:3]
    assert heads.startswith(head) or heads.strip().startswith(head)
    assert row.split()[0] == cell
    if machine != HW:
        assert "energy_j [" in heads


def test_a_table_of_two_varied_keys_fits_80_columns(perfsim_cli):
    told = perfsim_cli("sweep", *A, *VARY).out
    assert max(map(len, told.splitlines())) <= 80
    assert all(name in told for name in ("sram [", "ddr_bandwidth [", "total_s [", "bound"))


def test_the_heading_states_no_number_that_is_varied(perfsim_cli):
    told = perfsim_cli("sweep", *A, "--vary", "sram=2MB").out
    assert told.startswith("1 point of mobilenet_v1 on ")
    assert "SRAM" not in told
    assert "varied: sram" in " ".join(told.split())


def test_a_rate_in_the_table_is_rounded_up_and_exact_in_the_data(perfsim_cli):
    """What is shown is enough: not below the exact number, and above it by less than one of its last digit."""
    words = ("size", *A, "--minimize", "ddr_bandwidth", "--target", "5ms")
    exact = float(perfsim_cli(*words, "--format", "csv").out.splitlines()[1].split(",")[0])
    told = perfsim_cli(*words).out
    (shown,) = [line.split()[0] for line in told.splitlines() if " GB/s" in line]
    assert 0 <= float(shown) * 1e9 - exact < 1e3
    assert len(shown) < 10
    assert "rounded up" in told


def test_a_loss_is_written_with_a_prefix(perfsim_cli):
    """More memory, which moves the plan: what it costs is in the CSV."""
    words = ("sensitivity", *A)
    rows = csv.DictReader(io.StringIO(perfsim_cli(*words, "--format", "csv").out))
    (lost,) = [float(r["saved_s"]) for r in rows if r["number"] == "sram" and r["name"] == "total"]
    assert lost < -1e-6
    (line,) = [line for line in perfsim_cli(*words).out.splitlines() if line.startswith("sram")]
    assert f"{lost * 1e6:.4g} us" in line
