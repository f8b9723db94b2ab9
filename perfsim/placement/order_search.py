"""The search for an order of layers in which little memory is live; sets of layers are the bits of whole numbers.

A state is a set of layers that have run, closed under what they need. How many bytes are live then does not depend on
the order in which they ran, so of all orders that lead to a state one is followed:

- `lowest_peak`: depth first, which orders stay within a limit, for limits found by bisection. A layer that fits and
  after which no more is live than before runs at once: every order that goes on from here can be changed into one that
  runs it first, and at no layer more is live. So there are choices only where each layer takes memory; first comes the
  one that needs most above what it leaves.
- `lowest_sum`: breadth first, the fewest bytes summed over layers in orders that stay within a limit.

Both are exact until they run out of steps; then the first takes a limit that it could not reach as out of reach, and
the second follows the best states only.

Sources: dynamic programming over such states for neural networks: Ahn et al., "Ordering Chaos: Memory-Aware Scheduling
of Irregularly Wired Neural Networks for Edge Devices", MLSys 2020. Which branch first: Liu, "An Application of
Generalized Tree Pebbling to Sparse Matrix Factorization", SIAM J. Algebraic Discrete Methods 8(3), 1987.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

PROBES = 4  # of the steps that are left, one limit may take one in so many
AHEAD = (
    30  # where states must be left out, what is live in one is taken to stay so for as many layers
)


@dataclass(frozen=True)
class Segment:
    """Layers whose order may change, numbered from 0 in the given order. A mask has bit i for layer i.

    Two more bits stand for everything that ran before the segment, and everything that comes after it.

    Attributes:
        needs: for each layer the mask of those that must have run.
        followers: for each layer those that read what it writes.
        touches: for each layer the (bytes, mask of all layers that touch it) of each buffer that it touches.
        written_over: for each layer (bytes that it saves by working in place, masks of the buffers that it can write
            over if it is the last to touch them).
        live_bytes: live when the segment begins.
    """

    needs: list[int]
    followers: list[list[int]]
    touches: list[list[tuple[int, int]]]
    written_over: list[tuple[int, list[int]]]
    live_bytes: int

    @property
    def before(self) -> int:
        """The mask of what ran before the segment."""
        return 1 << len(self.needs)

    @property
    def after(self) -> int:
        """The mask of what comes after the segment."""
        return 2 << len(self.needs)

    def start(self) -> State:
        """No layer of the segment has run."""
        ready = sum(1 << layer for layer, needs in enumerate(self.needs) if not needs)
        return State(self.before, ready, self.live_bytes)

    def is_end(self, state: State) -> bool:
        """Whether all layers have run."""
        return not state.ready

    def run(self, state: State, layer: int) -> tuple[int, State]:
        """Bytes live while `layer` runs, and the state behind it."""
        bit = 1 << layer
        ran = state.ran | bit
        live = after = state.live_bytes
        for size, mask in self.touches[layer]:
            if not mask & state.ran:
                live += size
                after += size
            if not mask & ~ran:
                after -= size
        saved, masks = self.written_over[layer]
        for mask in masks:
            if not mask & ~ran:
                live -= saved
                break
        ready = state.ready ^ bit
        for follower in self.followers[layer]:
            if not self.needs[follower] & ~ran:
                ready |= 1 << follower
        return live, State(ran, ready, after)

    def peak(self, order: Iterable[int]) -> int:
        """The most bytes live at any layer in this order."""
        state, most = self.start(), 0
        for layer in order:
            live, state = self.run(state, layer)
            most = max(most, live)
        return most


class State(NamedTuple):
    """Which layers ran (a mask), which can run next, and how many bytes are live in between."""

    ran: int
    ready: int
    live_bytes: int


class Steps:
    """How much more may be tried.

    Attributes:
        left: single steps, running one layer in one state.
    """

    def __init__(self, count: int) -> None:
        self.left = count


def layers_in(mask: int) -> Iterator[int]:
    """The layers of a mask, in the given order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def lowest_peak(
    segment: Segment, floor_bytes: int, below_bytes: int, steps: Steps
) -> list[int] | None:
    """The order with the lowest peak below `below_bytes`, None where there is none.

    floor_bytes: a peak that is low enough: nothing is gained below it.
    """
    best = None
    least, most = floor_bytes, below_bytes
    while least < most and steps.left > 0:
        limit = (least + most) // 2
        # A part of what is left, so that a limit that cannot be decided leaves something for the next one.
        search = _Within(segment, limit, Steps(-(-steps.left // PROBES)))
        granted = search.steps.left
        order = search.order()
        steps.left -= granted - search.steps.left
        if order is not None:
            best, most = order, segment.peak(order)
        elif search.steps.left > 0:
            least = (
                search.refused_bytes
            )  # with a limit between the two the same layers would be refused
        else:
            least = limit + 1
    return best


class _Chosen(NamedTuple):
    """A layer and all that runs at once behind it."""

    layers: list[int]
    hill_bytes: int
    state: State


class _Within:
    """An order of a segment in which at most `limit_bytes` are live, depth first.

    Attributes:
        refused_bytes: the fewest bytes, above the limit, that a layer needed that did not run.
    """

    def __init__(self, segment: Segment, limit_bytes: int, steps: Steps) -> None:
        self._segment = segment
        self._limit = limit_bytes
        self.steps = steps
        self.refused_bytes = 1 << 62

    def order(self) -> list[int] | None:
        """The order; None where there is none, or where the steps ran out."""
        first = self._settled([], 0, self._segment.start())
        seen = {first.state.ran}
        path, stack = [first], [self._choices(first.state)]
        while path:
            if not path[-1].state.ready:
                return [layer for chosen in path for layer in chosen.layers]
            if self.steps.left <= 0:
                return None
            if not stack[-1]:
                path.pop()
                stack.pop()
                continue
            chosen = stack[-1].pop()
            if chosen.state.ran not in seen:
                seen.add(chosen.state.ran)
                path.append(chosen)
                stack.append(self._choices(chosen.state))
        return None

    def _choices(self, state: State) -> list[_Chosen]:
        """What can run next; the best is the last."""
        choices = []
        for layer in layers_in(state.ready):
            live, after = self._run(state, layer)
            if live <= self._limit:
                choices.append(self._settled([layer], live, after))
        choices.sort(key=lambda each: (each.hill_bytes - each.state.live_bytes, -each.layers[0]))
        return choices

    def _settled(self, layers: list[int], hill_bytes: int, state: State) -> _Chosen:
        """Run what fits and leaves no more live than before, until nothing does."""
        going = True
        while going:
            going = False
            for layer in layers_in(state.ready):
                live, after = self._run(state, layer)
                if live <= self._limit and after.live_bytes <= state.live_bytes:
                    layers.append(layer)
                    hill_bytes, state = max(hill_bytes, live), after
                    going = True
        return _Chosen(layers, hill_bytes, state)

    def _run(self, state: State, layer: int) -> tuple[int, State]:
        self.steps.left -= 1
        live, after = self._segment.run(state, layer)
        if live > self._limit:
            self.refused_bytes = min(self.refused_bytes, live)
        return live, after


class _Path(NamedTuple):
    """The best known way to a state."""

    sum_bytes: int
    state: State
    layer: int
    behind: _Path | None


def lowest_sum(segment: Segment, limit_bytes: int, width: int) -> list[int] | None:
    """The order with the fewest bytes live, summed over layers, of those that stay within a limit.

    width: how many states are followed at a time. None where none of them goes on.
    """
    paths = [_Path(0, segment.start(), -1, None)]
    for _ in segment.needs:
        found: dict[int, _Path] = {}
        for path in paths:
            for layer in layers_in(path.state.ready):
                live, after = segment.run(path.state, layer)
                total = path.sum_bytes + live
                known = found.get(after.ran)
                if live <= limit_bytes and (known is None or total < known.sum_bytes):
                    found[after.ran] = _Path(total, after, layer, path)
        paths = list(found.values())
        if len(paths) > width:
            paths.sort(
                key=lambda path: (path.sum_bytes + AHEAD * path.state.live_bytes, path.state.ran)
            )
            del paths[width:]
        if not paths:
            return None
    order: list[int] = []
    path = paths[0]
    while path.behind is not None:
        order.append(path.layer)
        path = path.behind
    return order[::-1]
