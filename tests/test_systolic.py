"""Cycles on a systolic array: SCALE-Sim's, and those of arrays that are stepped cycle by cycle here."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import PUBLISHED, read_csv

from perfsim.timing.systolic import FLOWS

TABLE = read_csv(PUBLISHED / "systolic" / "scale_sim.csv")
NAMES = list(FLOWS)
ARRAYS = [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (4, 4), (6, 5)]
PRODUCTS = [(1, 1, 1), (1, 6, 5), (6, 1, 4), (5, 6, 1), (2, 3, 4), (4, 4, 4), (6, 5, 6), (3, 6, 2)]


def systolic_cycles(pixels, depth, channels, groups, rows, columns, flow):
    """Cycles of equal products, one after the other."""
    return groups * FLOWS[flow](pixels, depth, channels, rows, columns)


def product_sizes(row: dict[str, str]) -> tuple[int, int, int, int]:
    """Pixels, depth, channels and groups of a row of the table, as SCALE-Sim sees them."""
    if row["kind"] == "gemm":
        return int(row["m"]), int(row["k"]), int(row["n"]), 1
    stride = int(row["stride"])
    windows = [  # rounded up: a window that hangs over the edge counts, unlike perfsim's
        -(-(int(row[f"input_{side}"]) - int(row[f"kernel_{side}"])) // stride) + 1
        for side in ("height", "width")
    ]
    kernel = int(row["kernel_height"]) * int(row["kernel_width"])
    channels, filters = int(row["channels"]), int(row["filters"])
    pixels = windows[0] * windows[1]
    if row["kind"] == "depthwise":
        return pixels, kernel, filters, channels
    return pixels, kernel * channels, filters, 1


def random_sizes(count: int, seed: int) -> np.ndarray:
    """Sizes on both sides of those of the array: (pixels, depth, channels, groups, rows, columns) x count."""
    random = np.random.default_rng(seed)
    largest = np.array([[400], [600], [300], [9], [130], [130]])
    return np.array(1 + random.random((6, count)) ** 2 * largest, dtype=np.int64)


def test_the_table_covers_what_it_should():
    assert {row["flow"] for row in TABLE} == set(NAMES)
    assert {row["kind"] for row in TABLE} == {"gemm", "conv", "depthwise"}
    assert len({(row["rows"], row["columns"]) for row in TABLE}) == 6
    assert len(TABLE) == 6 * len(NAMES) * (12 + 10 + 3)


@pytest.mark.parametrize("flow", NAMES)
def test_every_row_equals_scale_sim(flow):
    for row in TABLE:
        if row["flow"] == flow:
            *sizes, groups = product_sizes(row)
            cycles = systolic_cycles(*sizes, groups, int(row["rows"]), int(row["columns"]), flow)
            assert cycles == int(row["cycles"]), row
            # what it prints is the number of the last cycle, counted from 0, of each group
            assert cycles - groups == int(row["printed_cycles"]), row


def test_by_hand():
    # SCALE-Sim's RTL (ISPASS 2020, figure 4; the project's issue 125): 4 x 4 x 4 on 4 x 4 takes 10 cycles
    assert systolic_cycles(4, 4, 4, 1, 4, 4, "output_stationary") == 10
    # one element: a multiply-accumulate a cycle; a weight or an input takes a cycle to load
    assert systolic_cycles(3, 5, 2, 7, 1, 1, "output_stationary") == 7 * 3 * 2 * 5
    assert systolic_cycles(3, 5, 2, 7, 1, 1, "weight_stationary") == 7 * 5 * 2 * (1 + 3)
    assert systolic_cycles(3, 5, 2, 7, 1, 1, "input_stationary") == 7 * 5 * 3 * (1 + 2)


def padded(matrix: np.ndarray, height: int, width: int) -> np.ndarray:
    """A block of a matrix with zeros for the idle elements of the array."""
    return np.pad(matrix, ((0, height - matrix.shape[0]), (0, width - matrix.shape[1])))


def step_output_stationary(left: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, int]:
    """One fold: `left` (rows x depth) enters from the left, `top` (depth x columns) from above, both skewed.

    Returns the sums and the cycles until the last element has got its last pair.
    """
    rows, columns, depth = left.shape[0], top.shape[1], left.shape[1]
    right_going, down_going = np.zeros((2, rows, columns), dtype=int)
    right_valid = np.zeros((rows, columns), dtype=bool)
    sums, pairs = np.zeros((2, rows, columns), dtype=int)
    cycle = 0
    while (pairs < depth).any():
        for wires in (right_going, right_valid):  # one element on
            wires[:, 1:] = wires[:, :-1].copy()
        down_going[1:] = down_going[:-1].copy()
        for row in range(rows):
            right_valid[row, 0] = 0 <= cycle - row < depth
            right_going[row, 0] = left[row, cycle - row] if right_valid[row, 0] else 0
        for column in range(columns):
            due = 0 <= cycle - column < depth
            down_going[0, column] = top[cycle - column, column] if due else 0
        sums += right_going * down_going
        pairs += right_valid
        cycle += 1
    return sums, cycle


def step_weight_stationary(inputs: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, int]:
    """One fold: `weights` (rows x columns) are shifted in, then `inputs` (pixels x rows) enter from the left, skewed.

    Returns the results (pixels x columns) and the cycles until the last has left the bottom.
    """
    (rows, columns), pixels = weights.shape, inputs.shape[0]
    held, right_going, down_going = np.zeros((3, rows, columns), dtype=int)
    cycle = 0
    while cycle < rows:  # the bottom line first
        held[1:] = held[:-1].copy()
        held[0] = weights[rows - 1 - cycle]
        cycle += 1
    results = np.zeros((pixels, columns), dtype=int)
    left_bottom = np.zeros(columns, dtype=int)
    start = cycle
    while (left_bottom < pixels).any():
        right_going[:, 1:] = right_going[:, :-1].copy()
        for row in range(rows):
            pixel = cycle - start - row
            right_going[row, 0] = inputs[pixel, row] if 0 <= pixel < pixels else 0
        from_above = np.vstack([np.zeros((1, columns), dtype=int), down_going[:-1]])
        down_going = from_above + held * right_going
        for column in range(columns):
            pixel = cycle - start - (rows - 1) - column  # whose sum is complete at the bottom
            if 0 <= pixel < pixels:
                results[pixel, column] = down_going[-1, column]
                left_bottom[column] += 1
        cycle += 1
    return results, cycle


def step_product(left: np.ndarray, right: np.ndarray, rows: int, columns: int, flow: str):
    """The product of two matrices, fold after fold, and the cycles that it took."""
    if flow == "input_stationary":
        result, cycles = step_product(right.T, left.T, rows, columns, "weight_stationary")
        return result.T, cycles
    (pixels, depth), channels = left.shape, right.shape[1]
    result, cycles = np.zeros((pixels, channels), dtype=int), 0
    for column in range(0, channels, columns):
        across = slice(column, column + columns)
        for row in range(0, pixels if flow == "output_stationary" else depth, rows):
            down = slice(row, row + rows)
            if flow == "output_stationary":
                sums, took = step_output_stationary(
                    padded(left[down], rows, depth), padded(right[:, across], depth, columns)
                )
                block = result[down, across]
                block += sums[: block.shape[0], : block.shape[1]]
            else:
                sums, took = step_weight_stationary(
                    padded(left[:, down], pixels, rows), padded(right[down, across], rows, columns)
                )
                block = result[:, across]
                block += sums[:, : block.shape[1]]
            cycles += took
    return result, cycles


@pytest.mark.parametrize("flow", NAMES)
@pytest.mark.parametrize(("rows", "columns"), ARRAYS)
def test_an_array_stepped_cycle_by_cycle_takes_as_long(rows, columns, flow):
    random = np.random.default_rng(rows * 10 + columns)
    for pixels, depth, channels in PRODUCTS:
        left = random.integers(-9, 9, (pixels, depth))
        right = random.integers(-9, 9, (depth, channels))
        result, cycles = step_product(left, right, rows, columns, flow)
        assert (result == left @ right).all()
        assert cycles == systolic_cycles(pixels, depth, channels, 1, rows, columns, flow)


@pytest.mark.parametrize("flow", NAMES)
@pytest.mark.parametrize("number", [np.int64, np.uint64, np.float64])
def test_arrays_give_the_same_bits_as_numbers(flow, number):
    sizes = random_sizes(200, seed=1)
    alone = [systolic_cycles(*map(int, column), flow) for column in sizes.T]
    together = systolic_cycles(*sizes.astype(number), flow)
    assert together.dtype == number
    assert together.tolist() == alone
    layers, machines = sizes[:4, :, None], sizes[4:, None, :7]  # each layer on each of 7 machines
    every = systolic_cycles(*layers.astype(number), *machines.astype(number), flow)
    for machine in range(7):
        rows, columns = (int(each) for each in sizes[4:, machine])
        one = [systolic_cycles(*map(int, sizes[:4, i]), rows, columns, flow) for i in range(200)]
        assert every[:, machine].tolist() == one


@pytest.mark.parametrize("number", [int, np.int64, np.float64])
def test_large_counts_are_exact(number):
    sizes = [number(each) for each in (2**24 + 1, 2**14 + 1, 2**12 + 1, 1, 128, 64)]
    # folds of depth and channels: 129 and 65; of pixels: 2^18 + 1 on 64 columns
    assert int(systolic_cycles(*sizes, "weight_stationary")) == 129 * 65 * (2**24 + 1 + 318)
    assert int(systolic_cycles(*sizes, "input_stationary")) == 129 * (2**18 + 1) * (2**12 + 1 + 318)


@pytest.mark.parametrize("flow", NAMES)
def test_more_work_never_takes_less(flow):
    sizes = random_sizes(2000, seed=2)
    before = systolic_cycles(*sizes, flow)
    for which in range(4):
        more = sizes.copy()
        more[which] += 1
        assert (systolic_cycles(*more, flow) >= before).all()


@pytest.mark.parametrize("flow", NAMES)
def test_never_faster_than_every_element_busy_in_every_cycle(flow):
    pixels, depth, channels, groups, rows, columns = sizes = random_sizes(2000, seed=3)
    cycles = systolic_cycles(*sizes, flow)
    assert (cycles * rows * columns >= pixels * depth * channels * groups).all()


@pytest.mark.parametrize("flow", NAMES)
def test_twice_the_array_takes_at_most_twice_the_cycles_but_may_take_more_than_before(flow):
    sizes = random_sizes(2000, seed=4)
    before = systolic_cycles(*sizes, flow)
    for which in (4, 5):
        wider = sizes.copy()
        wider[which] *= 2
        assert (systolic_cycles(*wider, flow) <= 2 * before).all()
    # an array that is larger than the product only takes longer to fill
    assert systolic_cycles(8, 8, 8, 1, 16, 8, flow) > systolic_cycles(8, 8, 8, 1, 8, 8, flow)
    assert systolic_cycles(8, 8, 8, 1, 8, 16, flow) > systolic_cycles(8, 8, 8, 1, 8, 8, flow)


@pytest.mark.parametrize("flow", NAMES)
def test_an_array_that_divides_the_product_is_never_slower_when_twice_as_large(flow):
    """With an even number of full folds, twice the rows or columns halve the folds; a fold at most doubles."""
    pixels, depth, channels, _, rows, columns = random_sizes(500, seed=5)
    sizes = (pixels * 2 * rows * columns, depth * 2 * rows, channels * 2 * columns, 1)
    before = systolic_cycles(*sizes, rows, columns, flow)
    assert (systolic_cycles(*sizes, 2 * rows, columns, flow) <= before).all()
    assert (systolic_cycles(*sizes, rows, 2 * columns, flow) <= before).all()
