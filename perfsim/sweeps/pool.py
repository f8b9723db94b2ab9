"""The partitions of a sweep on the processors of this machine: processes that each hold the sweep.

    this process ── hold the sweep; facts of these networks; the rows of this partition ──▶ a process
          ▲                                                                                   │
          └───────────────────── facts, rows, or what is wrong ───────────────────────────────┘

A network is read, lowered, placed and scheduled by the process that is asked for its facts, and that one is asked for
its rows too, unless it is busy when another has nothing left to do. This process writes what comes back.

Each process has a pipe of its own, so that one that is ended from outside, at whatever moment, is an end of its pipe
and nothing more: no lock stays taken, and none waits for the rest of what was half sent.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from traceback import format_exception
from typing import TYPE_CHECKING, Any, TypeAlias

from perfsim.errors import PerfsimError, WorkerError
from perfsim.simulation import policies_of
from perfsim.sweeps.interrupts import no_interrupts
from perfsim.sweeps.study import NETWORKS

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study
    from perfsim.sweeps.variant import Facts

_PER_PROCESS = 2  # tasks under way for each: one computed, one waiting
_MANY = 64  # networks from which on reading them is worth the start of processes

Message: TypeAlias = tuple[str, Any]  # what a process is to do, and with what


def default_jobs(study: Study) -> int:
    """How many processes are worth their start: all processors where there are many networks, or searches for plans."""
    searches = policies_of(study.machine, study.placement, study.timing)[0].searches
    if len(study.variants) < (2 if searches else _MANY):
        return 1
    return min(os.cpu_count() or 1, len(study.variants))


@contextmanager
def open_pool(jobs: int, study: Study) -> Iterator[Pool]:
    """Up to `jobs` processes for a study, started when they are needed; none of them outlives this."""
    pool = Pool(jobs, study)
    try:
        yield pool
    finally:
        pool.end()


@dataclass(eq=False)
class _Worker:
    """A process.

    Attributes:
        tasks: those that are its own, by number; others may take them over.
        under_way: those that it was given and has not answered, in order.
    """

    process: BaseProcess
    connection: Connection[Any, Any]
    tasks: deque[int] = field(default_factory=deque)
    under_way: deque[int] = field(default_factory=deque)


class Pool:
    """Processes that compute partitions.

    What they are asked for raises what it raises here, for the first network or partition that fails, and WorkerError
    where a process is ended from outside.
    """

    def __init__(self, jobs: int, study: Study) -> None:
        self._jobs, self._given = jobs, study
        self._packed = pickle.dumps(study.without_networks())
        self._workers: list[_Worker] = []
        self._owners: dict[int, _Worker] = {}  # who has read a network, by its number
        self._facts: list[Facts] = []

    @cached_property
    def study(self) -> Study:
        """The study with the facts of its networks, each read and lowered by one of the processes."""
        numbers = range(len(self._given.variants))
        groups = [numbers[start : start + NETWORKS] for start in numbers[::NETWORKS]]
        found: list[Sequence[Facts]] = [()] * len(groups)
        for at, facts, worker in self._answers(len(groups), lambda at: ("facts", groups[at])):
            found[at] = facts
            self._owners |= dict.fromkeys(groups[at], worker)
        self._facts = [each for group in found for each in group]
        for worker in self._workers:
            self._send(worker, ("known", self._facts))
        return replace(self._given, known=self._facts)

    def compute(self, study: Study, numbers: Iterable[int]) -> Iterator[tuple[int, Columns]]:
        """The rows of partitions of the pool's `study` with their numbers, as they are finished."""
        if study is not self.study:
            raise RuntimeError("the processes hold another study")
        wanted = list(numbers)
        size, count = study.partition_size, study.space.count
        # Where a network has many partitions they are for all processes.
        owners = [self._owners[number * size // count] for number in wanted if size >= count]

        def task(at: int) -> Message:
            start = wanted[at] * size
            return "rows", (start, min(start + size, study.count))

        for at, columns, _worker in self._answers(len(wanted), task, owners):
            yield wanted[at], columns

    def end(self) -> None:
        """End all processes, whatever they are at."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _answers(
        self, count: int, task: Callable[[int], Message], owners: Sequence[_Worker] = ()
    ) -> Iterator[tuple[int, Any, _Worker]]:
        """Of so many tasks the number, the answer and who gave it, as they are finished."""
        common = deque(range(count) if not owners else ())
        for number, owner in enumerate(owners):
            owner.tasks.append(number)
        failed: dict[int, Exception] = {}
        while True:
            # After a failure only those before it are computed, so that the first one is told, as without a pool.
            self._assign(task, common, min(failed, default=count))
            busy = {worker.connection: worker for worker in self._workers if worker.under_way}
            if not busy:
                break
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                answer = self._received(worker)
                number = worker.under_way.popleft()
                if isinstance(answer, Exception):
                    failed[number] = answer
                else:
                    yield number, answer, worker
        if failed:
            raise failed[min(failed)]

    def _assign(self, task: Callable[[int], Message], common: deque[int], below: int) -> None:
        """Give each process as much as keeps it busy, of the tasks below a number."""

        def taken(worker: _Worker | None) -> int | None:
            longest = max(self._workers, key=lambda each: len(each.tasks), default=None)
            for queue in (worker and worker.tasks, common, longest and longest.tasks):
                while queue:
                    number = queue.popleft()
                    if number < below:
                        return number
            return None

        for depth in range(_PER_PROCESS):
            for worker in self._workers:
                if len(worker.under_way) <= depth and (number := taken(worker)) is not None:
                    self._give(worker, number, task(number))
            while not depth and len(self._workers) < self._jobs:
                if (number := taken(None)) is None:
                    break
                self._give(self._started(), number, task(number))

    def _give(self, worker: _Worker, number: int, task: Message) -> None:
        self._send(worker, task)
        worker.under_way.append(number)

    def _started(self) -> _Worker:
        context = get_context("spawn")  # what is forked beside threads may wait for ever
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, self._packed), daemon=True)
        with no_interrupts():
            process.start()
        there.close()  # so that the pipe ends with the process
        worker = _Worker(process, here)
        self._workers.append(worker)
        if self._facts:
            self._send(worker, ("known", self._facts))
        return worker

    def _send(self, worker: _Worker, message: Message) -> None:
        try:
            worker.connection.send(message)
        except OSError:
            raise self._lost() from None

    def _received(self, worker: _Worker) -> Any:
        try:
            return worker.connection.recv()
        except (EOFError, OSError):
            raise self._lost() from None

    def _lost(self) -> WorkerError:
        return WorkerError(
            "a process was ended from outside; what is finished is kept, and --resume goes on: is the memory too "
            "small for so many?"
        ).at(file=f"--jobs {self._jobs}")


# What follows runs in the processes.


def _serve(connection: Connection[Any, Any], packed: bytes) -> None:
    """Does what it is told until the one who tells is gone, however that ends."""
    Thread(target=_end_with_parent, daemon=True).start()
    study: Study = pickle.loads(packed)
    answer: object
    while True:
        try:
            kind, what = connection.recv()
        except (EOFError, ConnectionError):
            return
        if kind == "known":
            study = replace(study, known=what)
            continue
        try:
            answer = study.rows(*what) if kind == "rows" else _facts(study, what)
        except PerfsimError as error:
            answer = error
        except Exception as error:  # a fault of ours, told with where it happened
            answer = RuntimeError("".join(format_exception(error)))
        with suppress(ConnectionError):  # the next recv ends it
            connection.send(answer)


def _facts(study: Study, numbers: Iterable[int]) -> list[Facts]:
    return [study.variants[number].facts for number in numbers]


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)
