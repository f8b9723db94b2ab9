"""The bundled machines: what they state and where it is from, and that what comes of it is plausible."""

from __future__ import annotations

import re

import pytest
import yaml
from conftest import MACHINE, PUBLISHED, ROOT, read_csv

from perfsim import catalog, load_hardware, load_network, simulate, validate
from perfsim.errors import InputError, InvalidValueError
from perfsim.timing.kernel import TIMINGS

FILES = catalog.bundled_machines()
NETWORKS = {name: load_network(name) for name in ("mobilenet_v1", "resnet50")}
CALLED = {("mobilenet_v1_1.0", "paper"): "mobilenet_v1", ("resnet50", "torchvision"): "resnet50"}
COUNTS = {
    CALLED[row["network"], row["definition"]]: (int(row["macs_conv_linear"]), int(row["params"]))
    for row in read_csv(PUBLISHED / "counts.csv")
    if (row["network"], row["definition"]) in CALLED and row["input"] == "3x224x224"
}

# Made from papers and data sheets alone: each number has its source beside it.
FROM_PAPERS = (
    *("tpu_v1", "ethos_u55_256", "ethos_u65_256", "ethos_u65_512"),
    *("exynos_2100_npu", "h100_sxm", "h200_sxm"),
)
# Peaks [FLOP/s] by width, as advertised: table 2 of Jouppi et al. (92 TOPS, a quarter at 16 bits); Arm's 512 and 1024
# operations a cycle; three cores of 4.9 TOPS, dense; NVIDIA's data sheets.
ADVERTISED = {
    "tpu_v1": {8: 92e12, 16: 23e12},
    "ethos_u55_256": {8: 0.256e12},
    "ethos_u65_256": {8: 0.512e12},
    "ethos_u65_512": {8: 1.024e12},
    "exynos_2100_npu": {8: 14.7e12},
    "h100_sxm": {8: 1979e12, 16: 989.5e12, 19: 494.7e12, 32: 67e12},
    "h200_sxm": {8: 1979e12, 16: 989.5e12, 19: 494.7e12, 32: 67e12},
}
# Most that the chip may draw [W]: Jouppi et al., table 2; MLPerf's description of the systems.
DESIGN_POWER_W = {"tpu_v1": 75, "h100_sxm": 700, "h200_sxm": 700}
PICO = 1e-12


def stated(name: str) -> dict:
    return yaml.safe_load(FILES[name].read_text())


def number(text: str, unit: str) -> float:
    """The number of a text such as "0.19 pJ", written in `unit`."""
    value, _, found = text.partition(" ")
    assert found == unit
    return float(value)


def test_these_are_bundled():
    assert set(FROM_PAPERS) <= set(FILES)
    assert set(ADVERTISED) == set(FROM_PAPERS)


@pytest.mark.parametrize("name", FROM_PAPERS)
def test_every_number_has_its_source_beside_it(name):
    lines = FILES[name].read_text().splitlines()
    assert "Uncalibrated" in "\n".join(line for line in lines if line.startswith("#"))
    numbers = 0
    for line in lines:
        key, _, rest = line.partition(":")
        value, _, comment = rest.partition("#")
        if line.startswith("#") or key in ("name", "description", "source"):
            continue
        if re.search(r"\d", value):
            numbers += 1
            assert len(comment.strip()) > 3, line
    assert numbers > 10


@pytest.mark.parametrize("name", FROM_PAPERS)
def test_peaks_are_the_advertised_ones(name):
    """And clock times multiply-accumulates, where the file has these."""
    machine, file = load_hardware(name), stated(name)
    native = machine.matrix_flops
    for width, peak in ADVERTISED[name].items():
        assert native * machine.extras.matrix_speed[width] == pytest.approx(peak, rel=0.005)
    if "clock" in file:
        clock = float(file["clock"].split()[0]) * {"MHz": 1e6, "GHz": 1e9}[file["clock"].split()[1]]
        for width, macs in file["macs_per_cycle"].items():
            peak = native * machine.extras.matrix_speed[width]
            assert peak == pytest.approx(2 * macs * clock, rel=1e-12)


def test_peaks_of_the_multiprocessors():
    """132 multiprocessors of 2048 (tensor cores, 1830 MHz) or 128 (fp32, 1980 MHz) multiply-accumulates."""
    extras, native = load_hardware("h100_sxm").extras, load_hardware("h100_sxm").matrix_flops
    assert native == pytest.approx(2 * 132 * 2048 * 1.83e9, rel=1e-3)
    assert native * extras.matrix_speed[32] == pytest.approx(2 * 132 * 128 * 1.98e9, rel=1e-3)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", FILES)
def test_every_machine_runs_under_every_timing(name, network):
    machine = load_hardware(name)
    totals = {
        each.name: simulate(NETWORKS[network], machine, timing=each.name).totals for each in TIMINGS
    }
    macs, _ = COUNTS[network]
    for each in totals.values():
        assert each.total_s >= each.steady_s > 0
    assert totals["serial"].total_s >= totals["overlap"].total_s
    # No faster than the peak of the narrowest operands allows, by the published counts.
    best = machine.matrix_flops * max(machine.extras.matrix_speed.values(), default=1)
    array = machine.extras.array
    gain = array.winograd.gain if array is not None and array.winograd is not None else 1
    assert totals["overlap"].total_s >= 2 * macs / best / gain


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", FROM_PAPERS)
def test_energy_lies_between_closed_forms(name, network):
    """At least every MAC and every weight once, from published counts; at most all that is touched, everywhere."""
    costs, machine = stated(name)["energy"], load_hardware(name)
    result = simulate(NETWORKS[network], machine)
    macs, weights = COUNTS[network]
    mac = number(costs["mac"][8], "pJ") * PICO
    sram = number(costs["sram_byte"], "pJ") * PICO
    outside = number(costs.get("weight_byte", costs["ddr_byte"]), "pJ") * PICO
    kept = 0.9  # compressed weights
    least = macs * mac + kept * weights * (outside + 2 * sram)
    assert result.totals.energy_j > least

    table = result.table
    touched = int(table[["input_bytes", "output_bytes", "weight_bytes"]].to_numpy().sum())
    dearest = max(outside, number(costs["ddr_byte"], "pJ") * PICO)
    power = costs["static"].split()
    static = float(power[0]) * {"W": 1, "mW": 1e-3}[power[1]] * result.totals.total_s
    vector = number(costs["vector_op"], "pJ") * PICO * int(table["vector_ops"].sum())
    assert result.totals.energy_j < macs * mac + touched * (2 * sram + dearest) + vector + static


@pytest.mark.parametrize("name", DESIGN_POWER_W)
@pytest.mark.parametrize(
    ("network", "batch"), [("mobilenet_v1", 1), ("resnet50", 1), ("resnet50", 64)]
)
def test_power_stays_below_the_design_power(name, network, batch):
    totals = simulate(load_network(network, batch=batch), load_hardware(name)).totals
    idle = float(stated(name)["energy"]["static"].split()[0])
    assert idle < totals.energy_j / totals.total_s < DESIGN_POWER_W[name]


def test_the_tpu_draws_its_busy_power():
    """40 W (Jouppi et al., table 2), on the busiest of its applications; 15 % for its unknown shapes."""
    network = load_network(PUBLISHED / "measured/tpu_v1_cnn0.yaml", batch=8)
    totals = simulate(network, load_hardware("tpu_v1")).totals
    assert totals.energy_j / totals.total_s == pytest.approx(40, rel=0.15)


def test_the_phone_spends_its_published_energy_on_chip():
    """0.84 mJ for Inception v3 without DRAM (Hassoun, tinyML Summit 2021), within 20 %; static power apart."""
    layers = simulate(load_network("inception_v3"), load_hardware("exynos_2100_npu"))
    costs = load_hardware("exynos_2100_npu").extras.energy
    on_chip = layers.totals.energy_j - layers.totals.ddr_bytes * costs.ddr_byte_j
    assert on_chip - layers.totals.total_s * costs.static_w == pytest.approx(0.84e-3, rel=0.2)


@pytest.mark.parametrize(("network", "weights"), [("mlp0", 5 * 2000**2), ("mlp1", 4 * 1118**2)])
def test_the_tpu_reads_weights_at_the_rate_of_their_memory(network, weights):
    batch = {"mlp0": 200, "mlp1": 168}[network]
    layers = load_network(PUBLISHED / f"measured/tpu_v1_{network}.yaml", batch=batch)
    totals = simulate(layers, load_hardware("tpu_v1")).totals
    assert totals.total_s == pytest.approx(weights / 34e9, rel=1e-9)


def test_a_width_that_a_machine_does_not_have():
    wide = load_network("resnet50", precision={"feature_map": 32, "weight": 32})
    with pytest.raises(InvalidValueError, match="at most 16 bits"):
        simulate(wide, load_hardware("tpu_v1"))
    times = [
        simulate(
            load_network("resnet50", batch=64, precision={"feature_map": bits, "weight": bits}),
            load_hardware("h100_sxm"),
        ).totals.total_s
        for bits in (8, 16, 32)
    ]
    assert times == sorted(times)


MEASURED = sorted(set(FILES) & {path.stem for path in (PUBLISHED / "measured").glob("*.csv")})


@pytest.mark.parametrize("name", MEASURED)
def test_the_documentation_has_the_current_errors(name, monkeypatch):
    monkeypatch.chdir(ROOT)  # some rows are of networks beside the measurements
    validation = validate(f"tests/published/measured/{name}.csv", load_hardware(name))
    measured = [float(row["measured_ms"]) for row in read_csv(PUBLISHED / f"measured/{name}.csv")]
    pairs = zip(validation.predicted_ms, measured, strict=True)
    errors = sorted(((p - m) / m for p, m in pairs), key=abs)
    sizes = [abs(error) for error in errors]
    middle = (sizes[(len(sizes) - 1) // 2] + sizes[len(sizes) // 2]) / 2
    lines = (ROOT / "docs/validation.md").read_text().splitlines()
    (line,) = [line for line in lines if re.match(rf"\| `{name}` \| (silicon|a model) \|", line)]
    calibration = validation.machine.extras.calibration
    assert [cell.strip() for cell in line.split("|")][3:9] == [
        str(len(calibration.fitted) if calibration else 0),
        str(len(errors)),
        f"{sum(sizes) / len(sizes):.1%}",
        f"{middle:.1%}",
        f"{errors[-1]:+.1%}",
        f"{sum(errors) / len(errors):+.1%}",
    ]


def test_the_list_fits_80_columns(perfsim_cli):
    run = perfsim_cli("hardware")
    assert run.status == 0
    assert {line.split()[0] for line in run.out.splitlines()[2:]} == set(FILES)
    assert max(map(len, run.out.splitlines())) <= 80


WIDTHS = MACHINE.replace("matrix: 1 TFLOPS", "matrix:\n  {key}: 2 TFLOPS\n  16: 1 TFLOPS")


@pytest.mark.parametrize("key", ["8", "'8'"])
def test_widths_are_keys_of_a_file(write, key):
    machine = load_hardware(write("m.yaml", WIDTHS.format(key=key)))
    assert machine.matrix_flops == 2e12
    assert machine.extras.matrix_speed == {8: 1.0, 16: 0.5}


@pytest.mark.parametrize(
    ("key", "fragment"),
    [("'16'", "repeated"), ("8.5", "key must be text"), ("0", "matrix"), ("int8", "int8")],
)
def test_wrong_widths(write, key, fragment):
    with pytest.raises(InputError, match=fragment):
        load_hardware(write("m.yaml", WIDTHS.format(key=key)))


@pytest.mark.parametrize(
    ("name", "widest"), [("kv260_dpu", 8), ("stm32n6", 8), ("coral_usb", 8), ("eyeriss_v1", 16)]
)
def test_a_machine_of_one_width_prices_no_wider_network(name, widest):
    """What their papers and data sheets say: int8 alone, and words of 16 bits."""
    machine = load_hardware(name)
    for operand in ("feature_map", "weight"):
        simulate(load_network("lenet5", **{f"precision.{operand}": widest}), machine)
        wider = load_network("lenet5", **{f"precision.{operand}": 2 * widest})
        with pytest.raises(
            InvalidValueError,
            match=f"found operands of {2 * widest} bits, expected at most {widest} bits",
        ):
            simulate(wider, machine)
