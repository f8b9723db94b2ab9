"""Addresses for everything internal: no overlap, alignment, and what happens where fragmentation leaves no room."""

from __future__ import annotations

import json
import re

import pytest

from perfsim import load_hardware, load_network, lower, simulate
from perfsim.errors import MemoryTooSmallError
from perfsim.placement import placement_policy
from perfsim.placement.memory_map import memory_map
from perfsim.report.page_data import page_record


@pytest.mark.parametrize("policy", ["liveness", "pinned"])
@pytest.mark.parametrize("name", ["mobilenet_v1", "squeezenet1_0", "resnet18"])
@pytest.mark.parametrize("size", [20_000, 700_000, 3_000_000])
@pytest.mark.parametrize("alignment", [1, 64])
def test_addresses_do_not_overlap_and_fit(policy, name, size, alignment):
    program = lower(load_network(name))
    found = memory_map(placement_policy(policy), program, size, alignment=alignment)
    for entry in found.entries:
        assert entry.address >= 0
        assert entry.address + entry.bytes <= size
        assert entry.address % alignment == 0
        assert 1 <= entry.layer_from <= entry.layer_to <= len(program.layers)
    for index, a in enumerate(found.entries):
        for b in found.entries[index + 1 :]:
            together = a.layer_from <= b.layer_to and b.layer_from <= a.layer_to
            apart = a.address + a.bytes <= b.address or b.address + b.bytes <= a.address
            assert apart or not together
    for position in range(len(program.layers)):
        live = sum(
            entry.bytes
            for entry in found.entries
            if entry.layer_from <= position + 1 <= entry.layer_to
            and not (entry.kind == "prefetch" and position + 1 < entry.layer_to)
        )
        assert live == found.placement.sram_used_bytes[position]


def test_a_policy_decides_again_when_addresses_do_not_fit():
    """With addresses at multiples of 400,000 nothing but one buffer at a time fits."""
    program = lower(load_network("squeezenet1_0"))
    found = memory_map(placement_policy("liveness"), program, 1_500_000, alignment=400_000)
    assert found.placement.sram_bytes < 1_500_000
    assert all(entry.address + entry.bytes <= 1_500_000 for entry in found.entries)


def test_addresses_are_found_where_alignment_takes_more_than_all_memory():
    """Tiles of one layer at a time lie at address 0, whatever the alignment is."""
    program = lower(load_network("squeezenet1_1"))
    found = memory_map(placement_policy("liveness"), program, 3_000, alignment=100_000)
    assert all(entry.address == 0 and entry.bytes <= 3_000 for entry in found.entries)


def test_no_addresses_is_an_error_of_its_own(load):
    """Three bytes hold three tiles of one byte, or a weight and two tiles; a second address there is none."""
    layer = "conv: {name: a, channels: 1, kernel: 1, bias: false}"
    program = lower(load(f"input: [1, 10, 10]\nlayers:\n  - {layer}\n"))
    with pytest.raises(MemoryTooSmallError, match=r"multiples of 64 bytes.*found 3 bytes"):
        memory_map(placement_policy("liveness"), program, 3, alignment=64)


def test_spilled_for_want_of_addresses(perfsim_cli):
    """Without alignment this much is enough for all, so more bytes are not what is missing."""
    run = perfsim_cli(
        *("memory", "squeezenet1_1", "--hw", "1MB_2GBs_2TF", "--placement", "liveness"),
        *("--set", "hw.sram=983000 B", "--alignment", "4096"),
    )
    assert run.status == 0
    words = " ".join(run.out.split())
    assert "are spilled for want of addresses" in words
    assert "bytes more SRAM" not in words


def test_memory_says_how_good_the_plan_is(perfsim_cli):
    arguments = ("memory", "squeezenet1_0", "--hw", "1MB_2GBs_2TF")
    searched = perfsim_cli(*arguments, "--placement", "optimal")
    assert "no plan moves less than" in " ".join(searched.out.split())
    record = json.loads(perfsim_cli(*arguments, "--placement", "optimal", "--format", "json").out)
    assert record["search"]["gap"] == 0
    assert record["search"]["lower_bound_bytes"] == record["ddr_bytes"]
    assert "search" not in json.loads(perfsim_cli(*arguments, "--format", "json").out)


def test_a_comparison_shows_further_inferences_where_weights_are_pinned(perfsim_cli):
    arguments = ("compare", "lenet5", "--hw", "1MB_2GBs_2TF", "--hw", "4MB_4GBs_4TF")
    pinned = perfsim_cli(*arguments, "--placement", "pinned")
    assert "further" in pinned.out.splitlines()[2]
    assert "further" not in perfsim_cli(*arguments).out


def test_a_comparison_is_of_further_inferences(perfsim_cli, write):
    """1000 to 1000 features, a million weights that are pinned: 2 us + 1 us against 0.2 us + 10 us once they are in.

    With the weights, which take 1 ms and 0.1 ms, the second machine is nine times as fast; it is a third as fast.
    """
    write("n.yaml", "input: [1000]\nlayers:\n  - fully_connected: {units: 1000, bias: false}\n")
    rest = "sram: 4 MB\nvector: 1 GFLOPS\nplacement: pinned\ntiming: serial\n"
    write("a.yaml", f"name: a\nddr_bandwidth: 1 GB/s\nmatrix: 2 TFLOPS\n{rest}")
    write("b.yaml", f"name: b\nddr_bandwidth: 10 GB/s\nmatrix: 200 GFLOPS\n{rest}")
    arguments = ("compare", "n.yaml", "--hw", "a.yaml", "--hw", "b.yaml")
    rows = json.loads(perfsim_cli(*arguments, "--format", "json").out)["rows"]
    assert [row["layer"] for row in rows] == [0, 1, 0, 1]
    first, steady = [1.003e-3, 1.003e-3, 110.2e-6, 110.2e-6], [3e-6, 3e-6, 10.2e-6, 10.2e-6]
    assert [row["time_s"] for row in rows] == pytest.approx(first)
    assert [row["steady_s"] for row in rows] == pytest.approx(steady)
    assert [row["speedup"] for row in rows] == pytest.approx([1, 1, 3 / 10.2, 3 / 10.2])
    text = perfsim_cli(*arguments).out
    assert "0.294x" in text
    assert "per layer on a, b, further inferences" in text
    (run, other) = page_record(
        [[simulate(load_network("n.yaml"), load_hardware(each)) for each in ("a.yaml", "b.yaml")]]
    )["networks"][0]["runs"]
    assert other["speedup"] == pytest.approx(3 / 10.2)
    assert (run["steady_bound"], other["steady_bound"]) == ("ddr", "matrix")
    assert [entry["layer_s"] for entry in other["by_bound"]] == pytest.approx([10.2e-6])
    assert other["findings"][0].startswith("One inference takes 10.2 us: 100.0% of it")
    assert "the first, which fetches the pinned weights and takes 110.2 us" in other["findings"][1]


def test_the_interval_of_a_comparison_stands_beside_the_time_that_it_is_of(
    perfsim_cli, monkeypatch
):
    for width in ("80", "120"):
        monkeypatch.setenv("COLUMNS", width)
        text = perfsim_cli("compare", "mobilenet_v2", "--hw", "coral_usb", "--hw", "stm32n6").out
        heads = re.split(r"\s\s+", text.splitlines()[2])
        assert heads[heads.index("further") + 1] == "90% interval"
        coral = re.split(r"\s\s+", text.splitlines()[4])[heads.index("further") :]
        low_ms, high_ms = (float(each) for each in re.findall(r"[\d.]+", coral[1]))
        assert low_ms < float(coral[0].removesuffix(" ms")) < high_ms
