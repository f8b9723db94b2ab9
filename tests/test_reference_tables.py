"""The two published per-layer tables, and the network that they were drawn for."""

from __future__ import annotations

import pytest
from conftest import PUBLISHED, ROOT, read_csv

from perfsim import load_hardware, load_network, simulate

REFERENCE = PUBLISHED / "reference"
NETWORK = read_csv(REFERENCE / "table1_network.csv")
PRINTED = read_csv(REFERENCE / "printed_layers.csv")
MEMORY = read_csv(REFERENCE / "table3_memory.csv")
TIME = read_csv(REFERENCE / "table4_time.csv")

# The write-up's errata: layer -> what its own network gives where its tables say otherwise (elements and
# counts, so bits / 8). Worked out by hand from table 1: docs/model.md.
ERRATA = {
    4: {"output": 100352 // 8, "macs": 112896},
    5: {"input": 100352 // 8, "output": 100352 // 8, "weights": 4096, "macs": 802816},
    6: {"input": 100352 // 8},
    9: {"weights": 16384},
    13: {"output": 401408 // 8},
    14: {"input": 401408 // 8},
    24: {"output": 100352 // 8, "macs": 112896},
    25: {"input": 100352 // 8},
}


@pytest.fixture(scope="module")
def printed():
    network = load_network("mobilenet_printed.csv", precision={"weight": 1})
    return simulate(network, load_hardware("1MB_1GBs_1TF.yaml")).table


def half_of_last_digit(text: str) -> float:
    """Half a unit of the last printed digit of a number such as 1.35475E-06."""
    mantissa, _, exponent = text.upper().partition("E")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals) * (1 + 1e-9)


def test_the_bundled_table_is_the_published_one():
    assert (ROOT / "models/mobilenet_printed.csv").read_bytes() == (
        REFERENCE / "printed_layers.csv"
    ).read_bytes()


def test_memory_table_in_bits_exactly(printed):
    assert len(printed) == len(MEMORY) == 27
    for row, (_, layer) in zip(MEMORY, printed.iterrows(), strict=True):
        assert int(row["input_fmap_bits"]) == 8 * layer["input_bytes"]
        assert int(row["output_fmap_bits"]) == 8 * layer["output_bytes"]
        assert int(row["internal_memory_used_bits"]) == 8 * layer["sram_used_bytes"]
        assert int(row["data_movement_bits"]) == 8 * layer["ddr_bytes"]


@pytest.mark.parametrize(
    ("published", "column"),
    [
        ("data_movement_time_s", "ddr_s"),
        ("compute_time_s", "compute_s"),
        ("performance_time_s", "layer_s"),
    ],
)
def test_time_table_to_the_printed_precision(published, column, printed):
    for row, seconds in zip(TIME, printed[column], strict=True):
        assert abs(float(row[published]) - seconds) <= half_of_last_digit(row[published])


def test_the_spill_is_at_layer_25_and_nowhere_else(printed):
    spills = printed[printed["sram_used_bytes"] > 1_000_000]
    assert spills["layer"].tolist() == [25]
    assert spills["ddr_bytes"].tolist() == [8_202_816 // 8]
    external = printed[printed["output_location"] == "external"]
    assert external["layer"].tolist() == [25]


def test_the_sum_of_the_rows():
    network = load_network("mobilenet_printed", precision={"weight": 1})
    result = simulate(network, load_hardware("1MB_1GBs_1TF"))
    assert round(result.totals.total_s, 9) == 0.001335373
    assert result.totals.total_s == pytest.approx(sum(result.columns["layer_s"]), rel=1e-15)


def test_the_printed_total_counts_layer_7_twice(printed):
    seventh = printed["layer_s"][6]
    assert round(float(printed["layer_s"].sum()) + seventh, 9) == 0.001340632


@pytest.fixture(scope="module")
def drawn():
    return simulate(load_network("mobilenet.yaml"), load_hardware("1MB_1GBs_1TF")).table


def test_the_network_as_drawn_agrees_but_for_the_errata(drawn):
    columns = {
        "input": ("input_elements", "input_bytes"),  # 8 bits: an element is a byte
        "output": ("output_elements", "output_bytes"),
        "weights": ("weights", "params"),
        "macs": ("macs", "macs"),
    }
    for row, (_, layer) in zip(PRINTED, drawn.head(27).iterrows(), strict=True):
        errata = ERRATA.get(int(row["layer"]), {})
        for what, (published, column) in columns.items():
            expected = errata.get(what, int(row[published]))
            assert layer[column] == expected, (row["layer"], what)
        assert layer["weight_bytes"] == layer["params"]
        assert layer["op"] == row["op"]


def test_every_erratum_is_one(drawn):
    """The errata are needed: where one is listed, the printed table says something else."""
    names = {"input": "input_elements", "output": "output_elements"}
    for number, errata in ERRATA.items():
        row = PRINTED[number - 1]
        printed = {what: int(row[names.get(what, what)]) for what in errata}
        assert printed != errata
    assert {4, 5, 6, 9, 13, 14, 24, 25} == ERRATA.keys()


def test_shapes_of_the_network_table(drawn):
    for row, (_, layer) in zip(NETWORK, drawn.iterrows(), strict=True):
        size, channels = row["out_size"], row["out_channels"]
        image = f"1x{channels}x{size}x{size}"
        assert layer["output_shape"] == (f"1x{channels}" if int(row["layer"]) > 28 else image)
        assert layer["op"] == row["op"]


def test_running_totals_differ_by_what_the_errata_explain():
    """Memory used under `accumulate` is the sum of what the layers add, with the errata put in."""
    machine = load_hardware("1MB_1GBs_1TF", sram="100 MB")
    network = load_network("mobilenet", precision={"weight": 1})
    used = simulate(network, machine).table["sram_used_bytes"]
    expected_bits = 8 * int(PRINTED[0]["input_elements"])
    for position, row in enumerate(PRINTED):
        errata = ERRATA.get(position + 1, {})
        expected_bits += 8 * errata.get("output", int(row["output_elements"]))
        expected_bits += errata.get("weights", int(row["weights"]))
        assert 8 * used[position] == expected_bits


def test_the_head_adds_its_own_rows(drawn):
    head = drawn.tail(3)
    assert head["op"].tolist() == ["avg_pool", "fully_connected", "softmax"]
    assert head["macs"].tolist() == [0, 256 * 1000, 0]
    assert head["params"].tolist() == [0, 256 * 1000 + 1000, 0]
    assert head["vector_ops"].tolist() == [256 * 49, 0, 5 * 1000]
