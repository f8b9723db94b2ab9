"""Lists of what is bundled, and one network or machine in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim.hardware.machine import NUMBERS
from perfsim.network.work import shape_text
from perfsim.program import lower
from perfsim.report.machine import machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    COUNT_UNITS,
    NAME_LEAST,
    Column,
    amount,
    count,
    scaled,
    table,
    texts,
    wrapped,
)
from perfsim.result import counts_table

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network


def network_record(network: Network) -> dict[str, Any]:
    """A network in a line: what `perfsim/networks_index.json` holds of it."""
    columns = counts_table(lower(network))
    return {
        "input_shape": ";".join(shape_text(shape) for shape in network.shapes(network.inputs)),
        "layers": len(columns["layer"]),
        "macs": sum(columns["macs"]),
        "params": sum(columns["params"]),
        "description": network.description,
    }


def networks_sheet(records: Mapping[str, Mapping[str, Any]]) -> Sheet:
    """The bundled networks, a line each: name -> its `network_record`."""
    keys = ("input_shape", "layers", "macs", "params", "description")
    columns: dict[str, list[Any]] = {"name": list(records)}
    columns |= {key: [record[key] for record in records.values()] for key in keys}

    def text(width: int) -> str:
        described = Column("", columns["description"], 2, left=True, least=24, cut_end=True)
        return table(
            [
                Column("", columns["name"], left=True),
                Column("", columns["input_shape"], 3, left=True),
                Column("", [f"{each} layers" for each in columns["layers"]], 4),
                Column("", [count(each, "MACs") for each in columns["macs"]], 1),
                Column("", [count(each, "params") for each in columns["params"]], 1),
                described,
            ],
            width,
            has_head=False,
        )

    return Sheet({}, "networks", columns, text)


def network_sheet(network: Network, path: Path, settings: Sequence[str] = ()) -> Sheet:
    """One network in full: its layers with their exact counts; `settings` are what was changed ("width=0.5")."""
    columns = counts_table(lower(network))
    totals = {name: sum(columns[name]) for name in ("macs", "vector_ops", "params")}
    record = {
        "network": network.name,
        "description": network.description,
        "file": str(path),
        "settings": list(settings),
        "totals": totals,
    }

    def text(width: int) -> str:
        def counts(head: str, name: str, keep: int) -> Column:
            values = [*columns[name], sum(columns[name])]
            return replace(scaled(head, values, COUNT_UNITS), keep=keep)

        def left(head: str, name: str, keep: int) -> Column:
            return Column(head, [*texts(columns[name]), ""], keep, left=True)

        heading = f"{network.name}: {network.description}" if network.description else network.name
        heading += settings_text(settings)
        body = table(
            [
                Column("#", [*texts(columns["layer"]), ""]),
                Column("layer", [*columns["name"], "total"], left=True, least=NAME_LEAST),
                left("op", "op", 1),
                left("input", "input_shape", 5),
                left("output", "output_shape", 1),
                counts("MACs", "macs", 0),
                counts("vector", "vector_ops", 3),
                counts("params", "params", 2),
                left("fused", "fused", 4),
            ],
            width,
            has_total=True,
        )
        exact = f"{totals['macs']:,} MACs, {totals['params']:,} parameters; {path}"
        return f"{wrapped(heading, width)}\n\n{body}\n{wrapped(exact, width)}\n"

    return Sheet(record, "layers", columns, text)


def machines_sheet(machines: Sequence[Machine]) -> Sheet:
    """The bundled machines, a line each."""
    columns: dict[str, list[Any]] = {"name": [machine.name for machine in machines]}
    for key in (*NUMBERS, "placement", "timing", "description"):
        columns[key] = [getattr(machine, key) for machine in machines]
    columns["calibrated"] = [machine.extras.calibration is not None for machine in machines]

    def text(width: int) -> str:
        described = Column(
            "description", columns["description"], 5, left=True, least=24, cut_end=True
        )
        return table(
            [
                Column("machine", columns["name"], left=True),
                Column("SRAM", [amount(each, "B") for each in columns["sram_bytes"]]),
                Column("DDR", [amount(each, "B/s") for each in columns["ddr_bytes_per_s"]]),
                Column("matrix", [amount(each, "FLOPS") for each in columns["matrix_flops"]], 1),
                Column("vector", [amount(each, "FLOPS") for each in columns["vector_flops"]], 3),
                Column("placement", columns["placement"], 2, left=True),
                Column("timing", columns["timing"], 3, left=True),
                Column(
                    "calibrated",
                    ["yes" if each else "no" for each in columns["calibrated"]],
                    1,
                    left=True,
                ),
                described,
            ],
            width,
        )

    return Sheet({}, "machines", columns, text)


def machine_sheet(machine: Machine, path: Path) -> Sheet:
    """One machine in full: the columns of the list, and its file as it is written."""

    def text(width: int) -> str:
        written = path.read_text(encoding="utf-8").rstrip()
        heading = f"{machine.name}: {machine_text(machine)}"
        policies = f"placement {machine.placement}, timing {machine.timing}"
        return f"{wrapped(heading, width)}\n{policies}\n\n{written}\n\n{path}\n"

    return Sheet({"file": str(path)}, "machines", machines_sheet([machine]).columns, text)
