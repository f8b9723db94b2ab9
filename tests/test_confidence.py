"""Intervals of calibrated machines, and what is said beside them: distance, changes, cliffs."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from conftest import MACHINE, PUBLISHED, TINY, read_csv

from perfsim import load_hardware, load_network, simulate, validate
from perfsim.confidence import confidence_of, operand_bits, spread_of, student_quantile
from perfsim.hardware.parts import Calibration
from perfsim.program import lower

# Student's t, two-sided, from the tables of textbooks.
TABLE = [
    (0.9, 1, 6.314),
    (0.9, 2, 2.920),
    (0.9, 5, 2.015),
    (0.9, 9, 1.833),
    (0.9, 14, 1.761),
    (0.9, 30, 1.697),
    (0.95, 10, 2.228),
    (0.8, 3, 1.638),
    (0.99, 4, 4.604),
]
ERRORS = [0.05, -0.03, 0.0, 0.02, -0.06, 0.04]
CALIBRATED = f"""{MACHINE}calibration:
  source: a bench
  fitted: [ddr_bandwidth]
  log_errors: {ERRORS}
  networks: [tiny]
  operators: [conv, depthwise_conv, add, global_avg_pool, fully_connected, softmax]
  macs: [100000, 2000000]
  layers: [9, 9]
"""


@pytest.mark.parametrize(("level", "freedom", "expected"), TABLE)
def test_student(level, freedom, expected):
    assert student_quantile(level, freedom) == pytest.approx(expected, abs=6e-4)


def test_the_interval_is_the_textbooks():
    """Six errors: mean 1/300, standard deviation by hand, t(0.9, 5) = 2.015."""
    mean = sum(ERRORS) / 6
    deviation = math.sqrt(sum((error - mean) ** 2 for error in ERRORS) / 5)
    half = 2.015048 * deviation * math.sqrt(7 / 6)
    spread = spread_of(Calibration("s", (), tuple(ERRORS)))
    assert spread.low == pytest.approx(math.exp(mean - half), rel=1e-6)
    assert spread.high == pytest.approx(math.exp(mean + half), rel=1e-6)
    assert (spread.rows, spread.outliers) == (6, 0)


@pytest.mark.parametrize("rows", [5, 10, 30])
def test_ninety_percent_of_new_errors_lie_within(rows):
    noise = random.Random(rows)
    inside = 0
    for _ in range(4000):
        errors = tuple(noise.gauss(0.03, 0.1) for _ in range(rows))
        spread = spread_of(Calibration("s", (), errors))
        inside += spread.low <= math.exp(noise.gauss(0.03, 0.1)) <= spread.high
    # A binomial share of 4000 has a standard deviation of half a percent; leaving out far rows costs a little.
    assert 0.88 <= inside / 4000 <= 0.915, inside


def test_one_row_of_ten_may_be_left_out_and_is_counted():
    errors = [0.01, -0.02, 0.03, 0.0, -0.01, 0.02, -0.03, 0.01, -0.02, 2.0]
    spread = spread_of(Calibration("s", (), tuple(errors)))
    assert (spread.rows, spread.outliers) == (9, 1)
    assert "1 outlier left out" in spread.basis
    assert spread.high < 1.1
    few = spread_of(Calibration("s", (), tuple(errors[1:])))  # nine rows: none may go
    assert few.outliers == 0
    assert few.high > 2
    two = spread_of(Calibration("s", (), (*errors, 2.0)))  # two of eleven: only one may go
    assert two.outliers == 1
    assert two.high > 2
    assert spread_of(Calibration("s", (), (0.1, 0.2))) is None


def test_an_interval_has_a_width():
    """Equal errors: a noise of 1 %. One of ten that differs where the others are equal is no outlier."""
    half = 1.833113 * 0.01 * math.sqrt(11 / 10)  # t(0.9, 9)
    spread = spread_of(Calibration("s", (), (0.05,) * 10))
    assert spread.low == pytest.approx(math.exp(0.05 - half), rel=1e-6)
    assert spread.high == pytest.approx(math.exp(0.05 + half), rel=1e-6)
    spread = spread_of(Calibration("s", (), (*[0.0] * 9, 0.3)))
    assert (spread.rows, spread.outliers) == (10, 0)
    # Mean 0.03; squares 9 x 0.03^2 + 0.27^2 = 0.081, over 9: 0.009.
    half = 1.833113 * math.sqrt(0.009) * math.sqrt(11 / 10)
    assert spread.high == pytest.approx(math.exp(0.03 + half), rel=1e-6)


def test_a_run_on_a_calibrated_machine_has_an_interval(perfsim_cli, write):
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED)
    run = perfsim_cli("run", net, "--hw", hw)
    assert "90% interval: " in run.out
    assert "not calibrated" not in run.out
    assert "6 measured networks" in run.out.replace("\n  ", " ")
    record = json.loads(perfsim_cli("run", net, "--hw", hw, "--format", "json").out)
    spread = spread_of(Calibration("s", (), tuple(ERRORS)))
    interval = record["interval"]
    assert interval["low_s"] == pytest.approx(spread.low * record["totals"]["steady_s"])
    assert interval["high_s"] == pytest.approx(spread.high * record["totals"]["steady_s"])
    assert interval["level"] == 0.9
    assert interval["basis"] == spread.basis
    assert record["notes"] == []


def test_a_machine_that_is_not_calibrated_says_so_once(perfsim_cli, write):
    net, hw = write("tiny.yaml", TINY), write("small.yaml", MACHINE)
    run = perfsim_cli("run", net, "--hw", hw)
    assert run.out.count("not calibrated") == 1
    assert "interval" not in run.out
    record = json.loads(perfsim_cli("run", net, "--hw", hw, "--format", "json").out)
    assert record["interval"] is None


def test_a_comparison_has_a_column_of_intervals(perfsim_cli, write, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED.replace("small", "measured"))
    other = write("small.yaml", MACHINE)
    run = perfsim_cli("compare", net, "--hw", hw, "--hw", other)
    assert "90% interval" in run.out
    assert "not calibrated: small\n" in run.out
    record = json.loads(
        perfsim_cli("compare", net, "--hw", hw, "--hw", other, "--format", "json").out
    )
    ((first, second),) = record["confidence"]
    assert first["interval"]["level"] == 0.9
    assert second["interval"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "hw.ddr_bandwidth=2GB/s"], "another ddr_bandwidth"),
        (["--set", "hw.layer_cost=2us"], "another layer_cost"),
        (["--placement", "pinned"], "placement pinned instead of liveness"),
        (["--timing", "serial"], "timing serial instead of overlap"),
        (["--set", "hw.timing=serial"], "another timing"),
    ],
)
def test_what_is_changed_has_no_interval(perfsim_cli, write, words, said):
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED)
    record = json.loads(perfsim_cli("run", net, "--hw", hw, *words, "--format", "json").out)
    assert record["interval"] is None
    assert any("no interval" in note and said in note for note in record["notes"])
    text = perfsim_cli("run", net, "--hw", hw, *words).out
    assert said in text.replace("\n  ", " ")
    assert "not calibrated" not in text


def test_changes_that_no_time_depends_on_keep_the_interval(write):
    machine = load_hardware(write("cal.yaml", CALIBRATED), description="mine")
    result = simulate(load_network(write("tiny.yaml", TINY)), machine)
    assert confidence_of(result).interval is not None


WIDTHS = CALIBRATED + "  bits: [8]\n  batches: [1]\n"


@pytest.mark.parametrize(
    ("settings", "interval", "notes"),
    [
        ([], True, []),
        (["batch=4"], True, ["measured at a batch of 1, this network has 4"]),
        (
            ["precision.weight=32", "precision.feature_map=32"],
            False,
            ["no interval: measured with 8 bits, this network has 32"],
        ),
        (
            ["precision.weight=4"],
            False,
            ["no interval: measured with 8 bits, this network has 4 and 8"],
        ),
    ],
)
def test_other_widths_have_no_interval_and_other_batches_a_note(
    perfsim_cli, write, settings, interval, notes
):
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", WIDTHS)
    words = [word for setting in settings for word in ("--set", setting)]
    record = json.loads(perfsim_cli("run", net, "--hw", hw, *words, "--format", "json").out)
    assert (record["interval"] is not None) is interval
    found = [note for note in record["notes"] if "MACs" not in note]
    assert found == notes
    text = perfsim_cli("run", net, "--hw", hw, *words).out.replace("\n  ", " ")
    assert all(note in text for note in notes)
    compared = perfsim_cli("compare", net, "--hw", hw, "--hw", "nvdla_2048", *words).out
    assert all(note in compared.replace("\n  ", " ") for note in notes)


def test_biases_of_other_widths_are_not_what_was_multiplied(write):
    """An int8 network keeps its biases in 32 bits: eight of them beside 8 x 3 x 3 x 3 weights."""
    program = lower(load_network(write("tiny.yaml", TINY)))
    layer = program.layers[0]
    (weights,) = layer.weights
    bias = replace(program.tensors[weights], elements=8, bits=32)
    wider = replace(program, tensors=(*program.tensors, bias))
    own = replace(layer, weights=(weights, len(program.tensors)))
    wider = replace(wider, layers=(own, *program.layers[1:]))
    assert operand_bits(wider) == operand_bits(program) == {8}


def test_rows_of_other_widths_have_no_interval(write):
    net = write("tiny.yaml", TINY)
    file = write("m.csv", HEAD + f"{net},,int8,1,0.1,\n{net},,fp32,1,0.1,\n")
    within = validate(file, load_hardware(write("cal.yaml", WIDTHS))).within_interval
    assert [each is None for each in within] == [False, True]


@pytest.mark.parametrize("name", ["kv260_dpu", "stm32n6", "coral_usb", "eyeriss_v1"])
def test_the_calibrated_machines_say_what_their_rows_were(name):
    """The columns of the measurements."""
    calibration = load_hardware(name).extras.calibration
    rows = read_csv(PUBLISHED / "measured" / f"{name}.csv")
    assert {int(row["precision"].strip("intfp")) for row in rows} == set(calibration.bits)
    assert {int(row["batch"]) for row in rows} == set(calibration.batches)


def test_how_far_a_network_lies_from_what_was_measured(write):
    text = CALIBRATED.replace("add, ", "").replace("[9, 9]", "[2, 3]")
    far = text.replace("[100000, 2000000]", "[1000, 30000]")
    network = load_network(write("tiny.yaml", TINY))
    notes = confidence_of(simulate(network, load_hardware(write("far.yaml", far)))).notes
    # 16x16x16x27 + 2 (16x16x16x9 + 16x16x256) + 160 = 315 552 multiply-accumulates, in 9 layers.
    assert [note.split(" (")[0] for note in notes[:1]] == ["not measured: add"]
    assert notes[1].startswith("315,552 MACs: 10.5 times the most that was measured")
    assert notes[2].startswith("9 layers: 3 times the most that was measured (3)")
    small = CALIBRATED.replace("[100000, 2000000]", "[1000000, 2000000]")
    notes = confidence_of(simulate(network, load_hardware(write("s.yaml", small)))).notes
    assert notes == ("315,552 MACs: the least that was measured is 3.17 times that (1 M)",)


@pytest.mark.parametrize(("sram", "near"), [("20 KB", 1), ("22 KB", 1), ("40 KB", 0), ("9 KB", 0)])
def test_a_working_set_near_the_memory(write, sram, near):
    """The middle one of three poolings reads and writes 16 x 16 x 40 bytes: 20480 together; the ends cost nothing."""
    text = (
        "name: chain\ninput: [40, 16, 16]\nprecision: {feature_map: 8, weight: 8}\nlayers:\n"
        + 3 * "  - max_pool: {kernel: 3, stride: 1}\n"
    )
    machine = load_hardware(write("m.yaml", MACHINE), sram=sram)
    result = simulate(load_network(write("c.yaml", text)), machine)
    notes = [note for note in confidence_of(result).notes if "nothing spills" in note]
    assert len(notes) == near, notes


@pytest.mark.parametrize(
    ("sram", "near"), [("300 KB", 0), ("430 KB", 1), ("520 KB", 1), ("700 KB", 0)]
)
def test_weights_near_what_is_left_for_them(write, sram, near):
    """400 KB of weights, and next to nothing else: 320 to 533 KB left for them are within a quarter."""
    text = (
        "name: dense\ninput: [400, 1, 1]\nprecision: {feature_map: 8, weight: 8}\nlayers:\n"
        "  - fully_connected: {units: 500}\n  - fully_connected: {units: 400}\n"
    )
    machine = load_hardware(write("m.yaml", MACHINE + "placement: pinned\n"), sram=sram)
    result = simulate(load_network(write("d.yaml", text)), machine)
    notes = [note for note in confidence_of(result).notes if "left for them" in note]
    assert len(notes) == near, notes


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (str(ERRORS), "[1, -900, 900]", "calibration.log_errors"),
        (str(ERRORS), "[1, 10.1, 0]", "calibration.log_errors"),
        (str(ERRORS), "[0.1, .nan, 0]", "calibration.log_errors"),
        ("[100000, 2000000]", "[2000000, 100000]", "calibration.macs"),
        ("[9, 9]", "[9, 8]", "calibration.layers"),
        ("[ddr_bandwidth]", "[layer_cost, ddr_bandwith]", "did you mean 'ddr_bandwidth'"),
        ("  networks", "  bits: [0]\n  networks", "calibration.bits"),
        ("  networks", "  batches: [0]\n  networks", "calibration.batches"),
    ],
)
def test_a_calibration_that_cannot_be_is_one_error(perfsim_cli, write, right, wrong, said):
    assert CALIBRATED.count(right) == 1
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED.replace(right, wrong))
    run = perfsim_cli("run", net, "--hw", hw)
    assert run.status == 2
    assert said in run.err.replace("\n  ", " ")
    assert run.err.count("error:") == 1


def test_the_largest_errors_still_have_an_interval(perfsim_cli, write):
    net = write("tiny.yaml", TINY)
    hw = write("cal.yaml", CALIBRATED.replace(str(ERRORS), "[-10, 10, 10]"))
    assert perfsim_cli("run", net, "--hw", hw).status == 0


HEAD = "network,set,precision,batch,measured_ms,layer\n"


def test_validate_says_how_many_lie_within(perfsim_cli, write):
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED)
    seconds = simulate(load_network(net), load_hardware(hw)).totals.steady_s
    rows = "".join(
        f"{net},,,{batch},{1000 * factor * time!r},\n"
        for batch, factor, time in [
            (1, 1.02, seconds),
            (2, 2.0, simulate(load_network(net, batch=2), load_hardware(hw)).totals.steady_s),
        ]
    )
    file = write("m.csv", HEAD + rows)
    record = json.loads(perfsim_cli("validate", file, "--hw", hw, "--format", "json").out)
    assert record["within_interval"] == 0.5
    assert [row["within_interval"] for row in record["measurements"]] == [True, False]
    text = perfsim_cli("validate", file, "--hw", hw).out
    assert "50.0% lie within the 90% interval" in text.replace("\n  ", " ")
    assert "outside of its interval" in text
    plain = json.loads(
        perfsim_cli("validate", file, "--hw", write("m.yaml", MACHINE), "--format", "json").out
    )
    assert plain["within_interval"] is None


def test_validate_tells_layers_and_networks_apart(write, perfsim_cli):
    net, hw = write("tiny.yaml", TINY), write("cal.yaml", CALIBRATED)
    columns = simulate(load_network(net), load_hardware(hw)).columns
    layer_ms = 1000 * columns["layer_s"][0]
    rows = (
        f"{net},,,1,{1000 * sum(columns['layer_s']) / 1.1!r},\n{net},,,1,{layer_ms / 1.5!r},stem\n"
    )
    file = write("m.csv", HEAD + rows)
    record = json.loads(perfsim_cli("validate", file, "--hw", hw, "--format", "json").out)
    assert record["networks"]["mape"] == pytest.approx(0.1)
    assert record["layers"]["mape"] == pytest.approx(0.5)
    assert record["mape"] == pytest.approx(0.3)
    # A calibration on networks says nothing of a layer.
    assert validate(file, load_hardware(hw)).within_interval == [False, None]
    of_layers = write("l.yaml", CALIBRATED + "  of_layers: true\n")
    assert validate(file, load_hardware(of_layers)).within_interval == [False, False]
    assert "measured layers" in perfsim_cli("run", net, "--hw", of_layers).out.replace("\n  ", " ")
