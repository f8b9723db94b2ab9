"""Writes what perfsim prints for its reference cases: ``python reports/regenerate.py [FOLDER]``.

Into reports/ unless a folder is given, and then the pictures (reports/pictures.py and reports/validation.py, which
need matplotlib) and perfsim/networks_index.json, the list of bundled networks, as well.
The tests regenerate into a folder of their own and compare with what is committed and with what was published.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from memory_comparison import nvdla_table, stm32n6_table
from pictures import draw_pictures
from validation import draw_validation, write_validation

from perfsim import Result, bundled_networks, load_hardware, load_network, report, simulate
from perfsim.report.catalog import network_record
from perfsim.report.files import write_files
from perfsim.report.run import run_sheet

ROOT = Path(__file__).resolve().parent.parent
BITS_PER_BYTE = 8
WIDTH = 160

COMPARED = ("1MB_2GBs_2TF", "1MB_4GBs_1TF", "4MB_4GBs_4TF", "16MB_16GBs_16TF")

# The columns of the published tables: theirs, ours, and what turns ours into theirs.
MEMORY = (
    ("input_fmap_bits", "input_bytes"),
    ("output_fmap_bits", "output_bytes"),
    ("internal_memory_used_bits", "sram_used_bytes"),
    ("data_movement_bits", "ddr_bytes"),
)
TIME = (
    ("data_movement_time_s", "ddr_s"),
    ("compute_time_s", "compute_s"),
    ("performance_time_s", "layer_s"),
)


def main(folder: Path) -> None:
    """Regenerate every report into `folder`."""
    reference = folder / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    machine = load_hardware("1MB_1GBs_1TF")
    printed = simulate(load_network("mobilenet_printed", precision={"weight": 1}), machine)
    _write_table(
        reference / "table3_memory.csv",
        ["layer", *(theirs for theirs, _ in MEMORY)],
        zip(
            printed.columns["layer"],
            *([BITS_PER_BYTE * each for each in printed.columns[ours]] for _, ours in MEMORY),
            strict=True,
        ),
    )
    _write_table(
        reference / "table4_time.csv",
        ["layer", *(theirs for theirs, _ in TIME)],
        zip(printed.columns["layer"], *(printed.columns[ours] for _, ours in TIME), strict=True),
    )
    _write_run(reference / "mobilenet_printed", printed)
    _write_run(reference / "mobilenet", simulate(load_network("mobilenet"), machine))
    _write_pages(folder / "pages", printed)
    _write_table(reference / "nvdla_dram.csv", *nvdla_table())
    _write_table(reference / "stm32n6_ram.csv", *stm32n6_table())
    write_validation(folder / "validation")


def _write_pages(folder: Path, printed: Result) -> None:
    """The reference cases as pages: the two reference tables' run, and networks on machines side by side."""
    folder.mkdir(exist_ok=True)
    report(printed).write(folder / "mobilenet_printed.html")
    machines = [load_hardware(name) for name in COMPARED]
    for name in ("mobilenet_v1", "resnet50"):
        network = load_network(name)
        runs = (simulate(network, machine) for machine in machines)
        report(*runs).write(folder / f"{name}.html")


def models_index() -> str:
    """A line on each bundled network, which `perfsim models` prints without lowering them."""
    records = {
        name: network_record(load_network(path)) for name, path in bundled_networks().items()
    }
    return json.dumps(records, indent=1, ensure_ascii=False) + "\n"


def _write_run(stem: Path, result: Result) -> None:
    sheet = run_sheet(result)
    write_files(sheet, [f"{stem}.csv", f"{stem}.json"])
    stem.with_suffix(".txt").write_text(sheet.text(WIDTH), encoding="utf-8")


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        (ROOT / "perfsim" / "networks_index.json").write_text(models_index(), encoding="utf-8")
        draw_pictures(ROOT / "reports" / "pictures")
        draw_validation(ROOT / "reports" / "validation")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "reports")
