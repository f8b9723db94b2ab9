"""The partitions of a sweep on the processors of this machine: processes that each hold the sweep once.

A network is lowered, placed and scheduled by the process that has a partition of it, so many networks are worked on at
the same time. This process writes what comes back, as it does what it computes itself.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING

from perfsim.errors import WorkerError
from perfsim.sweeps.interrupts import no_interrupts

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

_PER_PROCESS = 2  # partitions under way for each: one computed, one waiting or on its way here


def default_jobs(study: Study) -> int:
    """How many processes are worth their start: many networks keep all processors busy.

    What is computed of many points of one network is written about as fast as it is sent.
    """
    return min(os.cpu_count() or 1, study.partitions) if len(study.variants) > 1 else 1


def pool_of(jobs: int) -> Callable[[Study, Iterable[int]], Iterator[tuple[int, Columns]]]:
    """What computes partitions on `jobs` processes at once and gives their rows with their numbers, in order.

    It raises what `Study.partition` does, for the first partition that fails, and WorkerError where a process is ended
    from outside.
    """

    def compute(study: Study, numbers: Iterable[int]) -> Iterator[tuple[int, Columns]]:
        todo = deque(numbers)
        if not todo:
            return
        others = set(active_children())
        pool = ProcessPoolExecutor(
            min(jobs, len(todo)),
            mp_context=get_context("spawn"),  # what is forked beside threads may wait for ever
            initializer=_begin,
            initargs=(pickle.dumps(replace(study)),),  # without what it derived
        )
        try:
            yield from _collected(pool, study, todo, _PER_PROCESS * jobs)
        except BrokenProcessPool:
            raise WorkerError(
                "a process was ended from outside; what is finished is kept, and --resume goes on: is the memory "
                "too small for so many?"
            ).at(file=f"--jobs {jobs}") from None
        finally:
            # After an error or an interrupt nobody waits for what they still compute; else they are idle.
            for process in set(active_children()) - others:
                process.terminate()
            pool.shutdown(cancel_futures=True)

    return compute


def _collected(
    pool: ProcessPoolExecutor, study: Study, todo: deque[int], most: int
) -> Iterator[tuple[int, Columns]]:
    under_way: deque[tuple[int, Future[Columns]]] = deque()
    size = study.partition_size
    while todo or under_way:
        while todo and len(under_way) < most:
            number = todo.popleft()
            with no_interrupts():  # it may start a process
                future = pool.submit(_rows, number * size, min((number + 1) * size, study.count))
            under_way.append((number, future))
        number, future = under_way.popleft()
        yield number, future.result()


# What follows runs in the processes.

_STUDIES: list[Study] = []


def _begin(packed: bytes) -> None:
    """Holds the sweep of this process, which ends with the one that started it, however that ends."""
    Thread(target=_end_with_parent, daemon=True).start()
    _STUDIES.append(pickle.loads(packed))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _rows(start: int, stop: int) -> Columns:
    return _STUDIES[0].rows(start, stop)
