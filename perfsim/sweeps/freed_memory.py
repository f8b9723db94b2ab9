"""What becomes of the memory of arrays that are no longer needed."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers what mallopt sets


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to 64 MiB of the memory of arrays for those after them.

    What is freed the C library gives back to the system, which then has to find and clear the pages of each block of
    machines again; in a worker of Dask, which is started with a threshold of 64 KiB, that takes longer than the work.
    The thresholds are glibc's (mallopt(3)); other libraries have none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 64 << 20)
        mallopt(_MMAP_THRESHOLD, 32 << 20)
