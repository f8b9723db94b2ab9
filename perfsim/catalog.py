"""Where networks and machines are found: the given path, the working directory, then the bundled ones."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from perfsim.errors import FileError, describe, nearest_name

_PACKAGE = Path(__file__).resolve().parent
NETWORK_SUFFIXES = (".yaml", ".yml", ".csv", ".onnx")
MACHINE_SUFFIXES = (".yaml", ".yml")


def find_network(name: str | PathLike[str]) -> Path:
    """The file of the network `name`: a path, or a bundled network with or without its suffix."""
    return _find(name, "network", "models", NETWORK_SUFFIXES)


def find_machine(name: str | PathLike[str]) -> Path:
    """The file of the machine `name`: a path, or a bundled machine with or without its suffix."""
    return _find(name, "machine", "hardware", MACHINE_SUFFIXES)


def bundled_networks() -> dict[str, Path]:
    """The bundled networks: name -> file, sorted by name."""
    return dict(_bundled("models", NETWORK_SUFFIXES))


def bundled_machines() -> dict[str, Path]:
    """The bundled machines: name -> file, sorted by name."""
    return dict(_bundled("hardware_profiles", MACHINE_SUFFIXES))


def networks_index() -> dict[str, dict[str, Any]]:
    """What `networks_index.json` says of each bundled network: name -> input_shape, layers, macs, params, description.

    Made by reports/regenerate.py, so that a list of all need not lower each; a test keeps it true.
    """
    import json

    index: dict[str, dict[str, Any]] = json.loads((_PACKAGE / "networks_index.json").read_text())
    return index


def _folder(name: str) -> Path:
    """A bundled folder: inside the package when installed, beside it in a checkout."""
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def _bundled(folder: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    for path in sorted(_folder(folder).iterdir()):
        if path.suffix in suffixes:
            yield path.stem, path


def _find(
    given_name: str | PathLike[str], kind: str, command: str, suffixes: tuple[str, ...]
) -> Path:
    if not isinstance(given_name, str | PathLike) or not fspath(given_name).strip():
        raise FileError(
            "", found=describe(given_name), expected=f"a path, or the name of a bundled {kind}"
        )
    name = fspath(given_name)
    given = Path(name)
    has_suffix = given.suffix.lower() in suffixes
    candidates = [given] if has_suffix else [Path(name + suffix) for suffix in suffixes]
    for candidate in candidates:
        try:
            if candidate.is_file():
                return candidate
        except OSError as error:  # a folder that may not be searched, a name too long
            reason = error.strerror or str(error)
            raise FileError(f"cannot be read: {reason}").at(file=name) from None
    bundled = bundled_networks() if kind == "network" else bundled_machines()
    stem = given.stem if has_suffix else name
    match = bundled.get(stem)
    if (
        match is not None
        and str(given.parent) == "."
        and (not has_suffix or match.suffix == given.suffix)
    ):
        return match
    if given.exists():  # a directory, another suffix: the reader says what is wrong with it
        return given
    raise FileError(
        f"no such file, and no bundled {kind} of this name",
        expected=f"a path, or a name that 'perfsim {command}' lists",
        nearest=nearest_name(stem, bundled),
    ).at(file=name)
