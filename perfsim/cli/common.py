"""What the commands share: the common options, reading the inputs, giving out the result."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from perfsim import catalog
from perfsim.errors import InputError, InvalidValueError, OutputError
from perfsim.report.sheet import FORMATS, Sheet, csv_text, json_text

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network

MACHINE_PREFIX = "hw."


def add_network(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The positional argument MODEL, or MODEL... ."""
    parser.add_argument(
        "models" if many else "model",
        metavar="MODEL",
        nargs="+" if many else None,
        help="a network: a path (.yaml, .csv layer table), or a name that 'perfsim models' lists",
    )


def add_run_options(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The options of a simulation: machine, settings, policies."""
    parser.add_argument(
        "--hw",
        metavar="PROFILE",
        action="append",
        required=True,
        help="a machine: a path (.yaml), or a name that 'perfsim hardware' lists"
        + ("; may be given several times, the first is the base" if many else ""),
    )
    add_settings(parser, "network's or (with hw.) the machine's file")
    parser.add_argument(
        "--placement", metavar="NAME", help="how memory is assigned: liveness, accumulate"
    )
    parser.add_argument("--timing", metavar="NAME", help="what overlaps: overlap, serial")


def add_settings(parser: argparse.ArgumentParser, of: str) -> None:
    """The option --set."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help=f"change one value of the {of} for this run: width=0.5, precision.weight=4"
        + (", hw.ddr_bandwidth=4GB/s" if "hw." in of else ""),
    )


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The options that say where the result goes."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        action="append",
        default=[],
        dest="outputs",
        help="write a file, its format by its suffix (.csv, .json, .parquet); may be repeated",
    )
    parser.add_argument(
        "--format", choices=FORMATS, help="what goes to standard output (default: table)"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no table and no warnings; errors and files only"
    )


def add_limit(parser: argparse.ArgumentParser) -> None:
    """The option --max-time."""
    parser.add_argument(
        "--max-time", metavar="TIME", help="exit with status 1 when slower than this, such as 5ms"
    )


def split_settings(settings: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of --set for the network and for the machine, by key."""
    from perfsim.document import read_value

    for_network: dict[str, Any] = {}
    for_machine: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key.strip() or not equals or not text.strip():
            raise InvalidValueError(
                "", found=f"'{setting}'", expected="KEY=VALUE such as width=0.5"
            ).at(file="--set")
        key = key.strip()
        value = read_value(text, f"--set {setting}")
        if key.startswith(MACHINE_PREFIX):
            for_machine[key.removeprefix(MACHINE_PREFIX)] = value
        else:
            for_network[key] = value
    return for_network, for_machine


def load_inputs(
    models: list[str], profiles: list[str], settings: list[str]
) -> tuple[list[Network], list[Machine]]:
    """The networks and machines of a command line, with its settings."""
    from perfsim.document import read_document
    from perfsim.frontends import load_with_settings
    from perfsim.hardware.profile import read_machine
    from perfsim.settings import apply_settings

    for_network, for_machine = split_settings(settings)
    networks = [load_with_settings(model, for_network, option="--set ") for model in models]
    machines = []
    for profile in profiles:
        document = read_document(catalog.find_machine(profile))
        apply_settings(document, for_machine, option="--set hw.")
        machines.append(read_machine(document))
    return networks, machines


def one_machine(profiles: list[str]) -> list[str]:
    """The value of --hw where only one makes sense."""
    if len(profiles) > 1:
        raise InvalidValueError(
            "", found=f"{len(profiles)} machines", expected="one ('perfsim compare' takes several)"
        ).at(file="--hw")
    return profiles


def check_outputs(arguments: argparse.Namespace, models: list[str], profiles: list[str]) -> None:
    """Raise before any work when an output could not be written or would overwrite an input."""
    if arguments.outputs:
        from perfsim.report import files

        inputs = [catalog.find_network(model) for model in models]
        inputs += [catalog.find_machine(profile) for profile in profiles]
        files.check_outputs(arguments.outputs, inputs)


def give_out(sheet: Sheet, arguments: argparse.Namespace) -> None:
    """Write the files, then standard output in the chosen format."""
    if arguments.outputs:
        from perfsim.report.files import write_files

        write_files(sheet, arguments.outputs)
    chosen = arguments.format
    if chosen == "csv":
        show(csv_text(sheet))
    elif chosen == "json":
        show(json_text(sheet))
    elif chosen == "table" or not arguments.quiet:
        import shutil

        show(sheet.text(shutil.get_terminal_size((80, 24)).columns))


def show(text: str) -> None:
    """Write to standard output; a closed pipe is no error, a full disk is one."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}").at(
            file="standard output"
        ) from None


def warn(text: str, arguments: argparse.Namespace) -> None:
    """A warning on standard error, unless --quiet."""
    if not arguments.quiet:
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201


def limit_seconds(arguments: argparse.Namespace) -> float | None:
    """The value of --max-time in seconds."""
    if arguments.max_time is None:
        return None
    from perfsim.hardware.units import parse_seconds

    try:
        return parse_seconds(arguments.max_time)
    except InputError as error:
        raise error.at(file="--max-time") from None


def report_slow(name: str, total_s: float, limit_s: float | None) -> bool:
    """Say on standard error that a run is slower than --max-time allows; whether it is."""
    if limit_s is None or total_s <= limit_s:
        return False
    print(  # noqa: T201
        f"limit: {name} takes {total_s:.6g} s, more than --max-time {limit_s:.6g} s",
        file=sys.stderr,
    )
    return True
