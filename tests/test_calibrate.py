"""perfsim calibrate: known numbers are found again, what is not determined stays, nothing wrong is written."""

from __future__ import annotations

import json
import math
import random
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import MACHINE, PUBLISHED, ROOT, TINY

from perfsim import Machine, calibrate, load_hardware, load_network, simulate, validate
from perfsim.calibration_choice import candidates_of
from perfsim.calibration_fit import Parameter, fit
from perfsim.calibration_rows import Rows
from perfsim.calibration_steps import left_out, left_out_chosen, stepwise, typical_error
from perfsim.confidence import spread_of
from perfsim.document import read_document
from perfsim.hardware.profile import stated_numbers
from perfsim.measured import read_measured

# Nothing overlaps: the time is a sum of bytes, multiply-accumulates, layers and inferences, each at its price.
BASE = """\
# A machine to be fitted.
name: truth          # its name
sram: 128 KB
ddr_bandwidth: 2 GB/s
ddr_efficiency: 0.9  # of a data sheet
matrix: 0.2 TFLOPS
vector: 1000 TFLOPS
timing: serial
"""
SETS = [f"width={width} resolution={size}" for width in (0.25, 0.5, 1) for size in (96, 128, 192)]
NETWORKS = [("mobilenet_v1", each) for each in SETS] + [
    ("squeezenet1_1", ""),
    ("resnet18", ""),
    ("lenet5", ""),
]
HEAD = "network,set,precision,batch,measured_ms"


@cache
def counts(network, settings):
    """(bytes over DDR, multiply-accumulates, layers but for views) of a network on a machine: counts, no times."""
    changed = dict(each.split("=") for each in settings.split())
    changed = {key: float(value) if "." in value else int(value) for key, value in changed.items()}
    precision = {"precision.feature_map": 8, "precision.weight": 8}
    result = simulate(load_network(network, **changed, **precision), SMALL)
    layers = sum(op != "flatten" for op in result.columns["op"])
    return result.totals.ddr_bytes, result.totals.macs, layers


def seconds(row, *, efficiency=0.9, layer_cost_s=0.0, inference_cost_s=0.0, flops=0.2e12):
    """The closed form of a time on a machine on which nothing overlaps."""
    moved, macs, layers = row
    return moved / (2e9 * efficiency) + 2 * macs / flops + layers * layer_cost_s + inference_cost_s


def measured_text(times, networks=NETWORKS):
    rows = [
        f"{network},{settings},int8,1,{1000 * time!r}"
        for (network, settings), time in zip(networks, times, strict=True)
    ]
    return "\n".join([HEAD, *rows]) + "\n"


# As far as counts depend on it: a memory of 128 KB.
SMALL = Machine("small", 128_000, 2e9, 0.2e12, 1e15, timing="serial")


@pytest.fixture
def base(write):
    return write("base.yaml", BASE)


@pytest.fixture
def known():
    return [counts(*each) for each in NETWORKS]


def values_of(result):
    return {each.key: each.value for each in result.fitted}


def left_out_errors(result):
    rows = zip(result.measured.measurements, result.left_out_s, strict=True)
    return {row.network: abs(1000 * left_out_s / row.measured_ms - 1) for row, left_out_s in rows}


def test_known_numbers_are_found_again(write, base, known):
    truth = {"efficiency": 0.5, "layer_cost_s": 30e-6, "inference_cost_s": 400e-6}
    file = write("m.csv", measured_text([seconds(row, **truth) for row in known]))
    result = calibrate(file, base, ["layer_cost", "ddr_efficiency", "inference_cost"])
    values = values_of(result)
    assert values["ddr_efficiency"] == pytest.approx(0.5, rel=1e-3)
    assert float(values["layer_cost"].removesuffix(" us")) == pytest.approx(30, rel=1e-3)
    assert float(values["inference_cost"].removesuffix(" us")) == pytest.approx(400, rel=1e-3)
    assert result.after.mape < 1e-3 < result.before.mape
    # Without LeNet, the one small network, the cost of an inference is not known to 50 %.
    assert [name for name, error in left_out_errors(result).items() if error > 1e-3] == ["lenet5"]
    assert not result.frozen
    assert not result.outliers
    fitted = write("fitted.yaml", result.text)
    assert validate(file, load_hardware(fitted)).accuracy.mape < 1e-3


def test_the_rate_of_the_matrix_unit_can_be_fitted_too(write, base, known):
    file = write("m.csv", measured_text([seconds(row, flops=0.05e12) for row in known]))
    result = calibrate(file, base, ["matrix"])
    assert values_of(result) == {"matrix": "50 GFLOPS"}


def test_numbers_that_nothing_depends_on_keep_their_values(write, base, known):
    file = write("m.csv", measured_text([seconds(row, efficiency=0.5) for row in known]))
    result = calibrate(file, base, ["ddr_efficiency", "efficiency.matmul", "vector"])
    assert values_of(result) == {"ddr_efficiency": 0.5}
    assert set(result.frozen) == {"efficiency.matmul", "vector"}
    assert "matmul" not in result.text
    assert "vector: 1000 TFLOPS\n" in result.text


def test_of_two_that_do_the_same_the_later_one_stays(write, base, known):
    file = write("m.csv", measured_text([seconds(row, efficiency=0.5) for row in known]))
    first = calibrate(file, base, ["ddr_efficiency", "ddr_bandwidth"])
    assert values_of(first) == {"ddr_efficiency": 0.5}
    second = calibrate(file, base, ["ddr_bandwidth", "ddr_efficiency"])
    (value,) = values_of(second).values()
    assert float(value.removesuffix(" GB/s")) == pytest.approx(2 * 0.5 / 0.9, rel=1e-3)
    assert set(second.frozen) == {"ddr_efficiency"}


def test_the_choice_finds_the_number_that_is_wrong(write, base, known):
    noise = random.Random(3)
    times = [seconds(row, layer_cost_s=50e-6) * math.exp(noise.gauss(0, 0.01)) for row in known]
    result = calibrate(write("m.csv", measured_text(times)), base)
    assert set(values_of(result)) == {"layer_cost"}
    assert float(values_of(result)["layer_cost"].removesuffix(" us")) == pytest.approx(50, rel=0.05)
    assert result.left_out.mape < 0.03


def test_nothing_is_chosen_where_the_base_is_right(write, base, known):
    noise = random.Random(4)
    times = [seconds(row) * math.exp(noise.gauss(0, 0.03)) for row in known]
    result = calibrate(write("m.csv", measured_text(times)), base)
    assert not result.fitted
    calibration = result.machine.extras.calibration
    expected = [math.log(time / seconds(row)) for time, row in zip(times, known, strict=True)]
    assert calibration.log_errors == pytest.approx(expected, abs=2e-6)
    # All lines of the base are there, comments included, and then what is known of it.
    assert result.text.startswith(BASE + "calibration:\n")


def test_the_size_of_a_cache_is_tried_out(write):
    """With weights that stay, a memory decides how many bytes move; times are steps in it."""
    text = BASE.replace("128 KB", "{}").replace("timing", "placement: pinned\ntiming")
    base = write("base.yaml", text.format("2 MB"))
    truth = load_hardware(write("other.yaml", text.format("5 MB")))
    networks = NETWORKS[6:11]
    times = []
    for name, settings in networks:
        changed = dict(each.split("=") for each in settings.split())
        changed = {key: int(value) for key, value in changed.items()}
        network = load_network(name, **changed, **{"precision": {"feature_map": 8, "weight": 8}})
        times.append(simulate(network, truth).totals.steady_s)
    result = calibrate(write("m.csv", measured_text(times, networks)), base, ["sram"])
    assert result.before.mape > 0.1
    assert result.after.mape < 0.02
    assert 4.5e6 < result.machine.sram_bytes < 5.5e6


def test_a_bad_row_is_pointed_at_and_moves_little(perfsim_cli, write, base, known):
    noise = random.Random(5)
    times = [seconds(row, efficiency=0.5) * math.exp(noise.gauss(0, 0.01)) for row in known]
    times[4] *= 3
    file = write("m.csv", measured_text(times))
    run = perfsim_cli("calibrate", file, "--hw", base, "-o", "f.yaml", "--fit", "ddr_efficiency")
    assert run.status == 0, run.err
    assert "m.csv:6: mobilenet_v1 does not fit" in run.out.replace("\n  ", " ")
    assert run.out.count("does not fit") == 1
    value = load_hardware("f.yaml").extras.ddr_efficiency
    assert value == pytest.approx(0.5, rel=0.02)
    record = json.loads(
        perfsim_cli(
            *("calibrate", file, "--hw", base, "-o", "f.yaml", "--fit", "ddr_efficiency"),
            *("--format", "json"),
        ).out
    )
    assert record["outliers"] == [f"{file}:6"]
    assert record["fitted"][0]["key"] == "ddr_efficiency"
    assert record["fitted"][0]["before"] == 0.9
    assert record["leave_one_out"]["rows"] == len(NETWORKS)
    assert len(record["measurements"]) == len(NETWORKS)


def test_layers_are_fitted_and_totals_are_judged(write):
    """Rows of layers and of the whole in one file, as `perfsim measure` writes it."""
    net = write("tiny.yaml", TINY)
    base = write("base.yaml", MACHINE)
    columns = simulate(load_network(net), load_hardware(base)).columns
    cost_s = 3e-6
    rows = [
        f"{net},,,1,{1000 * (layer_s + cost_s)!r},{name}"
        for name, layer_s in zip(columns["name"], columns["layer_s"], strict=True)
    ]
    whole = 1000 * (sum(columns["layer_s"]) + len(rows) * cost_s)
    text = "\n".join([f"{HEAD},layer", *rows, f"{net},,,1,{1.25 * whole!r},"]) + "\n"
    result = calibrate(write("m.csv", text), base, ["layer_cost"])
    assert values_of(result) == {"layer_cost": "3 us"}
    assert len(result.rows) == len(rows)
    assert result.networks_after.rows == 1
    assert result.networks_after.mape == pytest.approx(0.2, rel=1e-3)
    calibration = result.machine.extras.calibration
    assert calibration.of_layers
    assert calibration.layers is None
    assert calibration.macs == (min(columns["macs"]), max(columns["macs"]))


def test_a_bad_row_is_left_out_and_its_error_counts(write, base, known):
    """The numbers are those of the file without the row, and so is what the row is predicted to take."""
    noise = random.Random(5)
    times = [seconds(row, efficiency=0.5) * math.exp(noise.gauss(0, 0.02)) for row in known]
    some = [row for row in range(len(known)) if row != 4]
    clean = write(
        "c.csv", measured_text([times[row] for row in some], [NETWORKS[row] for row in some])
    )
    expected = calibrate(clean, base, ["ddr_efficiency", "layer_cost"])
    times[4] *= 3
    result = calibrate(write("m.csv", measured_text(times)), base, ["ddr_efficiency", "layer_cost"])
    assert values_of(result) == values_of(expected)
    assert (list(result.outliers), list(result.fitted_rows)) == ([4], some)
    errors = result.machine.extras.calibration.log_errors
    assert [errors[row] for row in some] == list(expected.machine.extras.calibration.log_errors)
    predicted = seconds(known[4], **with_costs(expected.machine))
    assert errors[4] == pytest.approx(math.log(times[4] / predicted), abs=1e-3)
    assert result.left_out.rows == 12
    assert result.after.rows == 11
    assert result.machine.extras.calibration.source == "11 of 12 rows of m.csv"


def test_many_rows_that_do_not_fit_are_not_left_out(write, base, known):
    """Two of twelve are more than one of ten: then it may be the machine."""
    times = [seconds(row, efficiency=0.5) for row in known]
    times[4] *= 3
    times[7] *= 3
    result = calibrate(write("m.csv", measured_text(times)), base, ["ddr_efficiency"])
    assert list(result.outliers) == [4, 7]
    assert list(result.fitted_rows) == list(range(12))
    assert result.machine.extras.calibration.source == "12 rows of m.csv"


def test_the_published_numbers_of_a_board_are_found_without_its_bad_row(write):
    """From the data sheet's numbers; those of the 15 rows without squeezenet1_0 are what the bundled file states."""
    bundled = yaml.safe_load((ROOT / "hardware_profiles" / "stm32n6.yaml").read_text())
    wanted = {key: bundled[key]["bandwidth"] for key in ("weight_memory", "stream")}
    depthwise = bundled.pop("compression")["weight"]["depthwise"]
    del bundled["calibration"]
    bundled |= {"weight_memory": {"bandwidth": "333 MB/s"}, "stream": {"bandwidth": "6.4 GB/s"}}
    keys = ["weight_memory.bandwidth", "stream.bandwidth", "compression.weight.depthwise"]
    file = PUBLISHED / "measured" / "stm32n6.csv"
    result = calibrate(file, write("sheet.yaml", yaml.safe_dump(bundled)), keys)
    found = values_of(result)
    assert found == {
        keys[0]: wanted["weight_memory"],
        keys[1]: wanted["stream"],
        keys[2]: depthwise,
    }
    assert [result.measured.measurements[row].network for row in result.outliers] == [
        "squeezenet1_0"
    ]


def test_rows_of_several_files_are_fitted_together(perfsim_cli, write, base, known):
    times = [seconds(row, efficiency=0.5, layer_cost_s=30e-6) for row in known]
    files = [
        write(f"{name}.csv", measured_text(times[part], NETWORKS[part]))
        for name, part in (("a", slice(0, 5)), ("b", slice(5, None)))
    ]
    together = calibrate(
        write("m.csv", measured_text(times)), base, ["ddr_efficiency", "layer_cost"]
    )
    result = calibrate(files, base, ["ddr_efficiency", "layer_cost"])
    assert values_of(result) == values_of(together)
    assert result.machine.extras.calibration.source == "12 rows of a.csv, b.csv"
    words = ("--hw", base, "-o", "f.yaml", "--fit", "ddr_efficiency,layer_cost", "--quiet")
    assert perfsim_cli("calibrate", *files, *words).status == 0
    assert Path("f.yaml").read_text() == result.text


def test_a_row_with_further_layers_is_fitted_as_their_sum(write):
    net = write("tiny.yaml", TINY)
    base = write("base.yaml", MACHINE)
    columns = simulate(load_network(net), load_hardware(base)).columns
    names, layer_s = columns["name"], columns["layer_s"]
    cost_s = 3e-6
    rows = [f"{net},,,1,{1000 * (layer_s[0] + layer_s[1] + 2 * cost_s)!r},{names[0]},{names[1]}"]
    rows += [
        f"{net},,,1,{1000 * (one_s + cost_s)!r},{name},"
        for name, one_s in zip(names[2:], layer_s[2:], strict=True)
    ]
    text = "\n".join([f"{HEAD},layer,with", *rows]) + "\n"
    result = calibrate(write("m.csv", text), base, ["layer_cost"])
    assert values_of(result) == {"layer_cost": "3 us"}
    assert result.after.mape < 1e-6
    assert not result.outliers
    assert set(result.machine.extras.calibration.operators) == set(columns["op"])


def test_what_was_fitted_on_is_in_the_file(write, base, known):
    file = write("m.csv", measured_text([seconds(row, efficiency=0.5) for row in known]))
    result = calibrate(file, base, ["ddr_efficiency"])
    calibration = load_hardware(write("f.yaml", result.text)).extras.calibration
    assert calibration.source == "12 rows of m.csv"
    assert calibration.fitted == ("ddr_efficiency",)
    assert len(calibration.log_errors) == 12
    assert (calibration.bits, calibration.batches) == ((8,), (1,))
    assert calibration.networks[0] == "mobilenet_v1 width=0.25 resolution=96"
    assert {"conv", "depthwise_conv", "max_pool"} <= set(calibration.operators)
    assert calibration.macs == (min(row[1] for row in known), max(row[1] for row in known))
    assert calibration.layers == (min(row[2] for row in known), max(row[2] for row in known))
    assert "ddr_efficiency: 0.5  # calibrated; was 0.9: of a data sheet" in result.text
    # It can be fitted again, from its own numbers; the old record goes.
    again = calibrate(file, write("g.yaml", result.text), ["layer_cost"])
    assert again.text.count("calibration:") == 1


def test_nested_keys_are_replaced_in_place_or_written_anew(write, known, base):
    file = write("m.csv", measured_text([seconds(row, efficiency=0.5) for row in known]))
    nested = BASE.replace("ddr_efficiency: 0.9  # of a data sheet\n", "") + (
        "efficiency:  # shares\n  conv: 0.9  # guess\n  depthwise: 0.8\n"
    )
    text = calibrate(file, write("n.yaml", nested), ["efficiency.conv"]).text
    assert "efficiency:  # shares\n  conv: " in text
    assert "; was 0.9: guess\n  depthwise: 0.8\n" in text
    flow = nested.split("efficiency:")[0] + "efficiency: {conv: 0.9, depthwise: 0.8}\n"
    text = calibrate(file, write("o.yaml", flow), ["efficiency.conv"]).text
    assert "efficiency:\n  conv: " in text
    braces = "{name: b, sram: 128 KB, ddr_bandwidth: 2 GB/s, matrix: 0.2 TFLOPS, vector: 9 TFLOPS}"
    result = calibrate(file, write("p.yaml", braces), ["ddr_bandwidth"])
    machine = load_hardware(write("q.yaml", result.text))
    assert machine.sram_bytes == 128_000
    assert machine.ddr_bytes_per_s == result.machine.ddr_bytes_per_s != 2e9


@pytest.mark.parametrize(
    ("name", "timing"),
    [
        *(("kv260_dpu", timing) for timing in ("serial", "overlap", "pipelined")),
        *(("stm32n6", "overlap"), ("coral_usb", "serial"), ("eyeriss_v1", "serial")),
        ("nvdla_2048", "pipelined"),
    ],
)
def test_rows_predict_what_a_run_predicts(name, timing):
    """All networks at once in one kernel, against one run each: the same additions in the same order."""
    file = PUBLISHED / "measured" / f"{'stm32n6' if name != 'eyeriss_v1' else name}.csv"
    machine = load_hardware(name, timing=timing)
    measured = read_measured(file)
    found = Rows(measured, machine).predicted_s(machine)
    assert (1000 * found).tolist() == list(validate(file, machine).predicted_ms)


def is_rounded(values, order):
    """Whether adding them one after the other rounds otherwise than the exact sum does."""
    return sum_in_order(values, order) != math.fsum(values[each] for each in order)


def sum_in_order(values, order):
    found = 0.0
    for each in order:
        found += values[each]
    return found


def test_rows_of_several_layers_are_added_in_their_order(write):
    """As written out: ((a + b) + c) + d, which another order of the additions does not give on these layers."""
    net, base = write("tiny.yaml", TINY), write("base.yaml", MACHINE)
    machine = load_hardware(base)
    columns = simulate(load_network(net), machine).columns
    layer_s = [float(each) for each in columns["layer_s"]]
    orders = permutations(range(9), 5)
    rows = [next(list(order) for order in orders if is_rounded(layer_s, order)), [8], [2, 5, 6]]
    names = [[columns["name"][each] for each in row] for row in rows]
    lines = [
        f"{net},,,1,{number + 1},{first},{' '.join(more)}"
        for number, (first, *more) in enumerate(names)
    ]
    file = write("m.csv", "\n".join([f"{HEAD},layer,with", *lines]) + "\n")
    expected = [sum_in_order(layer_s, row) for row in rows]
    assert Rows(read_measured(file), machine).predicted_s(machine).tolist() == expected
    assert list(validate(file, machine).predicted_ms) == [1000 * each for each in expected]


def test_intervals_hold_what_they_promise(write, base, known):
    """90 % intervals of fits to 8 noisy rows, on the rows that were not fitted, over many draws of the noise."""
    noise = random.Random(11)
    inside = total = 0
    for draw in range(8):
        order = list(range(len(NETWORKS)))
        noise.shuffle(order)
        times = [
            seconds(row, efficiency=0.5, layer_cost_s=30e-6) * math.exp(noise.gauss(0, 0.08))
            for row in known
        ]
        some = order[:9]
        file = write(
            f"m{draw}.csv",
            measured_text([times[row] for row in some], [NETWORKS[row] for row in some]),
        )
        result = calibrate(file, base, ["ddr_efficiency", "layer_cost"])
        spread = spread_of(result.machine.extras.calibration)
        costs = with_costs(result.machine)
        for row in range(len(NETWORKS)):
            predicted = seconds(known[row], **costs)
            fresh = seconds(known[row], efficiency=0.5, layer_cost_s=30e-6)
            for _ in range(8):
                value = fresh * math.exp(noise.gauss(0, 0.08))
                inside += spread.low * predicted <= value <= spread.high * predicted
                total += 1
    assert 0.8 <= inside / total <= 0.97, inside / total


def with_costs(machine):
    return {
        "efficiency": machine.extras.ddr_efficiency,
        "layer_cost_s": machine.extras.layer_cost_s or 0.0,
    }


WRONG = [
    (["--fit", "layer_cots"], "unknown number of a machine 'layer_cots'", "layer_cost"),
    (["--fit", ""], "found no name", ""),
    (["--fit", "layer_cost,layer_cost"], "'layer_cost' is named twice", ""),
    (["--fit", "energy.mac"], "no time depends on 'energy.mac'", ""),
    (["--fit", "array.rows"], "whole number", ""),
    (["--fit", "clock"], "does not state 'clock'", ""),
    (["--fit", "sram,ddr_burst"], "one size at a time", ""),
    (["--fit", "layer_cost,ddr_efficiency,inference_cost"], "3 numbers to fit and 3 rows", ""),
    (["--fit", "stream.bandwidth,stream.read_bandwidth"], "stream", ""),
    (["-o", "f.txt"], "the suffix '.txt'", ""),
    (["-o", "no/f.yaml"], "the folder 'no' does not exist", ""),
    (["-o", "base.yaml"], "would overwrite the input", ""),
    (["--hw", "nvdla_2048"], "found 2 machines", ""),
]


@pytest.mark.parametrize("some", [1, 2])
def test_fewer_than_three_rows_are_not_fitted(perfsim_cli, write, base, known, some, tmp_path):
    times = [seconds(row) for row in known[:some]]
    file = write("m.csv", measured_text(times, NETWORKS[:some]))
    for words in ([], ["--fit", "layer_cost"]):
        run = perfsim_cli("calibrate", file, "--hw", base, "-o", "f.yaml", *words)
        rows = "1 row" if some == 1 else "2 rows"
        said = f"error: {file}: found {rows} to fit, expected 3 rows or more\n"
        assert (run.status, run.out, run.err) == (2, "", said)
        assert not (tmp_path / "f.yaml").exists()


@pytest.mark.parametrize(("words", "said", "nearest"), WRONG)
def test_wrong_requests(perfsim_cli, write, base, known, words, said, nearest, tmp_path):
    file = write("m.csv", measured_text([seconds(row) for row in known[:3]], NETWORKS[:3]))
    before = sorted(path.name for path in tmp_path.iterdir())
    words = ["calibrate", file, "--hw", base, *([] if "-o" in words else ["-o", "f.yaml"]), *words]
    run = perfsim_cli(*words)
    assert run.status == 2
    assert said in run.err
    assert f"did you mean '{nearest}'" in run.err or not nearest
    assert "Traceback" not in run.err
    assert run.err.count("error:") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("mobilenet_v9,,int8,1,5", "m.csv:5: network: unknown network 'mobilenet_v9'"),
        ("resnet50,,int8,1,0", "m.csv:5: measured_ms: found '0'"),
        ("resnet50,,int8,1,-3", "m.csv:5: measured_ms: found '-3'"),
        ("resnet50,,int8,1,fast", "m.csv:5: measured_ms: found 'fast'"),
        ("resnet50,,int8,1,1e12", "m.csv:5: measured_ms: no machine is so far"),
        ("mobilenet_v1,width=0.25 resolution=96,int8,1,7", "stands at line 2 too"),
        ("resnet50,depth=3,int8,1,7", "m.csv:5: set"),
    ],
)
def test_wrong_rows(perfsim_cli, write, base, known, row, said):
    text = measured_text([seconds(each) for each in known[:3]], NETWORKS[:3])
    file = write("m.csv", text + row + "\n")
    run = perfsim_cli("calibrate", file, "--hw", base, "-o", "f.yaml")
    assert run.status == 2
    assert said in run.err
    assert not Path("f.yaml").exists()


def test_a_layer_that_takes_no_time_cannot_be_fitted(perfsim_cli, write, base):
    net = write(
        "view.yaml",
        "name: v\ninput: [3, 8, 8]\nlayers:\n  - conv: {channels: 4, kernel: 3}\n"
        "  - flatten: {name: flat}\n  - fully_connected: {units: 3}\n",
    )
    rows = f"{HEAD},layer\n{net},,,1,1,conv1\n{net},,,1,1,flat\n"
    run = perfsim_cli("calibrate", write("m.csv", rows), "--hw", base, "-o", "f.yaml")
    assert run.status == 2
    assert "takes no time" in run.err or "flat" in run.err
    assert not Path("f.yaml").exists()


def test_a_row_is_left_out_of_the_fit_that_predicts_it():
    """One factor for all rows: without row i its mean is that of the others, so the residual is r n / (n - 1)."""
    logarithms = np.array([0.001, -0.002, 0.0005, 0.003, -0.0001])
    parameters = [Parameter("factor", 1.0, 0.01, 100.0)]

    def residuals(values):
        return np.log(values.get("factor", 1.0)) + logarithms

    whole = fit(residuals, parameters)
    own = logarithms - logarithms.mean()
    assert whole.residuals == pytest.approx(own, abs=1e-6)
    assert left_out(residuals, parameters).residuals == pytest.approx(own * 5 / 4, abs=1e-6)
    # sigma / sqrt(n), with the least noise of a percent
    assert whole.relative_errors["factor"] == pytest.approx(0.01 / math.sqrt(5), rel=1e-3)


def test_a_number_that_one_row_alone_determines_is_not_known_without_it():
    """Six networks, one of them with depthwise layers: without it their efficiency is what the base says, not 0.2."""
    truth, common = math.log(0.2), math.log(0.7)
    touched = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    noise = np.array([0.01, -0.02, 0.02, -0.01, 0.0, 0.0])

    def residuals(values):
        own, shared = math.log(values.get("own", 1.0)), math.log(values.get("shared", 1.0))
        return shared - common + touched * (own - truth) + noise

    parameters = [Parameter("shared", 1.0, 0.01, 100.0), Parameter("own", 1.0, 0.01, 100.0)]
    found = left_out(residuals, parameters).residuals
    others = noise[:5]
    # The mean of the other four or five is the shared number; nothing but the base is known of the own one.
    without = others - (others.sum() - others) / 4
    assert found[:5] == pytest.approx(without, abs=1e-4)
    assert found[5] == pytest.approx(-truth - others.mean(), abs=1e-4)


def test_a_network_that_alone_has_depthwise_layers_is_predicted_by_the_base(write, base):
    """As above with files: the rate of depthwise layers is a fiftieth of the base's, and one row has some."""
    names = ("lenet5", "squeezenet1_1", "resnet18", "vgg11", "mobilenet_v1", "resnet34")
    networks = [(name, "") for name in names]
    other = load_hardware(base, ddr_efficiency=0.5, efficiency={"depthwise": 0.02})
    sheet = load_hardware(base, ddr_efficiency=0.5)
    bits = {"precision": {"feature_map": 8, "weight": 8}}
    loaded = [load_network(name, **bits) for name, _ in networks]
    times = [simulate(each, other).totals.steady_s for each in loaded]
    file = write("m.csv", measured_text(times, networks))
    result = calibrate(file, base, ["ddr_efficiency", "efficiency.depthwise"])
    assert values_of(result) == {"ddr_efficiency": 0.5, "efficiency.depthwise": 0.02}
    expected = [0.0] * 6
    expected[4] = math.log(times[4] / simulate(loaded[4], sheet).totals.steady_s)
    assert expected[4] > 0.1
    assert result.machine.extras.calibration.log_errors == pytest.approx(expected, abs=1e-4)


def test_a_choice_does_not_see_the_row_that_it_predicts():
    """A number that one row alone depends on explains that row, and nothing of it when the row is left out."""
    base = np.array([0.01, -0.01, 0.5, 0.01, -0.01, 0.01, -0.01])
    touched = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0])

    def residuals(values):
        return base + touched * np.log(values.get("own", 1.0))

    found = left_out_chosen(residuals, [Parameter("own", 1.0, 0.01, 100.0)], 1).residuals
    assert found == pytest.approx(base)


ROWS = np.array([0.3, 0.28, 0.31, 0.33, 0.29, 0.3, 0.27, 0.31, 0.32, 0.29])


def test_a_row_that_does_not_fit_does_not_decide_what_is_chosen():
    """All rows are 30 % slow, which a number for all mends; a second one would mend the last row, eight times off."""
    far = np.array([0.0] * 9 + [2.0])

    def residuals(values):
        common, own = (math.log(values.get(key, 1.0)) for key in ("common", "own"))
        return ROWS + far + common + (far > 0) * own

    candidates = [Parameter(key, 1.0, 1e-3, 1e3) for key in ("own", "common")]
    found = stepwise(residuals, candidates, 2)
    assert list(found.values) == ["common"]
    assert found.values["common"] == pytest.approx(math.exp(-0.3), rel=0.02)


def test_the_typical_error_is_of_rows_left_out():
    """One number for all: r n / (n - 1) to first order. None that a row has alone."""

    def common(values):
        return ROWS + math.log(values.get("common", 1.0))

    own = abs(ROWS - ROWS.mean()) * 10 / 9
    parameters = [Parameter("common", 1.0, 1e-3, 1e3)]
    limited = (own.sum() - own.max()) / 9  # one of ten may be an outlier
    # The loss is not quite quadratic at a tenth of its scale: the rows have nearly equal weights.
    assert typical_error(common, parameters, fit(common, parameters)) == pytest.approx(
        limited, rel=0.01
    )

    def alone(values):
        return ROWS + np.eye(10)[9] * math.log(values.get("own", 1.0))

    parameters = [Parameter("own", 1.0, 1e-3, 1e3)]
    found = fit(alone, parameters)
    assert abs(found.residuals[9]) < 1e-6
    assert typical_error(alone, parameters, found) == math.inf


def test_a_number_that_would_have_to_be_absurd_is_not_chosen():
    def residuals(values):
        return ROWS + 4 + math.log(values.get("rate", 1.0))

    assert not stepwise(residuals, [Parameter("rate", 1.0, 1e-3, 1e3, within=10.0)], 1).values
    free = stepwise(residuals, [Parameter("rate", 1.0, 1e-3, 1e3)], 1)
    assert free.values["rate"] == pytest.approx(math.exp(-4.3), rel=0.02)


@pytest.mark.thorough
def test_the_choice_on_a_board_with_a_bad_row(write):
    """The data sheet's numbers and all 16 rows: the internal memory is what is slow, and squeezenet1_0 does not fit."""
    bundled = yaml.safe_load((ROOT / "hardware_profiles" / "stm32n6.yaml").read_text())
    del bundled["calibration"], bundled["compression"]
    bundled |= {"weight_memory": {"bandwidth": "333 MB/s"}, "stream": {"bandwidth": "6.4 GB/s"}}
    file = PUBLISHED / "measured" / "stm32n6.csv"
    result = calibrate(file, write("sheet.yaml", yaml.safe_dump(bundled)))
    assert set(values_of(result)) == {"stream.bandwidth"}
    assert [result.measured.measurements[row].network for row in result.outliers] == [
        "squeezenet1_0"
    ]
    fitted = [
        abs(result.after_s[row] / (result.measured.measurements[row].measured_ms / 1000) - 1)
        for row in result.fitted_rows
    ]
    assert sum(fitted) / 15 < 0.07


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("ddr_efficiency: 0.9", {"ddr_efficiency"}),
        ("", {"ddr_efficiency", "ddr_bandwidth"}),
    ],
)
def test_the_bandwidth_is_a_candidate_where_no_share_of_it_is_stated(write, line, candidates):
    text = BASE.replace("ddr_efficiency: 0.9  # of a data sheet", line)
    path = Path(write("b.yaml", text))
    document = read_document(path)
    found = candidates_of(document, path, stated_numbers(document))
    assert {each.key for each in found if each.key.startswith("ddr_")} == candidates
    factors = {each.key: each.within for each in found}
    assert factors["vector"] == factors["efficiency.conv"] == 10
    assert factors["layer_cost"] == factors["stream.bandwidth"] == math.inf


def test_rows_of_a_group_are_predicted_by_the_other_groups():
    """One number for all, two networks: each is predicted by the mean of the other, whatever its own rows say."""
    rows = np.array([0.01, -0.02, 0.0, 0.03, 0.02, 0.01])
    groups = np.array([7, 7, 7, 3, 3, 3])

    def residuals(values):
        own = math.log(values.get("own", 1.0))
        return rows + math.log(values.get("factor", 1.0)) + (groups == 7) * own

    factor, own = (Parameter(key, 1.0, 0.01, 100.0) for key in ("factor", "own"))
    unseen = left_out(residuals, [factor], groups)
    expected = np.where(groups == 7, rows - rows[3:].mean(), rows - rows[:3].mean())
    assert unseen.residuals == pytest.approx(expected, abs=1e-4)
    assert unseen.always == {"factor"}
    # What one network alone determines is not known of it; without the other one, two numbers do the same.
    assert left_out(residuals, [factor, own], groups).always == {"factor"}
    one = np.full(6, 7)
    alone = left_out(residuals, [factor], one).residuals
    assert alone == pytest.approx(left_out(residuals, [factor]).residuals)


def test_layers_of_a_network_are_predicted_without_all_of_it(write):
    """A cost of 3 us a layer on one network and 5 us on another one: each is predicted with the other's."""
    base, lines, times = write("base.yaml", MACHINE), [], []
    machine = load_hardware(base)
    for name, cost_s in (("one", 3e-6), ("two", 5e-6)):
        net = write(f"{name}.yaml", TINY.replace("name: tiny", f"name: {name}"))
        columns = simulate(load_network(net), machine).columns
        pairs = list(zip(columns["name"], columns["layer_s"], strict=True))
        lines += [f"{net},,,1,{1000 * (layer_s + cost_s)!r},{layer}" for layer, layer_s in pairs]
        times += [(layer_s, cost_s) for _, layer_s in pairs]
    file = write("m.csv", "\n".join([f"{HEAD},layer", *lines]) + "\n")
    result = calibrate(file, base, ["layer_cost"])
    expected = [
        math.log((layer_s + cost_s) / (layer_s + 8e-6 - cost_s)) for layer_s, cost_s in times
    ]
    calibration = result.machine.extras.calibration
    assert calibration.log_errors == pytest.approx(expected, abs=1e-4)
    assert "each network's predicted without all of them" in calibration.source


def test_numbers_that_were_fitted_before_are_pointed_at(perfsim_cli, write, base, known):
    """LeNet alone of twelve networks tells what an inference costs: the base's number is from the row left out."""
    truth = {"efficiency": 0.5, "layer_cost_s": 30e-6, "inference_cost_s": 400e-6}
    file = write("m.csv", measured_text([seconds(row, **truth) for row in known]))
    keys = ["layer_cost", "ddr_efficiency", "inference_cost"]
    first = calibrate(file, base, keys)
    assert first.warnings == []
    fitted = write("f.yaml", first.text)
    again = calibrate(file, fitted, keys)
    assert again.fitted_before == ["inference_cost"]
    kept = calibrate(file, fitted, ["vector"])
    assert kept.fitted_before == keys
    run = perfsim_cli("calibrate", file, "--hw", fitted, "-o", "g.yaml", "--fit", "vector")
    assert "ddr_efficiency, inference_cost: fitted before" in run.err.replace("\n  ", " ")
    assert run.status == 0
