"""What changed between two results: against hand-written results and their differences worked out by hand."""

from __future__ import annotations

import csv
import io
import json

import pytest

from perfsim import __version__, diff
from perfsim.errors import InvalidValueError, UnknownNameError

ROW = {
    **{"op": "conv", "bound": "ddr", "layer_s": 1e-3, "ddr_bytes": 1000, "sram_used_bytes": 10},
    "macs": 5,
}
TOTALS = {"macs": 15, "ddr_bytes": 3000, "total_s": 3e-3, "peak_sram_bytes": 10, "bound": "ddr"}


def result(rows, **changes):
    """A result as perfsim run writes it, of rows by name."""
    layers = [
        {"layer": number, "name": name, **ROW, **row}
        for number, (name, row) in enumerate(rows.items(), 1)
    ]
    document = {
        "perfsim": __version__,
        "network": "net",
        "hardware": "board",
        "policies": {"placement": "liveness", "timing": "overlap"},
        "settings": [],
        "machine": {"sram_bytes": 1000, "ddr_bytes_per_s": 1e6},
        "totals": {**TOTALS},
        "layers": layers,
    }
    return document | changes


OLD = result({"a": {}, "b": {"layer_s": 1.5e-3}, "gone": {}, "same": {}, "quiet": {}})
NEW = result(
    {
        "a": {"layer_s": 1.2e-3, "ddr_bytes": 1200},
        "same": {},
        "b": {"layer_s": 1e-3, "bound": "matrix"},
        "come": {"layer_s": 3e-3, "op": "add"},
        "quiet": {"macs": 6},
    },
    totals={**TOTALS, "total_s": 3.03e-3, "ddr_bytes": 3300, "bound": "matrix"},
)
# name, status, new - old [ms], share, what differs; the largest change first
EXPECTED = [
    ("come", "added", 3.0, None, ""),
    ("gone", "removed", -1.0, None, ""),
    ("b", "changed", -0.5, -1 / 3, "bound;layer_s"),
    ("a", "changed", 0.2, 0.2, "layer_s;ddr_bytes"),
    ("quiet", "changed", 0.0, 0.0, "macs"),
]


@pytest.fixture
def files(write):
    return write("old.json", json.dumps(OLD)), write("new.json", json.dumps(NEW))


def test_the_layers_are_those_worked_out_by_hand(files):
    columns = diff(*files).columns
    keys = ("name", "status", "change_s", "change", "differs")
    found = list(zip(*(columns[key] for key in keys), strict=True))
    assert [row[:2] for row in found] == [row[:2] for row in EXPECTED]
    for (_, _, change_s, share, differs), (_, _, ms, expected, what) in zip(
        found, EXPECTED, strict=True
    ):
        assert change_s * 1e3 == pytest.approx(ms, abs=1e-12)
        assert share == (None if expected is None else pytest.approx(expected))
        assert differs == what
    place = columns["name"].index("b")
    assert (columns["old_bound"][place], columns["new_bound"][place]) == ("ddr", "matrix")
    place = columns["name"].index("come")
    assert (columns["old_ddr_bytes"][place], columns["new_ddr_bytes"][place]) == (None, 1000)
    assert diff(*files).unchanged == 1


def test_the_totals_are_those_worked_out_by_hand(files):
    changes = {each["name"]: each for each in diff(*files).total_changes()}
    assert set(changes) == {
        "macs",
        "ddr_bytes",
        "total_s",
        "peak_sram_bytes",
    }  # those with a number
    assert changes["ddr_bytes"]["change"] == 300
    assert changes["ddr_bytes"]["share"] == pytest.approx(0.1)
    assert changes["total_s"]["change"] == pytest.approx(0.03e-3)


def test_nothing_changes_between_a_result_and_itself(perfsim_cli, files):
    run = perfsim_cli("diff", files[0], files[0], "--max-regression", "0%")
    assert run.status == 0
    assert "0 changed, 0 added, 0 removed, 5 the same" in run.out
    assert "not the same" not in run.out


def test_layers_of_other_energies_alone_say_so(perfsim_cli, write):
    layers = {
        "first_layer_with_a_long_name": {"energy_j": 1e-6, "matrix_j": 4e-7},
        "b": {"energy_j": 2e-6},
    }
    dearer = {
        "first_layer_with_a_long_name": {"energy_j": 1.5e-6, "matrix_j": 9e-7},
        "b": {"energy_j": 2e-6},
    }
    old = write("o.json", json.dumps(result(layers)))
    run = perfsim_cli("diff", old, write("n.json", json.dumps(result(dearer))))
    head, _, line = run.out.split("\n\n")[2].splitlines()
    assert head.split() == ["layer", "op", "old", "energy", "[nJ]", "new", "energy", "[nJ]"]
    assert line.split()[1:3] == ["energy", "only"]
    assert line.split()[-3:] == ["1000.000", "1500.000", "+50.00%"]
    assert max(len(line) for line in run.out.splitlines() if "/" not in line) <= 80  # but paths
    dearer["b"] = {"energy_j": 2e-6, "layer_s": 5e-3}
    run = perfsim_cli("diff", old, write("n.json", json.dumps(result(dearer))))
    assert "energy only" in run.out
    assert "changed" in run.out
    assert max(len(line) for line in run.out.splitlines() if "/" not in line) <= 80
    rows = diff(old, "n.json").columns
    assert (rows["old_energy_j"], rows["new_energy_j"]) == ([2e-6, 1e-6], [2e-6, 1.5e-6])


@pytest.mark.parametrize(
    ("limits", "status", "said"),
    [
        (["2%"], 0, ""),
        (["1%"], 0, ""),  # 3.03 / 3 is 1 % and no more
        (
            ["0.9%"],
            1,
            "limit: total_s went from 3 ms to 3.03 ms (+1.00%), more than +0.9%\n",
        ),
        (["0%"], 1, "limit: total_s went from 3 ms to 3.03 ms (+1.00%), more than +0%\n"),
        (["2%", "ddr_bytes=10%"], 0, ""),
        (
            ["2%", "ddr_bytes=9%"],
            1,
            "limit: ddr_bytes went from 3 kB to 3.3 kB (+10.00%), more than +9%\n",
        ),
        (["macs=0%", "peak_sram_bytes=0 %"], 0, ""),
    ],
)
def test_a_regression_beyond_the_limit_is_status_1(perfsim_cli, files, limits, status, said):
    options = [word for limit in limits for word in ("--max-regression", limit)]
    run = perfsim_cli("diff", *files, "--quiet", *options)
    assert (run.status, run.out, run.err) == (status, "", said)
    assert perfsim_cli("diff", files[1], files[0], *options).status == 0  # faster is no regression


def test_something_from_nothing_is_a_regression(write):
    old = write("o.json", json.dumps(result({"a": {}}, totals={**TOTALS, "ddr_bytes": 0})))
    new = write("n.json", json.dumps(result({"a": {}})))
    said = diff(old, new).regression("ddr_bytes", 100.0)
    assert said == "ddr_bytes went from 0 B to 3 kB (from nothing), more than +1e+04%"
    assert diff(new, old).regression("ddr_bytes", 0.0) is None
    with pytest.raises(UnknownNameError, match="did you mean 'ddr_bytes'"):
        diff(old, new).regression("ddrbytes", 0.0)


def test_other_networks_machines_policies_and_versions_are_said_first(perfsim_cli, write, files):
    other = {
        **NEW,
        "perfsim": "9.9",
        "network": "net2",
        "hardware": "board2",
        "policies": {"placement": "liveness", "timing": "serial"},
        "settings": ["width=0.5"],
        "machine": {"sram_bytes": 2000, "ddr_bytes_per_s": 1e6},
    }
    run = perfsim_cli("diff", files[0], write("other.json", json.dumps(other)))
    head, _, _ = run.out.partition("\n\n")
    said = [line for line in head.splitlines() if line.startswith("not the same: ")]
    assert [line.removeprefix("not the same: ") for line in said] == [
        "network: net -> net2",
        "hardware: board -> board2",
        "policies: timing overlap -> serial",
        "settings: none -> width=0.5",
        "machine: sram_bytes 1000 -> 2000",
        f"perfsim: {__version__} -> 9.9",
    ]
    assert "mostly bound by: ddr -> matrix" in head


def test_table_csv_and_json_say_the_same(perfsim_cli, files, tmp_path):
    rows = list(csv.DictReader(io.StringIO(perfsim_cli("diff", *files, "--format", "csv").out)))
    document = json.loads(perfsim_cli("diff", *files, "--format", "json").out)
    assert [row["name"] for row in rows] == [row["name"] for row in document["layers"]]
    assert [float(row["change_s"]) for row in rows] == [
        row["change_s"] for row in document["layers"]
    ]
    assert document["old"]["network"] == "net"
    assert document["unchanged_layers"] == 1
    table = perfsim_cli("diff", *files).out
    words = [line.split() for line in table.splitlines()]
    shown = [
        each[0] for each in words if len(each) > 1 and each[1] in ("changed", "added", "removed")
    ]
    assert shown == [row["name"] for row in rows]
    run = perfsim_cli("diff", *files, "-o", "d.csv", "-o", "d.json", "-o", "d.parquet", "--quiet")
    assert (run.status, run.out) == (0, "")
    assert (tmp_path / "d.csv").read_text() == perfsim_cli("diff", *files, "--format", "csv").out


def test_two_runs_of_the_program(perfsim_cli, tmp_path):
    """Twice the bandwidth: each layer's movement takes half as long, nothing else changes."""
    for name, bandwidth in (("a.json", "1 GB/s"), ("b.json", "2 GB/s")):
        perfsim_cli(
            *("run", "mobilenet", "--hw", "1MB_1GBs_1TF", "-o", name, "--quiet"),
            *("--set", f"hw.ddr_bandwidth={bandwidth}"),
        )
    difference = diff("a.json", "b.json")
    rows = json.loads((tmp_path / "a.json").read_text())["layers"]
    moved = sorted((-row["ddr_s"] / 2, row["name"]) for row in rows if row["ddr_s"])
    columns = difference.columns
    assert columns["change_s"] == pytest.approx([change for change, _ in moved], rel=1e-9)
    assert set(columns["name"]) == {name for _, name in moved}
    assert difference.unchanged == len(rows) - len(moved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.json:1: is not JSON: Expecting value"),
        ("layer,name\n1,a\n", "f.json:1: is not JSON: Expecting value"),
        ('{\n"a" 1}', "f.json:2: is not JSON: Expecting ':' delimiter"),
        ("[" * 100_000, "f.json: is no result: nested or long beyond reading"),
        ("1" * 10_000, "f.json: is no result: nested or long beyond reading"),
        ('{"perfsim": NaN}', "f.json: found NaN, expected finite numbers"),
        ("[1, 2]", "f.json: found a list, expected the JSON of 'perfsim run"),
        ('"text"', "f.json: found 'text', expected the JSON of 'perfsim run"),
        ("null", "f.json: found nothing, expected the JSON of 'perfsim run"),
        ('{"a": 1}', "f.json: found a mapping of a, expected the JSON of 'perfsim run"),
        (
            '{"perfsim": "0.1", "networks": []}',
            "f.json: perfsim 0.1 wrote another result; found no 'network', expected",
        ),
        (
            json.dumps({**OLD, "perfsim": "7.0", "totals": {"time": 1}}),
            "f.json: totals.total_s: found nothing, expected a number (perfsim 7.0 wrote it)",
        ),
        (json.dumps({**OLD, "totals": 3}), "f.json: totals.total_s: found 3, expected a number"),
        (json.dumps({**OLD, "layers": {}}), "f.json: layers: found an empty mapping, expected"),
        (json.dumps({**OLD, "layers": [3]}), "f.json: layer 1: found 3, expected"),
        (
            json.dumps(result({"a": {"layer_s": "fast"}})),
            "f.json: layer 1, layer_s: found 'fast', expected a number",
        ),
        (
            json.dumps(result({"a": {"ddr_bytes": True}})),
            "f.json: layer 1, ddr_bytes: found true, expected a number",
        ),
        (
            json.dumps(result({"a": {"op": None}})),
            "f.json: layer 1, op: found nothing, expected text",
        ),
        (
            json.dumps(result({"a": {}, "b": {"name": "a"}})),
            "f.json: layer 2: two layers are called 'a'",
        ),
    ],
)
@pytest.mark.parametrize("as_old", [True, False])
def test_what_is_no_result_is_one_error(perfsim_cli, write, files, text, message, as_old):
    write("f.json", text)
    pair = ("f.json", files[1]) if as_old else (files[0], "f.json")
    run = perfsim_cli("diff", *pair, "-o", "d.csv")
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"error: {message}")
    assert run.err.count("\n") == 1


def test_files_that_cannot_be_read_or_written_are_one_error(perfsim_cli, files, tmp_path):
    run = perfsim_cli("diff", "no.json", files[1])
    assert (run.status, run.err) == (2, "error: no.json: no such file\n")
    run = perfsim_cli("diff", files[0], files[1], "-o", "old.json")
    assert run.err == "error: old.json: would overwrite the input of this run\n"
    for limit in ("2", "-1%", "ddr_bytes=", "2 ms"):
        run = perfsim_cli("diff", *files, f"--max-regression={limit}")
        assert run.status == 2
        assert run.err.startswith("error: --max-regression: found ")


def test_an_error_of_the_library_says_where(write):
    with pytest.raises(InvalidValueError, match="layers"):
        diff(*[write("f.json", json.dumps({**OLD, "layers": []}))] * 2)
