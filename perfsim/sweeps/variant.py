"""The networks of a sweep, each read and lowered when it is needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from perfsim.program import lower
from perfsim.result import counts_table

if TYPE_CHECKING:
    from perfsim.network.graph import Network


class Facts(NamedTuple):
    """What a sweep must know of each network before it begins.

    Attributes:
        name: the network's.
        digest: of all counts of its layers.
        layers: (name, operator) of each.
    """

    name: str
    digest: str
    layers: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Variant:
    """One network at one scale, read and lowered when it is needed.

    Attributes:
        read: gives the network at that scale.
        scales: what was changed of its file, by key: ``{"width": 0.5, "batch": 4}``.
    """

    read: Callable[[], Network]
    scales: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def network(self) -> Network:
        """The network; raises InputError where it cannot be read."""
        return self.read()

    def forget(self) -> None:
        """Let go of the network, with all that was worked out of it; it is read again where it is needed again."""
        self.__dict__.pop("network", None)

    @cached_property
    def facts(self) -> Facts:
        """What is known of it; raises InputError."""
        program = lower(self.network)
        counts = json.dumps(counts_table(program), sort_keys=True, default=str)
        layers = tuple((layer.name, layer.op) for layer in program.layers)
        return Facts(self.network.name, hashlib.sha256(counts.encode()).hexdigest(), layers)


@dataclass(frozen=True, eq=False)
class Given:
    """A network that was read before, for `Variant.read`."""

    network: Network

    def __call__(self) -> Network:
        """The network."""
        return self.network
