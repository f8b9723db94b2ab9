"""The documents say what the program does."""

from __future__ import annotations

import re
import shlex

import pytest
from conftest import ROOT

from perfsim import catalog
from perfsim.cli import COMMANDS
from perfsim.network.operators import OPERATORS
from perfsim.placement import PLACEMENTS
from perfsim.report.files import WRITERS
from perfsim.timing.kernel import TIMINGS

README = (ROOT / "README.md").read_text()
INTERFACE = (ROOT / "docs/interface.md").read_text()
MODEL = (ROOT / "docs/model.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_has_two_commands():
    assert len(blocks("sh")) == 2
    assert blocks("sh")[1].rstrip().endswith(".venv/bin/pytest")


def test_the_readme_shows_what_its_command_prints(perfsim_cli):
    command = blocks("sh")[0].split("&&")[-1].strip()
    arguments = shlex.split(command)
    assert arguments[0] == ".venv/bin/perfsim"
    assert perfsim_cli(*arguments[1:]).out == blocks("text")[0]


def test_the_readme_shows_what_its_comparison_prints(perfsim_cli):
    command, shown = blocks("text")[1].removesuffix("...\n").split("\n", 1)
    arguments = shlex.split(command.removeprefix("$ perfsim "))
    assert perfsim_cli(*arguments).out.startswith(shown.rstrip("\n"))


def test_the_readme_s_python_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "conv1" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command):
    assert f"`perfsim {command}" in README
    assert f"`perfsim {command}" in INTERFACE


def test_every_policy_is_documented():
    for policy in (*PLACEMENTS, *TIMINGS):
        assert f"`{policy.name}`" in MODEL
        assert f"`{policy.name}`" in INTERFACE


def test_every_output_format_is_documented():
    for suffix in WRITERS:
        assert f"`{suffix}`" in INTERFACE


def test_every_operator_is_in_the_table_with_its_cost():
    rows = re.findall(
        r"^\| `(\w+)` \|.*\| (.*) \| (.*) \|$",
        (ROOT / "docs/operators.md").read_text(),
        re.MULTILINE,
    )
    assert {name: (unit, cost) for name, unit, cost in rows} == {
        name: (operator.unit.value, operator.cost) for name, operator in OPERATORS.items()
    }


def test_every_bundled_file_says_where_it_comes_from():
    for path in (*catalog.bundled_networks().values(), *catalog.bundled_machines().values()):
        if path.suffix != ".csv":
            assert re.search(r"^source: \S", path.read_text(), re.MULTILINE), path


def test_links_lead_somewhere():
    for document in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("tests/*/*.md")):
        if ".venv" in document.parts:
            continue
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), (document, target)
