"""What moves per layer, beside NVDLA's performance workbook: every row agrees, or differs by a sum of named reasons."""

from __future__ import annotations

import math
import re
from itertools import product

import pytest
from conftest import PUBLISHED, ROOT, read_csv
from memory_comparison import Row, our_layers, workbook

from perfsim import Machine, load_hardware, load_network, lower, simulate
from perfsim.placement import placement_policy

WORKBOOK = read_csv(PUBLISHED / "measured" / "nvdla_workbook.csv")
TABLE = read_csv(ROOT / "reports/reference/nvdla_dram.csv")  # test_reports.py keeps it fresh
REASONS = [name.removesuffix("_bytes") for name in list(TABLE[0])[6:-1]]
ALWAYS = {"biases_and_norms", "kept_on_chip"}  # the first has no exception
NETWORKS = {"AlexNet": "alexnet_grouped", "ResNet50": "resnet50_v1"}

BLOCKS = [
    f"Res{stage}{block}"
    for stage, blocks in ((2, "abc"), (3, "abcd"), (4, "abcdef"), (5, "abc"))
    for block in blocks
]
FIRST = {"Res2a", "Res3a", "Res4a", "Res5a"}
STRIDED = {f"Res{stage}a_branch{branch}" for stage, branch in product((3, 4, 5), ("1", "2a"))}
SPATIAL = {f"{block}_branch2b" for block in BLOCKS}  # 3 x 3
EXPANDING = {f"{block}_branch2c" for block in BLOCKS}  # with an element-wise addition
REDUCING = {f"{block}_branch2a" for block in BLOCKS if block not in FIRST}
DENSE = {"fc1", "fc2", "fc3", "fc1000"}
EVERY = {row["layer"].split(" ")[0] for row in WORKBOOK}
ON_CHIP_ALONE = {
    "Conv1",
    "Res2a_branch1",
    "Res2a_branch2a",
    "Res2a_branch2b",
    "Res2a_branch2c",
    "Res2b_branch2a",
}

DIFFERING = {
    "nvdla_2048": {
        "winograd": SPATIAL | {"3", "4", "5"},
        "folding": STRIDED | {"1", "Conv1"},
        "shared_weights": DENSE,
        "elementwise_apart": EXPANDING,
        "pooling_apart": {"1", "2", "5", "Conv1", "Res5c_branch2c"},
        "lrn_apart": {"1", "2"},
        "wrong_shape": {"1", "Res2a_branch2a"},
        "rounded_output": {"fc3", "fc1000"},
        "output_also_written": set(),
        "input_also_read": set(),
        "kept_on_chip": EVERY - {"Conv1", "Res2a_branch1", "Res3a_branch1"},
    },
    "nvdla_2048_sram": {
        "winograd": SPATIAL | {"3", "4", "5"},
        "folding": STRIDED | {"1", "Conv1"},
        "shared_weights": DENSE | {"1", "2", "3", "4", "5"},
        "elementwise_apart": set(),
        "pooling_apart": set(),
        "lrn_apart": set(),
        "wrong_shape": {"1", "Res2a_branch2a"},
        "rounded_output": set(),
        "output_also_written": EVERY - ON_CHIP_ALONE - DENSE - {"1", "2", "3", "4"},
        "input_also_read": DENSE,
        "kept_on_chip": set(),
    },
}  # fmt: skip


def plain(name: str) -> Machine:
    """A machine with the memory of a bundled one and none of its switches; feature maps stay where there is room."""
    return Machine(name, load_hardware(name).sram_bytes, 1e10, 4.096e12, 1.6e10)


def number(row: dict[str, str], name: str) -> float:
    return float(row[name])


def folded_kilobytes(row: dict[str, str]) -> tuple[float, float]:
    """Input and weights from the row's shapes: the stride folded into the channels, these rounded up to 16."""
    c, h, w, k, r, s, stride = (int(row[name]) for name in ("C", "H", "W", "K", "R", "S", "stride"))
    channels = math.ceil(c * stride**2 / 16) * 16
    images = channels * math.ceil(h / stride) * math.ceil(w / stride)
    weights = channels * math.ceil(r / stride) * math.ceil(s / stride) * k
    return images / 1024, weights / 1024 * (16 / 9 if row["winograd"] == "True" else 1)


def test_the_workbook_follows_its_rule_without_sram():
    """Input + weights + output, output again with element-wise, weights of dense layers shared by 16."""
    assert len(WORKBOOK) == 11 + 54
    for row in WORKBOOK:
        inputs, weights = folded_kilobytes(row)
        assert (inputs, weights) == pytest.approx((number(row, "in_KB"), number(row, "weight_KB")))
        shared = weights / (16 if row["kind"] == "fc" else 1)
        outputs = number(row, "out_KB") * (2 if row["kind"] == "conv + elwise" else 1)
        assert number(row, "nosram_dram_KB") == pytest.approx(inputs + shared + outputs)


def test_the_workbook_fetches_again_in_cycles_only():
    """100 cycles per KB, but for two rows, whose cycles hold more than the DRAM column."""
    more = {}
    for row in WORKBOOK:
        fetched = number(row, "nosram_max_cycles") / 100
        if row["nosram_longpole"] == "DRAM" and fetched > number(row, "nosram_dram_KB") + 0.01:
            more[row["layer"].split(" ")[0]] = fetched - number(row, "nosram_dram_KB")
    assert more == {
        "Res3a_branch1": 784,  # the input again: folded, its weights take the whole buffer of 512 KB
        "fc1000": pytest.approx(2000 * 15 / 16, abs=0.01),  # the weights are not shared after all
    }


def test_the_workbook_follows_its_rule_with_sram():
    """Weights, shared by 18 or 16 in AlexNet; the first input and those of dense layers; most outputs of ResNet-50."""
    for position, row in enumerate(WORKBOOK):
        name = row["layer"].split(" ")[0]
        is_dense, in_alexnet = row["kind"] == "fc", row["network"] == "AlexNet"
        images = (16 if is_dense or position == 1 else 18) if in_alexnet or is_dense else 1
        moved = number(row, "weight_KB") / images
        if is_dense or name in {"1", "Conv1"}:
            moved += number(row, "in_KB")
        if name in DIFFERING["nvdla_2048_sram"]["output_also_written"]:
            moved += number(row, "out_KB")
        assert number(row, "cvsram4M_dram_KB") == pytest.approx(moved), name


@pytest.mark.parametrize("configuration", DIFFERING)
def test_every_row_differs_by_its_reasons_and_nothing_else(configuration):
    rows = [row for row in TABLE if row["configuration"] == configuration]
    assert len(rows) == 8 + 54
    assert {row["workbook_row"] for row in rows} == EVERY
    assert [row["unexplained_bytes"] for row in rows] == ["0"] * len(rows)
    assert all(number(row, "biases_and_norms_bytes") > 0 for row in rows)
    for reason, names in DIFFERING[configuration].items():
        found = {row["workbook_row"] for row in rows if number(row, f"{reason}_bytes")}
        assert found == names, reason
    assert DIFFERING[configuration].keys() | ALWAYS == set(REASONS)


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("nvdla_2048", REDUCING | {"Res2a_branch1"}),
        ("nvdla_2048_sram", {"Res2a_branch1", "Res2a_branch2c", "Res2b_branch2a"}),
    ],
)
def test_the_rows_that_agree_but_for_parameters(configuration, expected):
    """Where every map of ours lies as the workbook has it, three numbers per output channel are all that differs."""
    differing = [
        names for reason, names in DIFFERING[configuration].items() if reason not in ALWAYS
    ]
    assert EVERY.difference(*differing) == expected


@pytest.fixture(scope="module")
def programs():
    return {theirs: lower(load_network(ours)) for theirs, ours in NETWORKS.items()}


def test_the_agreeing_rows_from_their_shapes(programs):
    """By nothing but C, H, W, K of the row: input, weights, output and 3 K cross once each, in 512 KiB."""
    program = programs["ResNet50"]
    placement = placement_policy("streaming").place(program, 512 * 1024)
    moved = (placement.ddr_read_bytes + placement.ddr_write_bytes).tolist()
    ours = {layer.name: size for layer, size in zip(program.layers, moved, strict=True)}
    rows: dict[str, Row] = {row.name: row for row in workbook()}
    agreeing = REDUCING | {"Res2a_branch1"}
    assert len(agreeing) == 13
    for name in agreeing:
        (row,) = (each for each in WORKBOOK if each["layer"].split(" ")[0] == name)
        c, h, w, k = (int(row[key]) for key in ("C", "H", "W", "K"))
        (layer,) = our_layers(rows[name])
        assert ours[layer] == c * h * w + c * k + k * h * w + 3 * k
        assert ours[layer] - 3 * k == 1024 * number(row, "nosram_dram_KB")


def elements(shape: str) -> int:
    return math.prod(map(int, shape.split("x")))


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_kept_on_chip_is_what_the_run_says_is_internal(network):
    """Each map of 8 bits that a layer finds or leaves on chip is moved less, except the network's input."""
    columns = simulate(load_network(NETWORKS[network]), plain("nvdla_2048")).columns
    kept = {}
    for position, name in enumerate(columns["name"]):
        touched = list(
            zip(
                columns["input_shape"][position].split(";"),
                columns["input_location"][position].split(";"),
                strict=True,
            )
        )
        touched = touched if position else []
        touched.append((columns["output_shape"][position], columns["output_location"][position]))
        is_view = columns["op"][position] == "flatten"
        kept[name] = (
            0
            if is_view
            else sum(elements(shape) for shape, where in touched if where == "internal")
        )
    for row in TABLE:
        if row["configuration"] == "nvdla_2048" and row["network"] == network:
            ours = sum(kept[layer] for layer in row["layers"].split(" "))
            assert number(row, "kept_on_chip_bytes") == -ours, row["workbook_row"]


def compulsory_bytes(network: str) -> int:
    """Parameters, input and output, from the workbook's shapes, with the two wrong ones put right."""
    total = 1000 + (3 * 227**2 if network == "AlexNet" else 3 * 224**2)
    for row in WORKBOOK:
        if row["network"] == network:
            c, k, r, s = (int(row[name]) for name in ("C", "K", "R", "S"))
            if row["layer"].startswith("Res2a_branch2a"):
                c = 64
            total += c * k * r * s + k * (1 if network == "AlexNet" or row["kind"] == "fc" else 3)
    return total


@pytest.mark.parametrize("network", NETWORKS)
def test_with_sram_nothing_but_the_compulsory_moves(network):
    result = simulate(load_network(NETWORKS[network]), plain("nvdla_2048_sram"))
    assert result.totals.ddr_bytes == compulsory_bytes(network)


def test_in_512_kib_alexnet_spills_one_map():
    """The first convolution's 96 x 55 x 55 are 55 % of the buffer: the normalisation cannot keep both its maps."""
    result = simulate(load_network("alexnet_grouped"), plain("nvdla_2048"))
    assert result.totals.ddr_bytes == compulsory_bytes("AlexNet") + 2 * 96 * 55 * 55


# The most that live maps of 8 bits take, worked out by hand: (channels read, written) at each size of image.
LIVE_BYTES = {
    ("mobilenet_v1", "0.25"): (8 + 16) * 112**2,  # at the first 1 x 1
    ("mobilenet_v1", "0.5"): (16 + 32) * 112**2,
    ("mobilenet_v1", "1"): (32 + 64) * 112**2,
    ("mobilenet_v2", "0.35 128"): 48 * (64**2 + 32**2),  # at the second 3 x 3, of stride 2
    ("mobilenet_v2", "0.35"): 48 * (112**2 + 56**2),
    ("mobilenet_v2", "0.5"): 48 * (112**2 + 56**2),
    ("mobilenet_v2", "1"): 96 * (112**2 + 56**2),
    ("mobilenet_v2", "1.4"): 144 * (112**2 + 56**2),
    ("squeezenet1_0", "1"): 96 * (109**2 + 54**2),  # at the first pooling
}
STM32N6 = read_csv(ROOT / "reports/reference/stm32n6_ram.csv")
DOCUMENT = (ROOT / "docs/memory_comparison.md").read_text()


def test_the_live_peaks_of_the_stm32n6_networks():
    measured = read_csv(PUBLISHED / "measured" / "stm32n6.csv")
    assert len(STM32N6) == len(measured) == 16
    for row, source in zip(STM32N6, measured, strict=True):
        settings = dict(each.split("=") for each in row["set"].split())
        key = " ".join((settings.get("width", "1"), settings.get("resolution", ""))).strip()
        live = LIVE_BYTES[row["network"], key]
        assert number(row, "live_peak_KiB") * 1024 == live
        assert number(row, "address_peak_KiB") * 1024 == live
        assert row["vendor_internal_KiB"] == source["internal_ram_KiB"]
        assert number(row, "vendor_to_live") == pytest.approx(
            number(source, "internal_ram_KiB") * 1024 / live, abs=5e-4
        )
        assert number(row, "vendor_internal_KiB") * 1024 >= live
        assert number(row, "spilled_KiB") == 0
        spills = row["network"] == "squeezenet1_0"  # more than any plain graph needs
        assert (number(row, "vendor_external_KiB") > 0) is spills


def test_the_document_states_the_ratios_of_the_stm32n6():
    ratios = sorted(number(row, "vendor_to_live") for row in STM32N6)
    median = (ratios[7] + ratios[8]) / 2
    stated = dict(
        re.findall(r"^\| (smallest|median|largest) \| ([\d.]+) \|$", DOCUMENT, re.MULTILINE)
    )
    assert stated == {
        "smallest": f"{ratios[0]:.2f}",
        "median": f"{median:.2f}",
        "largest": f"{ratios[-1]:.2f}",
    }


def test_the_document_states_the_sums_of_the_table():
    """Rows and bytes of each reason, for both networks of both configurations, as `rows: bytes`."""
    groups = [(configuration, network) for configuration in DIFFERING for network in NETWORKS]
    expected = {}
    for column in list(TABLE[0])[4:]:
        cells = []
        for configuration, network in groups:
            values = [
                number(row, column)
                for row in TABLE
                if (row["configuration"], row["network"]) == (configuration, network)
            ]
            rows, size = sum(map(bool, values)), sum(values)
            cells.append(f"{size:+,.0f} ({rows})" if rows else "-")
        expected[column.removesuffix("_bytes")] = cells
    stated = {
        name: cells.split(" | ")
        for name, cells in re.findall(r"^\| `(\w+)` \| ([-+\d,() |]+) \|$", DOCUMENT, re.MULTILINE)
    }
    assert stated == expected
