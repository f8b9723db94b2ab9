"""ONNX models: loading, the dimensions that are left open, and the settings. docs/onnx.md says what maps to what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from perfsim.document import Document
from perfsim.errors import (
    GraphError,
    InputError,
    InvalidValueError,
    ParseError,
    UnknownNameError,
    describe,
    missing_extra,
    nearest_name,
    shortened,
)
from perfsim.garbage import collection_paused
from perfsim.network.file_schema import Precision
from perfsim.network.graph import Network
from perfsim.network.work import Shape
from perfsim.settings import apply_settings
from perfsim.validation import STRICT, Name, validate

OLDEST_OPSET = 7


class OnnxSettings(BaseModel):
    """What a call or ``--set`` may say about an ONNX model."""

    model_config = STRICT

    name: Name | None = None
    batch: int | None = Field(None, ge=1)
    dim: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    precision: Precision = Precision()


def read_onnx(path: Path, settings: Mapping[str, Any], *, allow_unpriced: bool) -> Network:
    """The network in the ONNX model at `path`; raises InputError with the file and the node."""
    file = str(path)
    document = Document(file, {}, {})
    apply_settings(document, settings)
    chosen = _settings(document)
    try:
        import onnx  # noqa: F401
    except ImportError:
        needs = "reading an ONNX model needs the library onnx"
        raise missing_extra(needs, "onnx").at(file=file) from None
    from perfsim.frontends.onnx_network import Assembly
    from perfsim.frontends.onnx_weights import Weights, quantizes

    try:
        with collection_paused():
            model = _load(path)
            inputs, bound = _bound_inputs(model.graph, chosen)
            given = chosen.precision.model_fields_set
            weights = Weights(
                is_quantized=quantizes(model.graph),
                outputs=[each.name for each in model.graph.output],
                feature_map_bits=chosen.precision.feature_map if "feature_map" in given else None,
                weight_bits=chosen.precision.weight if "weight" in given else None,
            )
            assembly = Assembly(
                model,
                inputs,
                allow_unpriced=allow_unpriced,
                bound=bound,
                weights=weights,
            )
            return assembly.network(
                chosen.name or path.stem,
                feature_map_bits=chosen.precision.feature_map,
                weight_bits=chosen.precision.weight,
                file=file,
            )
    except InputError as error:
        raise error.at(file=file) from None


def _settings(document: Document) -> OnnxSettings:
    for key in ("width", "resolution", "input", "layers", "classes"):
        if key in document.value:
            error = UnknownNameError(
                f"an ONNX model has fixed layers, so '{key}' cannot change",
                expected="batch, dim.NAME, precision.feature_map, precision.weight or name",
            )
            raise document.place(error, (key,))
    return validate(OnnxSettings, document.value, document)


def _load(path: Path) -> Any:
    """The model, without the values of its weights, its local functions written out."""
    from google.protobuf.message import DecodeError

    from perfsim.frontends.onnx_file import read_model

    model = read_model(path)
    if not model.ir_version or not model.opset_import or not model.HasField("graph"):
        raise ParseError(
            "", found="a protobuf of something else", expected="an ONNX model with a graph"
        )
    _check_names(model.graph)
    if model.functions:
        from onnx.checker import ValidationError
        from onnx.inliner import inline_local_functions

        try:
            model = inline_local_functions(model)
        except (RuntimeError, ValueError, DecodeError, ValidationError) as error:
            text = str(error).partition(". ")[0]
            raise ParseError(f"its local functions cannot be written out: {text[:200]}") from None
    _check_opset(model)
    _check_unique(model.graph)
    return model


def _check_names(graph: Any) -> None:
    """Raise for a name that is no text: bytes that are not UTF-8."""
    names = [each for node in graph.node for each in (*node.input, *node.output)]
    names += [each for node in graph.node for each in (node.name, node.op_type, node.domain)]
    names += [attribute.name for node in graph.node for attribute in node.attribute]
    named = (*graph.initializer, *graph.input, *graph.output, *graph.value_info)
    names += [each.name for each in named]
    for each in (*graph.input, *graph.output, *graph.value_info):
        names += [dim.dim_param for dim in each.type.tensor_type.shape.dim]
    for name in names:
        if not isinstance(name, str):
            raise ParseError("a name is not valid UTF-8", found=shortened(repr(name)))


def _check_unique(graph: Any) -> None:
    """Raise for a graph without outputs, and for two of its inputs, outputs or initializers of one name."""
    if not graph.output:
        raise GraphError("the model has no outputs")
    for what, named in (
        ("input", graph.input),
        ("output", graph.output),
        ("initializer", graph.initializer),
    ):
        count = Counter(each.name for each in named)
        name, times = count.most_common(1)[0] if count else ("", 0)
        if times > 1:
            raise GraphError("the name is used twice").at(where=f"{what} '{name}'")


def _check_opset(model: Any) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if len(set(versions)) != 1:
        raise InvalidValueError(
            "", found=f"{len(versions)} versions of ONNX's own operators", expected="one"
        ).at(where="opset_import")
    for version in versions:
        if not OLDEST_OPSET <= version <= newest:
            newer = f" (onnx {onnx.__version__})" if version > newest else ""
            raise InvalidValueError(
                "", found=f"opset {version}", expected=f"from {OLDEST_OPSET} to {newest}{newer}"
            ).at(where="opset_import")


def _bound_inputs(
    graph: Any, chosen: OnnxSettings
) -> tuple[dict[str, tuple[Shape, int]], dict[str, int]]:
    """(shape, element type) of each input that is no initializer; and the size of each dimension with a name."""
    held = {each.name for each in graph.initializer}
    held |= {each.values.name for each in graph.sparse_initializer}
    _check_dims(graph, chosen, held)
    bound = dict(chosen.dim)
    inputs: dict[str, tuple[Shape, int]] = {}
    batch_used = False
    for each in graph.input:
        if each.name in held:
            continue
        kind = each.type.WhichOneof("value")
        if kind != "tensor_type" or each.type.tensor_type.elem_type == 8:
            what = "text" if kind == "tensor_type" else (kind or "nothing").replace("_type", "")
            raise InvalidValueError("", found=what, expected="a tensor of numbers").at(
                where=f"input '{each.name}'"
            )
        if not each.type.tensor_type.HasField("shape"):
            raise InvalidValueError(
                "its shape is not declared", expected="a shape in the model"
            ).at(where=f"input '{each.name}'")
        sizes = []
        for axis, dim in enumerate(each.type.tensor_type.shape.dim):
            size, symbol = _size(dim)
            if size is None and symbol in bound:
                size = bound[symbol]
            elif axis == 0 and chosen.batch is not None and size in (None, chosen.batch):
                size, batch_used = chosen.batch, True
                if symbol:
                    bound[symbol] = size
            if size is None:
                raise _unbound(each.name, axis, symbol)
            if size < 0:
                raise InvalidValueError(
                    "", found=f"a size of {size} on axis {axis}", expected="at least 0"
                ).at(where=f"input '{each.name}'")
            sizes.append(size)
        inputs[each.name] = (tuple(sizes), each.type.tensor_type.elem_type)
    if chosen.batch is not None and not batch_used:
        raise InvalidValueError(
            "the first axis of every input has a fixed size, so the batch cannot change",
            found=f"batch {describe(chosen.batch)}",
            expected="a model that was exported with an open batch",
        ).at(where="batch")
    return inputs, bound


def _size(dim: Any) -> tuple[int | None, str]:
    if dim.WhichOneof("value") == "dim_value":
        return dim.dim_value, ""
    return None, dim.dim_param


def _unbound(name: str, axis: int, symbol: str) -> InputError:
    if axis == 0:
        flag = "--set batch=N" + (f" or --set dim.{symbol}=N" if symbol else "")
    elif symbol:
        flag = f"--set dim.{symbol}=N"
    else:
        flag = "a size in the model: it has no name that a setting could bind"
    called = f", '{symbol}'," if symbol else ""
    return InvalidValueError(f"the size of axis {axis}{called} is left open", expected=flag).at(
        where=f"input '{name}'"
    )


def _check_dims(graph: Any, chosen: OnnxSettings, held: set[str]) -> None:
    """Raise for a dimension of the settings that no input has which is not `held` by the model."""
    shapes = [each.type.tensor_type.shape for each in graph.input if each.name not in held]
    open_names = sorted({dim.dim_param for shape in shapes for dim in shape.dim if dim.dim_param})
    for name in chosen.dim:
        if name not in open_names:
            raise UnknownNameError(
                f"no input of the model has a dimension '{name}'",
                expected=f"one of {', '.join(open_names)}" if open_names else None,
                nearest=nearest_name(name, open_names),
            ).at(where=f"dim.{name}")
