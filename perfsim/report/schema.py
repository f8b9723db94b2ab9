"""JSON schemas of the file formats, with the names of the policies that exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perfsim.errors import UnknownNameError, nearest_name
from perfsim.hardware.profile import hardware_schema
from perfsim.network.file_schema import network_schema
from perfsim.placement import PLACEMENTS
from perfsim.timing.kernel import TIMINGS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _network() -> dict[str, Any]:
    return {"$schema": _DIALECT, **network_schema()}


def _hardware() -> dict[str, Any]:
    schema = {"$schema": _DIALECT, **hardware_schema()}
    for key, policies in (("placement", PLACEMENTS), ("timing", TIMINGS)):
        names = [policy.name for policy in policies]
        schema["properties"] = schema["properties"] | {
            key: schema["properties"][key] | {"enum": names}
        }
    return schema


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"network": _network, "hardware": _hardware}


def schema(kind: str) -> dict[str, Any]:
    """The JSON schema of the files of a `kind`: "network" or "hardware"."""
    if kind not in SCHEMAS:
        raise UnknownNameError(
            f"there is no schema '{kind}'",
            expected=f"one of {', '.join(SCHEMAS)}",
            nearest=nearest_name(kind, SCHEMAS),
        )
    return SCHEMAS[kind]()
