"""The names in a network's file: which layer is meant by a name at a place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from perfsim.errors import GraphError, UnknownNameError, nearest_name

INPUT = "input"


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Where a layer stands: at the top, in a round of a repeat, or in a use of a block.

    Attributes:
        prefix, suffix: what is put around a name to make it unique: ``b3.`` in the block called b3, ``.2`` in
            the second round, ``.2.1`` in its first inner one.
        block_input: the layer that the round or block reads first.
        values: the block's parameters.
        blocks: the blocks that are being used, the innermost last.
        outer: the scope around this one; None at the top.
    """

    prefix: str = ""
    suffix: str = ""
    block_input: str = INPUT
    values: Mapping[str, Any] = field(default_factory=dict)
    blocks: tuple[str, ...] = ()
    outer: Scope | None = None

    def outwards(self) -> Iterator[Scope]:
        """This scope and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def in_round(self, number: int, block_input: str) -> Scope:
        """The scope of a round of a repeat that stands in this one."""
        suffix = f"{self.suffix}.{number}"
        return Scope(self.prefix, suffix, block_input, self.values, self.blocks, self)

    def in_block(self, block: str, use: str, block_input: str, values: Mapping[str, Any]) -> Scope:
        """The scope of a block that is used here under the full name `use`."""
        return Scope(f"{use}.", "", block_input, values, (*self.blocks, block), self)

    def full_name(self, name: str) -> str:
        """The name of a layer that is called `name` here, as it is known everywhere."""
        return f"{self.prefix}{name}{self.suffix}"


def find_layer(name: str, scope: Scope, previous: str, known: Mapping[str, Any]) -> str:
    """The full name of the layer that is called `name` in `scope`: the nearest one first.

    previous: the layer before, which ``previous`` means. known: the full names there are.
    """
    if name == "previous":
        return one_output(previous, known)
    if name == "block_input" and scope.outer is not None:
        return one_output(scope.block_input, known)
    # From inside a round, `a` and `a.1` are those of this round, the innermost first.
    base, rounds = _split_rounds(name)
    for each in scope.outwards():
        for candidate in (f"{each.full_name(base)}{rounds}", each.full_name(name)):
            if candidate in known:
                return candidate
    candidates = [*known, "previous", *(["block_input"] if scope.outer else [])]
    repeated = f"{scope.prefix}{name}.1"
    raise UnknownNameError(
        f"no layer is named '{name}'",
        expected="the name of a layer, previous, input, or in a repeat or block block_input",
        nearest=f"{name}.1" if repeated in known else nearest_name(name, candidates),
    )


def one_output(name: str, known: Mapping[str, Any]) -> str:
    """`name`, if the layer of this full name has one output: the parts of a split have names of their own."""
    if name not in known:
        raise GraphError(
            f"'{name}' has several outputs", expected=f"inputs that name one, such as [{name}.1]"
        )
    return name


def _split_rounds(name: str) -> tuple[str, str]:
    """The rounds that a reference names itself: ``a.2.1`` is ("a", ".2.1")."""
    base = name.rstrip("0123456789.")
    rounds = name[len(base) :]
    return (base, rounds) if rounds.startswith(".") else (name, "")
