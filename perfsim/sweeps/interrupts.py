"""Ctrl-C reaches all processes of a terminal; only the one that can answer it is to see it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from multiprocessing import resource_tracker


@contextlib.contextmanager
def no_interrupts() -> Iterator[None]:
    """Threads and processes that are started do not see Ctrl-C, which is this thread's to answer.

    They inherit the mask of signals, and so does what they start, such as a new process for one that was killed.
    """
    if not hasattr(
        signal, "pthread_sigmask"
    ):  # Windows, where workers say themselves that they were interrupted
        yield
        return
    resource_tracker.ensure_running()  # starting it with the first process would clear that one's mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
