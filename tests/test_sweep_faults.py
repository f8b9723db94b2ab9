"""Sweeps that are killed, interrupted, or meet a full disk: real processes, real signals."""

from __future__ import annotations

import contextlib
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

# Loads the program once and runs each command line in a process of its own, forked from that; without numba, whose
# loading takes longer than all of a sweep. Partitions are small, so that there are many to be killed in.
SCRIPT = """
import json, os, resource, sys
from perfsim.cli import main
from perfsim.sweeps import compiled, dataset, study
import perfsim.cli.sweep_command, perfsim.frontends, perfsim.hardware.profile, perfsim.sweeps.request
import pyarrow.parquet
study.PARTITION = 1024
compiled.find_spec = lambda name: None
for line in sys.stdin:
    arguments, errors, limit = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        os._exit(main(arguments))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
OF_POINTS = (
    *("sweep", "sum_mlp", "--hw", "1MB_1GBs_1TF", "--placement", "liveness"),
    *("--vary", "sram=64KiB:16MiB:log:200", "--vary", "ddr_bandwidth=1GB/s:9GB/s:linear:300"),
)
POINTS = (*OF_POINTS, "--quiet")


class Runner:
    """Starts command lines, one at a time."""

    def __init__(self, folder):
        self._errors = folder / "errors"
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def start(self, *arguments, limit=None):
        line = json.dumps([[str(each) for each in arguments], str(self._errors), limit])
        print(line, file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def wait(self):
        """The exit status (below zero for a signal), and what went to standard error."""
        return int(self._process.stdout.readline()), self._errors.read_text()

    def run(self, *arguments, limit=None):
        self.start(*arguments, limit=limit)
        return self.wait()

    def end(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    found = Runner(tmp_path_factory.mktemp("runner"))
    yield found
    found.end()


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, runner):
    path = tmp_path_factory.mktemp("whole") / "sweep.csv"
    assert runner.run(*POINTS, "-o", path) == (0, "")
    assert path.read_bytes().count(b"\n") == 60_001
    return path


def parts(output):
    return output.with_name(output.name + ".parts")


def whole_parts(output):
    """The finished partitions; none where there is no folder of them."""
    try:
        return [path for path in parts(output).iterdir() if path.name.startswith("0")]
    except FileNotFoundError:
        return []


def until_parts(runner, output, count, *arguments):
    """The process of a sweep when it has so many partitions."""
    process = runner.start(*(arguments or POINTS), "-o", output)
    deadline = time.monotonic() + 30
    while len(whole_parts(output)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return process


def stopped(runner, output, count):
    """A sweep that was killed with so many partitions."""
    os.kill(until_parts(runner, output, count), signal.SIGKILL)
    assert runner.wait()[0] == -signal.SIGKILL


def test_killed_twenty_times_and_resumed_gives_the_undisturbed_file(tmp_path, undisturbed, runner):
    whole = undisturbed
    output = tmp_path / "sweep.csv"
    generator = random.Random(6)
    done = [0]
    for _ in range(20):
        wanted = done[-1] + generator.randint(0, 4)  # new partitions, and then a moment
        process = until_parts(runner, output, min(wanted, 55), *POINTS, "--resume")
        time.sleep(generator.uniform(0, 0.02))
        with contextlib.suppress(ProcessLookupError):  # it was done before
            os.kill(process, signal.SIGKILL)
        assert runner.wait()[0] in (0, -signal.SIGKILL)
        done.append(len(whole_parts(output)))
        if output.exists() and not parts(output).exists():  # it was done: from the start again
            assert digest(output) == digest(whole)
            output.unlink()
            done.append(0)
    assert len(set(done)) > 5
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(whole)
    assert not parts(output).exists()


def test_a_torn_partition_is_done_again(tmp_path, undisturbed, runner):
    output = tmp_path / "sweep.csv"
    stopped(runner, output, 5)
    torn, changed, *_ = sorted(whole_parts(output))
    torn.write_bytes(torn.read_bytes()[:-100])
    data = bytearray(changed.read_bytes())
    data[len(data) // 2] ^= 1
    changed.write_bytes(data)
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(undisturbed)


def test_finished_partitions_are_kept(tmp_path, runner):
    output = tmp_path / "sweep.csv"
    stopped(runner, output, 5)
    kept = {path.name: path.stat().st_mtime_ns for path in whole_parts(output)}
    process = until_parts(runner, output, len(kept) + 2, *POINTS, "--resume")
    os.kill(process, signal.SIGKILL)
    runner.wait()
    times = {path.name: path.stat().st_mtime_ns for path in whole_parts(output)}
    assert kept.items() <= times.items()


def test_an_interrupt_leaves_a_complete_file_of_what_is_done(tmp_path, undisturbed, runner):
    whole = undisturbed
    output = tmp_path / "sweep.csv"
    os.kill(until_parts(runner, output, 3, *OF_POINTS), signal.SIGINT)
    status, errors = runner.wait()
    assert status == 130
    assert "--resume goes on" in errors
    text = output.read_bytes()
    assert whole.read_bytes().startswith(text)
    assert text.endswith(b"\n")
    assert text.count(b"\n") >= 2 * 1024
    status, errors = runner.run(*POINTS, "-o", output)
    assert status == 2
    assert "--resume goes on" in errors
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
    assert digest(output) == digest(whole)


def test_an_interrupt_leaves_a_parquet_file_that_can_be_read(tmp_path, runner):
    import pyarrow.parquet as pq

    output = tmp_path / "sweep.parquet"
    os.kill(until_parts(runner, output, 3), signal.SIGINT)
    assert runner.wait()[0] == 130
    assert pq.read_table(output).num_rows >= 2 * 1024
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
    assert pq.read_table(output).num_rows == 60_000


def test_resuming_with_other_parameters_is_an_error(tmp_path, runner):
    output = tmp_path / "sweep.csv"
    stopped(runner, output, 2)
    before = sorted(parts(output).iterdir())
    status, errors = runner.run(*POINTS, "--timing", "overlap", "-o", output, "--resume")
    assert status == 2
    assert "other parameters" in errors
    assert sorted(parts(output).iterdir()) == before


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_an_existing_output_is_not_overwritten(tmp_path, suffix, more, runner):
    output = tmp_path / f"sweep{suffix}"
    output.write_text("mine")
    status, errors = runner.run(*POINTS, "-o", output, *more)
    assert status == 2
    assert "nothing to resume" in errors if more else "exists already" in errors
    assert output.read_text() == "mine"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_cannot_grow_is_one_error(tmp_path, suffix, runner):
    """As on a full disk: writing fails in the middle."""
    output = tmp_path / f"sweep{suffix}"
    status, errors = runner.run(*POINTS, "-o", output, limit=200_000)
    assert status == 2
    assert errors.count("\n") == 1
    assert "cannot be written" in errors
    assert not output.exists()
    assert not (parts(output) / "pending").exists()  # it would keep a disk full
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
    assert output.exists()


def test_what_was_killed_before_it_had_a_state_can_be_resumed(tmp_path, runner):
    output = tmp_path / "sweep.csv"
    parts(output).mkdir()
    (parts(output) / "sweep.json.pending").write_text("{")
    assert runner.run(*POINTS, "-o", output, "--resume") == (0, "")
