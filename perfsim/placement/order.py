"""The order of the layers with the lowest peak of feature maps; see docs/order.md.

What counts are the bytes of feature maps that are live at any layer, `Buffers.live_bytes` with all buffers internal:
with what works in place and with the concatenations that copy nothing. Of orders with the same peak the one with the
fewest live bytes summed over layers counts. Layers move as a whole, with what is fused into them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perfsim.fusion import Draft, fuse
from perfsim.network.graph import ChosenOrder
from perfsim.per_object import per_object
from perfsim.placement.order_segments import best_order, in_order, is_chain, live_of
from perfsim.program import lower

if TYPE_CHECKING:
    from perfsim.network.graph import Network, Node

MEMORY = "memory"  # the name of this order


@per_object
def order_for_memory(network: Network) -> Network:
    """`network` with its layers in the order that keeps the fewest bytes of feature maps live at any layer.

    >>> result = simulate(order_for_memory(network), machine)

    The least there is for small and for regular networks, else the best found within a bounded search; never
    more than the given order needs, which stays where no other is better. The same order at every call. Names and
    counts stay; `Network.order` says what it changes.

    Raises CountError as `lower` does.
    """
    if network.order is not None:
        return network
    program = lower(network)
    nodes, given = network.nodes, live_of(program)
    found, layers = given, len(program.layers)
    if not is_chain(_needs(nodes)):
        drafts = fuse(network)
        order = best_order(program, _needs(drafts))
        if order != list(range(layers)):
            found = live_of(in_order(program, order))
            nodes = _nodes(network, [drafts[position] for position in order])
    changed = ChosenOrder(
        name=MEMORY,
        given_peak_bytes=given.peak_bytes,
        peak_bytes=found.peak_bytes,
        given_mean_bytes=given.sum_bytes // layers,
        mean_bytes=found.sum_bytes // layers,
    )
    return replace(network, nodes=nodes, order=changed)


def _needs(items: Sequence[Node | Draft]) -> list[list[int]]:
    """For each node or layer the positions of those that write what it reads, ascending."""
    writer: dict[str, int] = {}
    needs = []
    for position, item in enumerate(items):
        needs.append(sorted({writer[name] for name in item.inputs if name in writer}))
        writer.update(dict.fromkeys(item.outputs, position))
    return needs


def _nodes(network: Network, drafts: list[Draft]) -> tuple[Node, ...]:
    """The nodes of layers in this order; what is applied on the way into several stands before the first of them."""
    node_of = {node.name: node for node in network.nodes}
    writer = {output: node for node in network.nodes for output in node.outputs}
    ordered: dict[str, Node] = {}
    members = [name for draft in drafts for name in draft.members]
    for name in (*members, *node_of):  # what no layer took over comes last
        missing = [node_of[name]]
        while missing:
            node = missing[-1]
            before = [
                writer[each]
                for each in node.inputs
                if each in writer and writer[each].name not in ordered
            ]
            missing += before
            if not before:
                ordered[missing.pop().name] = node
    return tuple(ordered.values())
