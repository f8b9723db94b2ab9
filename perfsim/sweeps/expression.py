"""Constraints and costs as text: ``sram <= 4 MB and total_s < 5 ms``, parsed here, never run as code.

    expression = either {"or" either}
    either = both {"and" both}
    both = ["not"] comparison
    comparison = sum [("<" | "<=" | ">" | ">=" | "==" | "!=") sum] | "bound" ("==" | "!=") part
    sum = product {("+" | "-") product}
    product = factor {("*" | "/") factor}
    factor = ["-"] (number [unit] | name | "(" expression ")")
    part = "ddr" | "matrix" | "vector" | "stream" | "weights" | "overhead"

Names are keys of the machine's file, of the network's, and columns of the result; numbers with a unit are in SI units.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from perfsim.errors import (
    InvalidValueError,
    UnknownNameError,
    describe,
    nearest_name,
    unknown_name,
)
from perfsim.hardware import units
from perfsim.timing.kernel import BOUNDS

Values: TypeAlias = Any  # a number, or an array of shape (points,)
Node: TypeAlias = Callable[[Mapping[str, Values]], Values]

# What people call the columns.
ALIASES = {
    "time": "total_s",
    "energy": "energy_j",
    "bandwidth": "ddr_bandwidth",
    "compute": "matrix",
    "traffic": "ddr_bytes",
}

_UNITS = {
    unit: float(factor)
    for dimension in (
        *(units.SIZE, units.BANDWIDTH, units.COMPUTE, units.TIME, units.FREQUENCY),
        *(units.ENERGY, units.POWER, units.SHARE),
    )
    for unit, factor in dimension.units.items()
}
_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_UNIT = "|".join(re.escape(unit) for unit in sorted(_UNITS, key=len, reverse=True))
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{_NUMBER})\s*(?P<unit>(?:{_UNIT})(?!\w))?"
    r"|(?P<name>[A-Za-z_][\w.]*)|(?P<sign><=|>=|==|!=|[-+*/()<>])|(?P<end>$))"
)
_COMPARE: Mapping[str, Callable[[Values, Values], Values]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
# In floating point, as whole numbers of bytes would wrap around where they are multiplied.
_ADD = {"+": partial(np.add, dtype=np.float64), "-": partial(np.subtract, dtype=np.float64)}
_MULTIPLY = partial(np.multiply, dtype=np.float64)
_BOUND = "bound"  # whose values are codes into `BOUNDS`: only compared with their names
_DEEPEST = 50  # brackets inside brackets


@dataclass(frozen=True)
class Expression:
    """A parsed text.

    Attributes:
        text: as it was written.
        names: what it needs, aliases resolved.
        of: its value, given those.
        is_condition: whether it says yes or no.
    """

    text: str
    names: frozenset[str]
    of: Node
    is_condition: bool

    def __reduce__(self) -> tuple[Callable[..., Expression], tuple[object, ...]]:
        return _parsed, (self.text, sorted(self.names), self.is_condition)


def parse_expression(
    text: str,
    known: Iterable[str],
    *,
    condition: bool,
    absent: Callable[[str], UnknownNameError | None] = lambda _: None,
) -> Expression:
    """The expression that `text` is.

    >>> parse_expression("sram <= 4 MB", ["sram"], condition=True).of({"sram": 5_000_000})
    False

    known: the names that it may use. condition: whether it must say yes or no, or else must be a number. absent: why a
    name that exists elsewhere is not among the known ones; None for one that exists nowhere.

    Raises InvalidValueError, or UnknownNameError with the nearest known name.
    """
    parser = _Parser(text, list(known), absent)
    node, is_condition = parser.whole()
    if is_condition != condition:
        wanted = (
            "a condition such as 'sram <= 4 MB'" if condition else "a number such as 'sram * 2'"
        )
        raise InvalidValueError("", found=describe(text), expected=wanted)
    return Expression(text, frozenset(parser.names), node, is_condition)


def _parsed(text: str, names: list[str], condition: bool) -> Expression:
    return parse_expression(text, names, condition=condition)


class _Parser:
    """Goes through the words of one text once."""

    def __init__(
        self, text: str, known: list[str], absent: Callable[[str], UnknownNameError | None]
    ) -> None:
        self._text, self._known, self._absent = text, known, absent
        self._words = self._split()
        self._at = self._depth = 0
        self.names: set[str] = set()

    def _split(self) -> list[tuple[str, str, str]]:
        """(kind, word, unit) of each word, the last of kind "end"."""
        words, at = [], 0
        while True:
            match = _TOKEN.match(self._text, at)
            if match is None:
                found = self._text[at:].strip()
                error = self._wrong(found, "a number, a name or one of + - * / ( ) < > == !=")
                error.nearest = "==" if found.startswith("=") else None
                raise error
            kind = next(key for key in ("number", "name", "sign", "end") if match[key] is not None)
            words.append((kind, match[kind], match["unit"] or ""))
            if kind == "end":
                return words
            at = match.end()

    def _wrong(self, found: str, expected: str) -> InvalidValueError:
        where = (
            f"'{found}' in {describe(self._text)}"
            if found
            else f"the end of {describe(self._text)}"
        )
        return InvalidValueError("", found=where, expected=expected)

    def _take(self, *words: str) -> str | None:
        """The next word if it is one of these, and goes on behind it."""
        kind, word, _ = self._words[self._at]
        if kind in ("name", "sign") and word in words:
            self._at += 1
            return word
        return None

    def whole(self) -> tuple[Node, bool]:
        """All of it, and whether it says yes or no."""
        found = self._either()
        kind, word, _ = self._words[self._at]
        if kind != "end":
            expected = "'and', 'or' or the end"
            near = nearest_name(word, _UNITS) if kind == "name" else None
            error = self._wrong(word, expected if near is None else f"a unit or {expected}")
            error.nearest = near if near != word else None
            raise error
        return found

    def _either(self) -> tuple[Node, bool]:
        found = self._both()
        while self._take("or"):
            found = self._joined(found, self._both(), operator.or_)
        return found

    def _both(self) -> tuple[Node, bool]:
        found = self._not()
        while self._take("and"):
            found = self._joined(found, self._not(), operator.and_)
        return found

    def _not(self) -> tuple[Node, bool]:
        if not self._take("not"):
            return self._comparison()
        inner = self._needs(self._comparison(), condition=True)
        return lambda values: inner(values) == False, True  # noqa: E712 - of arrays as well

    def _joined(
        self, left: tuple[Node, bool], right: tuple[Node, bool], join: Callable[[Any, Any], Any]
    ) -> tuple[Node, bool]:
        first, second = self._needs(left, condition=True), self._needs(right, condition=True)
        return lambda values: join(first(values), second(values)), True

    def _needs(self, found: tuple[Node, bool], *, condition: bool) -> Node:
        node, is_condition = found
        if is_condition != condition:
            kinds = ("a comparison", "a number")
            raise InvalidValueError(
                f"{describe(self._text)} mixes numbers and comparisons",
                found=kinds[not is_condition],
                expected=kinds[not condition],
            )
        return node

    def _comparison(self) -> tuple[Node, bool]:
        if _BOUND in self._known and self._take(_BOUND):
            return self._bound(), True
        left = self._sum()
        sign = self._take(*_COMPARE)
        if sign is None:
            return left
        first = self._needs(left, condition=False)
        second = self._needs(self._sum(), condition=False)
        compare = _COMPARE[sign]
        return lambda values: compare(first(values), second(values)), True

    def _bound(self) -> Node:
        """What follows the name of the column that says what bounds."""
        sign = self._take("==", "!=")
        part = self._take(*BOUNDS) if sign else None
        if sign is None or part is None:
            raise self._no_number()
        self.names.add(_BOUND)
        compare, code = _COMPARE[sign], BOUNDS.index(part)
        return lambda values: compare(values[_BOUND], code)

    def _no_number(self) -> InvalidValueError:
        return InvalidValueError(
            f"'{_BOUND}' is no number",
            found=describe(self._text),
            expected=f"'{_BOUND} == PART' or '{_BOUND} != PART', PART one of {', '.join(BOUNDS)}",
        )

    def _sum(self) -> tuple[Node, bool]:
        return self._chain(self._product, _ADD)

    def _product(self) -> tuple[Node, bool]:
        return self._chain(self._factor, {"*": _MULTIPLY, "/": self._quotient})

    def _quotient(self, over: Values, under: Values) -> Values:
        if np.any(np.equal(under, 0)):
            raise InvalidValueError(
                "", found=f"a division by zero in {describe(self._text)}", expected="none"
            )
        return np.divide(over, under, dtype=np.float64)

    def _chain(
        self,
        part: Callable[[], tuple[Node, bool]],
        signs: Mapping[str, Callable[[Values, Values], Values]],
    ) -> tuple[Node, bool]:
        found = part()
        while sign := self._take(*signs):
            first = self._needs(found, condition=False)
            second = self._needs(part(), condition=False)
            found = (self._both_of(signs[sign], first, second), False)
        return found

    def _both_of(
        self, combine: Callable[[Values, Values], Values], first: Node, second: Node
    ) -> Node:
        def combined(values: Mapping[str, Values]) -> Values:
            with np.errstate(over="ignore"):  # said below
                return self._finite(combine(first(values), second(values)))

        return combined

    def _finite(self, values: Values) -> Values:
        if not np.all(np.isfinite(values)):
            raise InvalidValueError(
                "", found=f"a number too large in {describe(self._text)}", expected="finite ones"
            )
        return values

    def _factor(self) -> tuple[Node, bool]:
        if self._take("-"):
            inner = self._needs(self._factor(), condition=False)
            return lambda values: -inner(values), False
        if self._take("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._wrong("(", f"at most {_DEEPEST} brackets inside each other")
            found = self._either()
            self._depth -= 1
            if not self._take(")"):
                raise self._wrong(self._words[self._at][1], "')'")
            return found
        kind, word, unit = self._words[self._at]
        self._at += 1
        if kind == "number":
            number = self._finite(float(word) * _UNITS.get(unit, 1.0))
            return lambda _: number, False
        if kind != "name" or word in ("and", "or", "not"):
            raise self._wrong(word, "a number or a name")
        name = word if word in self._known else ALIASES.get(word, word)
        if name == _BOUND and name in self._known:
            raise self._no_number()
        if name not in self._known:
            if word in BOUNDS and re.search(rf"\b{_BOUND}\b", self._text):
                raise self._no_number()  # 'ddr == bound'
            raise self._absent(name) or unknown_name("name", word, self._known)
        self.names.add(name)
        return lambda values: values[name], False
