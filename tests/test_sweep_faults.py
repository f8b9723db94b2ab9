"""Sweeps that are killed, interrupted, or meet a full disk: real processes, real signals."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

pytest.importorskip("pyarrow")

# Partitions of a few thousand points, so that there are many to be killed in.
SCRIPT = """
import sys
from perfsim.sweeps import study
study.PARTITION = 4096
from perfsim.cli import main
sys.exit(main(sys.argv[1:]))
"""
POINTS = (
    *("sweep", "sum_mlp", "--hw", "1MB_1GBs_1TF", "--placement", "liveness", "--quiet"),
    *("--vary", "sram=64KiB:16MiB:log:400", "--vary", "ddr_bandwidth=1GB/s:9GB/s:linear:400"),
)


def start(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def finish(*arguments, **options):
    process = start(*arguments, **options)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "sweep.csv"
    began = time.monotonic()
    assert finish(*POINTS, "-o", path) == (0, "")
    return path, time.monotonic() - began


def parts(output):
    return output.with_name(output.name + ".parts")


def test_killed_twenty_times_and_resumed_gives_the_undisturbed_file(tmp_path, undisturbed):
    whole, takes_s = undisturbed
    output = tmp_path / "sweep.csv"
    generator = random.Random(6)
    kills = 0
    while kills < 20:
        process = start(*POINTS, "-o", output, "--resume")
        time.sleep(generator.uniform(0.3, 0.9) * takes_s)
        process.kill()
        process.communicate()
        kills += 1
        if process.returncode == 0:  # it was done before
            output.unlink()
    assert finish(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(whole)
    assert not parts(output).exists()


def test_a_torn_partition_is_done_again(tmp_path, undisturbed):
    whole, _ = undisturbed
    output = tmp_path / "sweep.csv"
    until_parts(output, 5)
    torn, swapped, *_ = sorted(parts(output).glob("0*"))
    torn.write_bytes(torn.read_bytes()[:-100])
    data = bytearray(swapped.read_bytes())
    data[len(data) // 2] ^= 1
    swapped.write_bytes(data)
    assert finish(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(whole)


def until_parts(output, count):
    """A sweep, killed when it has so many partitions."""
    process = start(*POINTS, "-o", output)
    while len(list(parts(output).glob("0*"))) < count:
        assert process.poll() is None
        time.sleep(0.002)
    process.kill()
    process.communicate()


def test_finished_partitions_are_kept(tmp_path):
    output = tmp_path / "sweep.csv"
    until_parts(output, 5)
    kept = {path.name: path.stat().st_mtime_ns for path in parts(output).glob("0*")}
    process = start(*POINTS, "-o", output, "--resume")
    while len(list(parts(output).glob("0*"))) <= len(kept):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    process.communicate()
    times = {path.name: path.stat().st_mtime_ns for path in parts(output).glob("0*")}
    assert kept.items() <= times.items()


def test_an_interrupt_leaves_a_complete_file_of_what_is_done(tmp_path, undisturbed):
    whole, _ = undisturbed
    output = tmp_path / "sweep.csv"
    process = start(*POINTS[:-5], *POINTS[-4:], "-o", output)
    while len(list(parts(output).glob("0*"))) < 3:
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume goes on" in errors
    text, all_rows = output.read_bytes(), whole.read_bytes()
    assert all_rows.startswith(text)
    assert text.endswith(b"\n")
    assert text.count(b"\n") >= 3 * 4096
    status, errors = finish(*POINTS, "-o", output)
    assert status == 2
    assert "--resume goes on" in errors
    assert finish(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(whole)


def test_resuming_with_other_parameters_is_an_error(tmp_path):
    output = tmp_path / "sweep.csv"
    until_parts(output, 2)
    before = sorted(parts(output).iterdir())
    status, errors = finish(*POINTS, "--timing", "overlap", "-o", output, "--resume")
    assert status == 2
    assert "other parameters" in errors
    assert sorted(parts(output).iterdir()) == before


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_existing_output_is_not_overwritten(tmp_path, suffix):
    output = tmp_path / f"sweep{suffix}"
    output.write_text("mine")
    status, errors = finish(*POINTS, "-o", output)
    assert status == 2
    assert "exists already" in errors
    assert output.read_text() == "mine"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_cannot_grow_is_one_error(tmp_path, suffix):
    """As on a full disk: writing fails in the middle."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    output = tmp_path / f"sweep{suffix}"
    status, errors = finish(*POINTS, "-o", output, preexec_fn=limit)
    assert status == 2
    assert errors.count("\n") == 1
    assert "cannot be written" in errors
    assert not output.exists()
    assert finish(*POINTS, "-o", output, "--resume") == (0, "")
    assert output.exists()


def test_a_process_between_its_folder_and_its_state_can_be_resumed(tmp_path):
    output = tmp_path / "sweep.csv"
    parts(output).mkdir()
    (parts(output) / "sweep.json.pending").write_text(json.dumps({})[:1])
    assert finish(*POINTS, "-o", output, "--resume") == (0, "")
