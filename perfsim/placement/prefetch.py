"""Which weights can come in early: of those that a layer holds as a whole, while the layer before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.placement import per_layer, touches_of

if TYPE_CHECKING:
    from perfsim.placement.placement import Counts, Placement
    from perfsim.program import Program


def prefetch_bytes(
    program: Program, placement: Placement, sram_bytes: Counts | None = None
) -> Counts:
    """Of the weights that each layer holds as a whole, what can come in while the layer before runs: (layers,).

    sram_bytes: memories for which the placement is the same plan, shape (machines,): then (layers, machines).
    """
    touches, used = touches_of(program), placement.sram_used_bytes
    comes_whole = touches.is_weight & placement.internal & ~placement.pinned[touches.tensor]
    held = per_layer(touches.layer, np.where(comes_whole, touches.bytes, 0), touches.layers)
    if sram_bytes is None:
        # `accumulate` counts what it has in use before it overflows.
        spare = np.maximum(placement.sram_bytes - used, 0)
    else:
        spare = np.maximum(sram_bytes - used[:, np.newaxis], 0)
        if placement.capacities is not None:
            spare[placement.capacities.fills] = 0
    prefetch = np.zeros_like(spare)
    for position, before in enumerate(layer_before(program)):
        if before >= 0:
            prefetch[position] = np.minimum(held[position], spare[before:position].min(axis=0))
    return prefetch


@per_object
def layer_before(program: Program) -> list[int]:
    """For each layer the position of the last one before it that is no view (a view takes no time); -1 for none."""
    found, before = [], -1
    for position, layer in enumerate(program.layers):
        found.append(before)
        if not layer.is_view:
            before = position
    return found
