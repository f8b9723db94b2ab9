"""The times of a network and of its layers in ONNX Runtime on this CPU.

A network that is no ONNX file is written as one with random weights first. One session gives the time of the whole
network, another one, which is profiled, those of its nodes.
"""

from __future__ import annotations

import datetime
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim import catalog
from perfsim.errors import InvalidValueError, describe
from perfsim.frontends import load_network
from perfsim.host.computer import processor_name
from perfsim.host.joining import Joined, join
from perfsim.host.onnx_runtime import RunNode, RuntimeSession, model_nodes, versioned_name
from perfsim.host.random_inputs import check_weights, precision_of, random_inputs
from perfsim.host.repeats import Timing, run_in_turns, timing_of, timing_of_microseconds
from perfsim.program import Layer, Program, lower
from perfsim.settings import Setting

if TYPE_CHECKING:
    from perfsim.network.graph import Network
    from perfsim.result import Columns

BUDGET_S = 10.0
_MOST_EVENTS = 500_000  # of the profiler, which ends at a million
_LONGEST_LIST = 6
_QUIET = 1.25  # third quartile / first quartile of the whole network, from which on the computer does other things


@dataclass(frozen=True, eq=False)
class HostMeasurement:
    """A network as it was measured on this computer.

    Attributes:
        network: as it was named in the call. settings: what was changed of it, as in ``--set``.
        precision: of the model's fractions. batch: images per inference.
        program: its layers. nodes, joined: what was executed, and for which layer.
        whole: the latency of the network without profiling.
        layers: of each layer that takes time, by its position in the program.
        other: of the nodes that could not be joined; None where there are none.
        source: where the numbers come from: library, processor, threads, day.
    """

    network: str
    settings: str
    precision: str
    batch: int
    program: Program
    nodes: tuple[RunNode, ...]
    joined: Joined
    whole: Timing
    layers: Mapping[int, Timing]
    other: Timing | None
    source: str

    @property
    def layers_s(self) -> float:
        """The sum of the layers' times [s]."""
        return math.fsum(timing.median_s for timing in self.layers.values())

    @property
    def warnings(self) -> list[str]:
        """What was not joined or found, and whether the computer was busy."""
        layers = self.program.layers
        found = []
        spread = self.whole.third_quartile_s / self.whole.first_quartile_s
        if spread > _QUIET:
            found.append(
                f"the computer was busy: of the network's runs the slower half took {spread:.2f} times as long as the "
                "faster half (third over first quartile), so that its time says little; measure again when it is quiet"
            )
        if self.other is not None:
            names = _listed([f"{node.op} {node.name}".strip() for node in self._nodes_of(None)])
            share = self.other.median_s / (self.layers_s + self.other.median_s)
            found.append(f"{share:.1%} of the time is of nodes that belong to no layer: {names}")
        if self.joined.lost:
            names = _listed([layers[position].name for position in self.joined.lost])
            found.append(
                f"not timed, as no node of ONNX Runtime could be told to be theirs: {names}"
            )
        return found

    @property
    def columns(self) -> Columns:
        """The rows of a file of measurements: the whole network, then each layer that takes time."""
        columns: Columns = {
            name: []
            for name in (
                *("network", "set", "precision", "batch", "measured_ms", "layer", "op"),
                *("with", "nodes", "first_quartile_ms", "third_quartile_ms", "runs", "source"),
            )
        }
        self._add_row(columns, self.whole, None)
        for position, timing in self.layers.items():
            self._add_row(columns, timing, position)
        return columns

    def _add_row(self, columns: Columns, timing: Timing, position: int | None) -> None:
        layers, into = self.program.layers, self.joined.fused_into
        layer: Layer | None = None if position is None else layers[position]
        fused = [
            # names with blanks would be several
            str(one + 1) if " " in layers[one].name else layers[one].name
            for one, into_one in into.items()
            if into_one == position
        ]
        nodes = [] if position is None else self._nodes_of(position)
        row = (
            *(self.network, self.settings, self.precision, self.batch, timing.median_s * 1000),
            *(("", "") if layer is None else (layer.name, layer.op)),
            "" if layer is None else " ".join(fused),
            " ".join(node.op for node in nodes),
            *(timing.first_quartile_s * 1000, timing.third_quartile_s * 1000),
            *(timing.runs, self.source),
        )
        for values, value in zip(columns.values(), row, strict=True):
            values.append(value)

    def _nodes_of(self, position: int | None) -> list[RunNode]:
        pairs = zip(self.nodes, self.joined.layer_of, strict=True)
        return [node for node, layer in pairs if layer == position]


def measure(
    file: str | PathLike[str],
    /,
    *,
    threads: int = 1,
    runs: int | None = None,
    budget_s: float = BUDGET_S,
    **settings: Any,
) -> HostMeasurement:
    """The times of the network `file` and of its layers in ONNX Runtime on this computer (extra host).

    >>> measure("mobilenet_v2", width=0.5).whole.median_s

    file: a bundled network or a path; an ONNX file is run as it is, anything else is written as ONNX in single
    precision with random weights. Inputs are random.
    threads: that a node may use.
    runs: how many to take; unless given, as many as it takes until the median's standard error is 0.2 %, and no
    longer than `budget_s` seconds.
    settings: as in `load_network`, but for precision: what is measured is that of the model.

    Raises InputError for what is wrong with the network or a setting, InvalidValueError when ONNX Runtime does not run
    it, MissingExtraError without onnxruntime.
    """
    name = fspath(file)
    library = versioned_name(name)
    changed = _settings_text(settings)
    network = load_network(file, **settings)
    program = lower(network)
    path = catalog.find_network(file)
    _check_least("threads", threads)
    if runs is not None:
        _check_least("runs", runs)
    with tempfile.TemporaryDirectory(prefix="perfsim-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        model = _runnable(network, path, folder)
        plain = RuntimeSession(model, name, threads)
        profiled = RuntimeSession(model, name, threads, folder)
        nodes = profiled.nodes()
        inputs = random_inputs(network, plain.kinds(), name)
        most_profiled = _MOST_EVENTS // len(nodes)
        if runs is not None and 2 * runs + 4 > most_profiled:
            raise InvalidValueError(
                "", found=f"{runs} runs of {len(nodes)} nodes", expected="fewer: each is profiled"
            )
        whole_s, kept = run_in_turns(
            lambda: plain.run_s(inputs),
            lambda: profiled.run_s(inputs),
            runs=runs,
            budget_s=budget_s,
            most_profiled=most_profiled,
        )
        node_us = profiled.node_times_us(nodes)[kept]
        precision = precision_of(model)
        joined = join(nodes, model_nodes(model), network, program)
    by_layer: dict[int | None, list[int]] = {}
    for index, position in enumerate(joined.layer_of):
        by_layer.setdefault(position, []).append(index)
    timings = {
        position: timing_of_microseconds(node_us[:, indices].sum(axis=1).tolist())
        for position, indices in by_layer.items()
    }
    other = timings.pop(None, None)
    layers = {
        position: timings[position]
        for position in sorted(one for one in timings if one is not None)
    }
    batch = next((shape[0] for shape in network.shapes(network.inputs) if shape), 1)
    plural = "" if threads == 1 else "s"
    return HostMeasurement(
        *(name, changed, precision, batch, program, tuple(nodes), joined),
        *(timing_of(whole_s), layers, other),
        f"{library}, {processor_name()}, {threads} thread{plural}, {datetime.date.today()}",
    )


def _runnable(network: Network, path: Path, folder: Path) -> Path:
    """The ONNX file to run: the network's own, or one written into `folder`."""
    if path.suffix.lower() == ".onnx":
        check_weights(path)
        return path
    from perfsim.frontends.onnx_writer import onnx_model

    written = folder / "model.onnx"
    with written.open("wb") as file:
        onnx_model(network).write(file, seed=0)
    return written


def _settings_text(settings: Mapping[str, Any]) -> str:
    """The settings as the column `set` has them, without the batch, which has a column of its own."""
    parts = []
    for key, given in settings.items():
        value, origin = given if isinstance(given, Setting) else (given, f"setting {key}")
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if key.split(".")[0] == "precision":
            raise InvalidValueError(
                "", found="a precision", expected="none: what is measured is the model's own"
            ).at(file=origin)
        if not isinstance(value, bool | int | float | str) or not text or len(text.split()) != 1:
            raise InvalidValueError(
                "",
                found=describe(value),
                expected="a number or word, as a file of measurements has it",
            ).at(file=origin)
        if key != "batch":
            parts.append(f"{key}={text}")
    return " ".join(parts)


def _check_least(name: str, value: int) -> None:
    if value < 1:
        raise InvalidValueError("", found=f"{name} {value}", expected="at least 1")


def _listed(names: Sequence[str]) -> str:
    """The first names of a list."""
    more = "" if len(names) <= _LONGEST_LIST else f" and {len(names) - _LONGEST_LIST} more"
    return ", ".join(names[:_LONGEST_LIST]) + more
