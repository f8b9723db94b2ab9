"""A calibrated machine as a file: the base's, with its fitted numbers and what they were fitted on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from perfsim.document import Document, read_value
from perfsim.errors import InputError

_TOP_KEY = re.compile(r"([A-Za-z_]\w*):(\s|$)")
_SCALAR_LINE = re.compile(r"(\s*(\w+):[ \t]+)([^\s#{\[&*|>][^#]*?)([ \t]+#.*)?")
_PLAIN = re.compile(r"[A-Za-z0-9][\w ./%()+-]*")


def calibrated_text(
    document: Document,
    base_text: str,
    values: Mapping[str, str | float],
    calibration: Mapping[str, Any],
) -> str:
    """The text of the base's file with the fitted `values` by dotted key, and `calibration` at its end.

    Lines that nothing changes stay as they are, comments included; a part in which a line cannot simply be
    replaced is written anew.
    """
    wanted = deepcopy(document.value)
    wanted.pop("calibration", None)
    for key, value in values.items():
        *front, last = key.split(".")
        holder = wanted
        for part in front:
            holder = holder.setdefault(part, {})
        holder[last] = value
    touched = {key.split(".")[0] for key in values}
    lines: list[str] = []
    for key, chunk in _chunks(base_text):
        if key == "calibration":
            continue
        if key not in touched:
            lines += chunk
            continue
        touched.discard(key)
        own = {name: value for name, value in values.items() if name.split(".")[0] == key}
        lines += _edited(chunk, own, {key: wanted.get(key)})
    for key in values:
        first = key.split(".")[0]
        if first in touched:
            touched.discard(first)
            lines += _emitted({first: wanted[first]}, (), set(values))
    lines += _emitted({"calibration": calibration}, (), set())
    text = "\n".join(lines) + "\n"
    if _is_read_as(text, {**wanted, "calibration": dict(calibration)}):
        return text
    # A file that is not keys at the left edge, such as one in braces: the same values, written anew.
    anew = _emitted({**wanted, "calibration": calibration}, (), set(values))
    return "\n".join(anew) + "\n"


def _is_read_as(text: str, value: Any) -> bool:
    try:
        found: bool = read_value(text, "the calibrated machine") == json.loads(json.dumps(value))
        return found
    except InputError:
        return False


def _chunks(text: str) -> list[tuple[str, list[str]]]:
    """The lines of each key at the left edge, those before the first under an empty one."""
    chunks: list[tuple[str, list[str]]] = [("", [])]
    for line in text.rstrip("\n").split("\n"):
        match = _TOP_KEY.match(line)
        if match:
            chunks.append((match[1], []))
        chunks[-1][1].append(line)
    return chunks


def _edited(chunk: list[str], values: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The lines of a key with its fitted values in place, or written anew where that cannot be done."""
    lines = list(chunk)
    for key, value in values.items():
        place = _line_of(lines, key.split("."))
        if place is None:
            return _emitted(wanted, (), set(values))
        match = _SCALAR_LINE.fullmatch(lines[place])
        if match is None:
            return _emitted(wanted, (), set(values))
        note = (match[4] or "").strip().lstrip("# ")
        lines[place] = f"{match[1]}{_scalar(value)}  # {_CALIBRATED}; was {match[3].strip()}" + (
            f": {note}" if note else ""
        )
    return lines


_CALIBRATED = "calibrated"


def _line_of(lines: Sequence[str], path: Sequence[str]) -> int | None:
    """The line of a nested key in block style; None where it is not found so."""
    place, indent = -1, -1
    for name in path:
        for number in range(place + 1, len(lines)):
            match = re.match(r"(\s*)(\w+):", lines[number])
            if match is None:
                continue
            if len(match[1]) <= indent:
                return None
            if match[2] == name:
                place, indent = number, len(match[1])
                break
        else:
            return None
    return place


def _emitted(values: Mapping[str, Any], path: tuple[str, ...], marked: set[str]) -> list[str]:
    """Keys and values in block style; those of the dotted keys in `marked` say that they are calibrated."""
    lines = []
    for key, value in values.items():
        where = (*path, key)
        indent = "  " * len(path)
        name = key if _PLAIN.fullmatch(key) and not key.isdecimal() else json.dumps(key)
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{name}:", *_emitted(value, where, marked)]
            continue
        note = f"  # {_CALIBRATED}" if ".".join(where) in marked else ""
        lines.append(f"{indent}{name}: {_scalar(value)}{note}")
    return lines


def _scalar(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value == value.strip():
            try:
                if read_value(value, "a text") == value:
                    return value
            except InputError:
                pass
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(each) for each in value) + "]"
    return json.dumps(value)
