"""The commands as users type them: formats, files, exit status, widths."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import MACHINE, TINY, read_csv

import perfsim
from perfsim import __version__, catalog, load_hardware, load_network, simulate
from perfsim.cli import COMMANDS, main

RUN = ("run", "mobilenet.yaml", "--hw", "1MB_1GBs_1TF.yaml")

# ../shared/interface.md: the per-layer table, in this order; later columns come after
COLUMNS = [
    "layer",
    "name",
    "op",
    "input_shape",
    "output_shape",
    "macs",
    "vector_ops",
    "params",
    "input_bytes",
    "output_bytes",
    "weight_bytes",
    "input_location",
    "output_location",
    "weight_location",
    "sram_used_bytes",
    "ddr_read_bytes",
    "ddr_write_bytes",
    "ddr_bytes",
    "ddr_s",
    "matrix_s",
    "vector_s",
    "compute_s",
    "layer_s",
    "bound",
]


def test_run_prints_a_table_and_nothing_on_standard_error(perfsim_cli):
    run = perfsim_cli(*RUN)
    assert (run.status, run.err) == (0, "")
    assert run.out.startswith("mobilenet on 1MB_1GBs_1TF")
    assert "2.857 ms per inference" in run.out


def test_columns_are_those_of_the_interface(perfsim_cli):
    rows = list(csv.reader(io.StringIO(perfsim_cli(*RUN, "--format", "csv").out)))
    assert rows[0][: len(COLUMNS)] == COLUMNS
    assert len(rows) == 31
    assert [row[0] for row in rows[1:]] == [str(number) for number in range(1, 31)]


def test_csv_json_parquet_and_the_data_frame_agree(perfsim_cli, tmp_path):
    run = perfsim_cli(*RUN, "-o", "a.csv", "-o", "a.json", "-o", "a.parquet", "--quiet")
    assert (run.status, run.out, run.err) == (0, "", "")
    frame = simulate(load_network("mobilenet"), load_hardware("1MB_1GBs_1TF")).table
    from_csv = pd.DataFrame(read_csv(tmp_path / "a.csv"))
    for column in frame.columns:  # text that reads back to the same value
        from_csv[column] = [
            type(value)(text) for value, text in zip(frame[column], from_csv[column], strict=True)
        ]
    from_json = pd.DataFrame(json.loads((tmp_path / "a.json").read_text())["layers"])
    from_parquet = pd.read_parquet(tmp_path / "a.parquet")
    for other in (from_csv, from_json, from_parquet):
        assert list(other.columns) == list(frame.columns)
        for column in frame.columns:
            assert other[column].tolist() == frame[column].tolist()


def test_lines_end_as_on_unix_and_text_is_utf_8(perfsim_cli, tmp_path):
    out = perfsim_cli(*RUN, "--format", "csv", "-o", "a.csv").out
    assert "\r" not in out
    assert (tmp_path / "a.csv").read_bytes() == out.encode()


def test_a_file_is_replaced_as_a_whole(perfsim_cli, tmp_path):
    """By a rename: whoever has the old file open goes on reading the old one."""
    old = tmp_path / "a.csv"
    old.write_text("old")
    with old.open() as reader:
        perfsim_cli(*RUN, "-o", "a.csv", "--quiet")
        assert reader.read() == "old"
    assert old.read_text().startswith("layer,")
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_json_has_the_documented_keys(perfsim_cli):
    document = json.loads(perfsim_cli(*RUN, "--format", "json").out)
    assert document["perfsim"] == __version__
    assert document["network"] == "mobilenet"
    assert document["hardware"] == "1MB_1GBs_1TF"
    assert document["policies"] == {"placement": "accumulate", "timing": "serial"}
    totals = document["totals"]
    for name in ("macs", "params", "ddr_bytes", "ddr_s", "compute_s", "total_s", "peak_sram_bytes"):
        assert name in totals
    assert totals["macs"] == sum(layer["macs"] for layer in document["layers"])


def test_settings_policies_and_the_file_of_the_machine(perfsim_cli, write):
    write("m.yaml", MACHINE)
    run = perfsim_cli(
        *("run", "mobilenet_printed.csv", "--hw", "m.yaml", "--format", "json"),
        *("--set", "precision.weight=1", "--set", "hw.sram=1 MB"),
        *("--placement", "accumulate", "--timing", "serial"),
    )
    assert round(json.loads(run.out)["totals"]["total_s"], 9) == 0.001335373


def test_five_lines_are_a_whole_machine_with_the_default_policies(perfsim_cli, write):
    run = perfsim_cli("run", "mobilenet", "--hw", write("m.yaml", MACHINE), "--format", "json")
    policies = json.loads(run.out)["policies"]
    assert policies == {"placement": "liveness", "timing": "overlap"}


@pytest.mark.parametrize(
    ("limit", "status"), [("3ms", 0), ("2.857140384 ms", 0), ("2.8571 ms", 1), ("1us", 1)]
)
def test_max_time(limit, status, perfsim_cli):
    run = perfsim_cli(*RUN, "--max-time", limit, "--format", "csv", "-o", "x.csv")
    assert run.status == status
    assert run.out.startswith("layer,")
    assert ("--max-time" in run.err) == bool(status)


def test_quiet_with_a_format_still_prints_it(perfsim_cli):
    assert perfsim_cli(*RUN, "--quiet").out == ""
    assert perfsim_cli(*RUN, "--quiet", "--format", "csv").out.startswith("layer,")


@pytest.mark.parametrize("width", [60, 80, 120, 160, 240])
@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "mobilenet", "--hw", "1MB_1GBs_1TF"),
        ("run", "resnet50", "--hw", "256KB_1GBs_0.5TF", "--set", "batch=64"),
        (
            "compare",
            "resnet50",
            "--hw",
            "1MB_2GBs_2TF",
            "--hw",
            "4MB_4GBs_4TF",
            "--hw",
            "8MB_8GBs_8TF",
        ),
        ("explain", "resnet18", "--hw", "1MB_2GBs_2TF", "--layer", "layer2_1"),
        ("explain", "mobilenet", "--hw", "1MB_1GBs_1TF", "--layer", "21"),
        ("models",),
        ("models", "resnet50"),
        ("hardware",),
    ],
)
def test_tables_fit_the_terminal(width, arguments, perfsim_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    run = perfsim_cli(*arguments)
    assert run.status == 0
    lines = [line for line in run.out.splitlines() if not line.endswith((".yaml", ".csv"))]
    longest = max(lines, key=len)
    assert len(longest) <= width, longest


def test_a_wide_terminal_shows_more(perfsim_cli, monkeypatch):
    narrow = perfsim_cli(*RUN).out.splitlines()[3]
    monkeypatch.setenv("COLUMNS", "200")
    wide = perfsim_cli(*RUN).out.splitlines()[2]
    assert set(narrow.split()) < set(wide.split())
    assert {"output", "op", "fused"} <= set(wide.split())


def test_compare(perfsim_cli):
    machines = ("--hw", "1MB_2GBs_2TF", "--hw", "4MB_4GBs_4TF")
    run = perfsim_cli("compare", "mobilenet", "resnet18", *machines, "--format", "csv")
    frame = pd.read_csv(io.StringIO(run.out), keep_default_na=False)
    assert run.err == ""
    totals = frame[frame["layer"] == 0]
    assert totals["network"].tolist() == ["mobilenet"] * 2 + ["resnet18"] * 2
    assert totals["hardware"].tolist() == ["1MB_2GBs_2TF", "4MB_4GBs_4TF"] * 2
    assert (totals["speedup"].iloc[::2] == 1).all()
    for (_, _), group in frame.groupby(["network", "hardware"]):
        assert group["time_s"].iloc[0] == pytest.approx(group["time_s"].iloc[1:].sum())
    base, other = totals["time_s"].iloc[:2]
    assert float(totals["speedup"].iloc[1]) == base / other
    text = perfsim_cli("compare", "mobilenet", *machines).out
    assert "speed-up" in text
    assert "per layer" in text


def test_compare_warns_when_the_policies_differ(perfsim_cli):
    arguments = ("compare", "mobilenet", "--hw", "1MB_1GBs_1TF", "--hw", "1MB_2GBs_2TF")
    assert "different policies" in perfsim_cli(*arguments).err
    assert perfsim_cli(*arguments, "--quiet").err == ""
    one_rule = ("--placement", "liveness", "--timing", "overlap")
    assert perfsim_cli(*arguments, *one_rule).err == ""


def test_compare_shows_all_times_of_a_network_in_one_unit(perfsim_cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    machines = [f"--hw={name}" for name in ("1MB_2GBs_2TF", "4MB_4GBs_4TF", "16MB_16GBs_16TF")]
    text = perfsim_cli("compare", "mobilenet_v1", *machines).out
    heads = text[text.index("per layer") :].splitlines()[2]
    assert heads.count("[us]") == 3


def test_machines_of_one_name_are_told_apart(perfsim_cli, write):
    write("a.yaml", MACHINE)
    write("b.yaml", MACHINE.replace("64 KB", "128 KB"))
    run = perfsim_cli("compare", "mobilenet", "--hw", "a.yaml", "--hw", "b.yaml")
    assert "small (a.yaml)" in run.out
    assert "small (b.yaml)" in run.out


def test_what_was_changed_for_a_run_is_said(perfsim_cli):
    settings = ("--set", "width=0.5", "--set", "hw.sram=2 MB")
    for arguments in (RUN, ("compare", *RUN[1:]), ("explain", *RUN[1:], "--layer", "1")):
        assert "width=0.5, hw.sram=2 MB" in " ".join(perfsim_cli(*arguments, *settings).out.split())
        document = json.loads(perfsim_cli(*arguments, *settings, "--format", "json").out)
        assert document["settings"] == ["width=0.5", "hw.sram=2 MB"]


def test_busy_shares_are_of_the_total(perfsim_cli):
    """Under `overlap` they need not add up to 100 %."""
    text = " ".join(perfsim_cli("run", "resnet50", "--hw", "1MB_4GBs_1TF").out.split())
    totals = simulate(load_network("resnet50"), load_hardware("1MB_4GBs_1TF")).totals
    assert f"({totals.ddr_s / totals.total_s:.0%})" in text
    assert totals.ddr_s + totals.compute_s > totals.total_s


def test_compare_takes_models_after_options(perfsim_cli):
    machines = ("--hw", "1MB_2GBs_2TF", "--hw", "4MB_4GBs_4TF")
    before = perfsim_cli("compare", "mobilenet", "resnet18", *machines).out
    assert perfsim_cli("compare", *machines, "mobilenet", "resnet18").out == before
    assert perfsim_cli("compare", "mobilenet", *machines, "resnet18").out == before


def test_compare_json_and_limit(perfsim_cli):
    machines = ("--hw", "1MB_2GBs_2TF", "--hw", "4MB_4GBs_4TF")
    run = perfsim_cli("compare", "mobilenet", *machines, "--format", "json", "--max-time", "300us")
    document = json.loads(run.out)
    assert document["networks"] == ["mobilenet"]
    assert document["hardware"] == ["1MB_2GBs_2TF", "4MB_4GBs_4TF"]
    assert len(document["rows"]) == 2 * 31
    assert run.status == 1
    assert run.err.count("limit:") == 1


def test_explain_shows_formula_values_and_what_binds(perfsim_cli):
    run = perfsim_cli("explain", *RUN[1:], "--layer", "pw21")
    flat = " ".join(run.out.split())
    assert "ddr_s = ddr_bytes / ddr_bytes_per_s = 1164976 / 1000000000 = 0.001164976 s" in flat
    assert "matrix_s = 2 * macs / matrix_flops = 2 * 12845056 / 1000000000000" in flat
    assert "50,176 output elements × 1 taps (1x1) × 256 input channels" in flat
    assert "overflow" in flat
    assert "bound: ddr" in flat


def test_explain_finds_layers_by_name_number_and_fused_part(perfsim_cli):
    by_name = perfsim_cli("explain", *RUN[1:], "--layer", "pw21").out
    assert perfsim_cli("explain", *RUN[1:], "--layer", "21").out == by_name
    assert perfsim_cli("explain", *RUN[1:], "--layer", "pw21.relu").out == by_name


def test_explain_says_what_is_free_and_what_is_not(perfsim_cli):
    machine = ("--hw", "1MB_2GBs_2TF", "--layer")
    on_matrix = " ".join(perfsim_cli("explain", "resnet18", *machine, "conv1").out.split())
    on_vector = " ".join(perfsim_cli("explain", "resnet18", *machine, "layer2_1").out.split())
    assert "fused batch_norm: free on the matrix unit's way out" in on_matrix
    assert "fused relu: free on the matrix unit's way out" in on_matrix
    assert "fused relu: counted in vector_ops" in on_vector


def test_explain_as_data(perfsim_cli):
    run = perfsim_cli("explain", *RUN[1:], "--layer", "pw21", "--format", "json")
    steps = {step["quantity"]: step for step in json.loads(run.out)["steps"]}
    assert steps["ddr_bytes"]["result"] == 1164976
    assert steps["layer_s"]["formula"] == "ddr_s + compute_s"


def test_models_and_hardware_list_a_line_each(perfsim_cli):
    names = [line.split()[0] for line in perfsim_cli("models").out.splitlines()]
    assert names == list(catalog.bundled_networks())
    assert {"mobilenet", "mobilenet_v1", "resnet18", "resnet50", "mobilenet_printed"} <= set(names)
    head, rule, *lines = perfsim_cli("hardware").out.splitlines()
    assert head.split()[:2] == ["machine", "SRAM"]
    assert set(rule) == {"-"}
    assert all(len(line) <= 80 for line in (head, *lines))
    names = [line.split()[0] for line in lines]
    assert sorted(names) == list(catalog.bundled_machines())
    assert len(names) >= 12


def test_models_in_full(perfsim_cli):
    run = perfsim_cli("models", "mobilenet_v1", "--set", "width=0.25", "--set", "resolution=128")
    assert "13,570,048 MACs, 470,072 parameters" in run.out  # tests/published/counts.csv


def test_hardware_in_full(perfsim_cli):
    run = perfsim_cli("hardware", "1MB_1GBs_1TF")
    assert "placement: accumulate" in run.out
    document = json.loads(perfsim_cli("hardware", "1MB_1GBs_1TF", "--format", "json").out)
    (machine,) = document["machines"]
    assert (machine["name"], machine["sram_bytes"]) == ("1MB_1GBs_1TF", 1_000_000)
    assert machine["calibrated"] is False


def test_the_list_of_machines_says_which_are_calibrated(perfsim_cli):
    """By their files: which of them have the key."""
    have = {
        name
        for name, path in catalog.bundled_machines().items()
        if "\ncalibration:" in path.read_text()
    }
    assert len(have) >= 4
    rows = list(csv.DictReader(io.StringIO(perfsim_cli("hardware", "--format", "csv").out)))
    assert {row["name"] for row in rows if row["calibrated"] in ("True", "true")} == have
    head, _, *lines = perfsim_cli("hardware").out.splitlines()
    column = head.index("calibrated")
    assert {line.split()[0] for line in lines if line[column:].startswith("yes")} == have


def test_check(perfsim_cli, write):
    run = perfsim_cli("check", write("n.yaml", TINY), write("m.yaml", MACHINE))
    assert (run.status, run.err) == (0, "")
    assert "network 'tiny': 9 layers" in run.out
    assert "machine 'small': 64 kB SRAM" in run.out


def test_odd_names_are_printed_as_text(perfsim_cli, write):
    text = TINY.replace("name: stem", 'name: "<b>;\\"é🙂"').replace("[stem,", '["<b>;\\"é🙂",')
    write("n.yaml", text)
    run = perfsim_cli("run", "n.yaml", "--hw", "1MB_1GBs_1TF", "--format", "csv")
    assert list(csv.reader(io.StringIO(run.out)))[1][1] == '<b>;"é🙂'


def test_help(perfsim_cli):
    for arguments in ((), ("--help",), ("-h",), ("help",)):
        run = perfsim_cli(*arguments)
        assert run.status == 0
        assert all(name in run.out for name in COMMANDS)
    for name in COMMANDS:
        run = perfsim_cli(name, "--help")
        assert run.status == 0
        assert f"perfsim {name}" in run.out
    assert perfsim_cli("--version").out == f"perfsim {__version__}\n"


def process(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "perfsim", *arguments], capture_output=True, check=False, **options
    )


def test_standard_output_closed_early_is_no_error():
    """Twice: closed before anything is written, and after the first line."""
    command = f"{sys.executable} -m perfsim run resnet50 --hw 1MB_1GBs_1TF --format json"
    for reader in ("true", "head -1"):
        piped = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} | {reader}"],
            capture_output=True,
            check=False,
        )
        assert (piped.returncode, piped.stderr) == (0, b"")


def test_standard_output_that_is_closed():
    command = f"{sys.executable} -m perfsim run mobilenet --hw 1MB_1GBs_1TF"
    for options, status in (("", 2), ("--quiet", 0)):
        run = subprocess.run(
            ["bash", "-c", f"{command} {options} >&-"], capture_output=True, check=False
        )
        assert run.returncode == status
        assert run.stderr == (b"error: standard output: is closed\n" if status else b"")


def test_the_status_survives_a_reader_that_has_seen_enough():
    command = f"{sys.executable} -m perfsim run resnet50 --hw 1MB_1GBs_1TF --max-time 1us"
    run = subprocess.run(
        ["bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stderr.startswith(b"limit: resnet50")


@pytest.mark.parametrize("arguments", ["--help", "--version", "run --help", "models"])
@pytest.mark.parametrize("target", [">&-", ">/dev/full"])
def test_texts_that_cannot_be_written(arguments, target):
    run = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m perfsim {arguments} {target}"],
        capture_output=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(b"error: standard output: ")
    assert run.stderr.count(b"\n") == 1


MACHINES = ("--hw", "1MB_2GBs_2TF", "--hw", "4MB_4GBs_4TF")


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
@pytest.mark.parametrize(
    "arguments",
    [
        RUN,
        ("compare", "mobilenet", "resnet18", *MACHINES),
        ("explain", *RUN[1:], "--layer", "21"),
        ("explain", "resnet18", *MACHINES[:2], "--layer", "5"),
        ("models",),
        ("models", "resnet18"),
        ("hardware",),
        ("hardware", "1MB_1GBs_1TF"),
    ],
)
def test_every_command_writes_every_format(arguments, suffix, perfsim_cli, tmp_path):
    run = perfsim_cli(*arguments, "-o", f"x{suffix}", "--quiet")
    assert (run.status, run.out, run.err) == (0, "", "")
    path = tmp_path / f"x{suffix}"
    if suffix == ".parquet":
        assert len(pd.read_parquet(path))
    elif suffix == ".csv":
        assert read_csv(path)
    else:
        assert json.loads(path.read_text())["perfsim"] == __version__


def test_a_link_stays_one(perfsim_cli, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "x.csv").symlink_to(tmp_path / "folder" / "real.csv")
    perfsim_cli(*RUN, "-o", "x.csv", "--quiet")
    assert (tmp_path / "x.csv").is_symlink()
    assert (tmp_path / "folder" / "real.csv").read_text().startswith("layer,")


def test_what_the_command_line_does_is_a_call_of_the_library(tmp_path):
    result = simulate(load_network("mobilenet"), load_hardware("1MB_1GBs_1TF"))
    steps = perfsim.explain(result, "pw21").set_index("quantity")
    assert steps.loc["ddr_bytes", "result"] == 1164976
    assert perfsim.explain(result, 21).equals(perfsim.explain(result, "pw21"))
    perfsim.write(result, str(tmp_path / "a.csv"))
    assert len(read_csv(tmp_path / "a.csv")) == 30
    assert perfsim.check("mobilenet").description == "network 'mobilenet': 30 layers"
    assert perfsim.schema("hardware")["title"] == "HardwareProfile"
    assert "mobilenet" in perfsim.bundled_networks()
    assert "1MB_1GBs_1TF" in perfsim.bundled_machines()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error():
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "perfsim", "models"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.startswith(b"error: standard output: cannot be written")
    assert b"Traceback" not in run.stderr


def test_names_that_the_terminal_cannot_show(tmp_path):
    (tmp_path / "n.yaml").write_text(TINY.replace("name: tiny", "name: naïve🙂"), encoding="utf-8")
    run = process(
        "run", "n.yaml", "--hw", "1MB_1GBs_1TF", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"}
    )
    assert run.returncode == 0
    assert run.stdout.startswith(b"na\\xefve\\U0001f642 on")


def test_what_is_slow_to_import_is_imported_where_it_is_needed():
    """`--help` loads no numpy, a run neither pandas nor networkx."""
    code = (
        "import sys; from perfsim.cli import main; main({}); print(*sys.modules, file=sys.stderr)"
    )
    for arguments, absent in (
        (["--help"], {"numpy", "pandas", "networkx", "pydantic", "yaml", "json"}),
        (["run", "mobilenet_v1", "--hw", "1MB_1GBs_1TF"], {"pandas", "networkx", "pyarrow"}),
    ):
        run = subprocess.run(
            [sys.executable, "-c", code.format(arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not absent & set(run.stderr.split())


def test_main_does_not_exit():
    assert main(["--version"]) == 0


def test_models_says_what_was_set(perfsim_cli):
    shown = perfsim_cli("models", "mobilenet_v1", "--set", "width=0.5").out
    assert "; with width=0.5\n" in shown


def test_check_applies_settings_to_files_of_their_kind(perfsim_cli):
    run = perfsim_cli("check", "mobilenet_v1", "1MB_1GBs_1TF", "--set", "hw.sram=2MB")
    assert (run.status, "2 MB SRAM" in run.out) == (0, True)
    assert "width" in perfsim_cli("check", "mobilenet_v1", "--set", "width=-1").err
