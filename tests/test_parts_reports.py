"""Reports of machines that say more than four numbers; those of four print what they printed before."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from conftest import MACHINE

from perfsim import catalog, load_hardware, load_network, simulate
from perfsim.hardware.machine import numbers_in
from perfsim.report.explain import explain_rows
from perfsim.timing.formula import FUNCTIONS
from perfsim.timing.values import MEANINGS, machine_values

NETWORK = """\
input: [3, 8, 8]
layers:
  - conv: {name: a, channels: 16, kernel: 3, activation: sigmoid}
  - flatten: {name: view}
  - fully_connected: {name: b, units: 10}
"""
FULL = (
    MACHINE.replace("matrix: 1 TFLOPS", "clock: 1 GHz")
    + """\
array: {pixels: 2, input_channels: 4, output_channels: 8, packing: stride, depthwise: {channels: 16}}
efficiency: {conv: 0.5}
ddr_efficiency: 0.8
stream: {bandwidth: 1 GB/s}
weight_memory: {bandwidth: 100 MB/s}
layer_cost: 1 us
inference_cost: 1 ms
energy: {mac: 1 pJ, vector_op: 1 pJ, sram_byte: 1 pJ, ddr_byte: 10 pJ, weight_byte: 5 pJ, static: 1 mW}
timing: serial
"""
)
BUNDLED = ("stm32n6", "kv260_dpu", "coral_usb", "eyeriss_v1")


@pytest.fixture
def files(write):
    return write("net.yaml", NETWORK), write("m.yaml", FULL)


def test_a_run_says_what_the_parts_do(files, perfsim_cli, monkeypatch):
    """Busy times by hand: 1.216 + 1.034 us of stream, 10,698 bytes of weights at 100 MB/s, 2 layers, an inference."""
    monkeypatch.setenv("COLUMNS", "260")
    text = perfsim_cli("run", files[0], "--hw", files[1]).out
    flat = " ".join(text.split())
    for part in (
        *("64 kB SRAM", "2 x 4 x 8 array with 1 x 16 for depthwise", "efficiency conv 0.5"),
        *(
            "DDR efficiency 0.8",
            "1 GB/s stream",
            "100 MB/s weights (not hidden)",
            "1 us a layer",
            "1 ms an inference",
        ),
        *("stream 2.25 us (0%)", "weights' memory 107 us (10%)", "fixed costs 1.002 ms (90%)"),
        *("mostly bound by overhead", "weights' memory: 10.7 kB read", "energy-delay product"),
        *("stream [ns]", "weights [us]", "fixed [us]", "energy [nJ]", "cycles"),
    ):
        assert part in flat, part
    # 27,648 + 10,240 MACs at 1 pJ; 4 x 1024 operations
    assert "MACs 37.89 nJ" in flat
    assert "vector operations 4.096 nJ" in flat


def test_energies_that_are_estimates_have_two_digits_and_say_so(files, write, perfsim_cli):
    """37,888 MACs at 1 pJ are 37.89 nJ, of which two digits are 38; 4096 operations are 4.1 nJ."""
    words = "estimate, good to a factor of 3"
    text = FULL.replace("static: 1 mW}", f"static: 1 mW, accuracy: '{words}'}}")
    machine = write("estimate.yaml", text)
    flat = " ".join(perfsim_cli("run", files[0], "--hw", machine).out.split())
    assert f"J ({words}) per inference: " in flat
    assert "MACs 38 nJ" in flat
    assert "vector operations 4.1 nJ" in flat
    document = json.loads(perfsim_cli("run", files[0], "--hw", machine, "--format", "json").out)
    assert document["machine"]["energy.accuracy"] == words
    hidden = write("hidden.yaml", FULL.replace("100 MB/s}", "100 MB/s, hidden: true}"))
    assert "100 MB/s weights, 1 us a layer" in " ".join(
        perfsim_cli("run", files[0], "--hw", hidden).out.split()
    )


WITH_ENERGY = [
    name
    for name, path in catalog.bundled_machines().items()
    if "\nenergy:" in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", WITH_ENERGY)
def test_bundled_energies_are_estimates_and_say_so(name):
    energy = load_hardware(name).extras.energy
    assert energy.accuracy.startswith("estimate")
    assert energy.accuracy.endswith("good to a factor of 3") == (name == "kv260_dpu")


def test_the_energy_by_cause_is_all_of_it(files, perfsim_cli):
    document = json.loads(perfsim_cli("run", files[0], "--hw", files[1], "--format", "json").out)
    totals, layers = document["totals"], document["layers"]
    causes = ("matrix_j", "vector_j", "sram_j", "ddr_j", "weight_j", "static_j")
    by_cause = sum(layer[name] for layer in layers for name in causes)
    assert totals["energy_j"] == pytest.approx(by_cause)
    assert totals["energy_delay_js"] == pytest.approx(by_cause * totals["total_s"])


def test_the_record_has_every_number_of_the_machine(files, perfsim_cli):
    machine = load_hardware(files[1])
    record = json.loads(perfsim_cli("run", files[0], "--hw", files[1], "--format", "json").out)[
        "machine"
    ]
    for path, number in numbers_in(machine.extras).items():
        assert record[path] == number
    assert record["matrix_flops"] == 2 * 64 * 1e9
    assert (record["array.kind"], record["array.packing"]) == ("Grid", "stride")
    assert (record["stream.hidden"], record["weight_memory.hidden"]) == (True, False)


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("machine", BUNDLED)
def test_tables_fit(machine, width, perfsim_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    for command in (
        ("run", "mobilenet_v1", "--hw", machine),
        ("explain", "mobilenet_v1", "--hw", machine, "--layer", "dw3"),
        ("compare", "mobilenet_v1", "--hw", machine, "--hw", "kv260_dpu"),
    ):
        if command[0] == "compare" and machine == "kv260_dpu":
            continue
        text = perfsim_cli(*command).out
        assert text
        assert max(map(len, text.splitlines())) <= width
        if command[0] == "run":
            assert all(head in text for head in ("where", "DDR", "time [", "bound"))


def test_explain_shows_what_applies(perfsim_cli):
    def steps(layer, *options):
        text = perfsim_cli(
            "explain",
            "mobilenet_v1",
            "--hw",
            "kv260_dpu",
            "--layer",
            layer,
            *options,
            "--format",
            "csv",
        )
        rows = csv.DictReader(io.StringIO(text.out))
        return {row["quantity"]: (row["formula"], row["values"], row["result"]) for row in rows}

    depthwise = steps("dw1")
    assert "array_cycles" not in depthwise
    assert depthwise["matrix_cycles"][0] == "depthwise_cycles"
    # 112 rows of 28 times 4 pixels, 9 taps, 32 channels on 16
    assert float(depthwise["depthwise_cycles"][2]) == 112 * 28 * 9 * 2
    first = steps("conv1")
    assert "depthwise_cycles" not in first
    assert "tap_rows * ceil(in_channels * tap_columns" in first["array_cycles"][0]
    assert "where(" not in "".join(formula for formula, *_ in first.values())
    assert "taps * ceil(in_channels /" in steps("pw1")["array_cycles"][0]
    vector = steps("pool")
    assert not {"array_cycles", "matrix_cycles", "depthwise_cycles"} & vector.keys()
    assert list(first)[-1] == "energy_j"


def test_explain_says_at_which_rate_the_matrix_unit_runs(perfsim_cli):
    """8-bit operands run at 1979 TFLOPS, the native rate being 989.4 at 16 bits."""
    text = perfsim_cli("explain", "mobilenet_v1", "--hw", "h100_sxm", "--layer", "pw1").out
    assert f"  matrix_speed = {1978.9 / 989.4:.7g} (rate at 8 bit / native)" in text


@pytest.mark.parametrize("timing", ["overlap", "pipelined"])
@pytest.mark.parametrize("machine", BUNDLED)
def test_every_name_in_an_explained_formula_has_a_line_or_is_the_machine_s(machine, timing):
    """A column, a step, a number of the machine's file: nothing else stands in a formula without a line on it."""
    hardware = load_hardware(machine)
    result = simulate(load_network("mobilenet_v1"), hardware, timing=timing)
    for position, macs in enumerate(result.columns["macs"]):
        rows = explain_rows(result, position) if macs else []
        said = {row[1] for row in rows} | set(machine_values(hardware)) | {"mac_j", *FUNCTIONS}
        for about, quantity, formula, *_ in rows:
            if about in ("time", "energy") and quantity not in ("bound", *MEANINGS):
                unknown = set(re.findall(r"[a-z_]+_[a-z_]+", formula)) - said
                assert not unknown, formula


def test_the_text_of_explain_has_seven_digits_and_its_data_all(perfsim_cli):
    command = ("explain", "mobilenet_v1", "--hw", "stm32n6", "--timing", "pipelined")
    text = perfsim_cli(*command, "--layer", "pw1").out
    fractions = re.findall(r"\d+\.\d+(?:e-\d+)?", text.partition("\ntime\n")[2])
    assert len(fractions) > 40
    for each in fractions:
        assert len(each.partition("e")[0].replace(".", "").lstrip("0")) <= 7, each
    data = json.loads(perfsim_cli(*command, "--layer", "pw1", "--format", "json").out)
    steps = {step["quantity"]: step for step in data["steps"]}
    assert steps["weight_s"]["result"] == 2176 / 387.9e6  # 2176 bytes at the file's rate
    assert steps["strips"]["result"] == 112  # rows of the output
    assert "  strips = 112 (pieces in which the layer runs" in text


def test_explain_has_units_and_the_plan_s_bytes(perfsim_cli):
    text = " ".join(
        perfsim_cli("explain", "mobilenet_v1", "--hw", "stm32n6", "--layer", "pw1").out.split()
    )
    assert "weight_read_bytes = 'pw1.weights' = 2,176" in text
    assert (
        "weight_memory_bytes = ceil(weight_read_bytes * weight_ratio) = ceil(2176 * 1) = 2,176 bytes"
        in text
    )
    assert "J (53." in text
    assert "weight_s or" not in text.partition("bound:")[0]


def test_compare_has_energies_where_there_are_some(files, write, perfsim_cli):
    plain = write("plain.yaml", MACHINE)
    text = perfsim_cli("compare", files[0], "--hw", files[1], "--hw", plain).out
    assert "energy" in text.splitlines()[2]
    rows = list(
        csv.DictReader(
            io.StringIO(
                perfsim_cli(
                    "compare", files[0], "--hw", files[1], "--hw", plain, "--format", "csv"
                ).out
            )
        )
    )
    assert [bool(row["energy_j"]) for row in rows] == [True] * 4 + [False] * 4
    total, *layers = (float(row["energy_j"]) for row in rows[:4])
    assert total == pytest.approx(sum(layers))
    without = perfsim_cli("compare", files[0], "--hw", plain, "--format", "csv").out
    assert without.splitlines()[0].endswith("sram_used_bytes,steady_s")


def test_a_machine_of_four_numbers_says_nothing_of_parts(files, write, perfsim_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    plain = write("plain.yaml", MACHINE)
    text = perfsim_cli("run", files[0], "--hw", plain).out
    for word in ("energy", "stream", "weights'", "fixed", "cycles", "array"):
        assert word not in text
    record = json.loads(perfsim_cli("run", files[0], "--hw", plain, "--format", "json").out)
    assert list(record["machine"]) == [
        "sram_bytes",
        "ddr_bytes_per_s",
        "matrix_flops",
        "vector_flops",
    ]
    assert "energy_j" not in record["totals"]


@pytest.mark.parametrize("machine", BUNDLED)
def test_a_machine_in_full(machine, perfsim_cli):
    text = perfsim_cli("hardware", machine).out
    heading = text.partition("\n\n")[0]
    assert heading.startswith(f"{machine}: ")
    assert "array" in heading or "weights" in heading
