"""Networks written as files of another format."""

from __future__ import annotations

from os import PathLike, fspath

from perfsim.errors import InvalidValueError, missing_extra
from perfsim.network.graph import Network
from perfsim.report.files import check_outputs, write_whole


def export_onnx(
    network: Network, file: str | PathLike[str], *, seed: int = 0, opset: int | None = None
) -> None:
    """Write `network` as an ONNX model with random weights in single precision (extra onnx), whole or not at all.

    >>> export_onnx(load_network("resnet18"), "resnet18.onnx")

    file: its suffix is `.onnx`.
    seed: of the weights, from 0; the same seed gives the same file.
    opset: the version of ONNX's operators; the oldest from 18 that has all that the network needs unless given.

    Raises OutputError for a file that cannot be written, MissingExtraError without onnx, InvalidValueError for an
    operator without a counterpart in ONNX, a seed or an opset that cannot be, CountError beyond 2 GiB.
    """
    output = fspath(file)
    check_outputs([output], suffixes=[".onnx"])
    if seed < 0:
        raise InvalidValueError("", found=f"seed {seed}", expected="at least 0")
    try:
        import onnx  # noqa: F401
    except ImportError:
        needs = "writing an ONNX model needs the library onnx"
        raise missing_extra(needs, "onnx").at(file=output) from None
    from perfsim.frontends.onnx_writer import onnx_model

    model = onnx_model(network, opset)
    write_whole([(output, lambda stream: model.write(stream, seed))])
