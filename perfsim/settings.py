"""Settings: values of a file that a call or ``--set`` replaces for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfsim.document import Document

FROM_CALL = "setting "


def apply_settings(document: Document, settings: Mapping[str, Any], *, option: str = "") -> None:
    """Put each setting ("precision.weight" -> 1) into `document`; None leaves the file's value.

    `option` is how messages introduce a setting: ``--set `` or ``--set hw.`` on the command line.
    """
    for key, value in settings.items():
        if value is None:
            continue
        _put(document, tuple(key.split(".")), value, option or FROM_CALL)


def _put(document: Document, path: tuple[str, ...], value: Any, option: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _put(document, (*path, str(key)), inner, option)
        return
    document.set(path, value, f"{option}{'.'.join(path)}={value}")
