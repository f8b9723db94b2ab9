"""From an ONNX graph to nodes: one pass in execution order, with every shape and constant known on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from perfsim.errors import GraphError, InputError, InvalidValueError, ShapeError, UnknownNameError
from perfsim.frontends.attention import with_attention
from perfsim.frontends.names import unique_name, unpriced_text
from perfsim.frontends.onnx_compute import Made
from perfsim.frontends.onnx_constants import (
    constant_node,
    cut_sequences,
    known_result,
    live,
    pass_on,
    shape_value,
)
from perfsim.frontends.onnx_fold import fold
from perfsim.frontends.onnx_graph import (
    DOMAINS,
    Step,
    Value,
    constant,
    counted,
    empty,
    first_line,
)
from perfsim.frontends.onnx_inference import Inference
from perfsim.frontends.onnx_operators import CONTROL_FLOW, makers_of, nearest_known
from perfsim.frontends.onnx_patterns import Patterns
from perfsim.frontends.onnx_quantized import dequantized, entering_ops
from perfsim.frontends.onnx_trained import untrained_names
from perfsim.frontends.onnx_types import STRING, params_of
from perfsim.frontends.onnx_weights import Weights, shown_source
from perfsim.frontends.tensor_operators import Declared, adding, holding
from perfsim.network.graph import Network, Node, Tensor, build_network, execution_order
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import (
    LARGEST_COUNT,
    Shape,
    elements,
    shape_text,
    too_large,
    total,
)

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli")

_FOLDING_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError)


class Assembly:
    """Makes the nodes of a network out of those of an ONNX graph."""

    def __init__(
        self,
        model: Any,
        inputs: Mapping[str, tuple[Shape, int]],
        *,
        allow_unpriced: bool,
        bound: Mapping[str, int],
        weights: Weights,
    ) -> None:
        graph = model.graph
        cut_sequences(graph)
        self._weights = weights
        self._allow_unpriced = allow_unpriced
        self._inputs = inputs
        self._version: int = next(
            each.version for each in model.opset_import if each.domain in DOMAINS
        )
        self._inference = Inference(model, bound)
        self._unpriced: Counter[str] = Counter()
        self._names: set[str] = set()
        self._values: dict[str, Value] = {}
        untrained = untrained_names(graph)
        for tensor in graph.initializer:
            try:
                value = constant(tensor, is_trained=tensor.name not in untrained)
                self._values[tensor.name] = weights.initializer(tensor.name, value)
            except InputError as error:
                raise error.at(where=f"initializer '{tensor.name}'") from None
        for sparse in graph.sparse_initializer:
            shape = counted(sparse.dims)
            kind = sparse.values.data_type
            self._values[sparse.values.name] = Value(
                shape, kind, True, params=params_of(shape, kind)
            )
        for name, (shape, elem_type) in inputs.items():
            if elements(shape) > LARGEST_COUNT:
                raise too_large(elements(shape), f"elements in '{name}'")
            self._values[name] = (
                Value(shape, elem_type, is_input=True)
                if elements(shape)
                else empty(shape, elem_type)  # there is only one value that it can have
            )
        self._outputs = [each.name for each in graph.output]
        read = {each for node in graph.node for each in node.input if each}
        pass_on(graph, set(self._outputs), read | set(self._outputs))
        self._nodes = live(self._ordered(graph), self._outputs)
        self._read = {each for node, _ in self._nodes for each in node.input} | set(self._outputs)
        self._patterns = Patterns([node for node, _ in self._nodes], self._outputs, self._values)

    def network(self, name: str, *, feature_map_bits: int, weight_bits: int, file: str) -> Network:
        """The network; raises InputError with the node that is wrong."""
        for node, label in self._nodes:
            try:
                self._add(self._step(node, label))
            except InputError as error:
                raise error.at(file=file, where=f"{node.op_type} '{label}'") from None
        given = {each: shape for each, (shape, _) in self._inputs.items()}
        made = with_attention(
            list(self._patterns.nodes.values()), given, self._outputs, masks_are_computed=True
        )
        nodes = [replace(node, place=(file, None)) for node in made]
        read = {each for node in nodes for each in node.inputs}
        weights = self._patterns.weights
        inputs = [
            Tensor(each, shape, self._weights.input_bits(kind) or feature_map_bits)
            for each, (shape, kind) in self._inputs.items()
            if each in read or each not in weights
        ]
        written = {each for node in nodes for each in node.outputs}
        for each in self._outputs:
            if each not in written and each not in self._values:
                raise GraphError(f"no node writes the output '{each}'")
        return build_network(
            name,
            inputs,
            nodes,
            feature_map_bits=feature_map_bits,
            weight_bits=weight_bits,
            outputs=[each for each in self._outputs if each in written],
            file=file,
            unpriced=unpriced_text(self._unpriced),
        )

    def _ordered(self, graph: Any) -> list[tuple[Any, str]]:
        """The nodes in execution order, each with a name of its own."""
        if not graph.node:
            raise GraphError("the network has no layers")
        stand_in = Declared("node", Unit.COPY, ())
        known = [Tensor(name, (), 1) for name in self._values]
        nodes: list[Node] = []
        by_name: dict[str, Any] = {}
        for position, node in enumerate(graph.node):
            label = self._own_name(node, position)
            by_name[label] = node
            nodes.append(
                Node(
                    label,
                    replace(stand_in, name=node.op_type),
                    tuple(each for each in node.input if each),
                    tuple(each for each in node.output if each),
                )
            )
        ordered = execution_order(known, nodes, read="tensor or initializer")
        return [(by_name[node.name], node.name) for node in ordered]

    def _own_name(self, node: Any, position: int) -> str:
        name = node.name or next((each for each in node.output if each), "")
        name = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
        return unique_name(name if name.strip() else f"{node.op_type}_{position}", self._names)

    def _step(self, node: Any, label: str) -> Step:
        names = list(node.input)
        while names and not names[-1]:
            names.pop()
        outputs = list(node.output)
        while len(outputs) > 1 and outputs[-1] not in self._read:
            outputs.pop()  # what is left out, or nobody reads: statistics and masks for training
        if not any(outputs):
            raise ShapeError("", found="no outputs", expected="at least 1")
        values = [self._values[each] if each else None for each in names]
        step = Step(node, label, self._version, names, values, outputs)
        if node.domain in DOMAINS and node.op_type in CONTROL_FLOW:
            raise UnknownNameError(
                f"control flow ({node.op_type}) is not supported: what runs is known only when it runs",
                expected="a model without If, Loop and Scan (trace it, or simplify it)",
            )
        self._inference.complete(step)
        return step

    def _add(self, step: Step) -> None:
        if self._fold(step):
            return
        maker = makers_of(step.node.domain).get(step.op)
        if maker is None:
            self._add_unknown(step)
            return
        if STRING in step.types or any(v and v.elem_type == STRING for v in step.inputs):
            raise InvalidValueError("", found="text", expected="tensors of numbers")
        made = maker(step)
        if made is None:  # it gives what it reads
            made = Made(Declared("identity", Unit.VIEW, (step.shape(0),)))
        self._patterns.weights.update(
            name
            for position, name in enumerate(step.names)
            if name in self._inputs and position not in made.reads
        )
        self._emit(step, made)

    def _emit(self, step: Step, made: Made) -> None:
        reads = [position for position in made.reads if step.has(position)]
        operator = made.operator
        values = [step.value(position) for position in reads]
        shapes = self._shapes(step, operator, tuple(value.shape for value in values))
        known = known_result(step, operator, values[0], shapes) if values else None
        if known is not None:
            self._values.update(zip(step.outputs, known, strict=False))
            return
        running = [
            step.names[position]
            for position, value in zip(reads, values, strict=True)
            if not value.is_constant
        ]
        held = sum(value.params for value in values if value.is_constant)
        outputs: list[str] = []
        written: list[int] = []
        shown: list[Shape] = []
        for name, shape, elem_type in zip(step.outputs, shapes, step.types, strict=False):
            filled = elements(shape) > 0
            if name:
                self._values[name] = Value(shape, elem_type) if filled else empty(shape, elem_type)
            if filled and name and name in self._read:  # what nobody reads is not written
                outputs.append(name)
                written.append(elem_type)
                shown.append(shape)
        if len(running) < len(values) or len(shapes) > 1 or held:
            converts = operator.unit is Unit.VECTOR and not operator.selects
            entering = entering_ops(each for each in values if each.is_constant) if converts else ()
            operator = holding(operator, tuple(v.shape for v in values), shapes, held)
            operator = replace(adding(operator, *entering), shapes=tuple(shown))
        node = Node(step.name, operator, tuple(running), tuple(outputs))
        params = total(
            operator.work(tuple(v.shape for v in values if not v.is_constant), shapes).params
        )
        self._patterns.add(step, self._weights.node(node, step, made, written, params))

    def _shapes(
        self, step: Step, operator: Operator, inputs: tuple[Shape, ...]
    ) -> tuple[Shape, ...]:
        """The shapes of all outputs: ours, which those of ONNX must equal, and ONNX's for any further ones."""
        least, most = operator.inputs_allowed
        if len(inputs) < least or (most is not None and len(inputs) > most):
            raise ShapeError("", found=f"{len(inputs)} inputs", expected=f"at least {least}")
        ours = operator.output_shapes(inputs)
        for written, shape, theirs in zip(step.outputs, ours, step.inferred, strict=False):
            if written and theirs is not None and shape != theirs:
                raise ShapeError(
                    "the shape of its output is not what the model or ONNX says",
                    found=shape_text(theirs),
                    expected=shape_text(shape),
                )
        shapes = (*ours, *(step.output(at) for at in range(len(ours), len(step.outputs))))
        for shape in shapes:
            if elements(shape) > LARGEST_COUNT:
                raise too_large(elements(shape), "elements in its output")
        return shapes

    def _fold(self, step: Step) -> bool:
        """Work `step` out if what it reads is known; whether it was."""
        op = step.op
        if step.node.domain not in DOMAINS:
            return False
        if op == "Constant":
            self._values[step.outputs[0]] = constant_node(step)
            return True
        if op in ("Shape", "Size") and step.has(0):
            self._values[step.outputs[0]] = shape_value(step)
            return True
        inputs = [value for value in step.inputs if value is not None]
        if not inputs or op in _RANDOM or not all(value.is_constant for value in inputs):
            return False
        try:
            arrays = fold(step)
        except _FOLDING_FAULTS as error:
            raise ShapeError(f"its value cannot be worked out: {first_line(error)}") from None
        held = sum(value.params for value in inputs)
        if op == "DequantizeLinear":
            self._values[step.outputs[0]] = dequantized(step)
            return True
        for position, name in enumerate(step.outputs):
            kind = step.types[position]
            array = None if arrays is None else arrays[position]
            shape = step.output(position) if array is None else array.shape
            params = 0 if op in ("Sin", "Cos") else min(params_of(shape, kind), held)
            if op == "ConstantOfShape" and step.names[0] in self._patterns.initializers:
                params = params_of(shape, kind)  # weights left out of a model
            self._values[name] = Value(
                *(tuple(shape), kind, True),
                array=array,
                params=params,
                bits=inputs[0].bits,
                source=shown_source(step, shape),
            )
        return True

    def _add_unknown(self, step: Step) -> None:
        if not self._allow_unpriced:
            domain = f" of {step.node.domain}" if step.node.domain not in DOMAINS else ""
            raise UnknownNameError(
                f"unknown operator '{step.op}'{domain}",
                expected="an operator of docs/onnx.md, or --allow-unpriced",
                nearest=None if domain else nearest_known(step.op),
            )
        for name, shape in zip(step.outputs, step.inferred, strict=True):
            if name and shape is None:
                raise ShapeError(
                    f"the operator '{step.op}' is unknown, and so is the shape of its output '{name}'",
                    expected="its shape among the value_info of the model",
                )
        shapes = step.all_outputs()
        self._unpriced[step.op] += 1
        everything = tuple(range(len(step.inputs)))
        self._emit(step, Made(Declared(f"unpriced {step.op}", Unit.COPY, shapes), everything))
