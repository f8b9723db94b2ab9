"""Results kept beside the immutable value that they were derived from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

Value = TypeVar("Value")
Derived = TypeVar("Derived")


def per_object(function: Callable[[Value], Derived]) -> Callable[[Value], Derived]:
    """`function`, run once per object of an immutable class that compares by identity.

    A network is lowered once however many machines it meets; what is kept goes with the object.
    """
    kept: WeakKeyDictionary[Value, Derived] = WeakKeyDictionary()

    @wraps(function)
    def derived(value: Value) -> Derived:
        try:
            return kept[value]
        except KeyError:
            result = kept[value] = function(value)
            return result

    return derived
