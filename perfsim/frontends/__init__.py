"""Reading networks: one file per format, chosen by the suffix."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim import catalog
from perfsim.errors import FileError
from perfsim.garbage import collection_paused

if TYPE_CHECKING:
    from perfsim.network.graph import Network


def load_network(file: str | PathLike[str], **settings: Any) -> Network:
    """The network in `file`: a path, or the name of a bundled network.

    >>> load_network("mobilenet.yaml", width=0.5, precision={"weight": 4})

    file: `.yaml` (interface of the project), or `.csv` (a layer table).
    settings: replace keys of the file: `width`, `resolution`, `batch`, `precision`, ...

    Raises InputError (a subclass says what kind) when something is wrong with the file or a setting.
    """
    path = catalog.find_network(file)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        from perfsim.frontends.layer_table import read_layer_table

        return read_layer_table(path, settings)
    if suffix in (".yaml", ".yml") or path.is_dir():
        return _read_yaml(path, settings)
    raise FileError(
        "this version cannot read networks of this format",
        found=f"the suffix '{path.suffix}'",
        expected=".yaml (layers) or .csv (a layer table)",
    ).at(file=str(path))


def _read_yaml(path: Path, settings: Mapping[str, Any]) -> Network:
    from perfsim.document import read_document
    from perfsim.network.yaml_reader import read_network
    from perfsim.settings import apply_settings

    with collection_paused():
        document = read_document(path)
        apply_settings(document, settings)
        return read_network(document)
