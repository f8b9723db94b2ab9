"""What the commands share: the common options, reading the inputs, giving out the result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from perfsim import catalog
from perfsim.cli import complain, show
from perfsim.errors import InputError, InvalidValueError, shortened
from perfsim.report.sheet import FORMATS, Sheet, csv_text, json_text

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.result import Result

MACHINE_PREFIX = "hw."


def add_network(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The positional argument MODEL, or MODEL... ."""
    parser.add_argument(
        "models" if many else "model",
        metavar="MODEL",
        nargs="+" if many else None,
        help="a network: a path (.yaml, .csv layer table), or a name that 'perfsim models' lists",
    )


def add_machine(parser: argparse.ArgumentParser, *, many: bool = False) -> None:
    """The option --hw."""
    parser.add_argument(
        "--hw",
        metavar="PROFILE",
        action="append",
        required=True,
        help="a machine: a path (.yaml), or a name that 'perfsim hardware' lists"
        + ("; may be given several times, the first is the base" if many else ""),
    )


def add_run_options(
    parser: argparse.ArgumentParser, *, many: bool = False, timing: bool = True
) -> None:
    """The options of a simulation: machine, settings, policies; without `timing` that of memory alone."""
    add_machine(parser, many=many)
    add_settings(
        parser,
        "network's or (with hw.) the machine's file",
        "width=0.5, precision.weight=4, hw.ddr_bandwidth=4GB/s",
    )
    add_allow_unpriced(parser)
    parser.add_argument(
        "--order",
        choices=("given", "memory"),
        default="given",
        help="the order of the layers: as the file gives it (default), or chosen so that the fewest bytes of feature "
        "maps are live at any layer; the result says what that changes",
    )
    add_policies(parser, timing=timing)


def add_policies(parser: argparse.ArgumentParser, *, timing: bool = True) -> None:
    """The options --placement, --time-limit and, with `timing`, --timing."""
    from perfsim.placement import PLACEMENTS
    from perfsim.timing.kernel import TIMINGS

    options = {"--placement": PLACEMENTS} | ({"--timing": TIMINGS} if timing else {})
    for option, policies in options.items():
        rules = "; ".join(f"{policy.name}: {policy.rule}" for policy in policies)
        parser.add_argument(option, metavar="NAME", help=f"instead of the machine's own. {rules}")
    parser.add_argument(
        "--time-limit",
        metavar="TIME",
        help="how long --placement optimal may search for one network on one machine, such as 5s (default: 30s)",
    )


def add_allow_unpriced(parser: argparse.ArgumentParser) -> None:
    """The option --allow-unpriced."""
    parser.add_argument(
        "--allow-unpriced",
        action="store_true",
        help="let operators that perfsim does not know (ONNX) move their bytes and cost no compute; the result says "
        "first how many there are",
    )


def add_settings(
    parser: argparse.ArgumentParser, of: str, examples: str = "width=0.5, precision.weight=4"
) -> None:
    """The option --set."""
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="settings",
        help=f"change one value of the {of} for this run: {examples}",
    )


def add_output_options(
    parser: argparse.ArgumentParser,
    about: str = "write a file, its format by its suffix (.csv, .json, .parquet); may be repeated",
) -> None:
    """The options that say where the result goes; about: what -o writes, for the help."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", action="append", default=[], dest="outputs", help=about
    )
    add_format(parser)


def add_format(parser: argparse.ArgumentParser) -> None:
    """The options --format and --quiet."""
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
    from perfsim.settings import Setting

    for_network: dict[str, Any] = {}
    for_machine: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key.strip() or not key.isprintable() or not equals or not text.strip():
            raise InvalidValueError(
                "", found=f"'{setting}'", expected="KEY=VALUE such as width=0.5"
            ).at(file="--set")
        key = key.strip()
        origin = f"--set {shortened(setting)}"
        value = Setting(read_value(text, origin), origin)
        if key == MACHINE_PREFIX.rstrip("."):
            raise InvalidValueError("", found="the key 'hw'", expected="such as hw.sram").at(
                file=origin
            )
        if key == "allow_unpriced":  # an argument of the reader, not a key of a file
            raise InvalidValueError("", found=f"the key '{key}'", expected="--allow-unpriced").at(
                file=origin
            )
        if key.startswith(MACHINE_PREFIX):
            for_machine[key.removeprefix(MACHINE_PREFIX)] = value
        else:
            for_network[key] = value
    return for_network, for_machine


def load_inputs(
    arguments: argparse.Namespace, models: list[str]
) -> tuple[list[Network], list[Machine]]:
    """The networks and machines of a command line, with its settings.

    Two of the same name, such as a file and its copy, are told apart by the words of the command line.
    """
    from dataclasses import replace

    from perfsim.frontends import load_network
    from perfsim.hardware.profile import load_hardware

    profiles: list[str] = arguments.hw
    for_network, for_machine = split_settings(arguments.settings)
    allowed = arguments.allow_unpriced
    networks = [load_network(model, allow_unpriced=allowed, **for_network) for model in models]
    machines = [load_hardware(profile, **for_machine) for profile in profiles]
    for network in networks:
        for text in network.warnings:
            warn(text, arguments)
    network_names = _told_apart([network.name for network in networks], models)
    machine_names = _told_apart([machine.name for machine in machines], profiles)
    networks = [
        network if network.name == name else replace(network, name=name)
        for network, name in zip(networks, network_names, strict=True)
    ]
    if arguments.order == "memory":
        from perfsim.placement.order import order_for_memory

        networks = [order_for_memory(network) for network in networks]
    machines = [
        machine if machine.name == name else replace(machine, name=name)
        for machine, name in zip(machines, machine_names, strict=True)
    ]
    return networks, machines


def _told_apart(names: list[str], words: list[str]) -> list[str]:
    """The names, with the word that it was given by behind each that stands there twice."""
    return [
        f"{name} ({word})" if names.count(name) > 1 else name
        for name, word in zip(names, words, strict=True)
    ]


def check_one_machine(arguments: argparse.Namespace) -> None:
    """Raise when --hw is given several times where only one makes sense."""
    if len(arguments.hw) > 1:
        raise InvalidValueError(
            "",
            found=f"{len(arguments.hw)} machines",
            expected="one ('perfsim compare' takes several)",
        ).at(file="--hw")


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
    show_sheet(sheet, arguments)


def show_sheet(sheet: Sheet, arguments: argparse.Namespace) -> None:
    """Standard output in the chosen format."""
    if arguments.format == "csv":
        show(csv_text(sheet))
    elif arguments.format == "json":
        show(json_text(sheet))
    elif arguments.format == "table" or not arguments.quiet:
        import shutil

        show(sheet.text(shutil.get_terminal_size((80, 24)).columns))


def warn(text: str, arguments: argparse.Namespace) -> None:
    """A warning on standard error, unless --quiet."""
    if not arguments.quiet:
        complain(f"warning: {text}")


def size_bytes(text: str, option: str) -> int:
    """The value of an option that is a size; one without a unit is in bytes."""
    from perfsim.hardware.units import parse_bytes

    try:
        return parse_bytes(f"{text} B" if text.isdecimal() else text)
    except InputError as error:
        raise error.at(file=option) from None


def limit_seconds(arguments: argparse.Namespace) -> float | None:
    """The value of --max-time in seconds."""
    return None if arguments.max_time is None else seconds(arguments.max_time, "--max-time")


def seconds(text: str, option: str) -> float:
    """The value of an option that is a time, in seconds."""
    from perfsim.hardware.units import parse_seconds

    try:
        return parse_seconds(text)
    except InputError as error:
        raise error.at(file=option) from None


def share(text: str, option: str) -> float:
    """The value of an option that is a percentage, as a fraction."""
    from perfsim.hardware.units import parse_share

    try:
        return parse_share(text)
    except InputError as error:
        raise error.at(file=option) from None


def chosen_placement(arguments: argparse.Namespace) -> str | PlacementPolicy | None:
    """The value of --placement, searching no longer than --time-limit says."""
    if arguments.time_limit is None:
        return str(arguments.placement) if arguments.placement else None
    from perfsim.placement.optimal import Optimal

    if arguments.placement != Optimal.name:
        raise InvalidValueError(
            "",
            found=f"--placement {arguments.placement}" if arguments.placement else "no --placement",
            expected=f"--placement {Optimal.name}, which searches",
        ).at(file="--time-limit")
    return Optimal(seconds(arguments.time_limit, "--time-limit"))


def report_slow(result: Result, limit_s: float | None) -> bool:
    """Say on standard error that a run is slower than --max-time allows; whether it is."""
    total_s = result.totals.total_s
    if limit_s is None or total_s <= limit_s:
        return False
    from perfsim.report.text import duration

    run = f"{result.program.name} on {result.machine.name}"
    complain(f"limit: {run} takes {duration(total_s)}, more than --max-time {duration(limit_s)}")
    return True
