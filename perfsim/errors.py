"""The errors that perfsim raises, split by what the caller can do about them.

    PerfsimError
      InputError            what was given is wrong; the message says where and what was expected
        FileError           missing, a directory, binary, or not readable
        ParseError          not the format that its suffix says
        UnknownNameError    a key, operator, layer, policy, network or machine that does not exist
        InvalidValueError   a value of the wrong kind, unit or range
        ShapeError          operators and tensors that do not fit together
        GraphError          a cycle, a missing input, an empty network
        CountError          a count too large to stay exact
      OutputError           a result could not be written
      MissingExtraError     an optional dependency is not installed
      ClusterError          other machines cannot be reached, or cannot do their work

Low code raises short facts; whoever knows the file, line and key adds them with ``at``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self


class PerfsimError(Exception):
    """Base of all errors that perfsim raises on purpose.

    Attributes carry the parts of the message, so that a program need not parse the text:
    `what` (the fact), `found`, `expected`, `nearest` (the nearest right spelling), and the place:
    `file`, `line` (from 1) and `where` (the path of keys inside the file).
    """

    def __init__(
        self,
        what: str,
        *,
        found: str | None = None,
        expected: str | None = None,
        nearest: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.found = found
        self.expected = expected
        self.nearest = nearest
        self.file: str | None = None
        self.line: int | None = None
        self.where: str | None = None
        self.more: list[PerfsimError] = []  # further problems of the same file

    def at(
        self, *, file: str | None = None, line: int | None = None, where: str | None = None
    ) -> Self:
        """Add the place of the error where it is not known yet; returns the error itself."""
        if self.file is None:
            self.file, self.line = file, line
        if self.where is None:
            self.where = where
        return self

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else self.file
        found = f"found {self.found}" if self.found is not None else ""
        expected = f"expected {self.expected}" if self.expected is not None else ""
        if self.nearest is None:
            comparison = ", ".join(part for part in (found, expected) if part)
            fact = "; ".join(part for part in (self.what, comparison) if part)
        else:  # before what is expected, which may be a long list
            nearest = f"did you mean '{self.nearest}'?"
            fact = "; ".join(part for part in (self.what, found, nearest) if part)
            fact = f"{fact} {expected}".rstrip()
        text = ": ".join(part for part in (place, self.where, fact) if part)
        return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


class InputError(PerfsimError):
    """What was given is wrong; exit status 2."""


class FileError(InputError):
    """A file is missing, a directory, binary, or cannot be read."""


class ParseError(InputError):
    """A file is not in the format that its suffix says."""


class UnknownNameError(InputError):
    """A key, operator, layer, policy, network or machine that does not exist."""


class InvalidValueError(InputError, ValueError):
    """A value of the wrong kind, unit or range."""


class ShapeError(InputError):
    """Operators and tensors that do not fit together."""


class GraphError(InputError):
    """A cycle, a missing input, or an empty network."""


class CountError(InputError):
    """A count too large to stay exact."""


class OutputError(PerfsimError):
    """A result could not be written."""


class MemoryTooSmallError(InputError):
    """The internal memory cannot hold even the smallest parts that a layer works on."""


class MissingExtraError(PerfsimError):
    """An optional dependency is not installed."""


class ClusterError(PerfsimError):
    """Other machines cannot be reached, or cannot do their work."""


class WorkerError(PerfsimError):
    """A process of this machine that did a part of the work was ended from outside."""


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """The error for `what` cannot be done without the libraries of an `extra` of the package.

    >>> missing_extra("pictures need the library matplotlib", "plot")
    """
    return MissingExtraError(
        what, expected=f"pip install 'perfsim[{extra}]', or in a clone '.[{extra}]'"
    )


def unknown_name(
    kind: str, name: str, known: Iterable[str], *, also: Mapping[str, str] | None = None
) -> UnknownNameError:
    """The error for `name`, which is none of the `known` names of a `kind` of thing.

    also: what others call them: {"dense": "fully_connected"}.
    """
    candidates = list(known)
    listed = ", ".join(candidates[:40]) + (", ..." if len(candidates) > 40 else "")
    return UnknownNameError(
        f"unknown {kind} '{name}'",
        expected=f"one of {listed}" if candidates else None,
        nearest=nearest_name(name, candidates, also),
    )


def nearest_name(
    name: str,
    candidates: Iterable[str],
    also: Mapping[str, str] | None = None,
    *,
    cutoff: float = 0.6,
) -> str | None:
    """The candidate that `name` most likely was meant to be, or None when none is near.

    cutoff: how alike they must be at least, from 0 to 1 (difflib's ratio).
    """
    import difflib

    known = list(candidates)
    others = (also or {}).items()
    by_folded = {other.casefold(): mine for other, mine in others if mine in known}
    for candidate in known:
        by_folded.setdefault(candidate.casefold(), candidate)
    matches = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[matches[0]] if matches else None


def describe(value: object) -> str:
    """`value`, as read from a file, in the words of an error message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return (
            "a mapping of " + ", ".join(str(key) for key in value) if value else "an empty mapping"
        )
    if isinstance(value, str):
        return f"'{shortened(value)}'"
    if isinstance(value, list):
        return shortened(f"[{', '.join(describe(each) for each in value[:20])}]")
    return shortened(str(value))


def shortened(text: str) -> str:
    """`text`, cut to what fits into a message."""
    return text if len(text) <= 60 else text[:57] + "..."
