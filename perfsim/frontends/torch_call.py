"""One call of an operator in an exported PyTorch program: its arguments by name, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeAlias

from perfsim.errors import InputError, UnknownNameError
from perfsim.frontends.names import unique_name
from perfsim.frontends.tensor_operators import holding
from perfsim.network.graph import Node
from perfsim.network.operator import Operator
from perfsim.network.work import Shape, elements, total


@dataclass(frozen=True)
class Feature:
    """A tensor that depends on the inputs; it is the feature map of this name."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Constant:
    """A tensor that does not: a parameter, a buffer, or what is computed from such beforehand.

    Attributes:
        label: a name for messages, and for a buffer that is read as an input.
        params: how many trained elements it takes.
        sources: the parameters that it comes from.
    """

    label: str
    shape: Shape
    params: int = 0
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Parts:
    """Several tensors; each is made when it is asked for."""

    make: tuple[Callable[[], Value], ...]


Value: TypeAlias = "Feature | Constant | Parts"


@dataclass
class Builder:
    """What is made of the program so far."""

    nodes: list[Node] = field(default_factory=list)
    inputs: list[Feature] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    buffers: dict[str, Feature] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """`name`, with a number behind it where it is taken."""
        return unique_name(name, self.names)

    def add_input(self, name: str, shape: Shape) -> Feature:
        """A further input of the network."""
        self.inputs.append(Feature(self.unique(name), shape))
        return self.inputs[-1]


@dataclass
class Call:
    """A call of the operator `op` (such as ``conv2d``), `target` in full.

    Attributes:
        arguments: by name, defaults included; tensors are Feature, Constant or Parts.
        shape: what PyTorch says the output's is; empty where there are several outputs.
        name: what its layer is called.
        shapes: those of all outputs, where there are several.
        parts: which of several outputs are read.
        emitted, params: how many nodes it has become, and the parameters that they count.
        counting: the position in `Builder.nodes` of the last of them that counts any.
    """

    op: str
    target: str
    arguments: dict[str, Any]
    shape: Shape
    name: str
    builder: Builder
    shapes: tuple[Shape, ...] = ()
    parts: tuple[int, ...] = ()
    emitted: int = 0
    params: int = 0
    counting: int = -1

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    def get(self, argument: str, default: Any = None) -> Any:
        """An argument that not all overloads have."""
        return self.arguments.get(argument, default)

    def emit(self, operator: Operator, *inputs: Feature | Constant) -> Feature:
        """One more node; the first of a call has the call's name."""
        (output,) = self.emit_all(operator, *inputs)
        return output

    def emit_all(self, operator: Operator, *inputs: Feature | Constant) -> tuple[Feature, ...]:
        """One more node of any number of outputs, which holds those of the inputs that are trained, or one number."""
        name = f"{self.name}.{operator.name}" if self.emitted else self.name
        self.emitted += 1
        name = self.builder.unique(name)
        least, most = operator.inputs_allowed
        if len(inputs) < least or (most is not None and len(inputs) > most):
            raise self.refused(f"it has {len(inputs)} inputs that are computed")
        read, constants, held = self.operands(inputs)
        node = Node(name, operator, tuple(each.name for each in read), (name,))
        shapes = tuple(each.shape for each in read)
        try:
            if constants:
                given = tuple(each.shape for each in inputs)
                operator = holding(operator, given, operator.output_shapes(given), held)
            written = operator.output_shapes(shapes)
            params = total(operator.work(shapes, written).params)
        except InputError as error:
            raise node.locate(error) from None
        if params:
            self.params += params
            self.counting = len(self.builder.nodes)
        names = (name, *(self.builder.unique(f"{name}.output{i}") for i in range(1, len(written))))
        self.builder.nodes.append(replace(node, operator=operator, outputs=names))
        return tuple(map(Feature, names, written))

    def share(self, owner: str, count: int) -> None:
        """Say that `count` of its parameters are those of the layer `owner`, which counts them."""
        node = self.builder.nodes[self.counting]
        self.builder.nodes[self.counting] = replace(node, shared=(*node.shared, (owner, count)))

    def combine(self, operator: Operator, values: Sequence[Any]) -> Feature:
        """One more node, of tensors among which there may be constants; other arguments are passed over."""
        return self.emit(
            operator, *(each for each in values if isinstance(each, Feature | Constant))
        )

    def feature(self, value: Feature | Constant) -> Feature:
        """`value` as a feature map: a buffer becomes an input of the network, a parameter cannot."""
        if isinstance(value, Feature):
            return value
        if not isinstance(value, Constant):
            raise self.refused("it reads several tensors as one")
        if value.params:
            raise self.refused(f"it reads the parameter '{value.label}' as data")
        buffers = self.builder.buffers
        if value.label not in buffers:
            buffers[value.label] = self.builder.add_input(value.label, value.shape)
        return buffers[value.label]

    def operands(self, values: Sequence[Any]) -> tuple[tuple[Feature, ...], tuple[Shape, ...], int]:
        """(the inputs that are computed, the shapes of those that are not, how much of these is trained).

        A buffer of more than one element is an input of the network.
        """
        inputs: list[Feature] = []
        shapes: list[Shape] = []
        params = 0
        for value in values:
            if isinstance(value, Constant) and (value.params or elements(value.shape) <= 1):
                shapes.append(value.shape)
                params += value.params
            elif isinstance(value, Feature | Constant):
                inputs.append(self.feature(value))
        return tuple(inputs), tuple(shapes), params

    def several(self, operator: Operator, *inputs: Feature | Constant) -> Parts:
        """One more node that writes those of the call's outputs that are read, which `operator` gives out."""
        written = dict(zip(self.parts, self.emit_all(operator, *inputs), strict=True))
        return Parts(tuple(partial(written.__getitem__, part) for part in range(len(self.shapes))))

    def weight(self, argument: str) -> Constant | None:
        """An argument that must be known before the run, or None."""
        value = self[argument]
        if value is None or isinstance(value, Constant):
            return value
        raise self.refused(f"its {argument} is computed from the inputs")

    def refused(self, why: str, expected: str | None = None) -> UnknownNameError:
        """The error for a call that no operator of ours stands for."""
        error = UnknownNameError(f"{self.target} cannot be priced: {why}", expected=expected)
        return error.at(where=f"layer '{self.name}'")
