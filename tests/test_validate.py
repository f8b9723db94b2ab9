"""Predictions beside measurements: the statistics by hand, which layer a row is of, the command, wrong input."""

from __future__ import annotations

import json
import math
import random

import pytest
from conftest import PUBLISHED, ROOT, read_csv
from scipy.stats import spearmanr

from perfsim import (
    InputError,
    UnknownNameError,
    accuracy,
    load_hardware,
    load_network,
    simulate,
    validate,
)
from perfsim.accuracy import accuracy_of, rank_correlation

MEASURED = PUBLISHED / "measured"
HEAD = "network,set,precision,batch,measured_ms\n"

DENSE = """\
name: dense
input: [1000]
classes: 1000
layers:
  - fully_connected: {name: fc, units: $classes, bias: false}
"""

MACHINE = """\
name: round
sram: 4 MB
ddr_bandwidth: 1 GB/s
matrix: 10 TFLOPS
vector: 10 GFLOPS
"""

# One product of 1000 x 1000 at 8 bits: 10^6 + 2000 bytes at 1 GB/s are 1.002 ms, 2 x 10^6 FLOP at 10 TFLOPS are 0.2 us.
# With 500 outputs, 16 bits and a batch of four: 10^6 bytes of weights, 8000 read, 4000 written: 1.012 ms.
FULL_MS, HALF_MS = 1.002, 1.012


@pytest.fixture
def measured(write):
    """A file of measurements of the network above, beside it and a machine."""
    write("dense.yaml", DENSE)
    write("round.yaml", MACHINE)
    return lambda rows, head=HEAD: write("measured.csv", head + rows)


@pytest.fixture
def machine(write):
    return load_hardware(write("round.yaml", MACHINE))


# Statistics


def test_the_statistics_of_three_rows_by_hand():
    accuracy = accuracy_of([1.0, 3.0, 4.0], [4.0, 2.0, 5.0])  # errors -3/4, +1/2, -1/5
    assert accuracy.rows == 3
    assert accuracy.mape == pytest.approx((0.75 + 0.5 + 0.2) / 3, rel=1e-15)
    assert accuracy.median == 0.5
    assert accuracy.worst == -0.75
    assert accuracy.bias == pytest.approx((-0.75 + 0.5 - 0.2) / 3, rel=1e-15)
    assert accuracy.rank_correlation == 0.5  # ranks 1 2 3 and 2 1 3: 1 - 6 (1 + 1) / (3 x 8)


def test_the_median_of_an_even_number_is_the_mean_of_the_two_in_the_middle():
    assert accuracy_of([1.0, 3.0, 2.5, 8.0], [2.0] * 4).median == 0.5  # 0.5, 0.5, 0.25, 3
    assert accuracy_of([1.0, 2.5], [2.0, 2.0]).median == 0.375


def test_equal_values_share_the_mean_of_their_ranks():
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: deviations give 4.5 / sqrt(4.5 x 5).
    assert rank_correlation([7, 8, 8, 9], [1, 2, 3, 4]) == pytest.approx(math.sqrt(0.9), rel=1e-15)
    assert rank_correlation([5, 5, 6], [2, 2, 1]) == -1
    assert rank_correlation([1, 10, 100], [2, 3, 4]) == 1
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None
    assert rank_correlation([1], [2]) is None


def test_the_rank_correlation_is_scipy_s():
    numbers = random.Random(5)
    for size in (2, 3, 5, 10, 40):
        for _ in range(10):
            one, other = (
                [numbers.randint(0, size) for _ in range(size - 1)] + [99] for _ in range(2)
            )
            if min(len(set(one)), len(set(other))) > 1:
                assert rank_correlation(one, other) == pytest.approx(
                    spearmanr(one, other).statistic, abs=1e-12
                )


# What is predicted


def test_the_steady_time_is_compared(perfsim_cli, measured, machine):
    file = measured("dense.yaml,,int8,1,2\ndense.yaml,classes=500,16 bit,4,0.5\n")
    first = validate(file, machine)
    assert first.predicted_ms == pytest.approx([FULL_MS, HALF_MS], rel=1e-12)
    assert first.errors == pytest.approx([-0.499, 1.024], rel=1e-12)
    pinned = validate(file, machine, "pinned")  # the 10^6 bytes of weights stay
    assert pinned.predicted_ms == pytest.approx([0.002, 0.012], rel=1e-12)
    serial = validate(file, machine, timing="serial")
    assert serial.predicted_ms == pytest.approx([FULL_MS + 2e-4, HALF_MS + 4e-4], rel=1e-12)


def test_precision_may_be_that_of_the_network_or_of_set(perfsim_cli, measured, machine):
    rows = [
        "dense.yaml,,,1,1",
        "dense.yaml,,fp32,1,1",
        "dense.yaml,precision.weight=4,,1,1",
        "dense.yaml,,4-bit,1,1",
    ]
    predicted_ms = validate(measured("\n".join(rows)), machine).predicted_ms
    assert predicted_ms == pytest.approx([FULL_MS, 4 * FULL_MS, 0.502, FULL_MS / 2], rel=1e-12)


def test_the_table_has_the_file_s_columns_and_what_was_computed(perfsim_cli, measured, machine):
    head = "note,batch,set,network,precision,measured_ms,boards\n"
    file = measured('"a, b",1,,dense.yaml,int8,2.004,3\n', head)
    table = validate(file, machine).table
    known = ["network", "set", "precision", "batch", "measured_ms", "predicted_ms", "error"]
    assert list(table.columns) == [*known, "note", "boards"]
    row = table.iloc[0]
    assert (row["note"], row["boards"], row["batch"], row["measured_ms"]) == ("a, b", "3", 1, 2.004)
    assert row["error"] == pytest.approx(-0.5, rel=1e-12)


def test_what_was_written_can_be_compared_again(perfsim_cli, measured, tmp_path):
    measured("dense.yaml,,int8,1,2\n")
    assert perfsim_cli("validate", "measured.csv", "--hw", "round.yaml", "-o", "a.csv").status == 0
    faster = ("--hw", "round.yaml", "--set", "hw.ddr_bandwidth=2GB/s")
    assert perfsim_cli("validate", "a.csv", *faster, "-o", "b.csv").status == 0
    (one,), (other,) = read_csv(tmp_path / "a.csv"), read_csv(tmp_path / "b.csv")
    assert list(one) == list(other)
    assert float(one["predicted_ms"]) == pytest.approx(FULL_MS, rel=1e-12)
    assert float(other["predicted_ms"]) == pytest.approx(FULL_MS / 2, rel=1e-12)


# Rows of one layer


def test_each_convolution_of_eyeriss_is_the_layer_with_the_published_macs():
    """The published file says how many MACs an image needs in the layer that was measured."""
    file = MEASURED / "eyeriss_v1.csv"
    rows = read_csv(file)
    machine = load_hardware("nvdla_2048")
    validation = validate(file, machine)
    assert len(rows) == len(validation.names) == 7
    for row, name, predicted_ms in zip(
        rows, validation.names, validation.predicted_ms, strict=True
    ):
        batch = int(row["batch"])
        settings = {"resolution": 227} if row["set"] else {}
        network = load_network(row["network"], batch=batch, **settings)
        bits = {"feature_map": 16, "weight": 16}
        table = simulate(
            load_network(row["network"], batch=batch, precision=bits, **settings), machine
        ).table.set_index("name")
        assert table.loc[name, "macs"] == batch * int(row["macs_per_image"])
        assert predicted_ms == pytest.approx(1000 * table.loc[name, "layer_s"], rel=1e-12)
        assert network.name == row["network"]
    assert validation.names[:5] == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    assert list(validation.table["layer"]) == [row["layer"] for row in rows]


LAYERS = """\
name: three
input: [4, 10, 10]
layers:
  - conv: {name: a, channels: 4, kernel: 1, activation: relu}
  - max_pool: {kernel: 2, stride: 2}
  - depthwise_conv: {name: b, kernel: 3}
  - conv_transpose: {name: c, channels: 2, kernel: 2, stride: 2}
  - fully_connected: {name: d, units: 3}
"""


def test_a_row_is_of_a_convolution_or_a_layer_or_the_network(perfsim_cli, write, machine):
    write("three.yaml", LAYERS)
    head = "network,set,precision,batch,convolution,layer,measured_ms\n"
    chosen = [
        ("1", ""),
        ("2", ""),
        ("3", "a label"),
        ("", "d"),
        ("", "2"),
        ("", "a.relu"),
        ("", ""),
    ]
    rows = [f"three.yaml,,int8,1,{number},{layer},1" for number, layer in chosen]
    validation = validate(write("m.csv", head + "\n".join(rows)), machine)
    assert validation.names == ["a", "b", "c", "d", "max_pool_1", "a", None]
    table = simulate(load_network("three.yaml"), machine).table.set_index("name")
    expected = [table.loc[name, "layer_s"] for name in validation.names[:-1]]
    assert validation.predicted_ms[:-1] == pytest.approx(
        [1000 * seconds for seconds in expected], rel=1e-12
    )
    total_s = table["layer_s"].sum()
    assert validation.predicted_ms[-1] == pytest.approx(1000 * total_s, rel=1e-12)


WITH_HEAD = "network,set,precision,batch,layer,with,measured_ms,width\n"


def test_a_row_may_hold_further_layers(perfsim_cli, write, machine):
    """A name and a number: the third of the layers is b."""
    write("three.yaml", LAYERS)
    rows = ["three.yaml,,int8,1,a,max_pool_1 3,2,8", "three.yaml,,int8,1,d,,2,9"]
    validation = validate(write("m.csv", WITH_HEAD + "\n".join(rows)), machine)
    table = simulate(load_network("three.yaml"), machine).table
    layer_s = dict(zip(table["name"], table["layer_s"], strict=True))
    together = layer_s["a"] + layer_s["max_pool_1"] + layer_s["b"]
    assert validation.predicted_ms == pytest.approx([1000 * together, 1000 * layer_s["d"]], 1e-12)
    assert validation.names == ["a", "d"]
    assert validation.columns["with"] == ["max_pool_1 3", ""]
    assert validation.columns["width"] == ["8", "9"]  # no slip of 'with'


@pytest.mark.parametrize(
    ("layer", "others", "said"),
    [
        ("a", "max_pol_1", "with: 'three' has no layer 'max_pol_1'"),
        ("a", "99", "with: found layer 99"),
        ("a", "b b", "with: the layer 'b' is in this row already"),
        ("a", "1", "with: the layer '1' is in this row already"),
        ("", "b", "with: found 'b', expected nothing beside a whole network"),
    ],
)
def test_wrong_further_layers_are_one_error(write, machine, layer, others, said):
    net = write("three.yaml", LAYERS)
    file = write("m.csv", WITH_HEAD + f"{net},,int8,1,{layer},{others},2,\n")
    with pytest.raises(InputError) as caught:
        validate(file, machine)
    assert str(caught.value).startswith(f"{file}:2: {said}")


def test_several_files_are_their_rows_together(perfsim_cli, write, measured, machine):
    first = measured("dense.yaml,,int8,1,1\n")
    second = write(
        "more.csv", "note,batch,measured_ms,network,set,precision\nx,4,2,dense.yaml,,int8\n"
    )
    validation = validate([first, second], machine)
    apart = [validate(file, machine).predicted_ms[0] for file in (first, second)]
    assert validation.predicted_ms == apart
    assert validation.columns["note"] == ["", "x"]
    assert [row.place for row in validation.measurements] == [f"{first}:2", f"{second}:2"]
    run = perfsim_cli("validate", first, second, "--hw", "round.yaml")
    assert run.status == 0
    assert "2 rows: " in run.out
    bad = write("bad.csv", HEAD + "dense.yaml,,int8,4,2\ndense.yaml,,int8,1,7\n")
    run = perfsim_cli("validate", first, bad, "--hw", "round.yaml")
    assert run.status == 2
    assert (
        f"{bad}:3: network: this measurement of 'dense.yaml' stands at line 2 of {first} too"
        in run.err
    )
    empty_note = write("empty.csv", HEAD.replace("\n", ",note\n") + "dense.yaml,,int8,1,7,\n")
    with pytest.raises(InputError, match=r"stands at line 2 of .* too"):
        validate([first, empty_note], machine)
    with pytest.raises(InputError, match="found no file"):
        validate([], machine)


@pytest.mark.parametrize(
    ("machine", "column"),
    [("nvdla_2048", "nosram_max_cycles"), ("nvdla_2048_sram", "cvsram4M_max_cycles")],
)
def test_the_rows_of_nvdla_are_the_sums_of_its_workbook(machine, column):
    """At 1 GHz a cycle is a nanosecond."""
    workbook = read_csv(MEASURED / "nvdla_workbook.csv")
    for row in read_csv(MEASURED / f"{machine}.csv"):
        network = {"alexnet_grouped": "AlexNet", "resnet50_v1": "ResNet50"}[row["network"]]
        cycles = [
            float(each[column])
            for each in workbook
            if each["network"] == network
            and (not row["convolution"] or each["layer"] == row["convolution"])
        ]
        assert float(row["measured_ms"]) == pytest.approx(sum(cycles) * 1e-6, rel=1e-12)


@pytest.mark.parametrize("machine", ["nvdla_2048", "nvdla_2048_sram"])
def test_what_the_document_says_of_nvdla_is_what_comes_out(machine):
    """Row by row; what sums them up is in the table of all machines (test_validation_reports.py)."""
    text = (ROOT / "docs/validation.md").read_text()
    errors = validate(MEASURED / f"{machine}.csv", load_hardware(machine)).errors
    cells = " | ".join(f"{100 * share:.0f}%" for share in errors)
    assert f"| `{machine}` | {cells} |\n" in text


# The command


def test_the_result_for_a_person(perfsim_cli, measured):
    measured("dense.yaml,,int8,1,2.004\ndense.yaml,classes=500,int16,4,0.506\n")
    run = perfsim_cli("validate", "measured.csv", "--hw", "round.yaml")
    assert (run.status, run.err) == (0, "")
    lines = [" ".join(line.split()) for line in run.out.splitlines() if line]
    assert "placement liveness, timing overlap" in " ".join(lines[:2])
    table = next(index for index, line in enumerate(lines) if line.startswith("network"))
    assert lines[table + 2 : table + 4] == [
        "dense.yaml 1 2.004 1.002 -50.0%",
        "dense.yaml classes=500 4 0.506 1.012 +100.0% worst",
    ]
    summary = " ".join(lines[table + 4 :])
    assert summary.startswith(
        "2 rows: mean absolute error 75.0%, median 75.0%, worst +100.0%, bias +25.0%, "
        "rank correlation -1.000 predicted: the steady time"
    )


def test_the_result_as_json(perfsim_cli, measured):
    measured("dense.yaml,,int8,1,2.004\ndense.yaml,classes=500,int16,4,0.506\n")
    options = ("--hw", "round.yaml", "--max-error", "80%", "--format", "json")
    record = json.loads(perfsim_cli("validate", "measured.csv", *options).out)
    assert list(record) == [
        *("perfsim", "file", "hardware", "policies", "settings", "machine"),
        *("rows", "mape", "median", "worst", "bias", "rank_correlation"),
        *("networks", "layers", "within_interval", "max_error", "measurements"),
    ]
    assert (record["rows"], record["max_error"], record["rank_correlation"]) == (2, 0.8, -1)
    shares = [record[name] for name in ("mape", "median", "worst", "bias")]
    assert shares == pytest.approx([0.75, 0.75, 1, 0.25], rel=1e-12)
    assert record["measurements"][1]["predicted_ms"] == pytest.approx(HALF_MS, rel=1e-12)
    measured("dense.yaml,,int8,1,2\n")
    record = json.loads(perfsim_cli("validate", "measured.csv", *options).out)
    assert record["rank_correlation"] is None


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1000, "are these microseconds?"), (0.001, "are these seconds?"), (30, None), (1e5, None)],
)
def test_a_wrong_unit_of_all_rows_is_asked_about(perfsim_cli, measured, machine, factor, said):
    """Widths 1000, 2000 and 4000: 1.002, 2.003 and 4.005 ms, measured 20 % off at most, in a wrong unit."""
    times = (1.002 * 1.2, 2.003 * 0.9, 4.005 * 1.1)
    rows = "".join(
        f"dense.yaml,classes={classes},,1,{time * factor!r}\n"
        for classes, time in zip((1000, 2000, 4000), times, strict=True)
    )
    run = perfsim_cli("validate", measured(rows), "--hw", "round.yaml")
    assert run.status == 0
    assert said is None or said in run.err
    assert ("are these" in run.err) == (said is not None)
    fitted = perfsim_cli("calibrate", measured(rows), "--hw", "round.yaml", "-o", "f.yaml")
    assert ("are these" in fitted.err) == (said is not None)
    shuffled = accuracy.unit_hint([1, 2, 4], [4000, 2000, 1000])
    assert shuffled is None


def test_an_error_above_the_limit_has_status_1(perfsim_cli, measured):
    measured("dense.yaml,,int8,1,2.004\n")  # predicted at half of it
    command = ("validate", "measured.csv", "--hw", "round.yaml", "--quiet")
    assert perfsim_cli(*command, "--max-error", "50.1%").status == 0
    run = perfsim_cli(*command, "--max-error", "49.9%")
    assert (run.status, run.out) == (1, "")
    assert run.err == "limit: the mean absolute error is 50.0%, more than --max-error 49.9%\n"


def test_the_machine_and_the_policies_can_be_changed(perfsim_cli, measured):
    measured("dense.yaml,,int8,1,2\n")
    command = ("validate", "measured.csv", "--hw", "round.yaml", "--format", "csv")
    for options, expected in (
        (("--set", "hw.ddr_bandwidth=2GB/s"), FULL_MS / 2),
        (("--placement", "pinned"), 0.002),
        (("--placement", "optimal", "--time-limit", "5s"), FULL_MS),
        (("--timing", "serial"), FULL_MS + 2e-4),
    ):
        out = perfsim_cli(*command, *options).out.splitlines()
        assert float(out[1].split(",")[5]) == pytest.approx(expected, rel=1e-12)


def test_two_measurements_of_one_network_differ_in_words(perfsim_cli):
    """Two compilers' times for the same network, as the vendor publishes them."""
    rows = read_csv(MEASURED / "stm32n6.csv")
    run = perfsim_cli(
        *("validate", str(MEASURED / "stm32n6.csv"), "--hw", "nvdla_2048", "--format", "json")
    )
    record = json.loads(run.out)
    assert run.status == 0
    assert record["rows"] == len(rows) == 16
    shown = [float(row["measured_ms"]) for row in record["measurements"]]
    assert shown == [float(row["measured_ms"]) for row in rows]


# Wrong input

LAYER_HEAD = "network,set,precision,batch,convolution,layer,measured_ms,note\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "m.csv: found an empty file, expected one row per measurement"),
        (HEAD, "m.csv: found a header and no rows"),
        (
            "network,set,precision,batch\nlenet5,,int8,1\n",
            "m.csv:1: the column 'measured_ms' is missing; expected the columns network, set, ",
        ),
        (
            "network,set,precision,batch,mesured_ms\nlenet5,,int8,1,1\n",
            "m.csv:1: unknown column 'mesured_ms'; did you mean 'measured_ms'? expected one of network, "
            "set, precision, batch, measured_ms, convolution, layer\n",
        ),
        (
            HEAD.replace("\n", ",convolutions\n") + "lenet5,,int8,1,1,1\n",
            "m.csv:1: unknown column 'convolutions'; did you mean 'convolution'? expected one of "
            "network, set, precision, batch, measured_ms, convolution, layer\n",
        ),
        (
            HEAD.replace(",", ";") + "lenet5;;int8;1;1\n",
            "m.csv:1: found columns separated by ';', expected ','",
        ),
        (HEAD.replace(",", "\t"), "m.csv:1: found columns separated by tabs, expected ','"),
        (
            HEAD.replace("network", "model"),
            "m.csv:1: unknown column 'model'; did you mean 'network'? expected one of network, ",
        ),
        (
            HEAD.replace("measured_ms", "ms"),
            "m.csv:1: unknown column 'ms'; did you mean 'measured_ms'? expected one of ",
        ),
        (
            HEAD.replace("measured_ms", "latency_ms"),
            "m.csv:1: unknown column 'latency_ms'; did you mean 'measured_ms'? expected one of ",
        ),
        (HEAD.replace("\n", ",\n"), "m.csv:1: unknown column ''"),
        (HEAD.replace("\n", ",batch\n"), "m.csv:1: the column 'batch' is repeated"),
        (HEAD + "lenet5,,int8,1\n", "m.csv:2: found 4 cells, expected 5, as in the header"),
        (
            HEAD + "lenet5,,int8,1,1\nmobilenet_v1x,,int8,1,1\n",
            "m.csv:3: network: unknown network 'mobilenet_v1x'; did you mean 'mobilenet_v1'? "
            "expected a path, or a name that 'perfsim models' lists\n",
        ),
        (HEAD + ",,int8,1,1\n", "m.csv:2: network: found nothing, expected a network"),
        (HEAD + 'lenet5,,"in\nt8",1,1\n', "m.csv:3: precision: found 'in"),
        (
            HEAD + "lenet5,,int8,1,fast\n",
            "m.csv:2: measured_ms: found 'fast', expected a number of milliseconds above zero",
        ),
        (HEAD + "lenet5,,int8,1,\n", "m.csv:2: measured_ms: found nothing, expected a number"),
        (HEAD + "lenet5,,int8,1,0\n", "m.csv:2: measured_ms: found '0', expected a number"),
        (HEAD + "lenet5,,int8,1,-3\n", "m.csv:2: measured_ms: found '-3', expected a number"),
        (HEAD + "lenet5,,int8,1,nan\n", "m.csv:2: measured_ms: found 'nan', expected a number"),
        (HEAD + "lenet5,,int8,1,inf\n", "m.csv:2: measured_ms: found 'inf', expected a number"),
        (HEAD + "lenet5,,int8,1,1e-320\n", "m.csv:2: measured_ms: found '1e-320', expected"),
        (HEAD + "lenet5,,int8,1,1e999\n", "m.csv:2: measured_ms: found '1e999', expected"),
        (HEAD + 'lenet5,,int8,1,"1,5"\n', "m.csv:2: measured_ms: found '1,5', expected a number"),
        (
            HEAD + "lenet5,,int8,0,1\n",
            "m.csv:2: batch: found '0', expected a whole number of at least 1",
        ),
        (HEAD + "lenet5,,int8,,1\n", "m.csv:2: batch: found '', expected a whole number"),
        (
            HEAD + "lenet5,,eight,1,1\n",
            "m.csv:2: precision: found 'eight', expected bits such as int8, fp16 or '16 bit'",
        ),
        (
            HEAD + "lenet5,,int99,1,1\n",
            "m.csv:2: precision: precision.feature_map: found 99, expected",
        ),
        (
            HEAD + "mobilenet_v1,width,int8,1,1\n",
            "m.csv:2: set: found 'width', expected KEY=VALUE such as width=0.5",
        ),
        (
            HEAD + "mobilenet_v1,widht=0.5,int8,1,1\n",
            "m.csv:2: set: widht: unknown key 'widht'; did you mean 'width'? expected one of name, ",
        ),
        (HEAD + "mobilenet_v1,width={,int8,1,1\n", "m.csv:2: set: found '{', expected a value"),
        (HEAD + "mobilenet_v1,width=0,int8,1,1\n", "m.csv:2: set: width: found 0, expected"),
        (
            HEAD + "mobilenet_v1,width=1 width=2,int8,1,1\n",
            "m.csv:2: set: found 'width=2', expected the key 'width' once",
        ),
        (
            HEAD + "mobilenet_v1,batch=2,int8,1,1\n",
            "m.csv:2: set: found 'batch=2', expected the batch in its own column alone",
        ),
        (
            HEAD + "mobilenet_v1,precision.weight=4,int8,1,1\n",
            "m.csv:2: set: found 'precision.weight=4', expected the precision in its own column",
        ),
        (
            HEAD + "mobilenet_v1,hw.sram=1MB,int8,1,1\n",
            "m.csv:2: set: found 'hw.sram=1MB', expected a key of the network's file: the machine",
        ),
        (
            HEAD + "mobilenet_v1,file=3,int8,1,1\n",
            "m.csv:2: set: found 'file=3', expected a key of the network's file",
        ),
        (
            HEAD + "alexnet_grouped,resolution=8,int8,1,1\n",
            "m.csv:2: network: ",  # then the network's file, its line and what does not fit there
        ),
        (
            HEAD + "lenet5,,int8,1,1\nlenet5,,8,1,2\n",
            "m.csv:3: network: this measurement of 'lenet5' stands at line 2 too; expected one row "
            "each, or a text in a further column (such as note) that differs",
        ),
        (
            HEAD + "mobilenet_v1,width=0.5 classes=9,,1,1\nmobilenet_v1,classes=9 width=.50,,1,1\n",
            "m.csv:3: network: this measurement of 'mobilenet_v1' stands at line 2 too",
        ),
        (
            LAYER_HEAD + "lenet5,,int8,1,1,,2,x\nlenet5,,int8,1,1,,3,x\n",
            "m.csv:3: network: this measurement of 'lenet5' stands at line 2 too",
        ),
        (
            LAYER_HEAD + "lenet5,,int8,1,99,,2,x\n",
            "m.csv:2: convolution: found convolution 99, expected one of the ",
        ),
        (
            LAYER_HEAD + "lenet5,,int8,1,first,,2,x\n",
            "m.csv:2: convolution: found 'first', expected a whole number of at least 1",
        ),
        (
            LAYER_HEAD + "alexnet_grouped,,int8,1,,conv9,2,x\n",
            "m.csv:2: layer: 'alexnet_grouped' has no layer 'conv9'; did you mean ",
        ),
        (LAYER_HEAD + "lenet5,,int8,1,,99,2,x\n", "m.csv:2: layer: found layer 99, expected"),
        (HEAD + 'lenet5,,int8,"1,1\n', "m.csv:2: not valid CSV: "),
    ],
)
def test_wrong_files_give_one_error(perfsim_cli, write, text, message):
    write("m.csv", text)
    run = perfsim_cli("validate", "m.csv", "--hw", "nvdla_2048")
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"error: {message}")
    assert run.err.count("\n") == 1


def test_an_error_carries_its_parts(perfsim_cli, measured, machine):
    with pytest.raises(UnknownNameError) as caught:
        validate(measured("lenet5,,int8,1,1\nlenet6,,int8,1,1\n"), machine)
    error = caught.value
    assert error.file is not None
    assert error.file.endswith("measured.csv")
    assert (error.line, error.where, error.nearest) == (3, "network", "lenet5")


def test_two_measurements_with_the_same_words_repeat_whatever_else_was_measured(write, machine):
    head = HEAD.replace("\n", ",power_mW,note\n")
    with pytest.raises(ValueError, match="stands at line 2 too"):
        validate(write("m.csv", head + "lenet5,,int8,1,1,5,a\nlenet5,,int8,1,1,6,a\n"), machine)
    file = write("m.csv", head + "lenet5,,int8,1,1,5,a\nlenet5,,int8,1,1,5,b\n")
    assert validate(file, machine).accuracy.rows == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        (["measured.csv", "--max-error", "10"], "--max-error: found '10' without a unit, expected"),
        (["measured.csv", "--max-error=-1%"], "--max-error: found '-1%', expected a percentage"),
        (["measured.csv", "--max-error", "5 ms"], "--max-error: found '5 ms', which is a time"),
        (["measured.csv", "--set", "width=2"], "--set width=2: the networks are what the column"),
        (["measured.csv", "--set", "hw.srm=2MB"], "--set hw.srm=2MB: srm: unknown key 'srm'"),
        (["measured.csv", "--hw", "round.yaml"], "--hw: found 2 machines, expected one"),
        (["measured.csv", "--placement", "live"], "unknown placement 'live'"),
        (["measured.csv", "--set", "hw.sram=1B"], "measured.csv:2: the internal memory is too"),
        (["measured.csv", "-o", "measured.csv"], "measured.csv: would overwrite the input"),
        (["measured.csv", "-o", "round.yaml"], "round.yaml: found the suffix"),
        ([], "the following arguments are required: MEASUREMENTS"),
    ],
)
def test_wrong_arguments_give_one_error(perfsim_cli, measured, arguments, message):
    measured("dense.yaml,,int8,1,2\n")
    run = perfsim_cli("validate", *arguments, "--hw", "round.yaml")
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"error: {message}")
    assert run.err.count("\n") == 1
