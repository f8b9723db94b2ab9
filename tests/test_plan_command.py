"""``perfsim plan``: what it prints and writes, its exit status, and what it says to wrong input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT, read_csv
from test_addresses import KNOT

from perfsim.placement import address_exact

EXAMPLE = str(ROOT / "tests/allocation/example.12.csv")
HARD = str(ROOT / "tests/allocation/A.1048576.csv")


def overlaps(rows: list[dict[str, str]]) -> bool:
    spans = [tuple(int(row[key]) for key in ("lower", "upper", "offset", "size")) for row in rows]
    return any(
        one[0] < other[1]
        and other[0] < one[1]
        and one[2] < other[2] + other[3]
        and other[2] < one[2] + one[3]
        for index, one in enumerate(spans)
        for other in spans[:index]
    )


def test_the_result_in_a_few_lines(perfsim_cli):
    run = perfsim_cli("plan", EXAMPLE, "--capacity", "12")
    assert (run.status, run.err) == (0, "")
    text = run.out.replace(EXAMPLE, "example.12.csv")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert [line for line in lines if line][-5:-1] == [
        "capacity 12 B fits",
        "peak 12 B of the best plan found",
        "lower bound 12 B no plan is lower",
        "gap 0 B optimal",
    ]
    assert "5 buffers" in text
    assert lines[-1].startswith("found by a greedy order in ")


@pytest.mark.parametrize("search", ["auto", "greedy", "exact"])
def test_the_plan_as_csv(perfsim_cli, tmp_path, search):
    run = perfsim_cli(
        "plan", EXAMPLE, "--capacity", "12B", "--search", search, "--format", "csv", "-o", "out.csv"
    )
    assert run.status == 0
    assert run.out == (tmp_path / "out.csv").read_text()
    rows = read_csv(tmp_path / "out.csv")
    given = read_csv(ROOT / "tests/allocation/example.12.csv")
    assert [{key: row[key] for key in given[0]} for row in rows] == given
    assert list(rows[0]) == ["id", "lower", "upper", "size", "offset"]
    assert not overlaps(rows)
    assert max(int(row["offset"]) + int(row["size"]) for row in rows) == 12


def test_a_plan_can_be_checked_by_planning_it_again(perfsim_cli, tmp_path):
    assert perfsim_cli("plan", EXAMPLE, "-o", "out.csv", "--quiet").out == ""
    run = perfsim_cli("plan", "out.csv", "--capacity", "12")
    assert run.status == 0
    assert "5 fixed" in run.out
    moved = (tmp_path / "out.csv").read_text().replace("b1,0,3,4,", "b1,0,3,4,1")
    (tmp_path / "out.csv").write_text(moved)
    assert perfsim_cli("plan", "out.csv", "--capacity", "12").status in (1, 2)


def test_the_plan_as_json(perfsim_cli):
    record = json.loads(perfsim_cli("plan", EXAMPLE, "--format", "json").out)
    assert (record["fits"], record["optimal"], record["ruled_out"]) == (True, True, False)
    assert (record["capacity_bytes"], record["peak_bytes"], record["bound_bytes"]) == (None, 12, 12)
    assert [row["id"] for row in record["buffers"]] == ["b1", "b2", "b3", "b4", "b5"]


def test_what_cannot_fit_has_status_1_and_no_offsets(perfsim_cli):
    run = perfsim_cli("plan", EXAMPLE, "--capacity", "11", "--format", "csv")
    assert run.status == 1
    assert run.err == "limit: no plan fits into 11 bytes: at least 12 are needed\n"
    assert all(line.endswith(",") for line in run.out.splitlines()[1:])
    assert "does not fit: proven" in perfsim_cli("plan", EXAMPLE, "--capacity", "11").out


def test_what_is_not_found_in_the_time_says_so(perfsim_cli, monkeypatch):
    monkeypatch.setattr(address_exact, "has_numba", lambda: False)
    run = perfsim_cli("plan", HARD, "--capacity", "1MiB", "--time-limit", "10ms")
    assert run.status == 1
    assert "whether there is one is not known" in run.err
    assert "does not fit as far as was searched" in run.out
    record = json.loads(
        perfsim_cli(
            *("plan", HARD, "--capacity", "1MiB", "--search", "greedy", "--format", "json")
        ).out
    )
    assert (record["fits"], record["ruled_out"]) == (False, False)
    assert record["buffers"][0]["offset"] is None


def test_columns_in_any_order_with_alignment_and_fixed_offsets(perfsim_cli, write):
    write("b.csv", "size,upper,id,offset,lower,alignment\n5,2,x,16,0,\n10,2,y,,0,16\n3,2,z,,0,\n")
    run = perfsim_cli("plan", "b.csv", "--alignment", "4", "--format", "csv")
    assert run.out.splitlines() == [
        "id,lower,upper,size,alignment,offset",
        "x,0,2,5,4,16",
        "y,0,2,10,16,0",
        "z,0,2,3,4,12",
    ]


def test_an_alignment_in_bytes_raises_the_height(perfsim_cli, write):
    write("b.csv", "id,lower,upper,size\na,0,2,100\nb,0,2,70\n")
    assert perfsim_cli("plan", "b.csv", "--capacity", "170").status == 0
    assert perfsim_cli("plan", "b.csv", "--capacity", "197", "--alignment", "64 B").status == 1
    assert perfsim_cli("plan", "b.csv", "--capacity", "198", "--alignment", "64").status == 0


HEAD = "id,lower,upper,size\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "b.csv: found an empty file, expected one row per buffer"),
        (HEAD, "b.csv: found a header and no rows, expected one row per buffer"),
        (
            "id,lower,upper\na,0,1\n",
            "b.csv:1: the column 'size' is missing; expected the columns id, lower, upper, size",
        ),
        (
            "id,lower,uper,size\na,0,1,1\n",
            "b.csv:1: unknown column 'uper'; did you mean 'upper'? expected one of id, lower, upper, "
            "size, alignment, offset\n",
        ),
        ("id,lower,upper,size,size\n", "b.csv:1: the column 'size' is repeated"),
        (HEAD + "a,0,1\n", "b.csv:2: found 3 cells, expected 4, as in the header"),
        (
            HEAD + "a,3,3,1\n",
            "b.csv:2: upper: found 3, with a lower of 3, expected a time after lower",
        ),
        (
            HEAD + "a,0,1,1\n\nb,0,1,-1\n",
            "b.csv:4: size: found '-1', expected a whole number of at least 0",
        ),
        (HEAD + "a,0,1,x\n", "b.csv:2: size: found 'x', expected a whole number of at least 0"),
        (
            HEAD + f"a,0,1,{2**53 + 1}\n",
            "b.csv:2: size: found 9,007,199,254,740,993, expected at most 2^53",
        ),
        (
            HEAD + f"a,0,1,{2**53}\nb,2,3,1\n",
            "b.csv: a count would not be exact as a 64-bit number; found",
        ),
        (
            HEAD + "a,0,1,1\na,1,2,1\n",
            "b.csv:3: id: the id 'a' is used twice; it stands at line 2 too",
        ),
        (HEAD + ",0,1,1\n", "b.csv:2: id: found nothing, expected a name"),
        (
            "id,lower,upper,size,alignment\na,0,1,1,0\n",
            "b.csv:2: alignment: found '0', expected a whole number of at least 1",
        ),
        (
            "id,lower,upper,size,alignment,offset\na,0,1,1,4,6\n",
            "b.csv:2: offset: found 6, expected a multiple of its alignment, 4",
        ),
        (
            "id,lower,upper,size,offset\na,0,2,4,0\nb,1,3,4,3\n",
            "b.csv:3: offset: 'b' must overlap 'a' (line 2), which lives at the same time",
        ),
        (HEAD + 'a,0,"1,1\n', "b.csv:2: not valid CSV: "),
    ],
)
def test_wrong_files_give_one_error(perfsim_cli, write, text, message):
    write("b.csv", text)
    run = perfsim_cli("plan", "b.csv", "--capacity", "12")
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"error: {message}")
    assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "none.csv: no such file"),
        ([EXAMPLE, "--capacity", "12 MBytes"], "--capacity: found '12 MBytes', expected a size"),
        ([EXAMPLE, "--capacity", "0"], "--capacity: found '0 B', expected a size"),
        ([EXAMPLE, "--alignment", "-4"], "--alignment: found '-4'"),
        ([EXAMPLE, "--time-limit", "60"], "--time-limit: found '60' without a unit"),
        (
            [EXAMPLE, "--search", "gredy"],
            "unknown search 'gredy'; did you mean 'greedy'? expected one of auto",
        ),
        ([EXAMPLE, "-o", "out.txt"], "out.txt: found the suffix '.txt'"),
        ([], "the following arguments are required: BUFFERS"),
    ],
)
def test_wrong_arguments_give_one_error(perfsim_cli, arguments, message):
    run = perfsim_cli("plan", *arguments)
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"error: {message}")


def test_the_input_is_not_overwritten(perfsim_cli, tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "b.csv")
    run = perfsim_cli("plan", "b.csv", "-o", "b.csv")
    assert run.status == 2
    assert "would overwrite the input" in run.err


def test_a_search_without_its_library_says_what_to_install(perfsim_cli, monkeypatch, write):
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    rows = (f"{name},{','.join(map(str, row))}\n" for name, row in KNOT.items())
    write("b.csv", HEAD + "".join(rows))
    run = perfsim_cli("plan", "b.csv", "--search", "cp-sat")
    assert run.status == 2
    assert "pip install 'perfsim[solver]', or in a clone '.[solver]'" in run.err


@pytest.mark.parametrize("search", ["auto", "exact"])
def test_what_is_easy_loads_no_solver(search, write):
    """The start-up time: numba alone takes longer to load than perfsim to plan."""
    rows = (f"{name},{','.join(map(str, row))}\n" for name, row in KNOT.items())
    file = write("b.csv", HEAD + "".join(rows))
    code = (
        "import sys; from perfsim.cli import main\n"
        f"status = main(['plan', {file!r}, '--capacity', '4', '--search', {search!r}, '--quiet'])\n"
        "assert status == 1\n"
        "assert not {'numba', 'scipy', 'ortools', 'pandas', 'networkx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
