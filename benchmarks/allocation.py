"""The address planner: the public MiniMalloc instances, generated sets that fill a rectangle, and the bundled networks.

numba (extra `fast`) is used where it is installed; run twice to see the times without compilation.
"""

from __future__ import annotations

import csv
import random
import time
from pathlib import Path

from perfsim import Program, load_network, lower
from perfsim.catalog import bundled_networks
from perfsim.placement.address_buffers import Buffers, make_buffers
from perfsim.placement.address_sections import has_numba
from perfsim.placement.addresses import AddressPlan, plan_addresses
from perfsim.program import Kind

INSTANCES = Path(__file__).resolve().parent.parent / "tests" / "allocation"
CAPACITY = 1_048_576
MINIMALLOC_S = (
    "0.8 to 6.3"  # the C++ program, each of its eleven instances, on a machine with two cores
)
GENERATED_LIMIT_S = 10.0
# buffers, share left out, share made smaller, share made shorter
KINDS = (
    ("full", 0.0, 0.0, 0.0),
    ("2 % left out", 0.02, 0.0, 0.0),
    ("10 % smaller", 0.0, 0.1, 0.0),
    ("10 % shorter", 0.0, 0.0, 0.1),
)


def main() -> None:
    """Print every figure, a line each."""
    start_s = time.perf_counter()
    by = "numba" if has_numba() else "plain Python"
    print(f"{'instance':<28}{'seconds':>9}{'nodes':>9}{'height':>11}   MiniMalloc [s]   ({by})")
    for path in sorted(INSTANCES.glob(f"?.{CAPACITY}.csv")):
        show(path.name, plan_addresses(_read(path), CAPACITY), MINIMALLOC_S)
    print(f"{'all of them':<28}{time.perf_counter() - start_s:9.3f}")
    print(
        f"\nfilling 1024 bytes, solved within {GENERATED_LIMIT_S:.0f} s, and seconds of those solved"
    )
    for count in (60, 120, 200, 300):
        for name, *shares in KINDS:
            plans = [
                plan_addresses(
                    _packed(random.Random(f"{count} {name} {seed}"), count, *shares),
                    1024,
                    time_limit_s=GENERATED_LIMIT_S,
                )
                for seed in range(4)
            ]
            seconds = ", ".join(f"{plan.seconds:.2f}" for plan in plans if plan.fits)
            solved = sum(plan.fits for plan in plans)
            print(f"{count:>4} buffers, {name:<14}{solved:>3} of {len(plans)}   {seconds}")
    print("\nfeature maps of the bundled networks, as low as possible")
    for name in bundled_networks():
        plan = plan_addresses(_feature_maps(lower(load_network(name))), time_limit_s=10)
        show(name, plan, "optimal" if plan.is_optimal else f"bound {plan.bound_bytes:,}")


def show(name: str, plan: AddressPlan, remark: str) -> None:
    """A line of figures."""
    height = f"{plan.peak_bytes:>11,}" if plan.fits else f"{'none':>11}"
    print(f"{name:<28}{plan.seconds:9.3f}{plan.nodes:9,}{height}   {remark}", flush=True)


def _read(path: Path) -> Buffers:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return make_buffers(*([int(row[key]) for row in rows] for key in ("lower", "upper", "size")))


def _packed(
    rng: random.Random, count: int, left_out: float, smaller: float, shorter: float
) -> Buffers:
    """A rectangle of 1024 bytes and 120 moments, cut in two again and again; then some pieces are changed."""
    pieces = [(0, 120, 0, 1024)]
    while len(pieces) < count:
        areas = [(end - start) * (top - bottom) for start, end, bottom, top in pieces]
        index = rng.choices(range(len(pieces)), areas)[0]
        start, end, bottom, top = pieces[index]
        if rng.random() < 0.6 and end - start > 1:
            cut = rng.randrange(start + 1, end)
            pieces[index : index + 1] = [(start, cut, bottom, top), (cut, end, bottom, top)]
        elif top - bottom > 1:
            cut = rng.randrange(bottom + 1, top)
            pieces[index : index + 1] = [(start, end, bottom, cut), (start, end, cut, top)]
    rows = []
    for start, end, bottom, top in pieces:
        size, life = top - bottom, end - start
        if rng.random() < smaller:
            size -= rng.randint(0, size // 4)
        if rng.random() < shorter:
            life -= rng.randint(0, life // 3)
        if rng.random() >= left_out:
            rows.append((start, start + life, size))
    rng.shuffle(rows)
    return make_buffers(*(list(column) for column in zip(*rows, strict=True)))


def _feature_maps(program: Program) -> Buffers:
    maps = [
        tensor
        for tensor in program.tensors
        if tensor.kind is not Kind.WEIGHT and tensor.first <= tensor.last
    ]
    return make_buffers(
        [tensor.first for tensor in maps],
        [tensor.last + 1 for tensor in maps],
        [tensor.bytes for tensor in maps],
    )


if __name__ == "__main__":
    main()
