"""What the commands share that look at many machines: their options, reading them, telling how far they are."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim.cli import common
from perfsim.errors import InvalidValueError, describe
from perfsim.settings import Setting

if TYPE_CHECKING:
    from perfsim.network.graph import Network
    from perfsim.sweeps.study import Study

_EVERY_S = 0.2  # between two lines of progress
_MOST_DIGITS = 40  # of a count: more than any has
_LARGEST_SEED = 2**63 - 1


def add_points(parser: argparse.ArgumentParser) -> None:
    """The options that say which points there are."""
    common.add_machine(parser)
    parser.add_argument(
        "--vary",
        metavar="KEY=VALUES",
        action="append",
        required=True,
        help="a number of the machine's or the network's file and the values it takes; may be repeated",
    )
    parser.add_argument(
        "--sample", metavar="N", help="draw so many machines instead of taking all combinations"
    )
    parser.add_argument(
        "--sampler",
        choices=("sobol", "random"),
        help="how: a scrambled Sobol sequence (default), or independently",
    )
    parser.add_argument("--seed", metavar="N", help="of the sample (default: 0)")
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        default=[],
        help="only points for which it holds, such as 'sram <= 4 MB and total_s < 5 ms'; may be repeated",
    )


def add_sweep_policies(parser: argparse.ArgumentParser) -> None:
    """The options --set, --placement, --timing and what goes with them."""
    common.add_settings(
        parser,
        "network's or (with hw.) the machine's file",
        "width=0.5, precision.weight=4, hw.timing=serial",
    )
    common.add_allow_unpriced(parser)
    common.add_policies(parser)


def whole(text: str | None, option: str, *, least: int, most: int) -> int | None:
    """The value of an option that is a count."""
    if text is None:
        return None
    is_whole = text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS
    if not is_whole or not least <= int(text) <= most:
        raise InvalidValueError(
            "", found=describe(text), expected=f"a whole number from {least:,} to {most:,}"
        ).at(file=option)
    return int(text)


def single_output(arguments: argparse.Namespace) -> str | None:
    """The value of -o, which may be given once; raises OutputError where it cannot be written."""
    from perfsim.report.files import check_outputs
    from perfsim.sweeps.writers import WRITERS

    if len(arguments.outputs) > 1:
        raise InvalidValueError("", found=f"{len(arguments.outputs)} files", expected="one").at(
            file="--output"
        )
    check_outputs(arguments.outputs, suffixes=WRITERS)
    return arguments.outputs[0] if arguments.outputs else None


def read_study(
    arguments: argparse.Namespace,
    *,
    columns: Sequence[str] | None = None,
    per_layer: bool = False,
    costs: Sequence[str] = (),
) -> Study:
    """What the command line states."""
    from perfsim.hardware.profile import load_hardware
    from perfsim.sweeps.request import LARGEST, make_study

    common.check_one_machine(arguments)
    for_network, for_machine = common.split_settings(arguments.settings)
    _check_once(arguments, for_network, for_machine)
    sample = whole(arguments.sample, "--sample", least=1, most=LARGEST)
    seed = whole(arguments.seed, "--seed", least=0, most=_LARGEST_SEED)
    for option, given in (("--seed", arguments.seed), ("--sampler", arguments.sampler)):
        if given is not None and sample is None:
            raise InvalidValueError(
                "nothing is drawn", found=f"{option} {given}", expected="--sample N beside it"
            ).at(file=option)

    return make_study(
        arguments.models,
        partial(_load, for_network, arguments.allow_unpriced),
        load_hardware(arguments.hw[0], **for_machine),
        arguments.vary,
        sample=sample,
        seed=seed or 0,
        sampler=arguments.sampler or "sobol",
        where=arguments.where,
        placement=common.chosen_placement(arguments),
        timing=arguments.timing,
        columns=columns,
        per_layer=per_layer,
        costs=costs,
    )


def _check_once(
    arguments: argparse.Namespace, for_network: Mapping[str, Any], for_machine: Mapping[str, Any]
) -> None:
    """Raise where a network is given twice, or a key is both set and varied."""
    from perfsim.catalog import find_network
    from perfsim.sweeps.request import SCALES

    names: dict[Path, str] = {}
    for model in arguments.models:
        file = find_network(model).resolve()
        if file in names:
            also = f" and '{model}'" if model != names[file] else ""
            raise InvalidValueError(
                "the same network twice", found=f"'{names[file]}'{also}", expected="each once"
            )
        names[file] = model
    for text in arguments.vary:
        key = text.partition("=")[0].strip()
        setting, option = (for_network, key) if key in SCALES else (for_machine, f"hw.{key}")
        if key in _set_keys(setting):
            raise InvalidValueError(
                "", found=f"--set {option} and --vary {key}", expected="one of them"
            ).at(file=f"--vary {key}")


def _set_keys(settings: Mapping[str, Any], before: str = "") -> list[str]:
    """The dotted keys of what is set, those of mappings by their entries."""
    found = []
    for key, setting in settings.items():
        value = setting.value if isinstance(setting, Setting) else setting
        path = f"{before}{key}"
        found += _set_keys(value, f"{path}.") if isinstance(value, Mapping) else [path]
    return found


def _load(
    settings: Mapping[str, Any], allow_unpriced: bool, model: str, scales: Mapping[str, Any]
) -> Network:
    from perfsim.frontends import load_network

    return load_network(model, allow_unpriced=allow_unpriced, **{**settings, **scales})


class Progress:
    """Tells on a terminal how far a sweep is, how fast, and how long it will take."""

    def __init__(self, count: int, arguments: argparse.Namespace) -> None:
        self._count = count
        self._shown = not arguments.quiet and sys.stderr is not None and sys.stderr.isatty()
        self._start = self._last = time.monotonic()
        self._first: int | None = None  # points that were done before

    def __call__(self, done: int, _rows: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first, self._start = 0 if done == self._count else done, now
        if not self._shown or now - self._last < _EVERY_S:
            return
        self._last = now
        from perfsim.report.text import count as amount

        rate = (done - self._first) / max(now - self._start, 1e-9)
        left = f", {(self._count - done) / rate:,.0f} s left" if rate else ""
        line = (
            f"{done / self._count:6.1%} of {self._count:,} points, {amount(rate, 'points')}/s{left}"
        )
        sys.stderr.write(f"\r{line:<78}")
        sys.stderr.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * 78 + "\r")
            sys.stderr.flush()
