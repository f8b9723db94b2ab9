"""The page: one self-contained HTML file of runs, made of one template and one data block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from perfsim.errors import InvalidValueError, describe
from perfsim.report.files import PAGE_SUFFIXES, check_outputs, write_whole
from perfsim.report.page_data import page_record
from perfsim.result import Result, counts_table

if TYPE_CHECKING:
    from perfsim.program import Program

_FILES = Path(__file__).resolve().parent / "page_files"
_STYLES = ("colours.css", "page.css", "pictures.css", "print.css")
# In the order in which they are joined: each uses only what stands before it, but inside functions.
_SCRIPTS = (
    "format.js",
    "state.js",
    "drawing.js",
    "summary.js",
    "bars.js",
    "roofline.js",
    "memory.js",
    "layering.js",
    "graph.js",
    "table.js",
    "explanation.js",
    "main.js",
)


@dataclass(frozen=True)
class Page:
    """A report as one HTML text that needs nothing else: no server, no network.

    Attributes:
        html: the whole file.
    """

    html: str

    def write(self, *files: str | PathLike[str]) -> None:
        """Write the page to each file, all whole or none at all; raises OutputError."""
        names = [fspath(file) for file in files]
        check_outputs(names, suffixes=PAGE_SUFFIXES)
        content = self.html.encode()
        write_whole([(name, lambda out: out.write(content)) for name in names])

    def _repr_html_(self) -> str:
        """The page in a frame of its own, for notebooks."""
        frame = "width:100%;height:48rem;border:1px solid #8888"
        return (
            f'<iframe title="perfsim report" sandbox="allow-scripts allow-downloads" style="{frame}" '
            f'srcdoc="{escape(self.html)}"></iframe>'
        )


def report(*results: Result) -> Page:
    """The page of one run, or of several side by side; the first of each network is the base of its comparison.

    >>> report(simulate(network, machine), simulate(network, other)).write("report.html")

    Raises InvalidValueError when there is no result, or something that is none.
    """
    if not results:
        raise InvalidValueError("", found="no result", expected="results of perfsim.simulate")
    for result in results:
        if not isinstance(result, Result):
            raise InvalidValueError("", found=describe(result), expected="a Result (see simulate)")
    return page_of(by_network(results))


def page_of(runs: Sequence[Sequence[Result]], settings: Sequence[str] = ()) -> Page:
    """The page of runs of each network on its machines; `settings` are what was changed for them."""
    import json

    record = page_record(runs, settings)
    data = json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Inside <script> nothing but "<" can end the block; a lone surrogate becomes JSON's \udXXX.
    data = data.replace("<", "\\u003c").encode(errors="backslashreplace").decode()
    template = _text("page.html")
    for mark, text in (
        ("/*STYLES*/", "".join(map(_text, _STYLES))),
        ("/*SCRIPTS*/", "".join(map(_text, _SCRIPTS))),
        ("{DATA}", data),  # the last: what it holds is replaced by nothing
    ):
        head, tail = template.split(mark)
        template = f"{head}{text}{tail}"
    return Page(template)


def by_network(results: Sequence[Result]) -> list[list[Result]]:
    """The results with those of one network together, in the order in which each network comes first.

    Networks are the same when their names and all counts of their layers are.
    """
    known: list[tuple[Program, list[Result]]] = []
    for result in results:
        for program, runs in known:
            if _is_same(program, result.program):
                runs.append(result)
                break
        else:
            known.append((result.program, [result]))
    return [runs for _, runs in known]


def _is_same(first: Program, second: Program) -> bool:
    return first is second or (
        first.name == second.name
        and first.tensors == second.tensors
        and counts_table(first) == counts_table(second)
    )


def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")
