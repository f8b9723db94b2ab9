"""How long `optimal` takes, what it proves, and how far `liveness` is from it, over the bundled networks.

With names of networks: those only. A gap is printed only where it is not 0.
"""

from __future__ import annotations

import sys
import time

from perfsim import bundled_networks, load_network, lower
from perfsim.errors import MemoryTooSmallError
from perfsim.placement.liveness import Liveness
from perfsim.placement.optimal import Optimal
from perfsim.placement.placement import Placement

SIZES_KB = (16, 64, 256, 1000, 4000)
TOO_SMALL = "too small"


def main() -> None:
    """Print a line per network: for each memory what `liveness` moves / what `optimal` moves, and seconds."""
    names = sys.argv[1:] or bundled_networks()
    heads = "".join(f"{f'{size} KB':>20}" for size in SIZES_KB)
    print(f"{'':<24}{'layers':>6}{heads}    DDR of liveness / optimal, seconds, gap")
    slowest, seen, proven = 0.0, 0, 0
    for name in names:
        program = lower(load_network(name))
        cells = []
        for size in SIZES_KB:
            try:
                start = _moved(Liveness().place(program, 1000 * size))
            except MemoryTooSmallError:
                cells.append(TOO_SMALL)
                continue
            began = time.perf_counter()
            placement = Optimal().place(program, 1000 * size)
            seconds = time.perf_counter() - began
            slowest, seen, proven = max(slowest, seconds), seen + 1, proven + (not placement.gap)
            gap = f" {placement.gap:.2%}" if placement.gap else ""
            cells.append(f"{start / _moved(placement):.3f} {seconds:5.2f} s{gap}")
        print(f"{name:<24}{len(program.layers):>6}" + "".join(f"{cell:>20}" for cell in cells))
    print(f"{proven} of {seen} proven; the slowest took {slowest:.1f} s")


def _moved(placement: Placement) -> int:
    return int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())


if __name__ == "__main__":
    main()
