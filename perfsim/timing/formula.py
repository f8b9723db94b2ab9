"""Formulas as text: what is computed is what is printed, for one value or a million.

A text is elementwise arithmetic on names, with max, min, ceil, floor and where and the closed forms of arrays; it is
compiled once and run on numbers or numpy arrays of any shapes that broadcast.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import CodeType
from typing import Any, TypeAlias

import numpy as np

from perfsim.timing.row_stationary import active_elements, channels_per_pass
from perfsim.timing.systolic import FLOWS, preloaded_cycles

Values: TypeAlias = Any  # float or numpy array; the formulas do not tell them apart


def _fold_of(pairwise: Callable[[Values, Values], Values]) -> Callable[..., Values]:
    def fold(first: Values, *others: Values) -> Values:
        for other in others:
            first = pairwise(first, other)
        return first

    return fold


FUNCTIONS: Mapping[str, Callable[..., Values]] = {
    "max": _fold_of(np.maximum),
    "min": _fold_of(np.minimum),
    "ceil": np.ceil,
    "floor": np.floor,
    "where": np.where,
    **{f"{flow}_cycles": cycles for flow, cycles in FLOWS.items()},
    "preloaded_cycles": preloaded_cycles,
    "active_elements": active_elements,
    "channels_per_pass": channels_per_pass,
}
GLOBALS = {**FUNCTIONS, "is_many": lambda values: np.ndim(values) > 0, "__builtins__": {}}


class _Branches(ast.NodeTransformer):
    """Puts the branch that applies into the place of each where(condition, yes, no)."""

    def __init__(self, values: Mapping[str, Values]) -> None:
        self._values = values

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "where":
            condition, yes, no = node.args
            code = compile(ast.unparse(condition), "condition", "eval")
            chosen: ast.AST = self.visit(yes if eval(code, GLOBALS, self._values) else no)
            return chosen
        return self.generic_visit(node)


class _Lazily(ast.NodeTransformer):
    """Makes each where(condition, yes, no) work out one branch only where the condition is one value."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "where":
            return node
        condition, yes, no = node.args
        of_many = ast.Call(ast.Name("is_many", ast.Load()), [condition], [])
        return ast.IfExp(of_many, node, ast.IfExp(condition, yes, no))


@dataclass(frozen=True)
class Formula:
    """One formula of the kernel.

    Attributes:
        symbol: what it gives: a column, or a step on the way.
        text: the right-hand side, in names of columns, of counts and of the machine's numbers.
        about: what it means, with the unit, for explanations.
        only: the count that must be above zero for the formula to concern a layer (in others its value is 0); empty for
            all layers.
    """

    symbol: str
    text: str
    about: str = ""
    only: str = ""

    @cached_property
    def code(self) -> CodeType:
        """The compiled text."""
        tree = ast.parse(self.text, self.symbol, "eval")
        return compile(ast.fix_missing_locations(_Lazily().visit(tree)), self.symbol, "eval")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in the text, functions apart, in order of their appearance."""
        return tuple(name for name in self.code.co_names if name not in GLOBALS)

    def of(self, values: Mapping[str, Values]) -> Values:
        """The value of the formula; `values` has every name of its text."""
        # The texts are constants of this package; they have no builtins to call.
        return eval(self.code, GLOBALS, values)

    @cached_property
    def function(self) -> Callable[..., Values]:
        """The formula as a function of the values of `names`, in that order: `of` where all of them are at hand."""
        tree = _Lazily().visit(ast.parse(self.text, self.symbol, "eval"))
        arguments = ast.arguments(
            [], [ast.arg(name) for name in self.names], None, [], [], None, []
        )
        whole = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, tree.body)))
        found: Callable[..., Values] = eval(compile(whole, self.symbol, "eval"), GLOBALS)
        return found

    def for_one(self, values: Mapping[str, Values]) -> Formula:
        """The formula as it is for one layer: of each ``where`` the branch that applies to its `values`."""
        if "where(" not in self.text:
            return self
        tree = _Branches(values).visit(ast.parse(self.text, mode="eval"))
        return replace(self, text=ast.unparse(tree))
