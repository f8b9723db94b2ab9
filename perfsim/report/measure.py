"""The reports of measuring on this computer: a network's rows, and the computer as a machine's file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfsim.report.files import write_whole
from perfsim.report.sheet import Sheet
from perfsim.report.text import NAME_LEAST, Column, duration, scaled, table, telling_room, wrapped
from perfsim.report.text import TIME_UNITS as _TIME_UNITS

if TYPE_CHECKING:
    from perfsim.host.measuring import HostMeasurement
    from perfsim.host.probing import HostNumber, HostProfile
    from perfsim.result import Columns


def measurement_sheet(measured: HostMeasurement) -> Sheet:
    """A measured network as a sheet: the rows are those that `perfsim validate` reads."""
    other_s = 0.0 if measured.other is None else measured.other.median_s
    record: dict[str, Any] = {
        "network": measured.network,
        "source": measured.source,
        "measured_ms": measured.whole.median_s * 1000,
        "layers_ms": measured.layers_s * 1000,
        "other_ms": other_s * 1000,
    }
    return Sheet(
        record, "measurements", measured.columns, lambda width: _text(measured, other_s, width)
    )


def _text(measured: HostMeasurement, other_s: float, width: int) -> str:
    columns = measured.columns
    whole_s, sum_s = measured.whole.median_s, measured.layers_s + other_s
    changed = f" ({measured.settings})" if measured.settings else ""
    heading = f"{measured.network}{changed}, batch {measured.batch}, {measured.precision}: {measured.source}"
    rows = range(1, len(columns["layer"]))
    times = [timing.median_s for timing in measured.layers.values()]
    names = [columns["layer"][row] for row in rows]
    shown = [
        Column("layer", names, left=True, least=telling_room(names, NAME_LEAST, width // 2)),
        Column("op", [columns["op"][row] for row in rows], 3, left=True),
        scaled("time", times, _TIME_UNITS),
        Column("share", [f"{100 * time_s / sum_s:.1f}%" for time_s in times], 4),
        Column("with", [columns["with"][row] for row in rows], 2, left=True, least=NAME_LEAST),
        Column("nodes", [columns["nodes"][row] for row in rows], 1, left=True, least=12),
    ]
    quartiles = f"{duration(measured.whole.first_quartile_s)} to {duration(measured.whole.third_quartile_s)}"
    summary = [
        f"the whole network, without profiling: {duration(whole_s)}, median of {measured.whole.runs} runs, the "
        f"middle half of them from {quartiles}",
        f"the sum of the layers, profiled: {duration(measured.layers_s)}, other nodes: {duration(other_s)}; "
        f"together {100 * (sum_s / whole_s - 1):+.1f}% of the whole network's time",
    ]
    lines = "\n".join(wrapped(line, width) for line in summary)
    return f"{wrapped(heading, width)}\n\n{table(shown, width)}\n{lines}\n"


def host_text(host: HostProfile) -> str:
    """This computer as the YAML of a machine's file, with where each number comes from."""
    source = f"measured by 'perfsim measure --host' on this computer, {host.date}"
    width = max(len(number.key) for number in host.numbers)
    lines = [
        f"# {host.processor}, one core, single precision, measured on {host.date}.",
        "#",
        *(f"# {number.key:<{width}}  {number.how}" for number in host.numbers),
        "name: host",
        f"description: {json.dumps(f'{host.processor}, one core, float32')}",
        f"source: {json.dumps(source)}",
        *(f"{number.key}: {_quantity(number)}" for number in host.numbers),
        "output_stage: [add]  # ONNX Runtime adds shortcuts in the convolution before",
        "timing: serial",
    ]
    return "\n".join(lines) + "\n"


def host_sheet(host: HostProfile) -> Sheet:
    """This computer's numbers as a sheet; its text is the machine's file."""
    numbers = host.numbers
    record = {"processor": host.processor, "date": host.date}
    columns: Columns = {
        "key": [number.key for number in numbers],
        "value": [number.value for number in numbers],
        "how": [number.how for number in numbers],
    }
    return Sheet(record, "numbers", columns, lambda _: host_text(host))


def write_host(host: HostProfile, outputs: Sequence[str]) -> None:
    """Write the machine's file to every output, whole or not at all; raises OutputError."""
    text = host_text(host).encode()
    write_whole([(output, lambda file: file.write(text)) for output in outputs])


def _quantity(number: HostNumber) -> str:
    """A number with its unit, as a machine's file has it: sizes as they are, rates with three digits."""
    if number.key == "sram":
        return f"{number.value / 1024:.0f} KiB"
    rate = f"{number.value / 1e9:.3g}"
    if number.key == "stream":  # a core moves feature maps or computes with them
        return f"{{bandwidth: {rate} GB/s, hidden: false}}"
    return f"{rate} GB/s" if number.key == "ddr_bandwidth" else f"{rate} GFLOPS"
