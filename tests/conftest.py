"""What all tests share."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from perfsim import load_network
from perfsim.cli import main

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = ROOT / "tests" / "published"


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@dataclass(frozen=True)
class Run:
    status: int
    out: str
    err: str


@pytest.fixture
def perfsim_cli(capsys, tmp_path, monkeypatch):
    """The command line, run in this process in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: str) -> Run:
        status = main(list(arguments))
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return run


TINY = """\
name: tiny
input: [3, 32, 32]
layers:
  - conv: {name: stem, channels: 16, kernel: 3, stride: 2, batch_norm: true, activation: relu}
  - repeat: 2
    layers:
      - depthwise_conv: {kernel: 3, batch_norm: true, activation: relu}
      - conv: {channels: 16, kernel: 1, batch_norm: true, activation: relu}
  - add: {inputs: [stem, previous]}
  - global_avg_pool: {}
  - fully_connected: {units: 10}
  - softmax: {}
"""

MACHINE = """\
name: small
sram: 64 KB
ddr_bandwidth: 1 GB/s
matrix: 1 TFLOPS
vector: 10 GFLOPS
"""


@pytest.fixture
def write(tmp_path):
    """Write a text under a name in the test's folder; returns its path as text."""

    def write_file(name: str, text: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write_file


@pytest.fixture
def load(write):
    """A network from the text of its file."""
    from perfsim import load_network

    return lambda text, **settings: load_network(write("net.yaml", text), **settings)


@pytest.fixture
def read(tmp_path):
    """Reads an ONNX model, or the bytes of one."""

    def read_model(made, **settings):
        path = tmp_path / "net.onnx"
        path.write_bytes(made if isinstance(made, bytes) else made.SerializeToString())
        return load_network(path, **settings)

    return read_model
