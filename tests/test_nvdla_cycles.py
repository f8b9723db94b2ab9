"""Cycles of NVDLA's performance workbook, row by row, with the switches that docs/nvdla.md states for each sheet."""

from __future__ import annotations

from functools import cache

import pytest
import yaml
from conftest import PUBLISHED, ROOT, read_csv
from memory_comparison import our_layers, workbook

from perfsim import load_hardware, load_network, simulate
from perfsim.hardware.parts import LAYER_CLASSES
from perfsim.hardware.profile import hardware_schema

DOCUMENT = (ROOT / "docs/nvdla.md").read_text()
SHEETS = {  # of the document: network of the workbook, machine, column of the workbook
    "AlexNet": ("AlexNet", "nvdla_2048", "nosram_max_cycles"),
    "AlexNet, 4 MB": ("AlexNet", "nvdla_2048_sram", "cvsram4M_max_cycles"),
    "ResNet-50": ("ResNet50", "nvdla_2048", "nosram_max_cycles"),
    "ResNet-50, 4 MB": ("ResNet50", "nvdla_2048_sram", "cvsram4M_max_cycles"),
}
BUNDLED = {"AlexNet": "alexnet_grouped", "ResNet50": "resnet50_v1"}
GROUPS = {("AlexNet", name): 2 for name in ("2", "4", "5")}  # a row for each group of one layer
RAW = read_csv(PUBLISHED / "measured" / "nvdla_workbook.csv")


def table(first: str) -> list[list[str]]:
    """The rows of the document's table whose head begins with these words, and the head."""
    found = DOCUMENT[DOCUMENT.index(f"| {first}") :].split("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found]
    return [rows[0], *rows[2:]]


def switches() -> dict[str, dict[str, object]]:
    """For each sheet the settings that the document states."""
    head, *rows = table("key | AlexNet")
    found: dict[str, dict[str, object]] = {name: {} for name in head[1:]}
    for key, *cells in rows:
        for name, cell in zip(head[1:], cells, strict=True):
            if cell != "-":
                found[name][key.strip("`")] = yaml.safe_load(cell)
    return found


SWITCHES = switches()
ROW_SETTINGS = {
    (sheet, row.strip("`")): yaml.safe_load(setting.strip("`"))
    for row, sheet, setting, _ in table("row | sheet")[1:]
}


@cache
def network_of(name: str):
    return load_network(PUBLISHED / "nvdla" / f"{name.lower()}.yaml")


def cycles(network, machine: str, settings: dict[str, object]) -> dict[str, float]:
    """Cycles of each layer at 1 GHz; `placement` is the policy, everything else a key of the machine's file."""
    keys = {key: value for key, value in settings.items() if key != "placement"}
    result = simulate(network, load_hardware(machine, **keys), settings.get("placement"))
    layer_s = result.columns["layer_s"]
    return {name: 1e9 * each for name, each in zip(result.columns["name"], layer_s, strict=True)}


def compared(
    sheet: str, changed: dict[str, object] | None = None, network=None
) -> list[tuple[str, float, float]]:
    """(row, the workbook's cycles, ours) of one sheet, with some settings changed."""
    name, machine, column = SHEETS[sheet]
    network = network or network_of(name)
    runs: dict[str, dict[str, float]] = {}
    found = []
    for row, raw in zip(workbook(), RAW, strict=True):
        if row.network == name:
            own = ROW_SETTINGS.get((sheet, row.name), {})
            settings = {**SWITCHES[sheet], **own, **(changed or {})}
            if str(settings) not in runs:
                runs[str(settings)] = cycles(network, machine, settings)
            ours = sum(runs[str(settings)][layer] for layer in our_layers(row))
            found.append((row.name, float(raw[column]), ours / GROUPS.get((name, row.name), 1)))
    return found


def out_of_line(rows: list[tuple[str, float, float]]) -> list[str]:
    return [name for name, theirs, ours in rows if abs(ours / theirs - 1) >= 0.01]


@pytest.mark.parametrize("sheet", SHEETS)
def test_every_row_is_within_one_percent(sheet):
    found = compared(sheet)
    assert len(found) == {"AlexNet": 11, "ResNet50": 54}[SHEETS[sheet][0]]
    assert out_of_line(found) == []
    theirs, ours = (sum(each[column] for each in found) for column in (1, 2))
    worst = max(abs(ours / theirs - 1) for _, theirs, ours in found)
    shown = f"| {sheet} | {len(found)} | {worst:.2%} | {theirs:,.0f} | {ours:,.0f} |"
    assert shown in DOCUMENT


def test_what_is_out_of_line_without_each_switch():
    """The counts of the document: rows that are 1 % off or more when one thing is changed."""
    head, *rows = table("changed | AlexNet")
    assert head[1:] == list(SHEETS)
    for setting, *cells in rows:
        changed = yaml.safe_load(setting.strip("`"))
        counts = [str(len(out_of_line(compared(sheet, changed)))) for sheet in head[1:]]
        assert counts == cells, setting


@pytest.mark.parametrize(("sheet", "row"), list(ROW_SETTINGS))
def test_the_rows_that_need_a_setting_of_their_own_need_it(sheet, row, monkeypatch):
    monkeypatch.delitem(ROW_SETTINGS, (sheet, row))
    assert out_of_line(compared(sheet)) == [row]


def test_what_is_out_of_line_on_the_bundled_networks():
    stated = {sheet: rows.split(", ") for sheet, rows in table("sheet | rows |\n")[1:]}
    assert list(stated) == list(SHEETS)
    for sheet, (name, *_) in SHEETS.items():
        network = load_network(BUNDLED[name])
        assert out_of_line(compared(sheet, network=network)) == stated[sheet]


def test_every_switch_is_a_key_of_a_machine_s_file():
    """What the document calls a key is one, or a part of one."""
    schema = hardware_schema()
    keys = set(schema["properties"])
    for part in schema["$defs"].values():
        keys |= set(part.get("properties", ()))
    for settings in SWITCHES.values():
        for key in settings:
            assert set(key.split(".")) - LAYER_CLASSES.keys() <= keys, key
