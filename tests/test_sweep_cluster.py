"""Sweeps on Dask: real schedulers, real workers, real signals; each against the file of the local run."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from itertools import count
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
from conftest import ROOT

from perfsim import ClusterError, __version__, load_hardware, load_network
from perfsim.sweeps import cluster, dataset
from perfsim.sweeps.request import make_study

# What every process of these tests begins with: small partitions, and without numba, whose loading takes longer than
# all of a sweep. A worker notes in LOG which partition it begins, stops in the one that HOLD names, ends in the one
# that DEADLY names, and does in the one that RAISES names what follows there.
PRELUDE = """
import os, signal, time
from pathlib import Path
from perfsim.sweeps import compiled, study
study.PARTITION = 1024
compiled.find_spec = lambda name: None
log = os.environ.get("LOG")
if log and study.Study.partition.__name__ != "noted":  # Dask runs this twice
    compute = study.Study.partition
    def noted(self, number):
        with open(log, "a") as file:
            file.write(f"{number} {os.getpid()}\\n")
        hold = os.environ.get("HOLD", "").split()
        while str(number) in hold[:1] and not Path(hold[1]).exists():
            time.sleep(0.01)
        if os.environ.get("DEADLY") == str(number):
            os.kill(os.getpid(), signal.SIGKILL)
        raises = os.environ.get("RAISES", "").split(" ", 1)
        if str(number) == raises[0]:
            exec(raises[1])
        return compute(self, number)
    study.Study.partition = noted
"""
MAIN = "\nimport sys\nfrom perfsim.cli import main\nsys.exit(main(sys.argv[1:]))"
COMMAND = PRELUDE + MAIN
# Ends the first worker that is asked for rows, after it is known that it has them and before it is connected to.
ENDED = f"""{PRELUDE}
import distributed.worker, socket
ask, ended = distributed.worker.get_data_from_worker, []
async def asked(rpc, keys, address, **more):
    if not ended:
        ended.append(address)
        os.kill(int(Path(log).read_text().split()[1]), signal.SIGKILL)
        host, port = address.removeprefix("tcp://").split(":")
        try:
            while True:
                socket.create_connection((host, int(port))).close()
        except OSError:
            pass
    return await ask(rpc, keys, address, **more)
distributed.worker.get_data_from_worker = asked
{MAIN}"""
POINTS = (
    *("sweep", "sum_mlp", "--hw", "1MB_1GBs_1TF", "--placement", "liveness", "--quiet"),
    *("--vary", "sram=64KiB:16MiB:log:100", "--vary", "ddr_bandwidth=1GB/s:9GB/s:linear:200"),
    *("--vary", "batch=1,3", "--where", "time < 1 s and sram > 70 KB"),
)
PARTITIONS = 40  # 40,000 points
WAIT_S = 20


def until(holds):
    deadline = time.monotonic() + WAIT_S
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


class Processes:
    """Starts processes in a folder, and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._started = folder, []
        self._prelude = folder / "prelude.py"
        self._prelude.write_text(PRELUDE)
        self._numbers = count()

    def start(self, *words, **environment):
        errors = self.folder / f"errors{next(self._numbers)}"
        with errors.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "DASK_DISTRIBUTED__WORKER__PRELOAD": str(self._prelude),
                    **environment,
                },
            )
        process.errors = errors
        self._started.append(process)
        return process

    def sweep(self, output, *more, points=POINTS, **environment):
        return self.start("-c", COMMAND, *points, "-o", output, *more, **environment)

    def run(self, output, *more, points=POINTS, **environment):
        """The exit status of a sweep and what it says."""
        process = self.sweep(output, *more, points=points, **environment)
        return process.wait(WAIT_S), process.errors.read_text()

    def scheduler(self):
        """A scheduler; returns its process and its address."""
        process = self.start(
            *("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0),
            *("--no-dashboard", "--dashboard-address", "127.0.0.1:0"),
        )
        return process, until(lambda: listening(process.errors))

    def worker(self, address, threads=1, **environment):
        return self.start(
            *("-m", "distributed.cli.dask_worker", address, "--nthreads", threads, "--no-nanny"),
            *("--no-dashboard", "--local-directory", self.folder, "--host", "127.0.0.1"),
            **environment,
        )

    def end(self):
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def listening(errors):
    """The address that a scheduler says it has."""
    lines = [line for line in errors.read_text().splitlines() if "Scheduler at:" in line]
    return lines[0].split("Scheduler at:")[1].strip() if lines else None


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    pytest.importorskip("distributed")
    found = Processes(tmp_path_factory.mktemp("cluster"))
    yield found
    found.end()


@pytest.fixture(scope="module")
def undisturbed(everywhere):
    output = everywhere.folder / "undisturbed.csv"
    assert everywhere.run(output) == (0, "")
    return output.read_bytes()


@pytest.fixture(scope="module")
def two(everywhere):
    """The address of a scheduler with two workers, of one thread and of three."""
    _, address = everywhere.scheduler()
    everywhere.worker(address)
    everywhere.worker(address, 3)
    return address


def begun(log):
    """(partition, process) of each time that a partition was begun."""
    return [tuple(map(int, line.split())) for line in log.read_text().splitlines() if log.exists()]


def parts(output):
    folder = output.with_name(output.name + ".parts")
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("0"))


def test_a_cluster_writes_the_bytes_of_the_local_run(tmp_path, everywhere, two, undisturbed):
    assert everywhere.run(tmp_path / "x.csv", "--cluster", two) == (0, "")
    assert (tmp_path / "x.csv").read_bytes() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_samples_layers_and_energies_travel(tmp_path, everywhere, two):
    pytest.importorskip("pyarrow")
    points = (
        *("sweep", "sum_mlp", "mobilenet_v1", "--hw", "1MB_1GBs_1TF", "--per-layer", "--quiet"),
        *("--vary", "sram=1MiB:16MiB", "--vary", "matrix=1TFLOPS:9TFLOPS", "--sample", "300"),
        *("--vary", "ddr_bandwidth=1GB/s,2GB/s", "--where", "not layer_s > 1 s"),
    )
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert everywhere.run(here, points=points) == (0, "")
    assert everywhere.run(there, "--cluster", two, points=points) == (0, "")
    assert here.read_bytes() == there.read_bytes()


def test_a_worker_killed_in_mid_partition_costs_its_partition_and_nothing_else(
    tmp_path, everywhere, undisturbed
):
    _, address = everywhere.scheduler()
    log, output = tmp_path / "log", tmp_path / "x.csv"
    noted = {"LOG": str(log), "HOLD": f"5 {tmp_path / 'killed'}"}
    for _ in range(2):
        everywhere.worker(address, **noted)
    log.touch()
    process = everywhere.sweep(output, "--cluster", address)
    held = until(lambda: dict(begun(log)).get(5))
    until(lambda: len(parts(output)) > 10)  # the others go on
    (tmp_path / "killed").touch()
    os.kill(held, signal.SIGKILL)
    assert process.wait(WAIT_S) == 0
    assert output.read_bytes() == undisturbed
    numbers = [number for number, _ in begun(log)]
    assert set(numbers) == set(range(PARTITIONS))
    again = {number for number in numbers if numbers.count(number) > 1}
    assert 5 in again
    # Nothing but what that worker held: what it computed, and what it had finished and nobody had taken yet.
    assert again <= {number for number, where in begun(log) if where == held}
    assert len(numbers) - PARTITIONS <= 2


def test_local_processes_are_one_thread_each_and_are_replaced_when_killed(
    tmp_path, everywhere, undisturbed
):
    log, output = tmp_path / "log", tmp_path / "x.csv"
    log.touch()
    process = everywhere.sweep(
        *(output, "--cluster", "local:1"),
        LOG=str(log),
        HOLD=f"3 {tmp_path / 'killed'}",
        # Dask gives up a process that is not there again so long after its end.
        DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT="50ms",
    )
    held = until(lambda: dict(begun(log)).get(3))
    assert [number for number, _ in begun(log)][-1] == 3  # no other is begun while it is held
    (tmp_path / "killed").touch()
    os.kill(held, signal.SIGKILL)
    assert process.wait(WAIT_S) == 0
    assert output.read_bytes() == undisturbed
    assert len({where for _, where in begun(log)}) == 2
    assert process.errors.read_text() == ""


def test_a_worker_that_ends_when_its_rows_are_asked_for_is_not_waited_for(
    tmp_path, everywhere, undisturbed
):
    output, log = tmp_path / "x.csv", tmp_path / "log"
    process = everywhere.start(
        *("-c", ENDED, *POINTS, "-o", output, "--cluster", "local:1"), LOG=str(log)
    )
    assert process.wait(WAIT_S) == 0
    assert len({where for _, where in begun(log)}) == 2
    assert output.read_bytes() == undisturbed


def test_an_interrupt_keeps_what_is_finished_and_it_goes_on_anywhere(
    tmp_path, everywhere, two, undisturbed
):
    output, log = tmp_path / "x.csv", tmp_path / "log"
    log.touch()
    process = everywhere.sweep(
        output,
        "--cluster",
        "local:2",
        LOG=str(log),
        HOLD=f"7 {tmp_path / 'never'}",
        TMPDIR=str(tmp_path),
    )
    held = until(lambda: dict(begun(log)).get(7))
    until(lambda: len(parts(output)) > 12)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to workers as well
    assert process.wait(WAIT_S) == 130
    said = process.errors.read_text()
    assert said.count("\n") == 1
    assert "--resume goes on" in said
    assert {path.name for path in tmp_path.iterdir()} == {"log", "x.csv", "x.csv.parts"}
    with pytest.raises(ProcessLookupError):
        os.kill(held, 0)
    kept = parts(output)
    assert not any(name.startswith("000007") for name in kept)
    text = output.read_bytes()
    assert undisturbed.startswith(text)
    assert 0 < len(text) < len(undisturbed)
    copy = tmp_path / "copy.csv"
    shutil.copytree(f"{output}.parts", f"{copy}.parts")
    log.write_text("")
    assert everywhere.run(output, "--resume", LOG=str(log)) == (0, "")
    numbers = [number for number, _ in begun(log)]
    assert sorted(numbers) == sorted(set(range(PARTITIONS)) - {int(name[:6]) for name in kept})
    assert everywhere.run(copy, "--resume", "--cluster", two) == (0, "")
    assert output.read_bytes() == copy.read_bytes() == undisturbed


def test_what_kills_its_workers_is_one_error_and_the_rest_is_kept(tmp_path, everywhere):
    output = tmp_path / "x.csv"
    status, said = everywhere.run(
        *(output, "--cluster", "local:2"),
        LOG=str(tmp_path / "log"),
        DEADLY="9",
        DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0",
    )
    assert status == 2
    assert said.count("\n") == 1
    assert "partition" in said
    assert "--resume goes on" in said
    assert parts(output)


def test_a_scheduler_that_goes_away_is_one_error(tmp_path, everywhere, undisturbed):
    scheduler, address = everywhere.scheduler()
    log, output = tmp_path / "log", tmp_path / "x.csv"
    log.touch()
    everywhere.worker(address, LOG=str(log), HOLD=f"3 {tmp_path / 'never'}")
    process = everywhere.sweep(output, "--cluster", address)
    until(lambda: dict(begun(log)).get(3))
    until(lambda: len(parts(output)) == 3)
    os.kill(scheduler.pid, signal.SIGKILL)
    assert process.wait(WAIT_S) == 2
    said = process.errors.read_text()
    assert said.count("\n") == 1
    assert f"{address}: the connection to the scheduler was lost" in said
    assert len(parts(output)) == 3
    assert everywhere.run(output, "--resume") == (0, "")
    assert output.read_bytes() == undisturbed


def test_of_errors_that_of_the_first_partition_is_told(tmp_path, everywhere):
    """As without a cluster, also where a later one is there before it."""
    points = (
        *("sweep", "mobilenet_v1", "--hw", "1MB_1GBs_1TF", "--placement", "liveness", "--quiet"),
        *("--vary", "sram=1B:16B:linear:16", "--vary", "ddr_bandwidth=1GB/s:9GB/s:linear:64"),
        *("--vary", "batch=1,2,3"),
    )
    here = everywhere.run(tmp_path / "here.csv", points=points)
    assert here[0] == 2
    assert "mobilenet_v1, batch 1: " in here[1]
    _, address = everywhere.scheduler()
    log, go = tmp_path / "log", tmp_path / "go"
    log.touch()
    for _ in range(2):
        everywhere.worker(address, LOG=str(log), HOLD=f"0 {go}")
    process = everywhere.sweep(tmp_path / "there.csv", "--cluster", address, points=points)
    until(lambda: {0, 1} <= dict(begun(log)).keys())
    time.sleep(0.3)
    go.touch()
    assert (process.wait(WAIT_S), process.errors.read_text()) == here


def test_what_is_no_error_of_ours_is_one_error_that_says_what_the_worker_said(tmp_path, everywhere):
    """What is no Exception, and cannot be made again from what it says."""
    output = tmp_path / "x.csv"
    status, said = everywhere.run(
        *(output, "--cluster", "local:1"),
        LOG=str(tmp_path / "log"),
        RAISES="""9 class Odd(BaseException):
            def __init__(self, first, second): super().__init__(f"{first} and\\n{second}")
raise Odd(1, 2)""",
    )
    assert status == 2
    assert said.startswith("error: --cluster local:1: partition 9 failed on a worker, which said: ")
    assert "Odd: 1 and 2 (<string>:3); what is finished is kept" in said
    assert said.count("\n") == 1
    assert len(parts(output)) == 9


def test_an_error_of_ours_is_told_as_without_a_cluster_whatever_it_was_raised_from(
    tmp_path, everywhere
):
    noted = {
        "LOG": str(tmp_path / "log"),
        "RAISES": """9 from threading import Lock
from perfsim.errors import InvalidValueError
try:
    raise ValueError(Lock())
except ValueError as cause:
    told = InvalidValueError("w" * 20_000, found="1 GB", expected="2 GB", nearest="3 GB")
    raise told.at(file="a.yaml", line=3, where="sram") from cause""",
    }
    here = everywhere.run(tmp_path / "here.csv", **noted)
    assert here[0] == 2
    assert here[1].startswith("error: a.yaml:3: sram: www")
    assert "found 1 GB; did you mean '3 GB'? expected 2 GB" in here[1]
    assert everywhere.run(tmp_path / "there.csv", "--cluster", "local:1", **noted) == here


@pytest.fixture
def impatient(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "_CONNECT_S", 2.5)


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_what_is_no_scheduler_is_one_error_soon(perfsim_cli, impatient, answer):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        if answer is not None:

            def say():
                with contextlib.suppress(OSError):
                    while True:
                        connection, _ = server.accept()
                        connection.sendall(answer)
                        connection.close()

            Thread(target=say, daemon=True).start()
        begin = time.monotonic()
        found = perfsim_cli(*POINTS, "-o", "x.csv", "--cluster", address)
        assert time.monotonic() - begin < 10
    assert (found.status, found.out) == (2, "")
    assert found.err.startswith(f"error: --cluster {address}: no scheduler answers (")
    assert found.err.count("\n") == 1
    assert not list(Path().iterdir())


def test_a_scheduler_that_is_not_there_is_one_error_soon(perfsim_cli, impatient):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = perfsim_cli(*POINTS, "-o", "x.csv", "--cluster", f"tcp://127.0.0.1:{port}")
    assert found.status == 2
    assert "no scheduler answers (Connection refused)" in found.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "local",
            "local:",
            "local:0",
            "local:-1",
            "local:two",
            "local:9999999999",
            "scheduler",
        ),
        *(
            "tcp://",
            "tcp://host",
            "tcp://host:0",
            "tcp://host:65536",
            "http://host:1",
            "tcp://a b:1",
        ),
    ],
)
def test_addresses_that_cannot_be(perfsim_cli, address):
    found = perfsim_cli(*POINTS, "-o", "x.csv", "--cluster", address)
    assert found.status == 2
    assert found.err.startswith(f"error: --cluster: found '{address}', expected local:N")


@pytest.mark.parametrize("address", ["tcp://host:8786", "tls://10.0.0.1:1", "tcp://[::1]:65535"])
def test_addresses_that_can_be(address):
    pytest.importorskip("distributed")
    cluster.check_cluster(address)


def test_a_cluster_needs_a_file_and_the_extra(perfsim_cli, monkeypatch):
    found = perfsim_cli(*POINTS, "--cluster", "local:2")
    assert found.status == 2
    assert "expected -o FILE" in found.err
    monkeypatch.setitem(sys.modules, "distributed", None)
    found = perfsim_cli(*POINTS, "--cluster", "local:2", "-o", "x.csv")
    assert found.status == 2
    assert "pip install 'perfsim[cluster]'" in found.err


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr("perfsim.sweeps.study.PARTITION", 64)
    return make_study(
        ["sum_mlp"],
        lambda model, scales: load_network(model, **scales),
        load_hardware("1MB_1GBs_1TF"),
        ["sram=64KiB:16MiB", "ddr_bandwidth=1GB/s:9GB/s"],
        sample=500,
        where=["time < 1 s"],
    )


def test_a_study_that_is_sent_gives_the_same_rows(study):
    sent = pickle.loads(pickle.dumps(study.with_networks()))
    for number in (3, 0):
        rows, found = study.partition(number), sent.partition(number)
        assert list(rows) == list(found)
        for name, values in rows.items():
            assert values.dtype == found[name].dtype
            np.testing.assert_array_equal(values, found[name])


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("__version__", "0.0.1", "found perfsim 0.0.1, expected "),
        ("_probe", lambda _: "other", "computes other numbers"),
    ],
)
def test_a_worker_that_would_compute_other_numbers_is_an_error(
    study, monkeypatch, name, value, told
):
    sweep = cluster._packed(study)
    monkeypatch.setattr(cluster, name, value)
    found = cluster._partition(sweep, 0)
    assert isinstance(found, ClusterError)
    assert told in str(found)


class UnsayableError(ClusterError):
    """An error of somebody else's, of which not even the text can be had."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "SystemExit: 3 (test_sweep_cluster.py:"),
        (OSError(28, "No space left"), "OSError: [Errno 28] No space left (test_sweep_cluster.py:"),
        (ValueError("x" * 5000), f"ValueError: {'x' * 988} (test_sweep_cluster.py:"),
        (
            UnsayableError(""),
            "test_sweep_cluster.UnsayableError: <exception str() failed> (test_sweep_cl",
        ),
    ],
)
def test_what_a_worker_says_of_an_error_is_one_line(study, monkeypatch, error, told):
    def fails(*_):
        raise error

    monkeypatch.setattr(type(study), "partition", fails)
    assert cluster._partition(cluster._packed(study), 0).startswith(told)


def test_a_worker_that_lacks_a_package_is_an_error(study, monkeypatch):
    """A sweep may hold a policy of another package, which the worker has not."""
    monkeypatch.setitem(sys.modules, "policies", ModuleType("policies"))
    sys.modules["policies"].Policy = type("Policy", (), {"__module__": "policies"})
    sweep = zlib.compress(
        pickle.dumps((__version__, "", "", pickle.dumps(sys.modules["policies"].Policy())))
    )
    monkeypatch.delitem(sys.modules, "policies")
    found = cluster._partition(sweep, 0)
    assert isinstance(found, ClusterError)
    assert found.what == "a worker cannot read the sweep: No module named 'policies'"


def test_the_file_does_not_depend_on_the_order_of_partitions(tmp_path, study):
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    dataset.run_study(study, str(here))
    told = []

    def shuffled(_, numbers):
        for number in [numbers[i] for i in (3, 0, 7, 6, 1, 5, 4, 2)]:
            yield number, study.partition(number)

    rows = dataset.run_study(
        study, str(there), compute=shuffled, progress=lambda *each: told.append(each)
    )
    assert rows == 500
    assert here.read_bytes() == there.read_bytes()
    # The last of 8 partitions has 52 points; what is written is what has its turn, and the writing is one step behind.
    assert [done for done, _ in told] == [0, 64, 128, 180, 244, 308, 372, 436, 500]


def test_an_interrupt_with_a_gap_writes_what_is_before_it(tmp_path, study):
    here, there = tmp_path / "here.csv", tmp_path / "there.csv"
    dataset.run_study(study, str(here))

    def interrupted(_, numbers):
        for number in (1, 0, 3):
            assert number in numbers
            yield number, study.partition(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.run_study(study, str(there), compute=interrupted)
    assert there.read_text().splitlines() == here.read_text().splitlines()[: 1 + 2 * 64]
    assert [name[:6] for name in parts(there)] == ["000000", "000001", "000003"]
    dataset.run_study(study, str(there), resume=True)
    assert here.read_bytes() == there.read_bytes()
