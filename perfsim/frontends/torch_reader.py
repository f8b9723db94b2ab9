"""PyTorch modules: exported without their weights, the un-decomposed graph read operator by operator."""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from perfsim.document import Document
from perfsim.errors import (
    GraphError,
    InvalidValueError,
    ShapeError,
    UnknownNameError,
    missing_extra,
    nearest_name,
)
from perfsim.frontends import tensor_operators as tensor
from perfsim.frontends.attention import with_attention
from perfsim.frontends.layer_table import TableSettings
from perfsim.frontends.names import unpriced_text
from perfsim.frontends.torch_call import Builder, Call, Constant, Feature, Parts, Value
from perfsim.frontends.torch_export import (
    export,
    functional,
    operator_name,
    writes_into_what_is_read,
)
from perfsim.frontends.torch_layout import SAME, same
from perfsim.frontends.torch_operators import HANDLERS
from perfsim.network.graph import Network, Tensor, build_network
from perfsim.network.operator import Unit
from perfsim.network.work import Shape, Work, elements, shape_text
from perfsim.validation import validate


def from_torch(
    module: Any,
    inputs: Sequence[Any],
    *,
    name: str | None = None,
    precision: Mapping[str, Any] | None = None,
    allow_unpriced: bool = False,
) -> Network:
    """The network that a PyTorch module computes at inference, on inputs of these shapes.

    >>> from_torch(torchvision.models.resnet18(), [(1, 3, 224, 224)])

    module: a `torch.nn.Module`, on any device, also "meta"; it is not changed and no weight is copied.
    inputs: a tensor or a shape for each argument of `forward`, the batch first; a shape is of floats.
    name: of the network, the module's class unless given.
    precision: bits, as in a file: ``{"weight": 4, "feature_map": 8}``.
    allow_unpriced: operators that are not known move their bytes and cost no compute; `network.unpriced` says which.

    Raises UnknownNameError for an operator that cannot be priced, naming it and its layer; InputError otherwise;
    MissingExtraError without PyTorch.
    """
    try:
        import torch
    except ImportError:
        raise missing_extra("reading PyTorch modules needs the library torch", "torch") from None
    bits_given = dict(precision) if isinstance(precision, Mapping) else precision
    settings = {"name": name, "precision": bits_given}
    given = {key: value for key, value in settings.items() if value is not None}
    chosen = validate(TableSettings, given, Document("from_torch", given, {}))
    if not isinstance(module, torch.nn.Module):
        raise InvalidValueError("", found=type(module).__name__, expected="a torch.nn.Module").at(
            where="module"
        )
    exported = export(torch, module, inputs)
    if writes_into_what_is_read(torch, exported):
        exported = functional(exported)
    reading = _Reading(torch, module, exported, allow_unpriced=allow_unpriced)
    outputs = reading.run()
    bits = chosen.precision.feature_map
    return build_network(
        chosen.name or type(module).__name__,
        [Tensor(each.name, each.shape, bits) for each in reading.builder.inputs],
        with_attention(
            reading.builder.nodes,
            {each.name: each.shape for each in reading.builder.inputs},
            outputs,
        ),
        feature_map_bits=bits,
        weight_bits=chosen.precision.weight,
        outputs=outputs,
        description=f"exported from PyTorch: {type(module).__name__}",
        warnings=reading.warnings(),
        unpriced=unpriced_text(reading.unpriced),
    )


class _Reading:
    """One walk over an exported program."""

    def __init__(self, torch: Any, module: Any, exported: Any, *, allow_unpriced: bool) -> None:
        self.builder = Builder()
        self.unpriced: Counter[str] = Counter()
        self._allow_unpriced = allow_unpriced
        self._torch = torch
        self._module = module
        self._exported = exported
        self._values: dict[Any, Value] = {}
        self._nodes = list(exported.graph.nodes)
        self._sizes: dict[str, int] = {}  # elements of each parameter
        self._counted: dict[str, tuple[str, int]] = {}  # parameter -> first layer, elements counted
        self._mixed: dict[str, list[str]] = {}  # parameter that is read with others -> layers

    def run(self) -> tuple[str, ...]:
        """Makes all nodes; returns the names of the outputs."""
        live = self._live()
        for node in self._nodes:
            if node.op == "placeholder":
                self._values[node] = self._placeholder(node)
            elif node.op == "call_function" and node in live:
                self._values[node] = self._call(node, live)
            elif node.op not in ("call_function", "output"):
                raise UnknownNameError(f"the exported graph has a {node.op} ({node.target})")
        (output,) = (node for node in self._nodes if node.op == "output")
        values = [self._values[node] for node in output.all_input_nodes]
        return tuple(value.name for value in values if isinstance(value, Feature))

    def warnings(self) -> tuple[str, ...]:
        """What is counted more than once."""
        return tuple(
            f"the parameter '{name}' is part of weights of {' and '.join(layers)}, and counts in each"
            for name, layers in self._mixed.items()
            if len(layers) > 1
        )

    def _placeholder(self, node: Any) -> Value:
        signature = self._exported.graph_signature
        shape = tuple(node.meta["val"].shape)
        if node.name in signature.inputs_to_parameters:
            label = signature.inputs_to_parameters[node.name]
            self._sizes[label] = elements(shape)
            return Constant(label, shape, elements(shape), frozenset([label]))
        for others in (signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants):
            if node.name in others:
                return Constant(others[node.name], shape)
        return self.builder.add_input(node.name, shape)

    def _live(self) -> set[Any]:
        """What the outputs depend on."""
        live: set[Any] = set()
        for node in reversed(self._nodes):
            if node.op == "output" or node in live:
                live.update(node.all_input_nodes)
        return live

    def _layer_name(self, node: Any) -> str:
        """The path in the tree of modules, and the operator where the module is none of PyTorch's leaves."""
        stack = list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())
        path = re.sub(r"@\d+$", "", stack[-1][0])
        try:
            owner = self._module.get_submodule(path)
        except AttributeError:
            owner = None
        leaf = owner is not None and not list(owner.children())
        if path and leaf and type(owner).__module__.startswith("torch.nn."):
            return path
        op = operator_name(node).strip("_")
        return f"{path}.{op}" if path else op

    def _call(self, node: Any, live: set[Any]) -> Value:
        if node.target is operator.getitem:
            return self._item(node)
        op = operator_name(node).removesuffix("_")
        self._check_sizes(node)
        call = self._bound(node, op)
        if isinstance(node.meta.get("val"), list | tuple):
            call.shapes = tuple(tuple(getattr(each, "shape", ())) for each in node.meta["val"])
            call.parts = tuple(sorted({user.args[1] for user in node.users if user in live}))
        operands = list(_tensors(call.arguments.values()))
        if not any(isinstance(each, Feature) for each in operands):
            return self._constant(node, call, operands)
        if 0 in call.shape:
            return Constant(node.name, call.shape)  # of no elements, there is only one
        if op not in HANDLERS or not str(node.target).startswith("aten."):
            if self._allow_unpriced:
                self.unpriced[str(node.target)] += 1
                return _unpriced(call)
            raise UnknownNameError(
                f"unknown operator '{node.target}' (node '{node.name}')",
                expected="an operator of docs/torch.md, or allow_unpriced=True",
                nearest=nearest_name(op, HANDLERS),
            ).at(where=f"layer '{call.name}'")
        value = HANDLERS[op](call)
        _check_shape(call, value)
        self._check_parameters(call, [each for each in operands if isinstance(each, Constant)])
        return value

    def _check_sizes(self, node: Any) -> None:
        """Raises unless every size of what `node` gives is a number before the run."""
        value = node.meta.get("val")
        given = value if isinstance(value, list | tuple) else [value]
        if any(not isinstance(size, int) for each in given for size in getattr(each, "shape", ())):
            raise GraphError(
                f"the shape of what {node.target} gives depends on data: it is known only when it runs",
                expected="a module whose shapes follow from those of its inputs",
            ).at(where=f"layer '{self._layer_name(node)}'")

    def _bound(self, node: Any, op: str) -> Call:
        """The call with its arguments by the names that its schema gives them."""
        name = self._layer_name(node)
        arguments: dict[str, Any] = {}
        schema = getattr(node.target, "_schema", None)
        if schema is None:
            raise UnknownNameError(
                f"unknown operator '{node.target}' (node '{node.name}')",
                expected="a module without control flow",
            ).at(where=f"layer '{name}'")
        for index, argument in enumerate(schema.arguments):
            if index < len(node.args):
                value = node.args[index]
            else:
                value = node.kwargs.get(argument.name, argument.default_value)
            arguments[argument.name] = self._resolved(value)
        shape = tuple(getattr(node.meta.get("val"), "shape", ()))
        call = Call(op, str(node.target), arguments, shape, name, self.builder)
        if call.get("out") is not None:
            raise call.refused("it writes into a tensor that it is given", "one without out=")
        return call

    def _resolved(self, value: Any) -> Any:
        if isinstance(value, self._torch.fx.Node):
            return self._values[value]
        if isinstance(value, list | tuple):
            return [self._resolved(each) for each in value]
        return value

    def _item(self, node: Any) -> Value:
        parts, index = self._values[node.args[0]], node.args[1]
        if not isinstance(parts, Parts):
            raise GraphError(f"'{node.name}' takes a part of one tensor")
        value: Value = parts.make[index]()
        shape = tuple(node.meta["val"].shape)
        call = Call("getitem", str(node.target), {}, shape, self._layer_name(node), self.builder)
        _check_shape(call, value)
        return value

    def _constant(self, node: Any, call: Call, operands: list[Any]) -> Value:
        """What no input reaches is computed once, before the run."""
        if call.op in SAME:
            return same(call)
        tags = getattr(node.target, "tags", ())
        if self._torch.Tag.nondeterministic_seeded in tags:
            raise call.refused("it draws random numbers")
        sources = frozenset(source for each in operands for source in each.sources)
        # An embedding keeps its whole table; otherwise no more is kept than is read.
        tables = sum(each.params for each in operands if each.params > elements(each.shape))
        others = sum(each.params for each in operands) - tables
        label = node.name

        def made(shape: Shape) -> Constant:
            kept = others if call.op == "embedding" else min(others, elements(shape))
            return Constant(label, shape, tables + kept, sources)

        if call.shape or not isinstance(node.meta.get("val"), list | tuple):
            return made(call.shape)
        return Parts(tuple(partial(made, tuple(each.shape)) for each in node.meta["val"]))

    def _check_parameters(self, call: Call, constants: list[Constant]) -> None:
        """Raises unless the layers of `call` count the parameters that it reads; notes who reads them."""
        given = sum(each.params for each in constants)
        held = sum(max(each.params, elements(each.shape)) for each in constants if each.params)
        if given and not given <= call.params <= held:  # a constant may be trained in part
            raise call.refused(
                f"it reads {given:,} trained elements, of which {call.params:,} are counted"
            )
        for each in constants:
            if len(each.sources) == 1:
                (source,) = each.sources
                self._count(call, source, each.params)
            for source in each.sources if len(each.sources) > 1 else ():
                self._mixed.setdefault(source, []).append(call.name)

    def _count(self, call: Call, source: str, count: int) -> None:
        """Notes that `call` counts so many elements of a parameter; those counted before are the earlier layer's."""
        owner, counted = self._counted.get(source, (call.name, 0))
        again = counted + count - self._sizes[source]
        if counted and again > 0:
            call.share(owner, min(again, count))
        self._counted[source] = owner, counted + count


def _unpriced(call: Call) -> Value:
    """What an unknown operator reads and writes, at no compute."""
    inputs, _, params = call.operands(list(_tensors(call.arguments.values())))
    shapes = tuple(call.shapes[part] for part in call.parts) if call.shapes else (call.shape,)
    counts = Work(params=tensor.trained(params))
    operator = tensor.Declared(f"unpriced {call.op}", Unit.COPY, shapes, counts)
    return call.several(operator, *inputs) if call.shapes else call.emit(operator, *inputs)


def _check_shape(call: Call, value: Value) -> None:
    """Raises unless the shape is the one that PyTorch says."""
    if isinstance(value, Feature | Constant) and value.shape != call.shape:
        raise ShapeError(
            f"the shape rule for {call.target} disagrees with PyTorch",
            found=shape_text(value.shape),
            expected=shape_text(call.shape),
        ).at(where=f"layer '{call.name}'")


def _tensors(values: Iterable[Any]) -> Iterator[Feature | Constant]:
    """The tensors among arguments, those in lists included."""
    for value in values:
        if isinstance(value, Feature | Constant):
            yield value
        elif isinstance(value, list):
            yield from _tensors(value)
