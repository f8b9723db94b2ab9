"""YAML with line numbers: where each key stands, the values of YAML 1.2, settings."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfsim.document import read_document, read_value
from perfsim.errors import ParseError, PerfsimError

TEXT = """\
# a comment
name: n
nested:
  one: 1
  two: {three: 3,
    four: 4}
rows:
  - a: 1
    b: 2
  -
    c: 3
  - [x, y,
     z]
shared: &s
  five: 5
again: *s
"""

LINES = {
    ("name",): 2,
    ("nested",): 3,
    ("nested", "one"): 4,
    ("nested", "two"): 5,
    ("nested", "two", "three"): 5,
    ("nested", "two", "four"): 6,
    ("rows",): 7,
    ("rows", 0): 8,
    ("rows", 0, "a"): 8,
    ("rows", 0, "b"): 9,
    ("rows", 1, "c"): 11,
    ("rows", 2, 1): 12,
    ("rows", 2, 2): 13,
    ("shared", "five"): 15,
    ("again",): 16,
    ("missing",): 1,
    ("nested", "missing"): 3,
}


@pytest.fixture
def document(write):
    return read_document(Path(write("d.yaml", TEXT)))


@pytest.mark.parametrize("path", LINES)
def test_lines(path, document):
    assert document.line(path) == LINES[path]


def test_values(document):
    assert document.value["nested"] == {"one": 1, "two": {"three": 3, "four": 4}}
    assert document.value["rows"] == [{"a": 1, "b": 2}, {"c": 3}, ["x", "y", "z"]]
    assert document.value["again"] == {"five": 5}


# YAML 1.2, section 10.3.2, and what PyYAML makes of the same text
CORE_SCHEMA = [
    ("1e9", 1e9),
    ("1.0e9", 1e9),
    ("-.5", -0.5),
    ("12", 12),
    ("+12", 12),
    ("010", 10),
    ("0o10", 8),
    ("0xff", 255),
    ("1_000", "1_000"),
    ("12:30:00", "12:30:00"),
    ("on", "on"),
    ("no", "no"),
    ("yes", "yes"),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    (".inf", math.inf),
    ("-.inf", -math.inf),
    ("2026-11-20", "2026-11-20"),
    ("'12'", "12"),
    ('"true"', "true"),
    ("4 GB/s", "4 GB/s"),
    ("[3, 32, 32]", [3, 32, 32]),
    ("!!str 12", "12"),
]


@pytest.mark.parametrize(("text", "value"), CORE_SCHEMA)
def test_scalars(text, value):
    read = read_value(text, "--set")
    assert read == value
    assert type(read) is type(value)


def test_settings_are_named_as_the_origin_of_an_error(document):
    document.set(("nested", "one"), 2, "--set nested.one=2")
    error = document.place(PerfsimError("wrong"), ("nested", "one"))
    assert str(error) == "--set nested.one=2: nested.one: wrong"
    error = document.place(PerfsimError("wrong"), ("nested", "two"))
    assert error.line == 5


@given(st.text(max_size=60))
def test_any_text_gives_a_value_or_a_parse_error(text):
    with suppress(ParseError):
        read_value(text, "--set")


@pytest.mark.parametrize(
    "text", ["[", "a: [\n", '"x\ny', "\x07", "!!python/none", "*a", "? [a]: b"]
)
def test_an_error_is_one_line(text):
    with pytest.raises(ParseError) as caught:
        read_value(text, "--set")
    assert "\n" not in str(caught.value)
