"""ONNX Runtime on this CPU: sessions, runs that are timed from outside, and the times of single nodes.

What its profiler writes: https://onnxruntime.ai/docs/performance/tune-performance/profiling-tools.html. One event a
node and run, in the order of execution, which is that of the optimised model that the same session writes; durations
in microseconds with the fraction cut off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from perfsim.errors import InputError, InvalidValueError, missing_extra

_SUFFIX = "_kernel_time"
_OPTIMIZED = "optimized.onnx"
_TEXT_LONGEST = 300


@dataclass(frozen=True)
class RunNode:
    """A node of a model, or as ONNX Runtime executes it: several fused into one, or one that it put in.

    Attributes:
        name: empty where the model gives none. op: its type. inputs, outputs: names of tensors.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def model_nodes(path: Path) -> list[RunNode]:
    """The nodes of the ONNX model at `path`, in its order."""
    from perfsim.frontends.onnx_file import read_model

    return [
        RunNode(node.name, node.op_type, tuple(node.input), tuple(node.output))
        for node in read_model(path).graph.node
    ]


def versioned_name(file: str) -> str:
    """ONNX Runtime with its version; raises MissingExtraError, naming `file`, where it or onnx is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError:
        needs = "measuring on this computer needs the libraries onnx and onnxruntime"
        raise missing_extra(needs, "host").at(file=file) from None
    return f"ONNX Runtime {onnxruntime.__version__}"


class RuntimeSession:
    """A model in ONNX Runtime on the CPU, its nodes one after the other.

    file: how messages name the model. threads: that a node may use. profile_into: the folder for the profile and the
    optimised model, None for a session that is not profiled.

    Raises InvalidValueError when ONNX Runtime does not take the model.
    """

    def __init__(
        self, model: Path | bytes, file: str, threads: int, profile_into: Path | None = None
    ) -> None:
        import onnxruntime

        self._file = file
        self._folder = profile_into
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # what goes wrong is raised
        if profile_into is not None:
            options.enable_profiling = True
            options.profile_file_prefix = str(profile_into / "profile")
            options.optimized_model_filepath = str(profile_into / _OPTIMIZED)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no base but this
            raise self._refused(error) from None

    def kinds(self) -> dict[str, str]:
        """The type of each input, such as ``tensor(float)``."""
        return {each.name: each.type for each in self._session.get_inputs()}

    def run_s(self, inputs: Mapping[str, Any]) -> float:
        """Run the model once; returns the seconds that it took. Raises InvalidValueError when it fails."""
        try:
            start = perf_counter()
            self._session.run(None, inputs)
            return perf_counter() - start
        except Exception as error:  # its errors have no base but this
            raise self._refused(error) from None

    def nodes(self) -> list[RunNode]:
        """The nodes in the order of execution; for a session that is profiled."""
        return [] if self._folder is None else model_nodes(self._folder / _OPTIMIZED)

    def node_times_us(self, nodes: list[RunNode]) -> Any:
        """The duration of each node in each run so far [us], an array of runs x nodes; ends the profile.

        An event says the whole microseconds below its duration: half of one is added.
        """
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        timed = [
            (event["name"].removesuffix(_SUFFIX), event["args"]["op_name"], event["dur"])
            for event in events
            if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX)
        ]
        runs, rest = divmod(len(timed), len(nodes))
        for (name, op, _), node in zip(timed, nodes * runs, strict=False):
            if rest or op != node.op or node.name not in ("", name):
                raise InvalidValueError(
                    "the profile of ONNX Runtime is not that of its optimised model",
                    found=f"{op} '{name}' of {len(timed)} events",
                    expected=f"{node.op} '{node.name}' of {len(nodes)} nodes",
                ).at(file=self._file)
        durations = [duration for _, _, duration in timed]
        return np.array(durations, np.float64).reshape(runs, len(nodes)) + 0.5

    def _refused(self, error: Exception) -> InputError:
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().partition("\n")[0]
        text = text.removeprefix("[ONNXRuntimeError] : ")
        return InvalidValueError(f"ONNX Runtime cannot run it: {text[:_TEXT_LONGEST]}").at(
            file=self._file
        )
