"""Writes scale_sim.csv: the cycles that SCALE-Sim 3 needs for products and convolutions, without stalls.

SCALE-Sim wants an older numpy than perfsim, so it has an environment of its own:

    python -m venv scalesim && scalesim/bin/pip install scalesim==3.0.0 "numpy<2.3"
    scalesim/bin/python tests/published/systolic/make.py

Nothing of perfsim is used. It takes a minute.
"""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

from scalesim.scale_sim import scalesim

ARRAYS = ((8, 8), (16, 16), (32, 32), (64, 16), (16, 64), (128, 128))  # rows, columns
FLOWS = {"output_stationary": "os", "weight_stationary": "ws", "input_stationary": "is"}
GEMM = ("m", "k", "n")
CONVOLUTION = (
    "input_height",
    "input_width",
    "kernel_height",
    "kernel_width",
    "channels",
    "filters",
    "stride",
)
GEMMS = (
    (1, 1, 1),
    (1, 64, 48),
    (5, 7, 3),
    (8, 8, 8),
    (16, 20, 12),
    (17, 33, 9),
    (64, 16, 40),
    (50, 3, 100),
    (100, 50, 1),
    (49, 96, 130),
    (1, 512, 500),
    (196, 288, 160),
)
CONVOLUTIONS = (
    (10, 10, 3, 3, 4, 8, 1),
    (11, 11, 3, 3, 6, 20, 2),
    (12, 9, 3, 3, 5, 10, 2),  # the last window hangs over the edge
    (8, 8, 1, 1, 24, 32, 1),
    (9, 9, 1, 1, 16, 24, 2),
    (21, 21, 7, 7, 3, 16, 2),
    (26, 26, 3, 3, 3, 32, 2),  # a first layer; the last window hangs over the edge
    (18, 18, 3, 3, 3, 16, 1),
    (9, 12, 5, 3, 2, 7, 1),
    (6, 6, 6, 6, 8, 10, 1),
)
DEPTHWISE = (  # `filters` is the number of filters of each channel
    (10, 10, 3, 3, 12, 1, 1),
    (9, 9, 3, 3, 5, 1, 2),
    (7, 7, 3, 3, 4, 2, 1),
)

# Sizes of memories do not matter: in the mode CALC the bandwidth is what the array asks for.
CONFIGURATION = """\
[general]
run_name = run
[architecture_presets]
ArrayHeight: {rows}
ArrayWidth: {columns}
IfmapSramSzkB: 1024
FilterSramSzkB: 1024
OfmapSramSzkB: 1024
IfmapOffset: 0
FilterOffset: 10000000
OfmapOffset: 20000000
Dataflow: {flow}
ReadRequestBuffer: 64
WriteRequestBuffer: 64
[layout]
IfmapCustomLayout: False
FilterCustomLayout: False
IfmapSRAMBankBandwidth: 10
IfmapSRAMBankNum: 10
IfmapSRAMBankPort: 2
FilterSRAMBankBandwidth: 10
FilterSRAMBankNum: 10
FilterSRAMBankPort: 2
[sparsity]
SparsitySupport: false
[run_presets]
InterfaceBandwidth: CALC
UseRamulatorTrace: False
"""


def main() -> None:
    """Run every layer on every array in every flow and write the table."""
    with Path(__file__).with_name("scale_sim.csv").open("w", newline="") as file:
        head = ("kind", "rows", "columns", "flow", *GEMM, *CONVOLUTION, "cycles", "printed_cycles")
        writer = csv.DictWriter(file, head, lineterminator="\n")
        writer.writeheader()
        for rows, columns in ARRAYS:
            for flow in FLOWS:
                for row in _rows(rows, columns, flow):
                    writer.writerow({"rows": rows, "columns": columns, "flow": flow, **row})


def _rows(rows: int, columns: int, flow: str) -> list[dict[str, Any]]:
    """The table's rows of one array and flow."""
    found = [
        {"kind": "gemm", **dict(zip(GEMM, gemm, strict=True)), **times}
        for gemm, times in zip(
            GEMMS,
            # SCALE-Sim's order is M, N, K
            _run(rows, columns, flow, [f"gemm,{m},{n},{k}," for m, k, n in GEMMS], is_gemm=True),
            strict=True,
        )
    ]
    for kind, name, layers in (("conv", "conv", CONVOLUTIONS), ("depthwise", "DP", DEPTHWISE)):
        for layer in layers:
            # A name with DP in it becomes one layer of one channel for each channel.
            line = ",".join([name, *map(str, layer), ""])
            parts = _run(rows, columns, flow, [line], is_gemm=False)
            times = {key: sum(part[key] for part in parts) for key in parts[0]}
            found.append({"kind": kind, **dict(zip(CONVOLUTION, layer, strict=True)), **times})
    return found


def _run(
    rows: int, columns: int, flow: str, lines: list[str], *, is_gemm: bool
) -> list[dict[str, int]]:
    """SCALE-Sim's cycles of each layer of a topology: the cycles that it steps through, and those that it prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "layers.csv").write_text("\n".join(["head", *lines, ""]))
        (folder / "layout.csv").write_text("head\n")
        (folder / "scale.cfg").write_text(
            CONFIGURATION.format(rows=rows, columns=columns, flow=FLOWS[flow])
        )
        simulation = scalesim(
            save_disk_space=True,  # no traces
            verbose=False,
            config=str(folder / "scale.cfg"),
            topology=str(folder / "layers.csv"),
            layout=str(folder / "layout.csv"),
            input_type_gemm=is_gemm,
        )
        simulation.run_scale(top_path=name)
        with (folder / "run" / "COMPUTE_REPORT.csv").open(newline="") as file:
            report = list(csv.DictReader(file, skipinitialspace=True))
    if any(int(row["Stall Cycles"]) for row in report):
        raise SystemExit(f"stalls on {rows} x {columns}, {flow}: {report}")
    return [
        {
            # one line of requests for each cycle
            "cycles": len(layer.compute_system.get_demand_matrices()[0]),
            "printed_cycles": int(row["Total Cycles"]),
        }
        for layer, row in zip(simulation.runner.single_layer_sim_object_list, report, strict=True)
    ]


if __name__ == "__main__":
    main()
