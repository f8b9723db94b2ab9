"""The bundled machines, a line each; with a name (or a path), that one in full.

perfsim hardware
perfsim hardware 1MB_1GBs_1TF
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, common


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim hardware``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a machine to show in full")
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim import catalog
    from perfsim.hardware.profile import load_hardware
    from perfsim.report.catalog import machine_sheet, machines_sheet

    if arguments.name is None:
        common.check_outputs(arguments, [], [])
        machines = [load_hardware(str(path)) for path in catalog.bundled_machines().values()]
        sheet = machines_sheet(sorted(machines, key=lambda machine: machine.numbers))
    else:
        common.check_outputs(arguments, [], [arguments.name])
        machine = load_hardware(arguments.name)
        sheet = machine_sheet(machine, catalog.find_machine(arguments.name))
    common.give_out(sheet, arguments)
    return DONE
