"""The search of the policy `optimal`: builds the programme, has it solved, checks what comes of it; and tells it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from perfsim.errors import MemoryTooSmallError
from perfsim.placement.liveness import Liveness
from perfsim.placement.optimal_model import Model
from perfsim.placement.optimal_needs import Needs
from perfsim.placement.optimal_plan import Lives, Plan, choice_of, plan_of
from perfsim.placement.optimal_solver import solve
from perfsim.placement.placement import Flags, Placement
from perfsim.placement.plan import placement_of

if TYPE_CHECKING:
    from perfsim.placement.optimal_solver import Part
    from perfsim.program import Program


_TOLERANCE = 1e-6  # of the solver, relative


def search(
    program: Program, sram_bytes: int, policy: str, time_limit_s: float, double_buffered: bool
) -> Placement:
    """The best placement that is found in `time_limit_s`, and its lower bound; raises MemoryTooSmallError."""
    lives, needs = Lives(program), Needs(program, double_buffered=double_buffered)
    model = Model(lives, needs, sram_bytes)
    parts = solve(model, time_limit_s)
    too_small: MemoryTooSmallError | None = None
    start: Placement | None = None
    kept = np.zeros(len(lives.is_map), dtype=bool)
    try:
        start = Liveness().place(program, sram_bytes, double_buffered=double_buffered)
        kept = start.internal & lives.is_map & (lives.next >= 0)
    except MemoryTooSmallError as error:
        too_small = error  # what lies whole in memory may take less than the tiles in its place
    plan = _best(lives, needs, sram_bytes, kept, parts)
    if plan is None:
        raise too_small or RuntimeError("internal error: the plan of 'liveness' does not fit")
    choice = choice_of(lives, plan, _capacities(needs, sram_bytes, start, parts))
    placement = placement_of(program, choice, sram_bytes, policy, double_buffered=double_buffered)
    moved = _moved(placement)
    if moved != plan.traffic_bytes:
        raise RuntimeError(
            f"internal error: the plan moves {plan.traffic_bytes:,} bytes, its placement {moved:,}"
        )
    bound = model.constant + sum(part.bound for part in parts)
    if bound > moved * (1 + _TOLERANCE):
        raise RuntimeError(f"internal error: the bound of {bound:,} bytes is above {moved:,}")
    return replace(placement, lower_bound_bytes=min(bound, moved))


def _capacities(
    needs: Needs, sram_bytes: int, start: Placement | None, parts: list[Part]
) -> tuple[int, int] | None:
    """The memories for which all that led to a plan is the same, and so the plan; None where that is not known.

    start: the placement of `liveness`, whose plan is one of those that are compared.
    """
    if start is None or start.capacities is None or not all(part.is_proven for part in parts):
        return None  # the clock ended a search, or a smaller memory may suffice where this one does not
    least, below = needs.margin.capacities(sram_bytes)
    return max(least, start.capacities.least_bytes), min(below, start.capacities.below_bytes)


def _moved(placement: Placement) -> int:
    return int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())


def _best(
    lives: Lives, needs: Needs, sram_bytes: int, start: Flags, parts: list[Part]
) -> Plan | None:
    """The best plan of `start` and of what the solver found: all that is proven at once, the rest part by part."""
    best = plan_of(lives, needs, sram_bytes, start)
    proven = [part for part in parts if part.is_proven]
    for changed in (proven, *([part] for part in parts if not part.is_proven)):
        kept = start.copy() if best is None else best.kept.copy()
        for part in changed:
            if part.kept is not None:
                kept[part.gaps] = part.kept
        plan = plan_of(lives, needs, sram_bytes, kept)
        # A plan that the solver's tolerances let through may not fit.
        if plan is not None and (best is None or plan.traffic_bytes < best.traffic_bytes):
            best = plan
    return best


class Story:
    """What happens to each feature map, read from a placement."""

    def __init__(self, program: Program, placement: Placement) -> None:
        self._lives, self._program = Lives(program), program
        self._internal, self._spans = placement.internal, placement.spans
        self._moved, self._bound = _moved(placement), placement.lower_bound_bytes

    def summary(self) -> str:
        """How good the plan is."""
        return f"all layers move {self._moved:,} bytes; no plan moves less than {self._bound:,}"

    def of_map(self, touch: int) -> str:
        """What happens to the tensor of one touch before and after its layer."""
        lives = self._lives
        before, after = int(lives.previous[touch]), int(lives.next[touch])
        if lives.touches.is_write[touch]:
            start = "made here"
        elif before < 0:
            start = "read here first"
        elif self._is_kept(before):
            start = f"kept since '{self._layer(before)}'"
        else:
            start = f"not kept since '{self._layer(before)}'"
        if after < 0:
            return f"{start}, not used again"
        if self._is_kept(touch):
            return f"{start}, kept for '{self._layer(after)}'"
        return f"{start}, not kept for '{self._layer(after)}', the next to use it"

    def _layer(self, touch: int) -> str:
        return self._program.layers[int(self._lives.touches.layer[touch])].name

    def _is_kept(self, touch: int) -> bool:
        """Whether the tensor stays from this touch to the next one."""
        lives, spans = self._lives, self._spans
        after = lives.next[touch]
        if spans is None or not (self._internal[touch] and self._internal[after]):
            return False
        first, last = lives.touches.layer[touch], lives.touches.layer[after]
        covers = (
            (spans.buffer == lives.buffer[touch]) & (spans.first <= first) & (last <= spans.last)
        )
        return bool(covers.any())
