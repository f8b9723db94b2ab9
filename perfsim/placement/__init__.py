"""Placement: where each tensor lies and when it moves. The table of policies."""

from __future__ import annotations

from perfsim.errors import unknown_name
from perfsim.placement.accumulate import Accumulate
from perfsim.placement.liveness import Liveness
from perfsim.placement.optimal import Optimal
from perfsim.placement.pinned import Pinned
from perfsim.placement.placement import PlacementPolicy
from perfsim.placement.streaming import Streaming

PLACEMENTS: tuple[PlacementPolicy, ...] = (
    *(Liveness(), Pinned(), Optimal(), Streaming()),
    Accumulate(),
)


def placement_policy(name: str) -> PlacementPolicy:
    """The placement policy of this name; raises UnknownNameError."""
    for policy in PLACEMENTS:
        if policy.name == name:
            return policy
    raise unknown_name("placement", name, [policy.name for policy in PLACEMENTS])
