"""Pictures of a run, as SVG or PNG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.report.figures import canvas
from perfsim.report.files import check_outputs, write_whole
from perfsim.report.machine import machine_text
from perfsim.report.run import policies, settings_text
from perfsim.report.text import duration

if TYPE_CHECKING:
    from perfsim.report.figures.pareto import Candidates
    from perfsim.result import Result

PICTURES = {
    "roofline": "the machine's ceilings and the layers as points: what each reaches, what bounds it",
    "layers": "time per layer, by part of the machine",
    "memory": "address against layers, a rectangle for each tensor; what is spilled; what is in use",
    "timeline": "which part of the machine works on which layer when",
    "pareto": "several machines: time against what one of them has of --against",
}
COSTS = {  # what a machine has -> the column of its numbers, what it is called, and its unit
    "sram": ("sram_bytes", "internal memory", "B"),
    "ddr_bandwidth": ("ddr_bytes_per_s", "DDR bandwidth", "B/s"),
    "matrix": ("matrix_flops", "peak of the matrix unit", "FLOPS"),
    "vector": ("vector_flops", "peak of the vector unit", "FLOPS"),
}
SUFFIXES = canvas.SUFFIXES


def plot(
    results: Result | Sequence[Result],
    *files: str | PathLike[str],
    kind: str = "roofline",
    against: str = "sram",
    settings: Sequence[str] = (),
) -> None:
    """Draw a picture of a run, or for `pareto` of several of one network, into each file (`.svg`, `.png`).

    >>> plot(simulate(network, machine), "memory.svg", kind="memory")

    kind: a key of `PICTURES`. against: a key of `COSTS`, for `pareto`. settings: what was changed for the run.

    The same run gives the same bytes with the same matplotlib (extra plot). All files are written whole or not at all;
    raises OutputError, MissingExtraError, UnknownNameError, and InvalidValueError for a number of runs that the kind
    does not take and for `memory` of a placement that keeps no plan.
    """
    outputs = [fspath(file) for file in files]
    check_outputs(outputs, suffixes=SUFFIXES)
    runs = list(results) if isinstance(results, Sequence) else [results]
    title, figure_of = _picture(runs, kind, against, settings)
    with canvas.drawing():
        figure = figure_of()
        pictures = {
            suffix: canvas.picture_bytes(figure, suffix, title)
            for suffix in {Path(output).suffix.lower() for output in outputs}
        }
    write_whole(
        [(output, partial(_fill, pictures[Path(output).suffix.lower()])) for output in outputs]
    )


def _fill(data: bytes, stream: BinaryIO) -> None:
    stream.write(data)


def _picture(
    runs: list[Result], kind: str, against: str, settings: Sequence[str]
) -> tuple[str, Callable[[], Any]]:
    """The title, and what draws the figure."""
    if kind not in PICTURES:
        raise unknown_name("picture", kind, PICTURES)
    if kind == "pareto":
        candidates = machines_against_time(runs, against)
        title = f"{runs[0].program.name} on {len(runs)} machines"
        facts = _policies_text(runs) + settings_text(settings)

        from perfsim.report.figures.pareto import draw_pareto

        return title, lambda: draw_pareto(candidates, title, facts)
    if len(runs) != 1:
        raise InvalidValueError("", found=f"{len(runs)} runs", expected=f"one for a {kind} picture")
    (result,) = runs
    title = f"{result.program.name} on {result.machine.name}"
    facts = (
        f"{machine_text(result.machine)}; {_policies_text(runs)}; total "
        f"{_micro(duration(result.totals.total_s))}{settings_text(settings)}"
    )
    return title, lambda: _draw(kind, result, title, facts)


def _draw(kind: str, result: Result, title: str, facts: str) -> Any:
    from importlib import import_module

    module, function = {
        "roofline": ("roofline", "draw_roofline"),
        "layers": ("layers", "draw_layers"),
        "memory": ("memory", "draw_memory"),
        "timeline": ("gantt", "draw_timeline"),
    }[kind]
    return getattr(import_module(f"perfsim.report.figures.{module}"), function)(
        result, title, facts
    )


def machines_against_time(runs: Sequence[Result], against: str) -> Candidates:
    """The runs of one network as candidates; raises InvalidValueError for runs of several networks or of none."""
    from perfsim.report.figures.pareto import Candidates

    if against not in COSTS:
        raise unknown_name("quantity of a machine", against, COSTS)
    networks = list(dict.fromkeys(run.program.name for run in runs))
    if len(networks) != 1:
        raise InvalidValueError("", found=f"runs of {len(networks)} networks", expected="of one")
    column, name, unit = COSTS[against]
    values = [float(getattr(run.machine, column)) for run in runs]
    factor, prefix = next(
        (
            each
            for each in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
            if max(values) >= each[0]
        ),
        (1.0, ""),
    )
    return Candidates(
        [value / factor for value in values],
        [run.totals.total_s for run in runs],
        [run.machine.name for run in runs],
        f"{name} [{prefix}{unit}]",
    )


def _policies_text(runs: Sequence[Result]) -> str:
    """The policies of the runs: of each, where they differ."""
    used = list(dict.fromkeys(tuple(policies(run).values()) for run in runs))
    return " or ".join(f"placement {placement}, timing {timing}" for placement, timing in used)


def _micro(text: str) -> str:
    return text.replace(" us", " µs")
