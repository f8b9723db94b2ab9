"""The bundled networks, a line each; with a name (or a path), that one in full.

perfsim models
perfsim models mobilenet_v1 --set width=0.5
"""

from __future__ import annotations

import argparse

from perfsim.cli import DONE, common
from perfsim.errors import InvalidValueError


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim models``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="a network to show in full")
    common.add_settings(parser, "network's file")
    common.add_allow_unpriced(parser)
    common.add_output_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim import catalog
    from perfsim.frontends import load_network
    from perfsim.report.catalog import network_sheet, networks_sheet

    settings, _ = common.split_settings(arguments.settings)
    if arguments.name is None:
        common.check_outputs(arguments, [], [])
        if settings:
            raise InvalidValueError("", found="no NAME", expected="the network to change").at(
                file="--set"
            )
        sheet = networks_sheet(catalog.networks_index())
    else:
        common.check_outputs(arguments, [arguments.name], [])
        network = load_network(arguments.name, allow_unpriced=arguments.allow_unpriced, **settings)
        sheet = network_sheet(network, catalog.find_network(arguments.name), arguments.settings)
    common.give_out(sheet, arguments)
    return DONE
