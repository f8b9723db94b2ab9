"""Names that foreign formats do not keep unique."""

from __future__ import annotations


def unique_name(name: str, taken: set[str]) -> str:
    """`name`, with a number behind it where it is taken; it is taken from now on."""
    chosen, number = name, 1
    while chosen in taken:
        number += 1
        chosen = f"{name}_{number}"
    taken.add(chosen)
    return chosen
