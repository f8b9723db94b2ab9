"""What the operating system says of this computer's processor."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from perfsim.errors import FileError
from perfsim.hardware.units import parse_bytes

_CPU_INFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


@dataclass(frozen=True)
class Cache:
    """A cache that the first core may use for data; level from 1."""

    level: int
    size_bytes: int


def processor_name() -> str:
    """The name of the processor, or its architecture where the system does not say."""
    if _CPU_INFO.is_file():
        match = re.search(r"^model name\s*:\s*(.+)$", _CPU_INFO.read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def data_caches() -> list[Cache]:
    """The caches for data, the smallest level first.

    Source: Documentation/ABI/testing/sysfs-devices-system-cpu of Linux. Raises FileError where it has none of that.
    """
    caches = []
    for folder in sorted(_CACHES.glob("index*")):
        kind, level, size = (
            (folder / name).read_text().strip() for name in ("type", "level", "size")
        )
        if kind != "Instruction":
            caches.append(
                Cache(int(level), parse_bytes(size.replace("K", " Ki").replace("M", " Mi") + "B"))
            )
    if not caches:
        raise FileError("says nothing about caches, whose sizes are asked for there").at(
            file=str(_CACHES)
        )
    return sorted(caches, key=lambda cache: cache.level)
