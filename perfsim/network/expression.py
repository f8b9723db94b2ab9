"""Values in a network's file that are worked out: ``$channels``, ``$(input_channels * expand)``.

Parsed with Python's own parser and walked over here; only what is listed below exists, nothing is executed.
Numbers are whole or exact fractions, so 0.35 × 80 is 28 and not 27.999999999999996.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from perfsim.errors import InvalidValueError, unknown_name

MAX_LENGTH = 300
MARK = "$"
_LARGEST = 10**30


def is_expression(value: object) -> bool:
    """Whether a value from a file is to be worked out."""
    return isinstance(value, str) and value.startswith(MARK)


def round8(value: Fraction) -> int:
    """The multiple of 8 nearest to `value`, at least 8, and never more than 10 % below it.

    The rule by which the MobileNet family scales its channels (Sandler et al., arXiv:1801.04381, reference
    implementation).
    """
    rounded = max(8, math.floor(value + 4) // 8 * 8)
    return rounded + 8 if rounded < Fraction(9, 10) * value else rounded


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "round8": round8,
    "floor": math.floor,
    "ceil": math.ceil,
    "min": min,
    "max": max,
}
_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def evaluate(text: str, lookup: Callable[[str], Any], known: Callable[[], list[str]]) -> Any:
    """The value of the expression `text`.

    lookup: the value of a name; raises KeyError for one that is not there. known: the names there are.

    >>> evaluate("$(expand * 16)", {"expand": 6}.__getitem__, lambda: ["expand"])
    96

    Raises InvalidValueError or UnknownNameError.
    """
    try:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"longer than {MAX_LENGTH} characters")
        with warnings.catch_warnings(
            action="ignore"
        ):  # what Python thinks of its style is not asked
            tree = ast.parse(text.removeprefix(MARK).strip(), mode="eval")
        value = _Walk(lookup, known).value(tree.body)
    except (SyntaxError, ValueError, ZeroDivisionError, TypeError, RecursionError) as error:
        if isinstance(error, InvalidValueError):
            raise
        reason = "it is not an expression" if isinstance(error, SyntaxError) else str(error)
        raise InvalidValueError(
            "",
            found=f"'{text}' ({reason})",
            expected="an expression such as $channels or $(input_channels * 4)",
        ) from None
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def _exactly(value: Any) -> Any:
    """A decimal fraction as the one that was written, not the nearest binary one."""
    return Fraction(str(value)) if isinstance(value, float) and math.isfinite(value) else value


class _Walk:
    """The value of each kind of node that may occur."""

    def __init__(self, lookup: Callable[[str], Any], known: Callable[[], list[str]]) -> None:
        self._lookup = lookup
        self._known = known

    def value(self, node: ast.expr) -> Any:
        """The value of `node`; TypeError for a kind that may not occur."""
        if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
            return _exactly(node.value)
        if isinstance(node, ast.Name):
            try:
                return _exactly(self._lookup(node.id))
            except KeyError:
                raise unknown_name("name", node.id, self._known()) from None
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            left, right = self._number(node.left), self._number(node.right)
            return self._bounded(_BINARY[type(node.op)](left, right))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -self._number(node.operand)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return not self.value(node.operand)
        if isinstance(node, ast.BoolOp):
            values = [self.value(each) for each in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        if (
            isinstance(node, ast.Compare)
            and len(node.ops) == 1
            and type(node.ops[0]) in _COMPARISONS
        ):
            compare = _COMPARISONS[type(node.ops[0])]
            return compare(self.value(node.left), self.value(node.comparators[0]))
        if isinstance(node, ast.IfExp):
            return self.value(node.body if self.value(node.test) else node.orelse)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            if node.func.id not in FUNCTIONS:
                raise unknown_name("function", node.func.id, FUNCTIONS)
            return FUNCTIONS[node.func.id](*(self._number(each) for each in node.args))
        raise TypeError(f"'{ast.unparse(node)}' may not occur in one")

    def _number(self, node: ast.expr) -> Fraction:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | Fraction):
            raise TypeError(f"'{ast.unparse(node)}' is not a number")
        return Fraction(value)

    def _bounded(self, value: Fraction) -> Fraction:
        if abs(value) > _LARGEST or value.denominator > _LARGEST:
            raise ValueError("its value is out of range")
        return value
