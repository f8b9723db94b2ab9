"""Buffers that are shared, pinned weights, early weights, and the memory map, worked by hand and checked anew."""

from __future__ import annotations

import json

import pytest

from perfsim import load_hardware, load_network, lower, simulate
from perfsim.errors import InvalidValueError, MemoryTooSmallError
from perfsim.hardware.machine import Machine
from perfsim.network.graph import Node, Tensor, build_network
from perfsim.network.matrix import Attention
from perfsim.placement import placement_policy
from perfsim.placement.buffers import buffers_of
from perfsim.placement.memory_levels import compulsory_bytes, least_sram_bytes, levels, spilled
from perfsim.placement.memory_map import memory_map
from perfsim.placement.operands import operands_of
from perfsim.placement.prefetch import prefetch_bytes
from perfsim.program import Kind


def machine(sram_bytes: int, **more) -> Machine:
    return Machine("m", sram_bytes, 1e9, 1e12, 1e10, **more)


def groups(network) -> list[set[str]]:
    """The names of the feature maps that share each buffer of several."""
    program = lower(network)
    shared: dict[int, set[str]] = {}
    for index, buffer in enumerate(buffers_of(program).of.tolist()):
        if buffer >= 0:
            shared.setdefault(buffer, set()).add(program.tensors[index].name)
    return [names for names in shared.values() if len(names) > 1]


def joined(network) -> list[str]:
    program = lower(network)
    flags = buffers_of(program).joined.tolist()
    return [layer.name for layer, is_joined in zip(program.layers, flags, strict=True) if is_joined]


CONV = "conv: {name: %s, inputs: [%s], channels: %d, kernel: 1, bias: false}"


def network_of(load, *lines):
    return load("input: [1, 10, 10]\nlayers:\n" + "".join(f"  - {line}\n" for line in lines))


def test_an_element_wise_operator_writes_over_what_dies(load):
    network = network_of(
        load, CONV % ("a", "input", 1), CONV % ("b", "a", 1), "add: {name: s, inputs: [a, b]}"
    )
    assert groups(network) == [{"a", "s"}]
    assert simulate(network, machine(10_000)).totals.peak_sram_bytes == 201


def test_nothing_is_written_over_that_is_still_read_or_is_the_callers(load):
    later = network_of(
        load,
        CONV % ("a", "input", 1),
        "sigmoid: {name: s}",
        "relu: {name: r, inputs: [a]}",
        "add: {name: t, inputs: [s, r]}",
    )
    assert {"a", "s"} not in groups(later)
    assert not groups(network_of(load, "sigmoid: {name: s}"))


def test_an_output_is_not_written_over(load):
    network = network_of(
        load,
        CONV % ("a", "input", 1),
        "max_pool: {name: p, kernel: 2}",
        "sigmoid: {name: s, inputs: [a]}",
    )
    assert groups(network) == [{"a", "s"}]


def test_a_smaller_operand_is_not_written_over(load):
    network = network_of(
        load,
        CONV % ("a", "input", 4),
        "global_avg_pool: {name: g}",
        "sigmoid: {name: q}",
        "mul: {name: m, inputs: [g, a]}",
    )
    assert {"a", "m"} in groups(network)


def test_elements_of_another_width_are_not_written_over(load):
    """4 values of 32 bits, stretched to 16 of 8 bits: as many bytes, but the first 4 go where the first value is."""
    network = load(
        "precision: {feature_map: 32}\ninput: [4, 2, 2]\nlayers:\n"
        "  - conv: {name: c, channels: 4, kernel: 1}\n"
        "  - global_avg_pool: {name: g}\n"
        "  - add: {name: s, inputs: [g, c]}\n"
        "  - quantize: {name: q, bits: 8}\n"
        "  - conv: {name: d, channels: 1, kernel: 1}\n"
    )
    sizes = {tensor.name: tensor.bytes for tensor in lower(network).tensors}
    assert sizes["g"] == sizes["q"] == 16
    assert not groups(network)


def test_parts_of_a_concatenation_lie_side_by_side(load):
    network = network_of(
        load,
        CONV % ("a", "input", 1),
        CONV % ("b", "input", 2),
        "concat: {name: k, inputs: [a, b]}",
        CONV % ("d", "k", 1),
    )
    program = lower(network)
    buffers = buffers_of(program)
    assert joined(network) == ["k"]
    offsets = {
        tensor.name: int(buffers.offset[index])
        for index, tensor in enumerate(program.tensors)
        if tensor.kind is not Kind.WEIGHT
    }
    assert (offsets["a"], offsets["b"], offsets["k"]) == (0, 100, 0)
    for size in (10_000, 100):
        row = simulate(network, machine(size)).table.set_index("name").loc["k"]
        assert (row["ddr_bytes"], row["layer_s"]) == (0, 0)


def test_a_growing_concatenation_is_one_buffer(load):
    network = network_of(
        load,
        CONV % ("a", "input", 1),
        CONV % ("b", "a", 1),
        "concat: {name: k, inputs: [a, b]}",
        CONV % ("c", "k", 1),
        "concat: {name: l, inputs: [k, c]}",
        CONV % ("d", "l", 1),
    )
    assert joined(network) == ["k", "l"]
    assert groups(network) == [{"a", "b", "c", "k", "l"}]


@pytest.mark.parametrize(
    "lines",
    [
        (CONV % ("a", "input", 1), "concat: {name: k, inputs: [a, a]}"),  # the same bytes twice
        (CONV % ("a", "input", 1), "concat: {name: k, inputs: [input, a]}"),  # the caller's
        (
            CONV % ("a", "input", 2),
            CONV % ("b", "input", 2),
            "concat: {name: k, inputs: [a, b], axis: 2}",
        ),
    ],
)
def test_concatenations_that_copy(load, lines):
    assert joined(network_of(load, *lines, CONV % ("d", "k", 1))) == []


def test_a_concatenation_copies_where_early_reservation_raises_the_peak(load):
    """A skip over a wide middle: the buffer of the sum would wait there half empty."""
    network = network_of(
        load,
        CONV % ("skip", "input", 8),
        CONV % ("wide", "skip", 32),
        CONV % ("wider", "wide", 32),
        CONV % ("late", "wider", 8),
        "concat: {name: k, inputs: [skip, late]}",
        CONV % ("d", "k", 1),
    )
    assert joined(network) == []


PIN = """\
layer,op,input_elements,output_elements,weights,macs
1,conv,1000,1000,500,1000
2,conv,1000,1000,3000,2000
3,conv,1000,1000,700,3000
"""


def test_pinned_by_hand(write):
    """Feature maps need 2,000 and weights that pass 64. Pinned, smallest first: 500 from 2,564, 700 more from
    3,264, the last 3,000 from 6,264."""
    network = load_network(write("pin.csv", PIN))
    for size, kept in ((2_563, 0), (2_564, 500), (3_264, 1_200), (6_264, 4_200)):
        totals = simulate(network, machine(size), "pinned", "serial").totals
        assert totals.ddr_bytes == 1000 + 4200 + 1000
        assert totals.steady_ddr_bytes == totals.ddr_bytes - kept
        assert totals.steady_s == pytest.approx(totals.total_s - kept / 1e9, abs=1e-12)


def test_pinned_in_the_report(perfsim_cli, write):
    write("pin.csv", PIN)
    hardware = "1MB_2GBs_2TF"
    run = perfsim_cli("run", "pin.csv", "--hw", hardware, "--placement", "pinned")
    assert "every further one finds pinned weights in place" in run.out
    plain = perfsim_cli("run", "pin.csv", "--hw", hardware, "--placement", "liveness")
    assert "pinned" not in plain.out


def test_weights_come_early_where_there_is_room(write):
    """Layer 2's 3,000 bytes: beside layer 1 (2,000 and its weights, 500) there are 2,500 of 5,000, 5,500 of 8,000."""
    program = lower(load_network(write("pin.csv", PIN)))
    policy = placement_policy("liveness")
    assert prefetch_bytes(program, policy.place(program, 8_000)).tolist() == [0, 3_000, 700]
    assert prefetch_bytes(program, policy.place(program, 5_000)).tolist() == [0, 2_500, 0]
    assert prefetch_bytes(program, policy.place(program, 4_000)).tolist() == [
        0,
        0,
        700,
    ]  # 2's weights pass


def test_weights_do_not_come_in_while_a_view_runs(load):
    """`b` has 640 bytes of weights. Beside `a` (two maps of 64 and 16 bytes of weights) there are 656 of 800, 576
    of 720, and beside the view 656 of 720; they stay through it."""
    network = load(
        "input: [4, 4, 4]\nlayers:\n  - conv: {name: a, channels: 4, kernel: 1, bias: false}\n"
        "  - flatten: {name: f}\n  - fully_connected: {name: b, units: 10, bias: false}\n"
    )
    program, policy = lower(network), placement_policy("liveness")
    assert prefetch_bytes(program, policy.place(program, 800)).tolist() == [0, 0, 640]
    assert prefetch_bytes(program, policy.place(program, 720)).tolist() == [0, 0, 576]
    early = [e for e in memory_map(policy, program, 720).entries if e.kind == "prefetch"]
    assert [(entry.layer_from, entry.layer_to, entry.bytes) for entry in early] == [(1, 3, 576)]


def test_double_buffered_tiles_take_twice(load):
    network = network_of(load, CONV % ("a", "input", 1), CONV % ("b", "a", 1))
    single, double = (
        simulate(network, machine(60, double_buffered=doubled)).placement.tile_bytes
        for doubled in (False, True)
    )
    assert (double == 2 * single).all()


@pytest.mark.parametrize("policy", ["liveness", "pinned"])
def test_explanations_know_of_double_buffers(load, policy):
    """At `b` there are the 100 bytes of `a` and of `b`, and a tile for its one weight, or two."""
    network = network_of(load, CONV % ("a", "input", 1), CONV % ("b", "a", 1), CONV % ("c", "b", 1))
    program, chosen = lower(network), placement_policy(policy)
    for doubled, threshold in ((False, 201), (True, 202)):
        placement = chosen.place(program, 201, double_buffered=doubled)
        reasons = " ".join(chosen.explain(program, placement, 1))
        assert f"internal from {threshold:,} bytes" in reasons


def test_too_little_memory_is_an_error(load):
    with pytest.raises(MemoryTooSmallError, match=r"smallest tiles of 'a'.*3 bytes or more"):
        simulate(network_of(load, CONV % ("a", "input", 1)), machine(2))


def test_the_least_memory_for_a_traffic():
    program = lower(load_network("mobilenet_v1"))
    policy = placement_policy("liveness")
    least = compulsory_bytes(program)
    enough = least_sram_bytes(policy, program, least)
    for size, moved_more in ((enough, False), (enough - 1, True)):
        placement = policy.place(program, size)
        moved = int((placement.ddr_read_bytes + placement.ddr_write_bytes).sum())
        assert (moved > least) is moved_more
        assert sum(extra for _, extra in spilled(program, placement)) == moved - least
    assert least_sram_bytes(policy, program, least - 1) is None
    found = levels(policy, program, 6)
    assert found == sorted(found)
    assert [traffic for _, traffic in found] == sorted((t for _, t in found), reverse=True)
    assert found[-1] == (enough, least)


def test_the_command(perfsim_cli):
    run = perfsim_cli("memory", "mobilenet_v1", "--hw", "1MB_2GBs_2TF", "--for-traffic", "5MB")
    assert run.status == 0
    assert "pw1.relu6" in run.out
    assert "204,256 bytes more SRAM" in run.out
    record = json.loads(
        perfsim_cli("memory", "mobilenet_v1", "--hw", "1MB_2GBs_2TF", "--format", "json").out
    )
    assert record["sram_bytes_without_spilling"] == 1_204_256
    assert max(row["address"] + row["bytes"] for row in record["entries"]) <= 10**6
    table = perfsim_cli("memory", "mobilenet_v1", "--hw", "1MB_2GBs_2TF", "--format", "csv").out
    assert table.splitlines()[0] == "tensor,kind,layer_from,layer_to,address,bytes"


def test_accumulate_keeps_no_plan(perfsim_cli):
    run = perfsim_cli("memory", "mobilenet", "--hw", "1MB_1GBs_1TF")
    assert run.status == 2
    assert "--placement liveness" in run.err
    with pytest.raises(InvalidValueError):
        memory_map(placement_policy("accumulate"), lower(load_network("mobilenet")), 10**6)


@pytest.mark.parametrize("option", ["--alignment", "--for-traffic"])
@pytest.mark.parametrize("value", ["x", "0", "-1", "1 GB/s"])
def test_wrong_sizes(perfsim_cli, option, value):
    run = perfsim_cli("memory", "mobilenet_v1", "--hw", "1MB_2GBs_2TF", f"{option}={value}")
    assert run.status == 2
    assert run.err.count("\n") == 1
    assert option in run.err


def test_double_buffering_from_a_file():
    assert load_hardware("1MB_2GBs_2TF", double_buffered=True).double_buffered


def test_shared_memory_is_explained(load, perfsim_cli, write):
    write(
        "net.yaml",
        "input: [1, 10, 10]\nlayers:\n"
        + "".join(
            f"  - {line}\n"
            for line in (
                CONV % ("a", "input", 1),
                CONV % ("b", "a", 1),
                "add: {name: s, inputs: [a, b]}",
                CONV % ("c", "s", 1),
                "concat: {name: k, inputs: [s, c]}",
                CONV % ("d", "k", 1),
            )
        ),
    )

    def text(layer):
        run = perfsim_cli("explain", "net.yaml", "--hw", "1MB_2GBs_2TF", "--layer", layer)
        return " ".join(run.out.split())

    assert "'s' is written over" not in text("s")  # it lies in the concatenation
    assert "nothing is copied" in text("k")
    assert "nothing is copied" not in text("d")
    resnet = perfsim_cli(
        "explain",
        "resnet18",
        "--hw",
        "4MB_4GBs_4TF",
        "--layer",
        "layer1.1",
        "--placement",
        "liveness",
    )
    assert "is written over" in " ".join(resnet.out.split())


def test_a_mask_passes_beside_the_tiles_of_attention():
    """It is no operand of the loops: it moves once, and keys and values are fetched again as without it."""
    inputs = [Tensor(name, (1, 96, 32), 8) for name in "qkv"] + [Tensor("m", (1, 96, 96), 8)]
    moved = []
    for names in ("qkv", "qkvm"):
        network = build_network(
            "net",
            [each for each in inputs if each.name in names],
            [Node("a", Attention(heads=1), tuple(names), ("a",))],
            feature_map_bits=8,
            weight_bits=8,
        )
        program = lower(network)
        placement = placement_policy("liveness").place(program, 1_000)
        assert placement.tilings
        assert len(operands_of(program)[0].touches[1]) == 2  # key and value
        moved.append(int((placement.ddr_read_bytes + placement.ddr_write_bytes).sum()))
    assert moved[0] > 4 * 96 * 32
    assert moved[1] == moved[0] + 96 * 96
