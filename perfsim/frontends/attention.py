"""Attention that a program writes as two products with a softmax between them, put together as one operator."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from perfsim.errors import ShapeError
from perfsim.frontends.tensor_operators import Reshaped, holding
from perfsim.network.elementwise import Softmax
from perfsim.network.graph import Node
from perfsim.network.layout import Transpose
from perfsim.network.matrix import Attention, Matmul
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import Shape, total

_SCALINGS = ("mul", "div")


def with_attention(
    nodes: Sequence[Node],
    inputs: Mapping[str, Shape],
    outputs: Iterable[str],
    *,
    masks_are_computed: bool = False,
) -> list[Node]:
    """`nodes`, which stand in execution order, with (q k^T, a scale, a mask, softmax, v) as `attention`.

    inputs: the shapes of what no node writes. outputs: what must stay because it is asked for.
    masks_are_computed: a constant that is added to the scores of all of several heads alike is not trained.
    Scores that anything else reads stay as they are.
    """
    if not any(isinstance(node.operator, Softmax) for node in nodes):
        return list(nodes)
    region = _Region(nodes, inputs, outputs, masks_are_computed=masks_are_computed)
    for node in nodes:
        region.put_together(node)
    return region.finished()


class _Region:
    """The nodes by name, and who writes and reads each tensor."""

    def __init__(
        self,
        nodes: Sequence[Node],
        inputs: Mapping[str, Shape],
        outputs: Iterable[str],
        *,
        masks_are_computed: bool,
    ) -> None:
        self._masks_are_computed = masks_are_computed
        self.nodes = {node.name: node for node in nodes}
        self._writer = {name: node.name for node in nodes for name in node.outputs}
        self._readers = Counter(name for node in nodes for name in node.inputs)
        self._readers.update(outputs)
        self._shapes = dict(inputs)
        self._adding: dict[
            str, str
        ] = {}  # node that added a trained constant -> attention that has it now
        for node in nodes:
            read = tuple(self._shapes[name] for name in node.inputs)
            self._shapes.update(zip(node.outputs, node.operator.output_shapes(read), strict=True))

    def finished(self) -> list[Node]:
        """The nodes; those whose parameters an attention counts now say so."""
        return [
            replace(
                node,
                shared=tuple((self._adding.get(owner, owner), n) for owner, n in node.shared),
            )
            if node.shared
            else node
            for node in self.nodes.values()
        ]

    def put_together(self, node: Node) -> None:
        """Replace `node` and what stands before it if that is an attention that ends in it."""
        if not isinstance(node.operator, Matmul) or node.operator != Matmul():
            return
        passed: list[Node] = []
        name, value = node.inputs
        softmax = self._before(self._guarded(name, passed), passed)
        if softmax is None or not isinstance(softmax.operator, Softmax):
            return
        if softmax.operator.axis not in (-1, len(self._shapes[name]) - 1):
            return
        passed.append(softmax)
        product, added, mask = self._product(softmax.inputs[0], passed)
        if product is None or len(self._shapes[product.inputs[0]]) < 3:
            return
        query, key = (self._unscaled(each, passed) for each in product.inputs)
        turned = self._turned(key, passed)
        if turned is None:
            return
        shapes = [self._shapes[query], _swapped(self._shapes[key]), self._shapes[value]]
        key, writing_key = turned
        held = self._params(added) if added else 0
        if self._masks_are_computed and _is_one_mask(held, shapes[0], shapes[1]):
            held = 0
        if mask:
            shapes.append(self._shapes[mask])
        elif added:
            shapes.append((shapes[0][-2], shapes[1][-2]))
        operator: Operator = Attention(heads=1)
        try:
            written = operator.output_shapes(tuple(shapes))
        except ShapeError:
            return
        if written != (self._shapes[node.outputs[0]],):
            return
        if added and not mask:
            operator = holding(operator, tuple(shapes), written, held)
        if added and held:
            node = replace(
                node,
                weight_bits=added.weight_bits,
                other_weights=added.other_weights,
                shared=added.shared,
            )
            self._adding[added.name] = node.name
        if writing_key is not None:
            self.nodes[writing_key.name] = writing_key
            self._shapes[key] = shapes[1]
        for each in passed:
            self.nodes.pop(each.name, None)
        read = (query, key, value, *((mask,) if mask else ()))
        self.nodes[node.name] = replace(node, operator=operator, inputs=read)

    def _guarded(self, name: str, passed: list[Node]) -> str:
        """What stands before the zeros that exporters put where a row hides everything: where(is_nan(x), 0, x)."""
        choice = self._before(name, [])
        if choice is None or choice.operator.name != "where" or len(choice.inputs) != 2:
            return name
        test = self._before(choice.inputs[0], [])
        source = choice.inputs[1]
        if test is None or test.operator.name != "is_nan" or test.inputs != (source,):
            return name
        if self._readers[source] != 2:
            return name
        self._before(name, passed)
        passed += [choice, test]
        self._readers[source] = 1
        return source

    def _product(self, name: str, passed: list[Node]) -> tuple[Node | None, Node | None, str]:
        """(the node of query times key; that which adds a mask, None without; the mask, empty for a constant)."""
        node = self._before(name, passed)
        if node is None or node.operator.name != "add":
            return self._scores(name, passed), None, ""
        passed.append(node)
        sides = [(each, self._scores(each, [])) for each in node.inputs]
        products = [each for each, found in sides if found is not None]
        if len(products) != 1 or len(sides) > 2:
            return None, None, ""
        mask = "".join(each for each in node.inputs if each != products[0])
        return self._scores(products[0], passed), node, mask

    def _scores(self, name: str, passed: list[Node]) -> Node | None:
        node = self._before(self._unscaled(name, passed), passed)
        if node is None or node.operator != Matmul():
            return None
        passed.append(node)
        return node

    def _before(self, name: str, passed: list[Node]) -> Node | None:
        """The node that writes `name`, behind which nothing else reads; views of the same shape are passed."""
        while True:
            node = self.nodes.get(self._writer.get(name, ""))
            if node is None or self._readers[name] != 1 or len(node.outputs) != 1:
                return None
            is_same = len(node.inputs) == 1 and self._shapes[node.inputs[0]] == self._shapes[name]
            if node.operator.unit is not Unit.VIEW or not is_same:
                return node
            passed.append(node)
            name = node.inputs[0]

    def _unscaled(self, name: str, passed: list[Node]) -> str:
        """What stands before a multiplication with a constant that is not trained."""
        node = self._before(name, [])
        if node is None or node.operator.name not in _SCALINGS or len(node.inputs) != 1:
            return name
        if self._params(node) or self._shapes[node.inputs[0]] != self._shapes[name]:
            return name
        self._before(name, passed)
        passed.append(node)
        return node.inputs[0]

    def _turned(self, name: str, passed: list[Node]) -> tuple[str, Node | None] | None:
        """(the key as it was before its last two axes were exchanged; the node that must be changed to write it)."""
        wanted = _swapped(self._shapes[name])
        found: list[Node] = []
        behind: list[Node] | None = None  # those from the exchange on
        while behind is None or self._shapes[name] != wanted:
            node = self.nodes.get(self._writer.get(name, ""))
            if node is not None and (self._readers[name] != 1 or len(node.inputs) != 1):
                node = None
            if behind is None and node is not None and isinstance(node.operator, Transpose):
                order = tuple(node.operator.order)
                if order != _swapped(tuple(range(len(order)))):
                    turned = replace(node, operator=Transpose(_swapped(order)))
                    return None if found else (name, turned)
                behind = [*found, node]
            elif node is None or not self._keeps_matrices(node):
                return None if behind is None else self._viewed(behind, wanted, passed)
            found.append(node)
            name = node.inputs[0]
        passed += found
        return name, None

    def _viewed(
        self, behind: list[Node], shape: Shape, passed: list[Node]
    ) -> tuple[str, Node | None]:
        """As `_turned`, of a key that has other leading axes before the exchange: a view behind it gives it these."""
        view = next(each for each in behind if each.operator.unit is Unit.VIEW)
        passed += [each for each in behind if each is not view]
        return view.outputs[0], replace(
            view, operator=Reshaped(shape), inputs=(behind[-1].inputs[0],)
        )

    def _keeps_matrices(self, node: Node) -> bool:
        """Whether it is a view under which the last two axes stay."""
        before, after = self._shapes[node.inputs[0]], self._shapes[node.outputs[0]]
        return node.operator.unit is Unit.VIEW and before[-2:] == after[-2:]

    def _params(self, node: Node) -> int:
        read = tuple(self._shapes[each] for each in node.inputs)
        written = tuple(self._shapes[each] for each in node.outputs)
        return total(node.operator.work(read, written).params)


def _is_one_mask(count: int, query: Shape, key: Shape) -> bool:
    """Whether so many numbers are one for each query and key, the same in several heads."""
    return count == query[-2] * key[-2] and math.prod(query[1:-2]) > 1


def _swapped(shape: Shape) -> Shape:
    return (*shape[:-2], shape[-1], shape[-2])
