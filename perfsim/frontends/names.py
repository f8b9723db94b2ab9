"""Names that foreign formats do not keep unique, and those of operators that perfsim does not know."""

from __future__ import annotations

from collections.abc import Mapping


def unique_name(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it where it is taken; it is taken from now on."""
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    taken.add(chosen)
    return chosen


def unpriced_text(unpriced: Mapping[str, int]) -> str:
    """How many operators are not priced, and which and how often; empty for none."""
    if not unpriced:
        return ""
    count = sum(unpriced.values())
    which = ", ".join(f"{op} ({n})" for op, n in sorted(unpriced.items()))
    nodes = "operator moves its" if count == 1 else "operators move their"
    return f"{count} unknown {nodes} bytes and cost no compute: {which}"
