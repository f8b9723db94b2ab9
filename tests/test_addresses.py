"""The address planner: against all permutations, perfectly packed rectangles, nested loops and public instances."""

from __future__ import annotations

import itertools
import random
import time

import numpy as np
import pytest
from conftest import ROOT, read_csv

from perfsim import catalog, load_network, lower
from perfsim.errors import CountError, InvalidValueError, ShapeError, UnknownNameError
from perfsim.placement import address_exact, address_greedy, addresses
from perfsim.placement.address_buffers import (
    FREE,
    Buffers,
    components,
    first_overlap,
    least_height,
    make_buffers,
    verify,
)
from perfsim.placement.address_cp_sat import CpSatSearch
from perfsim.placement.address_exact import luby
from perfsim.placement.address_search import EXHAUSTED, FOUND, search
from perfsim.placement.address_sections import Sections, compiled_search
from perfsim.placement.addresses import SEARCHES, plan_addresses
from perfsim.program import Kind

ALLOCATION = ROOT / "tests" / "allocation"
INSTANCES = sorted(path.name for path in ALLOCATION.glob("?.1048576.csv"))


@pytest.fixture
def plain(monkeypatch):
    """As without numba."""
    monkeypatch.setattr(address_exact, "has_numba", lambda: False)


def read(name: str) -> Buffers:
    rows = read_csv(ALLOCATION / name)
    return make_buffers(*([int(row[key]) for row in rows] for key in ("lower", "upper", "size")))


def overlapping(buffers: Buffers, offsets) -> list[tuple[int, int]]:
    """All pairs that share a byte at one time, by nested loops."""
    spans = list(zip(buffers.lower, buffers.upper, offsets, offsets + buffers.size, strict=True))
    return [
        (one, other)
        for other, (lower, upper, begin, end) in enumerate(spans)
        for one, (before, after, bottom, top) in enumerate(spans[:other])
        if before < upper and lower < after and bottom < end and begin < top
        if bottom < top and begin < end
    ]


def random_buffers(rng: random.Random, count: int, *, constrained: bool) -> Buffers | None:
    """Few times and small sizes, so that much lives together; None when what is fixed overlaps."""
    lower = [rng.randrange(6) for _ in range(count)]
    upper = [each + rng.randint(1, 5) for each in lower]
    size = [rng.randint(1, 6) * rng.choice((1, 1, 2)) for _ in range(count)]
    if not constrained:
        return make_buffers(lower, upper, size)
    alignment = [rng.choice((1, 1, 2, 3, 4)) for _ in range(count)]
    fixed = [rng.choice((FREE, FREE, 2 * each)) for each in alignment]
    try:
        return make_buffers(lower, upper, size, alignment, fixed)
    except InvalidValueError:
        return None


def least_of_all_orders(buffers: Buffers) -> int:
    """The height of the best of all orders in which each buffer takes the lowest place that is left.

    That is the least there is: the order of the offsets in a best plan gives no higher one.
    """
    columns = (buffers.lower, buffers.upper, buffers.size, buffers.alignment, buffers.fixed)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    held = [(*row[:3], row[4]) for row in rows if row[4] != FREE]
    best = 10**9
    for order in itertools.permutations([row for row in rows if row[4] == FREE]):
        placed = list(held)
        for low, high, size, alignment, _ in order:
            offset = 0
            while any(
                start < high and low < end and offset < at + bytes_ and at < offset + size
                for start, end, bytes_, at in placed
            ):
                offset += alignment
            placed.append((low, high, size, offset))
        best = min(best, max(at + bytes_ for _, _, bytes_, at in placed))
    return best


def cut_up(rng: random.Random, count: int, times: int, capacity: int) -> list[tuple[int, ...]]:
    """A rectangle cut in two again and again: start, end, bottom, top of each piece."""
    pieces = [(0, times, 0, capacity)]
    while len(pieces) < count:
        areas = [(end - start) * (top - bottom) for start, end, bottom, top in pieces]
        index = rng.choices(range(len(pieces)), areas)[0]
        start, end, bottom, top = pieces[index]
        if rng.random() < 0.5 and end - start > 1:
            cut = rng.randrange(start + 1, end)
            pieces[index : index + 1] = [(start, cut, bottom, top), (cut, end, bottom, top)]
        elif top - bottom > 1:
            cut = rng.randrange(bottom + 1, top)
            pieces[index : index + 1] = [(start, end, bottom, cut), (start, end, cut, top)]
    rng.shuffle(pieces)
    return pieces


def packed(rng: random.Random, count: int, times: int, capacity: int) -> Buffers:
    """Buffers that fill `times` x `capacity` without a hole."""
    start, end, bottom, top = map(np.array, zip(*cut_up(rng, count, times, capacity), strict=True))
    return make_buffers(start, end, top - bottom)


@pytest.mark.parametrize("constrained", [False, True], ids=["free", "aligned and fixed"])
@pytest.mark.parametrize("seed", range(60))
def test_the_plan_is_as_low_as_the_best_of_all_orders(seed, constrained):
    rng = random.Random(seed)
    buffers = None
    while buffers is None:
        buffers = random_buffers(rng, rng.choice((1, 3, 4, 5, 5, 6)), constrained=constrained)
    least = least_of_all_orders(buffers)
    for name in ("auto", "exact"):
        plan = plan_addresses(buffers, search=name)
        assert (plan.peak_bytes, plan.bound_bytes, plan.is_optimal) == (least, least, True)
        assert verify(buffers, plan.offsets) is None
        assert not overlapping(buffers, plan.offsets)
    assert plan_addresses(buffers, least).fits
    too_small = plan_addresses(buffers, least - 1)
    assert (too_small.fits, too_small.is_ruled_out) == (False, True)


@pytest.mark.parametrize("seed", range(6))
def test_cp_sat_finds_the_same_height(seed):
    pytest.importorskip("ortools")
    rng = random.Random(seed)
    buffers = None
    while buffers is None:
        buffers = random_buffers(rng, 6, constrained=bool(seed % 2))
    least = least_of_all_orders(buffers)
    plan = plan_addresses(buffers, search="cp-sat")
    assert (plan.peak_bytes, plan.bound_bytes) == (least, least)
    assert plan_addresses(buffers, least - 1, search="cp-sat").is_ruled_out


@pytest.mark.parametrize("seed", range(8))
def test_a_rectangle_that_was_cut_up_is_put_together(seed, plain):
    buffers = packed(random.Random(seed), 40, 30, 100)
    plan = plan_addresses(buffers, 100, time_limit_s=30)
    assert (plan.fits, plan.peak_bytes, plan.bound_bytes) == (True, 100, 100)


def searched(buffers: Buffers, capacity: int, rng: random.Random, depth: int = 0) -> int:
    """The answer of the search alone, to the end, in a random order; what it finds is checked."""
    sections = Sections(buffers)
    sections._depth = depth or sections._depth
    keys = [float(rng.randrange(100)) for _ in range(len(buffers))]
    answer, offsets, _ = sections.search(
        search,
        keys,
        [1.0] * sections.count,
        rng.choice((0.0, 50.0)),
        capacity // sections.unit,
        10**9,
    )
    if answer == FOUND:
        bytes_ = sections.unit * np.array(offsets)
        assert verify(buffers, bytes_) is None
        assert (bytes_ + buffers.size).max() <= capacity
    return answer


@pytest.mark.parametrize("seed", range(200))
def test_the_search_finds_what_is_there(seed):
    """A cut rectangle with pieces left out, made smaller, shorter, equal or held in their places still fits."""
    rng = random.Random(seed)
    rows = []
    for start, end, bottom, top in cut_up(rng, rng.randint(5, 12), 8, 12):
        life = max(1, end - start - rng.choice((0, 0, 1)))
        size = max(1, top - bottom - rng.choice((0, 0, 0, 1, 2)))
        alignment = rng.choice([each for each in (1, 1, 2, 3, 4) if bottom % each == 0])
        fixed = rng.choice((FREE, FREE, FREE, bottom))
        if rng.random() < 0.9:
            rows.append((start, start + life, size, alignment, fixed))
    buffers = make_buffers(*zip(*rows, strict=True))
    assert searched(buffers, 12, rng) == FOUND
    assert searched(buffers, 12, rng, depth=2) == FOUND


@pytest.mark.parametrize("constrained", [False, True], ids=["free", "aligned and fixed"])
@pytest.mark.parametrize("seed", range(100, 160))
def test_the_search_rules_out_what_no_order_reaches(seed, constrained):
    rng = random.Random(seed)
    buffers = None
    while buffers is None:
        buffers = random_buffers(rng, rng.choice((2, 4, 5, 5)), constrained=constrained)
    least = least_of_all_orders(buffers)
    assert searched(buffers, least, rng) == FOUND
    assert searched(buffers, least - 1, rng) == EXHAUSTED


def test_the_public_instances_fit():
    pytest.importorskip("numba")
    for name in INSTANCES:
        plan = plan_addresses(read(name), 1_048_576)
        assert plan.fits, name
        assert not overlapping(read(name), plan.offsets)
    assert len(INSTANCES) == 6


def test_numba_searches_as_plain_python_does():
    pytest.importorskip("numba")
    buffers = packed(random.Random(5), 60, 40, 100)
    ranks = [float(rank) for rank in np.argsort(np.argsort(-buffers.size))]
    answers = []
    for run in (search, compiled_search()):
        sections = Sections(buffers)
        weights = [1.0] * sections.count
        answers.append((sections.search(run, ranks, weights, 5.0, 100, 300), weights))
    assert answers[0] == answers[1]
    assert answers[0][0][2] > 60


def test_the_small_public_example_is_solved_without_numba(plain):
    for name in SEARCHES:
        if name == "cp-sat":
            continue
        plan = plan_addresses(read("example.12.csv"), 12, search=name)
        assert (plan.fits, plan.bound_bytes) == (True, 12)
    assert plan_addresses(read("example.12.csv"), 11).is_ruled_out


@pytest.mark.parametrize("name", ["densenet121", "nasnet_mobile", "mobilenet", "resnet50"])
def test_the_feature_maps_of_a_network_take_what_is_live_at_once(name, plain):
    program = lower(load_network(name))
    maps = [
        tensor
        for tensor in program.tensors
        if tensor.kind is not Kind.WEIGHT and tensor.first <= tensor.last
    ]
    live = max(
        sum(tensor.bytes for tensor in maps if tensor.first <= position <= tensor.last)
        for position in range(len(program.layers))
    )
    buffers = make_buffers(
        [tensor.first for tensor in maps],
        [tensor.last + 1 for tensor in maps],
        [tensor.bytes for tensor in maps],
    )
    assert plan_addresses(buffers).peak_bytes == live
    assert name in catalog.bundled_networks()


@pytest.mark.parametrize("seed", range(20))
def test_an_overlap_is_found_where_there_is_one(seed):
    rng = random.Random(seed)
    count = 12
    lower = np.array([rng.randrange(20) for _ in range(count)])
    buffers = make_buffers(
        lower,
        lower + [rng.randint(1, 6) for _ in range(count)],
        [rng.randint(0, 5) for _ in range(count)],
    )
    offsets = np.array([rng.randrange(30) for _ in range(count)])
    pair = first_overlap(buffers, offsets)
    expected = overlapping(buffers, offsets)
    assert (pair is None) == (not expected)
    assert pair is None or tuple(sorted(pair)) in expected


def test_what_is_wrong_with_offsets_is_said():
    buffers = make_buffers([0, 0], [2, 2], [4, 4], [1, 4], [FREE, 8])
    assert verify(buffers, np.array([0, 8])) is None
    assert verify(buffers, np.array([5, 8])) == "buffers 0 and 1 overlap"
    assert verify(buffers, np.array([-4, 8])) == "buffer 0 lies below 0"
    assert verify(buffers, np.array([0, 4])) == "buffer 1 is not where it must be"
    assert verify(make_buffers([0], [1], [4], [4]), np.array([2])) == "buffer 0 is not aligned"
    assert verify(buffers, np.array([0])) == "(1,) offsets for 2 buffers"


def test_a_wrong_plan_is_not_given_out(monkeypatch):
    wrong = [("size", np.array([0, 0]))]
    monkeypatch.setattr(addresses, "greedy_plans", lambda _: wrong)
    with pytest.raises(RuntimeError, match="buffers 0 and 1 overlap"):
        plan_addresses(make_buffers([0, 0], [2, 2], [4, 4]), search="greedy")


@pytest.mark.parametrize("seed", range(10))
def test_the_bound_is_the_largest_sum_live_at_one_time(seed):
    rng = random.Random(seed)
    buffers = random_buffers(rng, 15, constrained=False)
    live = [
        sum(
            int(buffers.size[index])
            for index in range(15)
            if buffers.lower[index] <= now < buffers.upper[index]
        )
        for now in range(12)
    ]
    assert least_height(buffers) == max(live)


def test_the_bound_counts_padding_below_the_topmost():
    assert least_height(make_buffers([0, 0], [1, 1], [100, 70], [64, 64])) == 128 + 70
    assert least_height(make_buffers([0, 0], [1, 1], [100, 70], [64, 1])) == 170
    assert least_height(make_buffers([0, 1], [1, 2], [100, 70], [64, 64])) == 100
    assert least_height(make_buffers([0], [1], [10], [1], [90])) == 100
    assert least_height(make_buffers([], [], [])) == 0


def test_groups_share_no_moment():
    buffers = make_buffers([4, 0, 1, 8, 5], [8, 3, 4, 9, 6], [1] * 5)
    assert [sorted(group.tolist()) for group in components(buffers)] == [[1, 2], [0, 4], [3]]


def test_gaps_are_filled_first_or_best():
    # 0..4 and 10..14 are taken, and 20..24: gaps of 6 and 6, then a smaller one of 3 at 24..27
    buffers = make_buffers([0] * 5, [9] * 5, [4, 4, 4, 9, 3], None, [0, 10, 20, 27, FREE])
    order = np.arange(5)
    first = address_greedy.place_in_order(buffers, order, best_fit=False)
    best = address_greedy.place_in_order(buffers, order, best_fit=True)
    assert (first[4], best[4]) == (4, 24)


def test_buffers_without_bytes_take_no_room():
    plan = plan_addresses(make_buffers([0, 0, 0], [5, 5, 5], [0, 8, 0], None, [FREE, FREE, 4]), 8)
    assert (plan.fits, plan.peak_bytes, plan.offsets.tolist()) == (True, 8, [0, 0, 4])


def test_nothing_to_plan():
    plan = plan_addresses(make_buffers([], [], []))
    assert (plan.peak_bytes, plan.bound_bytes, len(plan.offsets), plan.fits) == (0, 0, 0, True)


def test_out_of_time_is_not_proven(plain):
    buffers = read("A.1048576.csv")
    plan = plan_addresses(buffers, 1_048_576, time_limit_s=0.01)
    assert (plan.fits, plan.is_ruled_out, plan.is_optimal) == (False, False, False)
    assert plan.peak_bytes > 1_048_576
    assert plan.gap_bytes == plan.peak_bytes - plan.bound_bytes
    assert plan.seconds < 5


# Four bytes are live at every time but do not suffice: x splits into a and b, y into c and d, so that each pair lies
# side by side; z takes the bytes of a and c, which must be neighbours then: b a c d. What b and d leave w is torn.
KNOT = {
    "x": (0, 1, 2),
    "y": (0, 2, 2),
    "a": (1, 3, 1),
    "b": (1, 4, 1),
    "c": (2, 3, 1),
    "d": (2, 4, 1),
    "z": (3, 5, 2),
    "w": (4, 5, 2),
}


@pytest.mark.parametrize("name", ["auto", "exact"])
def test_the_live_bytes_are_shown_not_to_suffice(name, plain):
    buffers = make_buffers(*zip(*KNOT.values(), strict=True))
    assert least_height(buffers) == 4
    plan = plan_addresses(buffers, search=name)
    assert (plan.peak_bytes, plan.bound_bytes) == (5, 5)
    assert plan_addresses(buffers, 4, search=name).is_ruled_out


def test_cp_sat_shows_it_too():
    pytest.importorskip("ortools")
    buffers = make_buffers(*zip(*KNOT.values(), strict=True))
    plan = plan_addresses(buffers, search="cp-sat")
    assert (plan.peak_bytes, plan.bound_bytes) == (5, 5)
    assert plan_addresses(buffers, 4, search="cp-sat").is_ruled_out
    stacked = (
        np.cumsum(buffers.size) - buffers.size
    )  # so high that it is not enough to rule out what is below
    found = CpSatSearch(buffers, stacked, 4)
    found.minimise(4, time.monotonic() + 60)
    assert (found.peak, found.bound) == (5, 5)


def test_every_group_is_searched_and_the_whole_is_the_highest(plain):
    rows = [
        (lower + shift, upper + shift, size)
        for shift in (0, 10, 20)
        for lower, upper, size in KNOT.values()
    ]
    rows.append((30, 31, 3))
    plan = plan_addresses(make_buffers(*zip(*rows, strict=True)))
    assert (plan.peak_bytes, plan.bound_bytes) == (5, 5)


def test_thirty_thousand_buffers_are_placed():
    rng = np.random.default_rng(0)
    lower = rng.integers(0, 10_000, 30_000)
    buffers = make_buffers(
        lower, lower + rng.integers(1, 10, 30_000), rng.integers(1, 1000, 30_000)
    )
    plan = plan_addresses(buffers, search="greedy", time_limit_s=0)
    assert verify(buffers, plan.offsets) is None
    assert plan.peak_bytes <= 1.2 * plan.bound_bytes


def test_the_restart_lengths_are_luby_s():
    assert [luby(index) for index in range(1, 16)] == [1, 1, 2, 1, 1, 2, 4, 1, 1, 2, 1, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        (([0], [1, 2], [1]), ShapeError, "'upper'; found 2 values, expected 1"),
        (([0, 3], [1, 3], [1, 1]), InvalidValueError, "buffer 1: lower is not below upper"),
        (([0], [1], [-1]), InvalidValueError, "buffer 0: the size is negative"),
        (([0], [1], [1], [0]), InvalidValueError, "buffer 0: the alignment is below 1"),
        (([0], [1], [1], [1], [-2]), InvalidValueError, "buffer 0: the fixed offset is negative"),
        (([0], [1], [1], [4], [2]), InvalidValueError, "buffer 0: the fixed offset is unaligned"),
        (
            ([0, 9, 1], [2, 10, 3], [4, 4, 4], None, [0, 0, 3]),
            InvalidValueError,
            "buffer 2: its fixed offset lets it overlap buffer 0, which lives at the same time",
        ),
        (
            ([0, 0], [1, 1], [2**52, 2**52 + 1]),
            CountError,
            "expected at most 9,007,199,254,740,992",
        ),
    ],
)
def test_wrong_buffers_are_refused(arrays, error, message):
    with pytest.raises(error) as caught:
        make_buffers(*arrays)
    assert message in str(caught.value)


def test_wrong_arguments_are_refused():
    buffers = make_buffers([0], [1], [1])
    with pytest.raises(UnknownNameError, match="did you mean 'exact'"):
        plan_addresses(buffers, search="exat")
    with pytest.raises(InvalidValueError, match="a capacity of -1 bytes"):
        plan_addresses(buffers, -1)
