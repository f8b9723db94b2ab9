"""Sweeps on several processes of this machine: the same bytes as on one, and none left behind, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from perfsim import load_hardware, load_network
from perfsim.errors import InputError, MemoryTooSmallError
from perfsim.sweeps.dataset import in_order
from perfsim.sweeps.pool import default_jobs, open_pool
from perfsim.sweeps.request import make_study

# A machine with parts, so that no process loads numba. Ten partitions of 16 networks.
SWEEP = (
    *("sweep", "lenet5", "--hw", "kv260_dpu", "--vary", "batch=1:160:linear:160", "--quiet"),
    *("--vary", "ddr_bandwidth=1GB/s:9GB/s:linear:400", "--columns", "total_s,energy_j,bound"),
)

processes = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds processes in /proc"
)


def start(output, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "perfsim", *SWEEP, "-o", str(output), *options],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def run(output, *options):
    process = start(output, *options)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def workers(pid):
    """The processes that `pid` started to compute; not the one that multiprocessing keeps beside them."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()
    ]


def until(condition):
    for _ in range(3000):
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("waited for 30 s")


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def in_the_middle(output, process):
    """The workers of a sweep that has finished a partition, and has not finished."""
    folder = output.with_name(output.name + ".parts")
    until(lambda: any(folder.glob("0*")) or process.poll() is not None)
    assert process.poll() is None
    return workers(process.pid)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "sweep.csv"
    assert run(output, "--jobs", "1") == (0, "")
    return output.read_bytes()


def test_the_same_bytes_whatever_the_number_of_processes(tmp_path, undisturbed):
    output = tmp_path / "sweep.csv"
    assert run(output, "--jobs", "3") == (0, "")
    assert output.read_bytes() == undisturbed


@processes
@pytest.mark.parametrize(
    "whom",
    [
        *("worker", "all", "parent"),
    ],
)
def test_ended_in_the_middle_and_resumed(tmp_path, undisturbed, whom):
    output = tmp_path / "sweep.csv"
    process = start(output, "--jobs", "2")
    started = in_the_middle(output, process)
    assert len(started) == 2
    if whom == "worker":
        os.kill(started[0], signal.SIGKILL)
        status, said = 2, "a process was ended from outside; what is finished is kept, and --resume"
    elif whom == "all":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        status, said = 130, "stopped: what is done is kept"
    else:
        process.kill()
        status, said = -signal.SIGKILL, ""
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status
    assert said in errors
    assert "Traceback" not in errors
    until(lambda: all(is_gone(each) for each in started))
    assert run(output, "--jobs", "2", "--resume") == (0, "")
    assert output.read_bytes() == undisturbed
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.csv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--jobs", "0", "-o", "x.csv"), "from 1 to 1,024"),
        (("--jobs", "two", "-o", "x.csv"), "a whole number"),
        (("--jobs", "2"), "-o FILE"),
        (("--jobs", "2", "--cluster", "local:2", "-o", "x.csv"), "one of them"),
    ],
)
def test_wrong_numbers_of_processes(perfsim_cli, options, said):
    run = perfsim_cli(*SWEEP, *options)
    assert run.status == 2
    assert said in run.err


def load(model, scales):
    return load_network(model, **scales)


def study_of(*vary, models=("lenet5",)):
    return make_study(models, load, load_hardware("kv260_dpu"), vary)


def load_and_tell(folder, model, scales):
    """Notes in a file who has read what."""
    with (Path(folder) / f"{model}-{scales['batch']}").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return load(model, scales)


def through_a_pool(study, numbers, jobs=2):
    with open_pool(jobs, study) as pool:
        return list(pool.compute(pool.study, numbers))


def test_partitions_hold_few_networks():
    """With few points each the networks are what takes the time: 16 of them, and each is lowered by one process."""
    study = study_of("batch=1:50:linear:50", "ddr_bandwidth=1GB/s,2GB/s")
    assert study.partition_size == 32
    assert study.partitions == 4
    assert default_jobs(study) == 1
    assert default_jobs(replace(study, placement="optimal")) == min(os.cpu_count(), 50)
    one = study_of("ddr_bandwidth=1GB/s:9GB/s:linear:5000000")
    assert one.partitions == 5
    assert default_jobs(replace(one, placement="optimal")) == 1


def test_the_first_partition_that_fails_is_told():
    """The batch makes no layer larger, so all networks need the same: what is too small is so in every partition."""
    study = study_of("batch=1:50:linear:50", "sram=1B,2B")
    with pytest.raises(MemoryTooSmallError) as here:
        list(in_order(study, range(4)))
    with pytest.raises(MemoryTooSmallError) as there:
        through_a_pool(study, range(4))
    assert str(there.value) == str(here.value)
    assert through_a_pool(study, []) == []


def test_each_network_is_read_by_one_process_and_not_by_this_one(tmp_path):
    reads = partial(load_and_tell, tmp_path)
    vary = ["batch=1:20:linear:20", "ddr_bandwidth=1GB/s,2GB/s"]
    study = make_study(["lenet5", "sum_mlp"], reads, load_hardware("kv260_dpu"), vary)
    with open_pool(2, study) as pool:
        there = dict(pool.compute(pool.study, range(pool.study.partitions)))
        readers = {path.name: path.read_text().split() for path in tmp_path.iterdir()}
    assert len(readers) == 40
    assert sum(map(len, readers.values())) <= 40 + 16 + 1  # a partition may have been taken over
    # This process reads the first, whose machine says what columns there are.
    assert {name for name, pids in readers.items() if str(os.getpid()) in pids} <= {"lenet5-1"}
    here = dict(in_order(study, range(study.partitions)))
    assert there.keys() == here.keys()
    for number, rows in here.items():
        for name, values in rows.items():
            assert np.array_equal(values, there[number][name])


def test_the_first_network_that_cannot_be_read_is_told(tmp_path):
    good = tmp_path / "good.yaml"
    good.write_text("input: [1, 8, 8]\nlayers:\n  - conv: {channels: 4, kernel: 3}\n")
    bad, worse = tmp_path / "bad.yaml", tmp_path / "worse.yaml"
    bad.write_text("input: [1, 8, 8]\nlayers:\n  - covn: {channels: 4, kernel: 3}\n")
    worse.write_text("layers: 3")
    models = [str(path) for path in (good, good, good, bad, good, worse)]
    study = study_of("ddr_bandwidth=1GB/s,2GB/s", models=models)
    with pytest.raises(InputError) as here:
        _ = study.facts
    with pytest.raises(InputError) as there, open_pool(2, study) as pool:
        _ = pool.study
    assert str(there.value) == str(here.value)
    assert "bad.yaml" in str(here.value)


def test_a_sweep_of_networks_leaves_nothing_when_one_is_wrong(perfsim_cli, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("layers: 3")
    output = tmp_path / "x.csv"
    for jobs in ("1", "2"):
        run = perfsim_cli(
            *("sweep", "lenet5", str(bad), "--hw", "kv260_dpu", "--vary", "sram=1MB,2MB"),
            *("--jobs", jobs, "-o", str(output)),
        )
        assert run.status == 2
        assert "bad.yaml" in run.err
        assert sorted(tmp_path.iterdir()) == [bad]
