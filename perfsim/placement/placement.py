"""What a placement policy decides, and what every policy must offer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from perfsim.network.work import total
from perfsim.per_object import per_object

if TYPE_CHECKING:
    from perfsim.placement.plan import Spans
    from perfsim.placement.tiling import Tiling
    from perfsim.program import Program

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class Capacities:
    """The memories for which a placement is the same plan: the same traffic, tilings and places of all tensors.

    Attributes:
        least_bytes, below_bytes: every memory from the first to below the second.
        fills: whether a layer takes all memory that is left, shape (layers,): what is in use there is the memory.
    """

    least_bytes: int
    below_bytes: int
    fills: Flags


@dataclass(frozen=True, eq=False)
class Placement:
    """Where each tensor lies while each layer runs, and what moves when, on one machine.

    Attributes:
        policy: the name of the policy that decided.
        sram_bytes: the internal memory that it was decided for.
        double_buffered: whether every tile has a second buffer.
        internal: whether each touch's tensor is in internal memory, shape (touches,); the touches are
            those of `Touches`.
        moves: every transfer between internal and external memory.
        sram_used_bytes: internal memory in use while each layer runs, shape (layers,).
        ddr_read_bytes, ddr_write_bytes: the sums of the moves per layer, shape (layers,); of the first inference.
        kept_bytes: what later inferences read less, since it is there still, shape (layers,).
        tile_bytes: of `sram_used_bytes`, what tensors pass through that lie outside, shape (layers,).
        pinned: whether each tensor is a weight that stays between inferences, shape (tensors,).
        spans: when feature maps lie in internal memory; None where the policy keeps no plan of it.
        tilings: how the layers run that do not move each operand just once, by position.
        lower_bound_bytes: no plan of the policy's kind moves less; None where the policy does not search.
        capacities: for which memories it is the same plan; None where only `sram_bytes` is known to be one.
    """

    policy: str
    sram_bytes: int
    double_buffered: bool
    internal: Flags
    moves: Moves
    sram_used_bytes: Counts
    ddr_read_bytes: Counts
    ddr_write_bytes: Counts
    kept_bytes: Counts
    tile_bytes: Counts
    pinned: Flags
    spans: Spans | None = None
    tilings: Mapping[int, Tiling] = field(default_factory=dict)
    lower_bound_bytes: int | None = None
    capacities: Capacities | None = None

    @property
    def gap(self) -> float | None:
        """By what share of its traffic the placement may exceed the least; None where the policy does not search."""
        if self.lower_bound_bytes is None:
            return None
        moved = int(self.ddr_read_bytes.sum() + self.ddr_write_bytes.sum())
        return (moved - self.lower_bound_bytes) / moved if moved else 0.0


@dataclass(frozen=True, eq=False)
class Moves:
    """Transfers, one entry each, arrays of shape (moves,).

    Attributes:
        layer: position of the layer during which it moves.
        tensor: index into `Program.tensors`.
        read_bytes, write_bytes: from and to external memory.
    """

    layer: Counts
    tensor: Counts
    read_bytes: Counts
    write_bytes: Counts


class PlacementPolicy(Protocol):
    """Decides where tensors lie. One policy contract suite runs over every policy.

    Attributes:
        name: as files and the command line spell it.
        rule: one sentence for lists and help.
        searches: whether a placement takes a search, of seconds perhaps, and not microseconds.
    """

    name: str
    rule: str
    searches: bool

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes` of internal memory.

        double_buffered: whether every tile has a second buffer, into which the next one is read.
        """
        ...

    def in_use(
        self, program: Program, placement: Placement, position: int
    ) -> list[tuple[str, int]]:
        """(what, bytes) of everything that takes internal memory while the layer at `position` runs.

        The bytes add up to the placement's `sram_used_bytes` there.
        """
        ...

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why the tensors of the layer at `position` lie where they do, a sentence each."""
        ...


@dataclass(frozen=True, eq=False)
class Touches:
    """Every (layer, tensor) pair of a program, and its counts per layer, as arrays.

    A layer that reads one tensor twice touches it once; a view touches nothing.

    Attributes:
        layer, tensor: of shape (touches,), layers in order.
        is_weight, is_write: what the layer does with it (else it reads a feature map).
        bytes: of the touched tensor.
        macs, vector_ops: of shape (layers,), floats that hold whole numbers exactly.
        layers: how many layers there are.
    """

    layer: Counts
    tensor: Counts
    is_weight: Flags
    is_write: Flags
    bytes: Counts
    macs: np.ndarray[Any, np.dtype[np.float64]]
    vector_ops: np.ndarray[Any, np.dtype[np.float64]]
    layers: int


@per_object
def touches_of(program: Program) -> Touches:
    """The touches of `program`; made once per program."""
    rows: list[tuple[int, int, bool, bool]] = []
    for position, layer in enumerate(program.layers):
        if layer.is_view:
            continue
        rows += [(position, tensor, False, False) for tensor in dict.fromkeys(layer.reads)]
        rows += [(position, tensor, False, True) for tensor in layer.writes]
        rows += [(position, tensor, True, False) for tensor in layer.weights]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    sizes = np.array([tensor.bytes for tensor in program.tensors], dtype=np.int64)
    return Touches(
        layer=table[:, 0],
        tensor=table[:, 1],
        is_weight=table[:, 2].astype(bool),
        is_write=table[:, 3].astype(bool),
        bytes=sizes[table[:, 1]],
        macs=np.array([total(layer.macs) for layer in program.layers], dtype=np.float64),
        vector_ops=np.array(
            [total(layer.vector_ops) for layer in program.layers], dtype=np.float64
        ),
        layers=len(program.layers),
    )


UNLIMITED = int(np.iinfo(np.int64).max)  # above every memory


def between(thresholds: Counts, sram_bytes: int) -> tuple[int, int]:
    """The memories that reach the same thresholds as `sram_bytes`: (the least, the first above)."""
    reached = thresholds <= sram_bytes
    least = int(thresholds.max(initial=1, where=reached))
    return least, int(thresholds.min(initial=UNLIMITED, where=~reached))


def live_bytes(first: Counts, last: Counts, sizes: Counts, layers: int) -> Counts:
    """The sum of `sizes` that are live at each layer, from the `first` to the `last` one each, shape (layers,)."""
    changes = np.zeros(layers + 1, dtype=np.int64)
    np.add.at(changes, first, sizes)
    np.subtract.at(changes, last + 1, sizes)
    return np.asarray(np.cumsum(changes)[:-1])


def per_layer(layer: Counts, values: Counts, layers: int) -> Counts:
    """The sum of `values` per layer, exactly: shape (layers,)."""
    sums = np.zeros(layers, dtype=np.int64)
    np.add.at(sums, layer, values)
    return sums
