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


def load_network(
    file: str | PathLike[str], /, *, allow_unpriced: bool = False, **settings: Any
) -> Network:
    """The network in `file`: a path, or the name of a bundled network.

    >>> load_network("mobilenet.yaml", width=0.5, precision={"weight": 4})

    file: `.yaml` (interface of the project), `.csv` (a layer table), or `.onnx` (needs the extra onnx).
    allow_unpriced: whether operators of an ONNX file that perfsim does not know move their bytes and cost
        nothing; `Network.unpriced` then says how many there are and which. Else they are an error.
    settings: replace keys of the file: `width`, `resolution`, `batch`, `precision`, ... For an ONNX file
        `batch` and `dim` bind its symbolic dimensions: ``dim={"sequence": 128}``.

    Raises InputError (a subclass says what kind) when something is wrong with the file or a setting.
    """
    path = catalog.find_network(file)
    suffix = path.suffix.lower()
    if suffix == ".csv":
        from perfsim.frontends.layer_table import read_layer_table

        return read_layer_table(path, settings)
    if suffix == ".onnx":
        from perfsim.frontends.onnx_reader import read_onnx

        return read_onnx(path, settings, allow_unpriced=allow_unpriced)
    if suffix in (".yaml", ".yml") or path.is_dir():
        return _read_yaml(path, settings)
    raise FileError(
        "this version cannot read networks of this format",
        found=f"the suffix '{path.suffix}'",
        expected=".yaml (layers), .csv (a layer table) or .onnx",
    ).at(file=str(path))


def _read_yaml(path: Path, settings: Mapping[str, Any]) -> Network:
    from perfsim.document import read_document
    from perfsim.network.yaml_reader import read_network
    from perfsim.settings import apply_settings

    with collection_paused():
        document = read_document(path)
        apply_settings(document, settings)
        return read_network(document)
