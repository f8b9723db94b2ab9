"""A run as a Chrome trace, for Perfetto (ui.perfetto.dev) and chrome://tracing.

The format's times are microseconds; here they have three decimals, so whole nanoseconds. Every boundary between
intervals is rounded to one, never a length: what touches still touches, nothing overlaps, and the lengths of what
follows one another add up to the total, rounded.

Source: Trace Event Format, Google, the object form with complete ("X"), counter ("C") and metadata ("M") events.
"""

from __future__ import annotations

import gzip
import json
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, BinaryIO

from perfsim import __version__
from perfsim.report.files import check_outputs, write_whole
from perfsim.report.machine import machine_record
from perfsim.report.memory import map_of
from perfsim.report.run import policies
from perfsim.timeline import RESOURCES, timeline_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.placement.memory_map import Entry
    from perfsim.result import Result
    from perfsim.timeline import Timeline

SUFFIXES = (".json", ".json.gz")
NS_PER_S = 10**9
EXECUTION, MEMORY = 1, 2  # the two groups of tracks ("processes")
LAYERS = 1  # the first track of EXECUTION; the resources come after it

Event = dict[str, Any]


def trace(result: Result, file: str | PathLike[str], settings: Sequence[str] = ()) -> None:
    """Write the run as a Chrome trace, `.json` or `.json.gz`; whole or not at all.

    >>> trace(simulate(network, machine), "trace.json.gz")

    The same run gives the same bytes. settings: what was changed for the run. Raises OutputError.
    """
    output = fspath(file)
    check_outputs([output], suffixes=SUFFIXES)
    document = trace_document(result, settings)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    data = (text + "\n").encode("utf-8", "backslashreplace")

    def fill(stream: BinaryIO) -> None:
        if output.lower().endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0) as packed:
                packed.write(data)
        else:
            stream.write(data)

    write_whole([(output, fill)])


def trace_document(result: Result, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The trace as the values of its JSON.

    Tracks: the layers; each resource that the run uses; internal memory in use; and, where the placement keeps a plan,
    the lives of tensors in internal memory, in as few tracks as there are tensors at once.
    """
    timeline = timeline_of(result)
    placed = None if result.placement.spans is None else map_of(result)
    events = [
        *_names(f"{result.program.name} on {result.machine.name}", timeline),
        *_layers(result, timeline),
        *_work(result, timeline),
        *_occupancy(result, timeline),
    ]
    if placed is not None:
        events += _lives(placed.entries, timeline)
    about: dict[str, Any] = {
        "perfsim": __version__,
        "network": result.program.name,
        "hardware": result.machine.name,
        "policies": policies(result),
        "settings": list(settings),
        "machine": machine_record(result.machine),
        "total_s": result.totals.total_s,
    }
    if placed is not None and placed.placement.sram_bytes < result.placement.sram_bytes:
        about["tensors_placed_for_bytes"] = placed.placement.sram_bytes  # fragmentation
    return {"displayTimeUnit": "ns", "otherData": about, "traceEvents": events}


def nanoseconds(seconds: float) -> int:
    """The nearest whole nanosecond."""
    return round(seconds * NS_PER_S)


def _between(start_s: float, end_s: float) -> Event:
    """The times of a slice [us], three decimals each: both ends are rounded, not its length."""
    start_ns, end_ns = nanoseconds(start_s), nanoseconds(end_s)
    return {"ts": start_ns / 1000, "dur": (end_ns - start_ns) / 1000}


def _name(process: int, thread: int, name: str) -> list[Event]:
    """What a track is called, and its place among the others."""
    where = {"ph": "M", "pid": process, "tid": thread}
    return [
        {**where, "name": "thread_name", "args": {"name": name}},
        {**where, "name": "thread_sort_index", "args": {"sort_index": thread}},
    ]


def _names(run: str, timeline: Timeline) -> list[Event]:
    process: Event = {"ph": "M", "pid": EXECUTION, "tid": 0, "name": "process_name"}
    events = [{**process, "args": {"name": run}}, *_name(EXECUTION, LAYERS, "layers")]
    for number, resource in enumerate(timeline.resources):
        events += _name(EXECUTION, LAYERS + 1 + number, RESOURCES[resource][0])
    return events


def _layers(result: Result, timeline: Timeline) -> list[Event]:
    """A slice for each layer with its row of the table."""
    columns = result.columns
    starts, ends = timeline.layer_start_s.tolist(), timeline.layer_end_s.tolist()
    return [
        {
            **{"ph": "X", "pid": EXECUTION, "tid": LAYERS, "cat": columns["op"][position]},
            "name": columns["name"][position],
            **_between(starts[position], ends[position]),
            "args": {name: values[position] for name, values in columns.items()},
        }
        for position in range(len(starts))
    ]


def _work(result: Result, timeline: Timeline) -> list[Event]:
    """A slice for each interval of each resource, with the numbers that it comes from."""
    columns = result.columns
    rows = zip(
        timeline.resource.tolist(),
        timeline.layer.tolist(),
        timeline.part,
        timeline.start_s.tolist(),
        timeline.end_s.tolist(),
        strict=True,
    )
    events = []
    for resource, position, part, start_s, end_s in rows:
        shown = ("layer", part, *RESOURCES[timeline.resources[resource]][1], "bound")
        events.append(
            {
                **{"ph": "X", "pid": EXECUTION, "tid": LAYERS + 1 + resource},
                "cat": part.removesuffix("_s"),
                "name": columns["name"][position],
                **_between(start_s, end_s),
                "args": {name: columns[name][position] for name in shown},
            }
        )
    return events


def _occupancy(result: Result, timeline: Timeline) -> list[Event]:
    """Internal memory in use, at the start of each layer, and nothing after the last one."""
    times = [*timeline.layer_start_s.tolist(), timeline.total_s]
    used = [*result.columns["sram_used_bytes"], 0]
    return [
        {
            **{"ph": "C", "pid": EXECUTION, "name": "SRAM in use"},
            "ts": nanoseconds(start_s) / 1000,
            "args": {"bytes": size},
        }
        for start_s, size in zip(times, used, strict=True)
    ]


def _lives(entries: Sequence[Entry], timeline: Timeline) -> list[Event]:
    """A slice for each run of internal memory, on tracks of which none holds two at once."""
    process: Event = {"ph": "M", "pid": MEMORY, "tid": 0, "name": "process_name"}
    events = [{**process, "args": {"name": "tensors in internal memory"}}]
    lanes = lanes_of(entries)
    for lane in range(1, 1 + max(lanes, default=-1) + 1):
        events += _name(MEMORY, lane, f"tensors {lane}")
    starts, ends = timeline.layer_start_s.tolist(), timeline.layer_end_s.tolist()
    for entry, lane in zip(entries, lanes, strict=True):
        shown = ("kind", "address", "bytes", "layer_from", "layer_to")
        events.append(
            {
                **{"ph": "X", "pid": MEMORY, "tid": lane + 1, "cat": entry.kind},
                "name": entry.tensor,
                **_between(starts[entry.layer_from - 1], ends[entry.layer_to - 1]),
                "args": {name: getattr(entry, name) for name in shown},
            }
        )
    return events


def lanes_of(entries: Sequence[Entry]) -> list[int]:
    """A lane from 0 for each entry, so that no lane holds two at once, in as few lanes as there are entries at once.

    Each takes the lowest lane that is free when it begins, which is optimal for intervals (interval partitioning:
    Kleinberg and Tardos, Algorithm Design, 2006, section 4.1).
    """
    import heapq

    free: list[int] = []
    taken: list[tuple[int, int]] = []  # (last layer, lane)
    lanes, given = 0, [0] * len(entries)
    for index in sorted(range(len(entries)), key=lambda at: entries[at].layer_from):
        while taken and taken[0][0] < entries[index].layer_from:
            heapq.heappush(free, heapq.heappop(taken)[1])
        if free:
            lane = heapq.heappop(free)
        else:
            lane, lanes = lanes, lanes + 1
        given[index] = lane
        heapq.heappush(taken, (entries[index].layer_to, lane))
    return given
