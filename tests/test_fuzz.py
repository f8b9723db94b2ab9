"""Damaged files: a result or one of our errors in one line, whatever the damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import MACHINE, ROOT, TINY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfsim import PerfsimError, check

BYTES = (
    b"0 1 9 -1 1e9 .nan ~ {} [] [[ }} : - # & * ! % @ ` ' \" \\ \n \r \t \0 \x7f \xff \xc3\xa9 , ; | >".split(
        b" "
    )
    + b"repeat layers conv inputs name previous block_input input true null kernel *a &a <<".split(
        b" "
    )
)
FILES = {
    "net.yaml": TINY.encode(),
    "block.yaml": (ROOT / "models" / "resnet18.yaml").read_bytes()[:1500],
    "machine.yaml": MACHINE.encode(),
    "net.csv": (ROOT / "models" / "mobilenet_printed.csv").read_bytes()[:400],
}


@st.composite
def damaged(draw, original: bytes) -> bytes:
    """The original with a few pieces replaced, left out, doubled or put in."""
    data = original
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        piece = draw(
            st.one_of(st.sampled_from(BYTES), st.binary(max_size=3), st.just(data[start:end]))
        )
        data = data[:start] + piece + data[end if draw(st.booleans()) else start :]
    return data


@pytest.mark.parametrize("name", FILES)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damaged_files(name, data, tmp_path):
    path = Path(tmp_path) / name
    path.write_bytes(data.draw(damaged(FILES[name])))
    try:
        description = check(path).description
    except PerfsimError as error:
        description = str(error)
    assert description
    assert "\n" not in description
