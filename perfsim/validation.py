"""The border where values from files become typed ones: pydantic models, and its errors in our words."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Annotated, Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from perfsim.document import Document, KeyPath
from perfsim.errors import (
    InputError,
    InvalidValueError,
    UnknownNameError,
    describe,
    nearest_name,
    unknown_name,
)

STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

# What other tools call our keys, for the hint after an unknown one.
_ALSO_CALLED = {
    "filters": "channels",
    "out_channels": "channels",
    "kernel_size": "kernel",
    "ksize": "kernel",
    "strides": "stride",
    "pad": "padding",
    "pads": "padding",
    "dilations": "dilation",
    "group": "groups",
    "bn": "batch_norm",
    "act": "activation",
    "out_features": "units",
    "input_shape": "input",
    "bits": "precision",
    "ddr": "ddr_bandwidth",
    "dram_bandwidth": "ddr_bandwidth",
    "bandwidth": "ddr_bandwidth",
    "memory": "sram",
    "tflops": "matrix",
    "gflops": "vector",
}


def printable(value: object) -> Any:
    """`value` if it is text that can be printed on one line; raises InvalidValueError."""
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidValueError(
            "", found=describe(value), expected="text that can be printed on one line"
        )
    return value


def _name(value: object) -> Any:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidValueError(
            "", found=describe(value), expected="a name: text that can be printed on one line"
        )
    return value


class Misfit(ValueError):  # noqa: N818 - it carries an error to where its place is known
    """An error in values that must fit together, raised while a model is validated.

    error: what is wrong.
    keys: the paths of the keys that it is about, from the place that raises it; the error is placed at the first of
        them that a ``--set`` has changed, else at the first.
    """

    def __init__(self, error: InputError, *keys: KeyPath) -> None:
        super().__init__(str(error))
        self.error = error
        self.keys = keys


Text = Annotated[str, BeforeValidator(printable)]
Name = Annotated[str, BeforeValidator(_name), Field(min_length=1)]

Model = TypeVar("Model", bound=BaseModel)

# A value that is one or a mapping of such: Annotated[Annotated[X, ONE] | Annotated[dict[K, X], MANY], ONE_OR_MANY].
ONE, MANY = Tag("<one>"), Tag("<many>")
ONE_OR_MANY = Discriminator(lambda value: (MANY if isinstance(value, dict) else ONE).tag)
# What pydantic puts into the path of an error beside our keys: these, and the mark of an error about a key itself.
_NO_KEYS = {ONE.tag, MANY.tag, "[key]"}

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of at most {le}",
    "literal_error": "one of {expected}",
    "string_too_short": "a text that is not empty",
}


def validate(model: type[Model], value: object, document: Document, path: KeyPath = ()) -> Model:
    """`value`, which stands at `path` of `document`, as a `model`.

    Raises the first of what pydantic finds wrong (unknown keys before missing ones, since a misspelt
    key gives both), as an InputError that says file, line and key.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        details.sort(key=lambda detail: _order(detail, document, path))
        missing = [detail["loc"] for detail in details if detail["type"] == "missing"]
        found = [
            _translate(detail, model, value, path)
            for detail in details
            if detail["type"] != "missing"
        ]
        # A misspelt key is a missing one too: once is enough.
        found += _missing(missing, model, value, path, {each.nearest for each, _ in found})
        problems = [document.place(each, *keys) for each, keys in found]
        problem, *problem.more = problems
        raise problem from None


def _order(detail: Any, document: Document, path: KeyPath) -> tuple[int, int]:
    rank = {"extra_forbidden": 0, "missing": 2}.get(detail["type"], 1)
    return rank, document.line((*path, *detail["loc"]))


def _translate(
    detail: Any, model: type[BaseModel], value: object, path: KeyPath
) -> tuple[InputError, list[KeyPath]]:
    """Our error for one of pydantic's, and the paths of keys where it belongs."""
    location: KeyPath = tuple(key for key in detail["loc"] if key not in _NO_KEYS)
    kind: str = detail["type"]
    here = [(*path, *location)]
    if kind == "extra_forbidden":
        known = _keys_at(model, location[:-1])
        return unknown_name("key", str(location[-1]), known, also=_ALSO_CALLED), here
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Misfit):
        return cause.error, [(*path, *location, *keys) for keys in cause.keys or [()]]
    if isinstance(cause, InputError):
        return cause, here
    expected = _EXPECTED.get(kind)
    if expected is None:
        return InvalidValueError(detail["msg"]), here
    given = _value_at(value, location, detail["input"])
    nearest = None
    if kind == "literal_error" and isinstance(given, str):
        nearest = nearest_name(given, re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    return (
        InvalidValueError(
            "",
            found=describe(given),
            expected=expected.format(**detail.get("ctx", {})),
            nearest=nearest,
        ),
        here,
    )


def _missing(
    locations: list[KeyPath],
    model: type[BaseModel],
    value: object,
    path: KeyPath,
    meant: Container[str | None],
) -> list[tuple[InputError, list[KeyPath]]]:
    """One error for all keys that are missing at a place, but for those that a misspelt one is `meant` for.

    A model may say with `also_missing` what else its file needs that no single field does.
    """
    by_parent: dict[KeyPath, dict[str, str]] = {}
    for location in locations:
        parent = tuple(key for key in location[:-1] if key not in _NO_KEYS)
        key = str(location[-1])
        field = _model_at(model, parent).model_fields.get(key)
        meaning = field.description if field and field.description else ""
        by_parent.setdefault(parent, {})[key] = meaning
    if () in by_parent and hasattr(model, "also_missing"):
        by_parent[()] |= model.also_missing(value)
    found: list[tuple[InputError, list[KeyPath]]] = []
    for parent, keys in by_parent.items():
        shown = [
            f"'{key}' ({meaning})" if meaning else f"'{key}'"
            for key, meaning in keys.items()
            if key not in meant
        ]
        if len(shown) > 1:
            text = f"the keys {', '.join(shown[:-1])} and {shown[-1]} are missing"
            found.append((UnknownNameError(text), [(*path, *parent)]))
        elif shown:
            name, _, meaning = shown[0].partition(" ")
            text = f"the key {name} is missing {meaning}".rstrip()
            found.append((UnknownNameError(text), [(*path, *parent)]))
    return found


def _model_at(model: type[BaseModel], location: KeyPath) -> type[BaseModel]:
    for key in location:
        field = model.model_fields.get(str(key))
        if field is None:
            continue
        inner = _models_in(field.annotation)
        if not inner:
            break
        model = inner[0]
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold: of ``Precision | None`` the one."""
    choices = get_args(annotation) or (annotation,)
    return [each for each in choices if isinstance(each, type) and issubclass(each, BaseModel)]


def _keys_at(model: type[BaseModel], location: KeyPath) -> list[str]:
    return list(_model_at(model, location).model_fields)


def _value_at(value: Any, location: KeyPath, default: object) -> object:
    for key in location:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return default
    return value
