"""The first pass over a network's file: repeats and blocks written out, every layer with its own name."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from perfsim.document import Document, KeyPath
from perfsim.errors import (
    CountError,
    GraphError,
    InputError,
    InvalidValueError,
    PerfsimError,
    UnknownNameError,
    describe,
)
from perfsim.network.convolution import Conv, ConvTranspose
from perfsim.network.expression import evaluate, is_expression
from perfsim.network.file_schema import LayerModel, MatrixModel, NetworkFile, layer_model
from perfsim.network.operator import Operator
from perfsim.network.operators import OPERATORS
from perfsim.network.work import Shape
from perfsim.network.yaml_entries import BlockUse, Entries, Repeat, When
from perfsim.network.yaml_names import INPUT, Scope, find_layer, one_output
from perfsim.validation import validate

MAX_LAYERS = 100_000
MAX_READS = 500_000


@dataclass(frozen=True, slots=True)
class FileLayer:
    """One layer of the file with its repeats and blocks written out.

    Attributes:
        name: its full name.
        previous: the layer that it reads unless `inputs` says otherwise.
        is_scaled: its channels are a plain number, which `width` multiplies.
    """

    name: str
    operator_name: str
    model: LayerModel
    path: KeyPath
    scope: Scope
    previous: str
    is_scaled: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what it gives: the layer's, or for parts ``s.1``, ``s.2``, ..."""
        if not OPERATORS[self.operator_name].gives_parts:
            return (self.name,)
        count = self.operator(Fraction(1)).outputs
        if count > MAX_LAYERS:
            raise CountError(f"'{self.name}' has more than {MAX_LAYERS:,} outputs")
        return tuple(f"{self.name}.{number}" for number in range(1, count + 1))

    def operator(self, width: Fraction, *, has_bias: bool = True) -> Operator:
        """Its operator; `has_bias` decides where the file does not."""
        kind: Any = OPERATORS[self.operator_name]
        model: Any = self.model
        attributes = {each.name: getattr(model, each.name) for each in fields(kind)}
        if isinstance(model, MatrixModel) and model.bias is None:
            attributes["bias"] = has_bias and not model.batch_norm
        operator: Operator = kind(**attributes)
        if isinstance(operator, Conv | ConvTranspose) and self.is_scaled and width != 1:
            operator = replace(operator, channels=max(1, int(operator.channels * width)))
        return operator


class Expansion:
    """From the file's entries to layers with unique names.

    Attributes:
        found: full name of each layer, part of a split, and use of a block -> the layer or part that it stands for.
        names_used: the names that expressions have asked for.
    """

    def __init__(self, document: Document, header: NetworkFile, input_shape: Shape) -> None:
        self._document = document
        self._entries = Entries(document, header.blocks)
        self._width = Fraction(str(header.width))
        self._globals = {"width": self._width, "classes": header.classes}
        self._plain_models: dict[KeyPath, LayerModel] = {}
        self._places: dict[str, KeyPath] = {}
        self._automatic: dict[str, int] = {}
        self._given = _names_given(document.value)
        self._previous = INPUT
        self._layers: list[FileLayer] = []
        self._shapes: dict[str, Shape] = {INPUT: input_shape}
        self._shaped = 0  # of so many layers the shapes are known
        self._reads = 0
        self.found = {INPUT: INPUT}
        self.names_used: set[str] = set()

    def layers(self, entries: list[Any], path: KeyPath) -> list[FileLayer]:
        """The layers that `entries`, which stand at `path`, come to."""
        self._expand(entries, path, Scope())
        return self._layers

    def _expand(self, entries: list[Any], path: KeyPath, scope: Scope) -> None:
        for index, value in enumerate(entries):
            here = (*path, index)
            entry = self._entries.read(value, here)
            inside = (*here, "layers")
            if isinstance(entry, Repeat):
                for number in range(1, self._rounds(entry, here, scope) + 1):
                    self._expand(entry.layers, inside, scope.in_round(number, self._previous))
            elif isinstance(entry, When):
                condition = self._worked_out(entry.condition, (*here, "when"), scope)
                if not isinstance(condition, bool):
                    raise self._wrong(condition, "true or false", (*here, "when"))
                if condition:
                    self._expand(entry.layers, inside, scope)
            elif isinstance(entry, BlockUse):
                self._use_block(entry, here, scope)
            else:
                self._add_layer(entry.operator_name, entry.attributes, here, scope)

    def _use_block(self, use: BlockUse, path: KeyPath, scope: Scope) -> None:
        here = (*path, use.block)
        if use.block in scope.blocks:
            chain = " -> ".join((*scope.blocks, use.block))
            raise self._document.place(GraphError(f"the blocks use each other: {chain}"), here)
        name = self._full_name(use.block, use.name, here, scope)
        if use.input is not None:
            place = (*here, "inputs", 0)
            self._previous = self._find(self._worked_out(use.input, place, scope), scope, place)
        values = {
            key: self._worked_out(value, (*here, key), scope) for key, value in use.values.items()
        }
        inner = scope.in_block(use.block, name, self._previous, values)
        self._expand(use.layers, ("blocks", use.block, "layers"), inner)
        if self._previous in self.found:
            self.found[name] = self._previous

    def _add_layer(self, operator_name: str, attributes: Any, path: KeyPath, scope: Scope) -> None:
        here = (*path, operator_name)
        if len(self._layers) >= MAX_LAYERS:
            raise self._document.place(
                CountError(f"the network has more than {MAX_LAYERS:,} layers"), path
            )
        is_scaled = True
        if _has_expression(attributes):
            is_scaled = not is_expression(attributes.get("channels"))
            values = {
                key: self._worked_out(value, (*here, key), scope)
                for key, value in attributes.items()
            }
            model = validate(layer_model(operator_name), values, self._document, here)
        else:
            if path not in self._plain_models:  # in a repeat they are read in the first round
                self._plain_models[path] = validate(
                    layer_model(operator_name), attributes, self._document, here
                )
            model = self._plain_models[path]
        self._reads += len(model.inputs or ())
        if self._reads > MAX_READS:
            error = CountError(f"the layers name more than {MAX_READS:,} inputs")
            raise self._document.place(error, path)
        name = self._full_name(operator_name, model.name, path, scope)
        layer = FileLayer(name, operator_name, model, path, scope, self._previous, is_scaled)
        self._previous = name
        try:
            outputs = layer.outputs
        except CountError as error:
            raise self._document.place(error, path) from None
        for output in outputs:
            self.found[output] = output
            if output != name:
                self._take(output, path)
        self._layers.append(layer)

    def _full_name(self, kind: str, name: str | None, path: KeyPath, scope: Scope) -> str:
        """The name of a layer or of a use of a block, from now on taken; automatic ones are numbered."""
        full = (
            self._automatic_name(f"{scope.prefix}{kind}") if name is None else scope.full_name(name)
        )
        self._take(full, path)
        return full

    def _take(self, full: str, path: KeyPath) -> None:
        if full in self._places:
            line = self._document.line(self._places[full])
            error = GraphError(
                f"the name '{full}' is used twice (also at line {line})", expected="unique names"
            )
            raise self._document.place(error, path)
        self._places[full] = path

    def _automatic_name(self, kind: str) -> str:
        while True:
            self._automatic[kind] = self._automatic.get(kind, 0) + 1
            full = f"{kind}_{self._automatic[kind]}"
            if full not in self._places and full not in self._given:
                return full

    def _find(self, name: str, scope: Scope, path: KeyPath) -> str:
        try:
            return self.found[find_layer(name, scope, self._previous, self.found)]
        except InputError as error:
            raise self._document.place(error, path) from None

    def _rounds(self, repeat: Repeat, path: KeyPath, scope: Scope) -> int:
        rounds = self._worked_out(repeat.rounds, (*path, "repeat"), scope)
        least = 0 if is_expression(repeat.rounds) else 1
        if not isinstance(rounds, int) or isinstance(rounds, bool) or rounds < least:
            raise self._wrong(rounds, f"a whole number of at least {least}", (*path, "repeat"))
        if rounds > MAX_LAYERS:
            error = CountError(f"the network has more than {MAX_LAYERS:,} layers")
            raise self._document.place(error, (*path, "repeat"))
        return rounds

    def _wrong(self, value: object, expected: str, path: KeyPath) -> PerfsimError:
        error = InvalidValueError("", found=describe(value), expected=expected)
        return self._document.place(error, path)

    def _worked_out(self, value: Any, path: KeyPath, scope: Scope) -> Any:
        """`value` with the expressions in it replaced by their values."""
        if isinstance(value, list):
            return [self._worked_out(each, (*path, i), scope) for i, each in enumerate(value)]
        if not is_expression(value):
            return value
        try:
            return evaluate(
                value, lambda name: self._value(name, scope), lambda: self._known(scope)
            )
        except InputError as error:
            raise self._document.place(error, path) from None

    def _known(self, scope: Scope) -> list[str]:
        return [*scope.values, *self._globals, "input_channels", "previous_channels"]

    def _value(self, name: str, scope: Scope) -> Any:
        """The value of a name in an expression; KeyError when there is none."""
        self.names_used.add(name)
        if name in scope.values:
            return scope.values[name]
        if name == "input_channels":
            return self._channels(scope.block_input)
        if name == "previous_channels":
            return self._channels(self._previous)
        value = self._globals[name]
        if value is None:
            raise InvalidValueError(f"the file does not say '{name}'", expected=f"the key '{name}'")
        return value

    def _channels(self, name: str) -> int:
        """The channels that the layer `name` writes; the shapes of all layers so far are worked out."""
        while self._shaped < len(self._layers):
            layer = self._layers[self._shaped]
            names = layer.model.inputs or ["previous"]
            here = (*layer.path, layer.operator_name)
            try:
                read = [find_layer(each, layer.scope, layer.previous, self.found) for each in names]
            except UnknownNameError as error:
                late = GraphError(
                    f"the channels of '{layer.name}' are not known yet",
                    found=f"inputs {describe(names)}",
                    expected="layers that stand above",
                )
                raise self._document.place(late, here) from error
            shapes = tuple(self._shapes[self.found[each]] for each in read)
            try:
                outputs = layer.operator(self._width).output_shapes(shapes)
            except InputError as error:
                raise self._document.place(error, here) from None
            self._shapes.update(zip(layer.outputs, outputs, strict=True))
            self._shaped += 1
        return self._shapes[one_output(name, self._shapes)][1]


def _has_expression(attributes: Any) -> bool:
    if not isinstance(attributes, dict):
        return False
    return any(
        is_expression(value)
        or (isinstance(value, list) and any(is_expression(each) for each in value))
        for value in attributes.values()
    )


def _names_given(value: Any) -> set[str]:
    """Every `name` in the file, so that automatic names keep clear of names further down."""
    names: set[str] = set()
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("name"), str):
                names.add(item["name"])
            stack.extend(each for each in item.values() if isinstance(each, dict | list))
        elif isinstance(item, list):
            stack.extend(each for each in item if isinstance(each, dict | list))
    return names
