"""The JSON schema of a file format, for editors that complete and check YAML.

perfsim schema network > network.schema.json
"""

from __future__ import annotations

import argparse
import json

from perfsim.cli import DONE, show


def configure(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``perfsim schema``."""
    parser.add_argument("kind", metavar="KIND", help="network or hardware")


def execute(arguments: argparse.Namespace) -> int:
    """Run it; returns the exit status."""
    from perfsim.report.schema import schema

    show(json.dumps(schema(arguments.kind), indent=1) + "\n")
    return DONE
