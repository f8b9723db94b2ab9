"""The timeline and the Chrome trace: against hand-worked schedules, published times, the table's own sums."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from conftest import MACHINE, PUBLISHED, TINY, read_csv

from perfsim import load_hardware, load_network, simulate, timeline_of, trace
from perfsim.errors import UnknownNameError
from perfsim.report.memory import map_of
from perfsim.report.trace import lanes_of
from perfsim.timeline import SCHEDULES
from perfsim.timing.kernel import TIMINGS

# Two layers whose times are round: 1200 bytes in, then 500 bytes out at 1 GB/s, and so on.
HAND = """\
layer,name,op,input_elements,output_elements,weights,macs,vector_ops
1,a,conv,1000,500,200,4000,500
2,b,max_pool,500,500,0,0,1000
"""
HAND_MACHINE = """\
name: round
sram: 1 MB
ddr_bandwidth: 1 GB/s
matrix: 8 GFLOPS
vector: 1 GFLOPS
"""
# (resource, layer, start, end) in nanoseconds, worked out by hand: a moves 1200 bytes, multiplies 1000 ns
# (2 * 4000 / 8) and takes 500 ns of the vector unit; b moves 500 bytes and takes 1000 ns of the vector unit
BY_HAND = {
    "serial": [
        ("ddr", "a", 0, 1200),
        ("ddr", "b", 2700, 3200),
        ("matrix", "a", 1200, 2200),
        ("vector", "a", 2200, 2700),
        ("vector", "b", 3200, 4200),
    ],
    "overlap": [
        ("ddr", "a", 0, 1200),
        ("ddr", "b", 1500, 2000),
        ("matrix", "a", 0, 1000),
        ("vector", "a", 1000, 1500),
        ("vector", "b", 1500, 2500),
    ],
}
RUNS = [
    ("mobilenet", "1MB_1GBs_1TF"),
    ("resnet50", "1MB_2GBs_2TF"),
    ("resnet50", "16MB_16GBs_16TF"),
    ("shufflenet_v2", "256KB_4GBs_1TF"),
    ("bert_base", "4MB_8GBs_4TF"),
    ("mobilenet_v1", "stm32n6"),  # a stream and a memory for weights beside
    ("mobilenet_v1", "coral_usb"),  # fixed costs
]


@pytest.fixture
def hand(write):
    network = load_network(write("hand.csv", HAND))
    return lambda timing: simulate(
        network, load_hardware(write("round.yaml", HAND_MACHINE)), timing=timing
    )


def events_of(file, *phases):
    data = file.read_bytes()
    text = gzip.decompress(data) if file.suffix == ".gz" else data
    document = json.loads(text, parse_float=Decimal)
    return [event for event in document["traceEvents"] if event["ph"] in phases]


def ns(microseconds) -> int:
    """Whole nanoseconds: more than three decimals would be no integer."""
    value = Decimal(microseconds) * 1000
    assert value == int(value)
    return int(value)


def track_names(file):
    return {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in events_of(file, "M")
        if event["name"] == "thread_name"
    }


@pytest.mark.parametrize("timing", BY_HAND)
def test_the_schedule_is_the_one_worked_out_by_hand(hand, timing):
    result = hand(timing)
    timeline = timeline_of(result)
    found = [
        (timeline.resources[resource], result.columns["name"][layer], start, end)
        for resource, layer, start, end in zip(
            timeline.resource.tolist(),
            timeline.layer.tolist(),
            (timeline.start_s * 1e9).round().astype(int).tolist(),
            (timeline.end_s * 1e9).round().astype(int).tolist(),
            strict=True,
        )
    ]
    assert found == BY_HAND[timing]
    assert timeline.part == tuple(f"{resource}_s" for resource, *_ in BY_HAND[timing])


@pytest.mark.parametrize("timing", BY_HAND)
def test_the_trace_has_the_slices_worked_out_by_hand(hand, timing, tmp_path):
    file = tmp_path / "t.json"
    trace(hand(timing), file)
    tracks = track_names(file)
    shown = {"ddr": "DMA (DDR)", "matrix": "matrix unit", "vector": "vector unit"}
    found = [
        (tracks[1, event["tid"]], event["name"], ns(event["ts"]), ns(event["ts"] + event["dur"]))
        for event in events_of(file, "X")
        if event["pid"] == 1 and event["tid"] > 1
    ]
    assert found == [(shown[resource], *rest) for resource, *rest in BY_HAND[timing]]


def test_every_timing_has_a_schedule_and_an_unknown_one_is_an_error(hand, monkeypatch):
    for policy in TIMINGS:
        assert timeline_of(hand(policy.name)).total_s > 0
    monkeypatch.delitem(SCHEDULES, "serial")
    with pytest.raises(UnknownNameError, match="'serial'"):
        timeline_of(hand("serial"))


@pytest.mark.parametrize("timing", [policy.name for policy in TIMINGS])
@pytest.mark.parametrize(("model", "machine"), RUNS)
def test_no_resource_does_two_things_at_once_and_all_of_it_adds_up(model, machine, timing):
    result = simulate(load_network(model), load_hardware(machine), timing=timing)
    timeline = timeline_of(result)
    total_s = result.totals.total_s
    assert timeline.total_s == total_s  # the same bits
    assert (timeline.end_s >= timeline.start_s).all()
    # A pipelined layer is made of slots, whose lengths are rounded each for itself.
    slack_s = 1e-12 * total_s if timing == "pipelined" else 0.0
    assert timeline.end_s.max() <= total_s + slack_s
    for number, resource in enumerate(timeline.resources):
        of = timeline.resource == number
        start, end = timeline.start_s[of], timeline.end_s[of]
        assert (start[1:] >= end[:-1] - slack_s).all(), resource
        column = result.columns[{"weights": "weight_s"}.get(resource, f"{resource}_s")]
        assert (end - start).sum() == pytest.approx(sum(column), rel=1e-9)
        used = [position for position, value in enumerate(column) if value]
        assert sorted(set(timeline.layer[of].tolist())) == used
    for start, end, layer in zip(timeline.start_s, timeline.end_s, timeline.layer, strict=True):
        assert start <= end <= timeline.layer_end_s[layer] + slack_s
        # Early weights come in while the layer before runs, nothing else does.
        begin = timeline.layer_start_s[max(layer - 3, 0) if timing == "pipelined" else layer]
        assert begin <= start + slack_s


@pytest.mark.thorough
@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
@pytest.mark.parametrize(("model", "machine"), RUNS)
def test_the_trace_read_again_adds_up_to_the_nanosecond(
    perfsim_cli, tmp_path, model, machine, suffix
):
    file = tmp_path / f"trace{suffix}"
    run = perfsim_cli("trace", model, "--hw", machine, "-o", file.name, "--quiet")
    assert (run.status, run.out, run.err) == (0, "", "")
    document = json.loads(perfsim_cli("run", model, "--hw", machine, "--format", "json").out)
    rows, total_ns = document["layers"], round(document["totals"]["total_s"] * 1e9)
    slices = events_of(file, "X")
    assert max(ns(event["ts"] + event["dur"]) for event in slices) == total_ns
    layers = [event for event in slices if (event["pid"], event["tid"]) == (1, 1)]
    assert [event["name"] for event in layers] == [row["name"] for row in rows]
    assert sum(ns(event["dur"]) for event in layers) == total_ns
    for event, row in zip(layers, rows, strict=True):  # the row, number by number
        assert {key: type(row[key])(value) for key, value in event["args"].items()} == row
    tracks = track_names(file)
    for resource, name in (
        ("ddr", "DMA (DDR)"),
        ("matrix", "matrix unit"),
        ("vector", "vector unit"),
    ):
        of = [event for event in slices if tracks[event["pid"], event["tid"]] == name]
        used = [row for row in rows if row[f"{resource}_s"]]
        assert [event["name"] for event in of] == [row["name"] for row in used]
        for event, row in zip(of, used, strict=True):  # each end is rounded once
            assert abs(ns(event["dur"]) - row[f"{resource}_s"] * 1e9) <= 1.001
            assert float(event["args"][f"{resource}_s"]) == row[f"{resource}_s"]
    in_use = [event["args"]["bytes"] for event in events_of(file, "C")]
    assert in_use == [*(row["sram_used_bytes"] for row in rows), 0]
    by_track = {}
    for event in slices:
        by_track.setdefault((event["pid"], event["tid"]), []).append(event)
    for of in by_track.values():
        of.sort(key=lambda event: (event["ts"], event["dur"]))
        for one, other in pairwise(of):
            assert other["ts"] >= one["ts"] + one["dur"]


def test_the_published_times_are_in_the_trace(tmp_path):
    """The time table of the write-up, to its printed digits (4 to 6 of them)."""
    result = simulate(
        load_network("mobilenet_printed", precision={"weight": 1}), load_hardware("1MB_1GBs_1TF")
    )
    trace(result, tmp_path / "t.json")
    layers = [event for event in events_of(tmp_path / "t.json", "X") if event["tid"] == 1]
    published = read_csv(PUBLISHED / "reference/table4_time.csv")
    assert len(layers) == len(published) == 27
    for event, row in zip(layers, published, strict=True):
        printed_ns = float(row["performance_time_s"]) * 1e9
        assert abs(ns(event["dur"]) - printed_ns) <= max(2, 2e-3 * printed_ns)


@pytest.mark.thorough
@pytest.mark.parametrize(("model", "machine"), RUNS[1:])
def test_the_tensors_lives_are_those_of_the_memory_map(perfsim_cli, tmp_path, model, machine):
    perfsim_cli("trace", model, "--hw", machine, "-o", "t.json")
    rows = json.loads(perfsim_cli("memory", model, "--hw", machine, "--format", "json").out)[
        "entries"
    ]
    lives = [event for event in events_of(tmp_path / "t.json", "X") if event["pid"] == 2]
    keys = ("kind", "address", "bytes", "layer_from", "layer_to")
    assert [{"tensor": event["name"], **event["args"]} for event in lives] == [
        {key: row[key] for key in ("tensor", *keys)} for row in rows
    ]
    layers = [
        event
        for event in events_of(tmp_path / "t.json", "X")
        if event["pid"] == 1 and event["tid"] == 1
    ]
    for event in lives:
        first, last = layers[event["args"]["layer_from"] - 1], layers[event["args"]["layer_to"] - 1]
        assert (event["ts"], event["ts"] + event["dur"]) == (first["ts"], last["ts"] + last["dur"])
    together = max(
        sum(row["layer_from"] <= layer <= row["layer_to"] for row in rows)
        for layer in range(1, len(layers) + 1)
    )
    assert len({event["tid"] for event in lives}) == together  # no more tracks than are needed


def test_lanes_hold_one_at_a_time_and_are_as_few_as_can_be(load, write):
    entries = map_of(simulate(load(TINY), load_hardware(write("m.yaml", MACHINE)))).entries
    lanes = lanes_of(entries)
    for one, lane in zip(entries, lanes, strict=True):
        for other, same in zip(entries, lanes, strict=True):
            if one is not other and lane == same:
                assert one.layer_to < other.layer_from or other.layer_to < one.layer_from
    assert lanes_of(()) == []


def test_the_same_run_gives_the_same_bytes_and_no_date(perfsim_cli, tmp_path):
    for name in ("a.json.gz", "b.json.gz", "c.json"):
        perfsim_cli("trace", "resnet18", "--hw", "1MB_2GBs_2TF", "-o", name)
    packed = (tmp_path / "a.json.gz").read_bytes()
    assert packed == (tmp_path / "b.json.gz").read_bytes()
    assert packed[3:8] == b"\0\0\0\0\0"  # RFC 1952: no name follows, and no time
    assert gzip.decompress(packed) == (tmp_path / "c.json").read_bytes()


def test_a_policy_without_a_plan_has_no_tensors_and_says_so(perfsim_cli, tmp_path):
    run = perfsim_cli("trace", "mobilenet", "--hw", "1MB_1GBs_1TF", "-o", "t.json")
    assert run.status == 0
    assert run.err == (
        "warning: the placement 'accumulate' keeps no plan of what lies where: no tensors in the trace\n"
    )
    assert {event["pid"] for event in events_of(tmp_path / "t.json", "X", "M")} == {1}


def test_names_stay_as_they_are(write, tmp_path):
    name = 'a "b" </script> \N{GRINNING FACE} \N{HEBREW LETTER ALEF} $x$'
    quoted = json.dumps(name, ensure_ascii=False)
    text = f"name: n\ninput: [3, 8, 8]\nlayers:\n  - conv: {{name: {quoted}, channels: 4, kernel: 3}}\n"
    result = simulate(load_network(write("n.yaml", text)), load_hardware(write("m.yaml", MACHINE)))
    trace(result, tmp_path / "t.json", ["hw.sram=1MB"])
    assert any(event["name"] == name for event in events_of(tmp_path / "t.json", "X"))
    assert json.loads((tmp_path / "t.json").read_text())["otherData"]["settings"] == ["hw.sram=1MB"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("t.gz", "t.gz: found the suffix '.gz', expected one of .json, .json.gz"),
        ("t.csv", "t.csv: found the suffix '.csv', expected one of .json, .json.gz"),
        (".json", ".json: found the suffix '', expected one of .json, .json.gz"),
        ("no/t.json", "no/t.json: the folder 'no' does not exist"),
    ],
)
def test_a_file_that_cannot_be_written_is_one_error(perfsim_cli, tmp_path, file, message):
    run = perfsim_cli("trace", "resnet18", "--hw", "1MB_2GBs_2TF", "-o", file)
    assert (run.status, run.err.splitlines()[0]) == (2, f"error: {message}")
    assert not list(tmp_path.iterdir())


def test_several_machines_are_one_error(perfsim_cli):
    run = perfsim_cli(
        "trace", "resnet18", "--hw", "1MB_2GBs_2TF", "--hw", "nvdla_2048", "-o", "t.json"
    )
    assert run.status == 2
    assert "--hw: found 2 machines, expected one" in run.err


def test_a_layer_that_takes_no_time_has_a_place_but_uses_nothing(load, write):
    layers = ("conv: {channels: 4, kernel: 3}", "flatten: {}", "fully_connected: {units: 2}")
    text = "name: n\ninput: [4, 8, 8]\nlayers:\n" + "".join(f"  - {each}\n" for each in layers)
    result = simulate(load(text), load_hardware(write("m.yaml", MACHINE)))
    timeline = timeline_of(result)
    free = [position for position, value in enumerate(result.columns["layer_s"]) if not value]
    assert free
    assert not set(free) & set(timeline.layer.tolist())
    assert np.array_equal(timeline.layer_start_s[free], timeline.layer_end_s[free])
