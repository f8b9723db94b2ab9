"""The command line: one file per command, loaded when it is called. No arithmetic in here.

argparse rather than click: measured, `--help` takes 20 ms with the one and 37 with the other, of which half is the
import. What argparse lacks, the nearest spelling, is added here.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from perfsim import __version__
from perfsim.errors import InputError, OutputError, PerfsimError, nearest_name

# name -> what it does; the module perfsim.cli.<name>_command has configure(parser) and execute(arguments)
COMMANDS = {
    "run": "simulate one network on one machine: the per-layer table and the totals",
    "compare": "the same work on several machines, side by side",
    "sweep": "many machines, and networks at many scales: a row for each point",
    "pareto": "the machines of a sweep that no other one beats",
    "size": "the smallest memory or rate with which a network is fast enough",
    "sensitivity": "which number of a machine helps most when it is better",
    "explain": "how the numbers of one layer came about",
    "memory": "the memory map: addresses, what is spilled, how much memory would be enough",
    "report": "one page of a run or a comparison: pictures, tables, formulas, in one HTML file",
    "plan": "addresses for buffers, so that none that live at the same time overlap",
    "export": "a network as an ONNX model with random weights",
    "measure": "times of a network and its layers on this computer, in ONNX Runtime",
    "validate": "predictions beside measurements: the error of each, their mean, the rank correlation",
    "calibrate": "fit numbers of a machine to measurements, and write the machine with them",
    "plot": "a picture of a run: roofline, layers, memory, timeline, or machines against each other",
    "trace": "a run as a Chrome trace, for Perfetto",
    "diff": "what changed between two results, layer by layer",
    "models": "the bundled networks; with a name, that one in full",
    "hardware": "the bundled machines; with a name, that one in full",
    "schema": "the JSON schema of the file format of networks or machines",
    "check": "read network and machine files and say what is wrong with them",
}

# These need numpy, which is loaded first, near the bottom of the call stack: from deep inside nested imports CPython
# 3.11 maps and unmaps a chunk of its frame stack at every call, and numpy takes 30 ms more to load.
_NUMERIC = (
    "run",
    "compare",
    "explain",
    "memory",
    "report",
    "plan",
    "export",
    "measure",
    "validate",
    "calibrate",
    "plot",
    "trace",
    "diff",
    *("sweep", "pareto", "size", "sensitivity"),
)

DONE, LIMIT_BROKEN, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def show(text: str) -> None:
    """Write to standard output.

    Where the reader has seen enough (`| head`) the rest goes nowhere, which is no error; a full disk is one.
    """
    if sys.stdout is None:
        raise OutputError("is closed").at(file="standard output")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _discard_output()
        raise OutputError(f"cannot be written: {error.strerror}").at(
            file="standard output"
        ) from None


def _discard_output() -> None:
    """Let what is still buffered for standard output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class UsageError(InputError):
    """The command line itself is wrong."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError, with the nearest spelling of an option."""

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002
        show(message)

    def error(self, message: str) -> NoReturn:
        nearest = None
        unknown = "unrecognized arguments: "
        if message.startswith(unknown):
            words = [word for word in message[len(unknown) :].split() if word.startswith("-")]
            if words:
                nearest = nearest_name(words[0].split("=")[0], self._option_string_actions)
        raise UsageError(f"{message} (see '{self.prog} --help')", nearest=nearest)


def script() -> int:
    """What the installed command runs: `main` in a process of its own, set up to start and end fast.

    Of a run's 170 ms, looking for pydantic's plugins in every installed package would take 20, looking for garbage
    while modules load 5, and looking for it once more at the end 25.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(50_000, 20, 20)
    status = main()
    gc.freeze()
    return status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0 done, 1 a limit does not hold, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except PerfsimError as error:
        complain(f"error: {error}")
        return WRONG_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def complain(text: str) -> None:
    """A line on standard error, where there is one."""
    if sys.stderr is not None:
        print(text, file=sys.stderr)  # noqa: T201


def _dispatch(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names may hold what the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    if not words or words[0] in ("-h", "--help", "help"):
        show(_help())
        return DONE
    if words[0] in ("-V", "--version"):
        show(f"perfsim {__version__}\n")
        return DONE
    name = words[0]
    if name not in COMMANDS:
        raise UsageError(
            f"unknown command '{name}'",
            expected=f"one of {', '.join(COMMANDS)}",
            nearest=nearest_name(name, COMMANDS),
        )
    if name in _NUMERIC:
        import numpy  # noqa: F401
    module = import_module(f"perfsim.cli.{name}_command")
    parser = Parser(
        prog=f"perfsim {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    try:
        parsed = parser.parse_intermixed_args(words[1:])
    except SystemExit:  # after --help
        return DONE
    status: int = module.execute(parsed)
    return status


def _help() -> str:
    lines = [
        "usage: perfsim COMMAND ...",
        "",
        "An analytical performance simulator for neural networks on accelerators.",
        "",
        "  perfsim run mobilenet.yaml --hw 1MB_1GBs_1TF.yaml",
        "",
        "commands:",
        *(f"  {name:<13}{what}" for name, what in COMMANDS.items()),
        "",
        "'perfsim COMMAND --help' says more. Exit status: 0 done, 1 a limit that was set does not",
        "hold (--max-time, --capacity, --max-error), 2 wrong input or usage.",
    ]
    return "\n".join(lines) + "\n"
