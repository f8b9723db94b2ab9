"""Settings: values of a file that a call or ``--set`` replaces for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from perfsim.document import Document


class Setting(NamedTuple):
    """A value and how a message names where it was given, such as ``--set width=1e9``."""

    value: Any
    origin: str


def apply_settings(document: Document, settings: Mapping[str, Any]) -> None:
    """Put each setting ("precision.weight" -> 1) into `document`; None leaves the file's value.

    A value is a Setting, or a plain one, which messages call ``setting KEY=VALUE``.
    """
    for key, value in settings.items():
        if isinstance(value, Setting):
            document.set(tuple(key.split(".")), value.value, value.origin)
        elif value is not None:
            _put(document, tuple(key.split(".")), value)


def _put(document: Document, path: tuple[str, ...], value: Any) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _put(document, (*path, str(key)), inner)
        return
    if hasattr(value, "tolist"):  # numpy's numbers and arrays
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    document.set(path, value, f"setting {'.'.join(path)}={value}")
