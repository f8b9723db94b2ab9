"""Results kept in the immutable value that they were derived from."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Value = TypeVar("Value")
Derived = TypeVar("Derived")

_NAME = "_derived"


class _Kept(dict[Any, Any]):
    """Results by the function that gave them; what `replace`, a deep copy or another process has begins without."""

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


def per_object(function: Callable[[Value], Derived]) -> Callable[[Value], Derived]:
    """`function`, run once per object of an immutable class with a `__dict__` that compares by identity.

    A network is lowered once however many machines it meets. What is kept is part of the object, and goes with it even
    where it refers to the object itself, as a program to its network: a table beside them would keep both for ever.
    """

    @wraps(function)
    def derived(value: Value) -> Derived:
        kept = value.__dict__.get(_NAME)
        if kept is None:
            kept = value.__dict__.setdefault(_NAME, _Kept())
        try:
            result: Derived = kept[function]
        except KeyError:
            result = kept.setdefault(function, function(value))  # of two threads one gives it
        return result

    return derived
