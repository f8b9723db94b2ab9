"""The smallest machine that is fast enough: it is, and with the next smaller byte or float it is not."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import perfsim
from perfsim.errors import InputError
from perfsim.hardware.parts import Extras, WeightMemory
from perfsim.sweeps.sizing import smallest_sizes

HW = "1MB_1GBs_1TF"
LENET5_BYTES = 54  # the least memory that its tiles need
PLAIN = perfsim.Machine("m", 1_000_000, 1e9, 1e12, 1e10)
NUMBERS = {
    "sram": "sram_bytes",
    "ddr_bandwidth": "ddr_bytes_per_s",
    "matrix": "matrix_flops",
    "vector": "vector_flops",
}


def times_s(network, machine, placement, timing, **numbers):
    """The total times of `machine` with arrays of numbers instead of its own, by key."""
    count = max(len(values) for values in numbers.values())
    own = {name: np.full(count, getattr(machine, name)) for name in NUMBERS.values()}
    given = {NUMBERS[key]: np.asarray(values) for key, values in numbers.items()}
    many = replace(machine, **{**own, **given})
    return perfsim.simulate_array(network, many, placement, timing).total_s


def time_s(network, machine, placement, timing, **numbers):
    one = replace(machine, **{NUMBERS[key]: value for key, value in numbers.items()})
    return perfsim.simulate(network, one, placement, timing).totals.total_s


def below(number, count=3000):
    """The next smaller bytes, down to what LeNet-5 needs, or floats."""
    if isinstance(number, int):
        return np.arange(number - 1, max(number - 1 - count, LENET5_BYTES - 1), -1)
    return (np.array([number]).view(np.int64) - np.arange(1, count + 1)).view(np.float64)


def asked(perfsim_cli, *words, status=0):
    told = perfsim_cli("size", *map(str, words))
    assert told.status == status, told.err
    return told


# --- one number ------------------------------------------------------------------------------------------------------

MAPS = (
    "input: [2, 4, 5]\nlayers:\n"
    "  - conv: {channels: 6, kernel: 3}\n"
    "  - conv: {channels: 5, kernel: 1, activation: sigmoid}\n"
    "  - conv: {channels: 7, kernel: 3, stride: 2}\n"
)
# Layers of one row read their weights strip by strip.
ROWS = (
    "input: [2, 3, 4]\nlayers:\n"
    "  - conv: {channels: 4, kernel: 3}\n"
    "  - flatten: {}\n"
    "  - fully_connected: {units: 12}\n"
    "  - fully_connected: {units: 16}\n"
    "  - fully_connected: {units: 10}\n"
)
TILES = (
    "input: [4, 5, 6]\nlayers:\n"
    "  - conv: {channels: 6, kernel: 3}\n"
    "  - conv: {channels: 10, kernel: 1}\n"
)
OTHER_BUS = replace(PLAIN, extras=Extras(weight_memory=WeightMemory(1e7)))
SLOW_TRANSFERS = replace(PLAIN, extras=Extras(ddr_latency_s=1e-4))


@pytest.mark.parametrize("timing", ["serial", "overlap", "pipelined"])
@pytest.mark.parametrize("placement", ["liveness", "pinned", "accumulate", "streaming"])
@pytest.mark.parametrize(
    ("text", "machine"),
    [
        (MAPS, replace(PLAIN, matrix_flops=4e9)),
        (ROWS, replace(PLAIN, matrix_flops=2e9)),
        (ROWS, PLAIN),
        (TILES, OTHER_BUS),
        (TILES, SLOW_TRANSFERS),
    ],
    ids=["maps", "rows", "rows that wait", "weights of another memory", "slow transfers"],
)
def test_the_smallest_memory_is_the_first_of_all_that_is_enough(
    load, text, machine, placement, timing
):
    network = load(text)
    least = 1
    while placement != "accumulate" and not runs(network, machine, placement, least):
        least += 1
    sizes = np.arange(least, 2_200)
    times = times_s(network, machine, placement, timing, sram=sizes)
    assert times[-1] == time_s(network, machine, placement, timing)
    wanted = np.random.default_rng(3).choice(np.unique(times), 4)
    before_slower = times[:-1][np.diff(times) > 0]
    wanted = [*before_slower[[0, -1]], *wanted] if len(before_slower) else wanted
    for target_s in (*wanted, wanted[0] * (1 - 1e-15), times.min(), times.min() * 0.999):
        found = smallest_sizes(network, machine, ["sram"], float(target_s), placement, timing)
        enough = np.flatnonzero(times <= target_s)
        assert found.rows == (((int(sizes[enough[0]]),),) if len(enough) else ())
        assert not found.is_part


def runs(network, machine, placement, size):
    try:
        perfsim.simulate(network, replace(machine, sram_bytes=size), placement)
    except perfsim.errors.MemoryTooSmallError:
        return False
    return True


def test_more_memory_can_be_slower_with_the_same_plan(load):
    """Why memories are not bisected: the last layer's weights come early, while the bus has no idle time."""
    network = load(ROWS)
    machine = replace(PLAIN, matrix_flops=2e9)
    sizes = np.arange(300, 2_200)
    times = times_s(network, machine, "liveness", "pipelined", sram=sizes)
    slower = np.flatnonzero(np.diff(times) > 1e-12 * times[1:])
    placed = [
        perfsim.simulate(network, replace(machine, sram_bytes=int(sizes[at]))) for at in slower
    ]
    assert any(
        each.placement.capacities.below_bytes > each.machine.sram_bytes + 1 for each in placed
    )


@pytest.mark.parametrize(
    ("machine", "why"), [(OTHER_BUS, "weight_memory"), (SLOW_TRANSFERS, "latency")]
)
def test_fewer_bytes_can_take_longer_where_they_are_not_alike(load, machine, why):
    network = load(TILES)
    sizes = np.arange(39, 1_000)
    times = times_s(network, machine, "liveness", "serial", sram=sizes)
    assert (np.diff(times) > 1e-9 * times[1:]).any(), why


@pytest.mark.parametrize("timing", ["serial", "overlap", "pipelined"])
@pytest.mark.parametrize("key", ["ddr_bandwidth", "matrix", "vector"])
def test_the_smallest_rate_is_enough_and_none_of_those_just_below(key, timing):
    for name, factor in (("lenet5", 1.1), ("mobilenet", 0.95), ("mobilenet", 1.3)):
        network = perfsim.load_network(name)
        machine = replace(PLAIN, ddr_bytes_per_s=3e9, matrix_flops=5e10, vector_flops=5e8)
        target_s = factor * time_s(network, machine, "liveness", timing)
        found = smallest_sizes(network, machine, [key], target_s, "liveness", timing)
        if not found.rows:
            most = time_s(network, machine, "liveness", timing, **{key: 1e24})
            assert found.best_s == most > target_s
            continue
        ((rate,),) = found.rows
        assert time_s(network, machine, "liveness", timing, **{key: rate}) == found.total_s[0]
        assert found.total_s[0] <= target_s
        assert (
            times_s(network, machine, "liveness", timing, **{key: below(rate)}) > target_s
        ).all()
        assert found.share == 0


def test_the_smallest_rate_where_pipelined_times_rise_in_their_last_bits():
    network = perfsim.load_network("lenet5")
    rates = below(3.7e10)[::-1]
    times = times_s(network, PLAIN, "liveness", "pipelined", matrix=rates)
    (rising,) = np.nonzero(np.diff(times) > 0)
    assert len(rising) > 10
    for at in rising[:: len(rising) // 8]:
        found = smallest_sizes(network, PLAIN, ["matrix"], times[at], "liveness", "pipelined")
        ((rate,),) = found.rows
        assert rate <= rates[at]
        assert time_s(network, PLAIN, "liveness", "pipelined", matrix=rate) <= times[at]
        less = below(rate)
        assert (times_s(network, PLAIN, "liveness", "pipelined", matrix=less) > times[at]).all()
        assert found.share == 0


def test_where_rounding_hides_a_rate_it_is_said_by_how_much(perfsim_cli, tmp_path):
    """The target is the time of a run, of which the vector unit is a millionth, to the last bit."""
    network = perfsim.load_network("lenet5")
    machine = perfsim.Machine(
        "m", 1_000_000, 127653962.90188609, 54743916078.0294, 10722869559.973543
    )
    target_s = time_s(network, machine, "liveness", "pipelined")
    found = smallest_sizes(network, machine, ["vector"], target_s, "liveness", "pipelined")
    ((rate,),) = found.rows
    times = times_s(network, machine, "liveness", "pipelined", vector=below(rate))
    assert times[0] > target_s
    enough = np.flatnonzero(times <= target_s)
    assert len(enough)
    assert 1 - below(rate)[enough[-1]] / rate < found.share < 1e-6
    less = rate * (1 - found.share * np.linspace(1, 100, 500))
    assert (times_s(network, machine, "liveness", "pipelined", vector=less) > target_s).all()

    path = tmp_path / "m.yaml"
    path.write_text(
        "name: m\nsram: 1 MB\nddr_bandwidth: 127653962.90188609 B/s\n"
        "matrix: 54743916078.0294 FLOPS\nvector: 10722869559.973543 FLOPS\n"
    )
    told = asked(
        perfsim_cli,
        *("lenet5", "--hw", path, "--target", f"{target_s!r} s", "--minimize", "vector"),
        *("--placement", "liveness", "--timing", "pipelined"),
    )
    assert "may be enough too" in told.out


def test_an_efficiency_is_at_most_one():
    network = perfsim.load_network("mobilenet_v1")
    ((share,),) = smallest_sizes(
        network, PLAIN, ["efficiency.conv"], 0.05, "liveness", "serial"
    ).rows

    def run_s(number):
        one = replace(PLAIN, extras=Extras(efficiency={"conv": number}))
        return perfsim.simulate(network, one, "liveness", "serial").totals.total_s

    assert run_s(share) <= 0.05 < run_s(math.nextafter(share, 0))
    assert 0 < share < 1


# --- two numbers -----------------------------------------------------------------------------------------------------


def check_pairs(network, machine, keys, target_s, timing, found):
    for row in found.rows:
        pair = dict(zip(keys, row, strict=True))
        assert time_s(network, machine, "liveness", timing, **pair) <= target_s
        for key, number in pair.items():
            less = below(number, 100)
            if not len(less):
                continue
            others = {name: np.full(len(less), each) for name, each in pair.items() if name != key}
            times = times_s(network, machine, "liveness", timing, **{key: less}, **others)
            assert (times > target_s).all(), (row, key)


@pytest.mark.parametrize("timing", ["serial", "overlap", "pipelined"])
@pytest.mark.parametrize("keys", [("ddr_bandwidth", "matrix"), ("vector", "ddr_bandwidth")])
def test_of_two_rates_neither_can_be_smaller(keys, timing):
    network = perfsim.load_network("lenet5")
    target_s = 1.5 * time_s(network, PLAIN, "liveness", timing)
    found = smallest_sizes(network, PLAIN, list(keys), target_s, "liveness", timing)
    assert found.is_part
    assert 10 < len(found.rows) <= 17
    check_pairs(network, PLAIN, keys, target_s, timing, found)
    first, second = (np.array(column) for column in zip(*found.rows, strict=True))
    assert (np.diff(first) > 0).all()
    assert (np.diff(second) < 0).all()
    for at, key in enumerate(keys):
        ((alone,),) = smallest_sizes(
            network,
            replace(PLAIN, **{NUMBERS[keys[1 - at]]: 1e24}),
            [key],
            target_s,
            "liveness",
            timing,
        ).rows
        assert (first, second)[at].min() == pytest.approx(1.01 * alone, rel=2e-4)


def test_a_curve_by_hand():
    """Nothing overlaps: bytes / x + 2 macs / y + the vector unit's time is the target."""
    network = perfsim.load_network("mobilenet")
    totals = perfsim.simulate(network, PLAIN, "liveness", "serial").totals
    left_s = 1.3 * totals.total_s - totals.vector_s
    found = smallest_sizes(
        network, PLAIN, ["matrix", "ddr_bandwidth"], 1.3 * totals.total_s, "liveness", "serial"
    )
    least = 2 * totals.macs / left_s
    excess = np.geomspace(0.01, 100, 17)
    for (matrix, bandwidth), above in zip(found.rows, excess, strict=True):
        assert matrix == pytest.approx(least * (1 + above))
        assert bandwidth == pytest.approx(totals.ddr_bytes / (left_s - 2 * totals.macs / matrix))


def test_numbers_that_do_not_depend_on_each_other_are_one_pair(load):
    """One layer, whose movement and compute overlap: each rate has a least of its own."""
    network = load("input: [1, 10, 10]\nlayers:\n  - conv: {channels: 4, kernel: 1, bias: false}\n")
    found = smallest_sizes(network, PLAIN, ["matrix", "ddr_bandwidth"], 1e-3, "liveness", "overlap")
    assert not found.is_part
    ((matrix, bandwidth),) = found.rows
    assert matrix == pytest.approx(2 * 400 / 1e-3)
    assert bandwidth == pytest.approx((100 + 4 + 400) / 1e-3)


def test_all_pairs_of_a_memory_and_a_rate():
    network = perfsim.load_network("lenet5")
    target_s = 1.2 * time_s(network, PLAIN, "liveness", "overlap", sram=10**8)
    keys = ["ddr_bandwidth", "sram"]
    found = smallest_sizes(network, PLAIN, keys, target_s, "liveness", "overlap")
    assert len(found.rows) > 3
    assert not found.is_part
    check_pairs(network, PLAIN, keys, target_s, "overlap", replace(found, rows=found.rows[::4]))


def test_pairs_of_a_memory_and_a_rate_where_weights_come_early():
    network = perfsim.load_network("lenet5")
    target_s = 1.2 * time_s(network, PLAIN, "liveness", "pipelined", sram=10**8)
    keys = ["sram", "ddr_bandwidth"]
    found = smallest_sizes(network, PLAIN, keys, target_s, "liveness", "pipelined")
    assert found.is_part
    assert 3 < len(found.rows) <= 17
    check_pairs(network, PLAIN, keys, target_s, "pipelined", found)
    for size, rate in found.rows[-3:]:  # and no smaller memory, however much smaller
        sizes = np.arange(LENET5_BYTES, size)
        rates = np.full(len(sizes), rate)
        times = times_s(network, PLAIN, "liveness", "pipelined", sram=sizes, ddr_bandwidth=rates)
        assert (times > target_s).all()


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [["sram"], ["matrix"], ["sram", "ddr_bandwidth"], ["vector", "matrix"], ["matrix", "vector"]],
)
@pytest.mark.parametrize("timing", ["overlap", "pipelined"])
def test_no_size_is_enough(perfsim_cli, keys, timing):
    words = [word for key in keys for word in ("--minimize", key)]
    told = asked(
        perfsim_cli,
        *("mobilenet", "--hw", HW, "--target", "1us", *words),
        *("--placement", "liveness", "--timing", timing),
        status=1,
    )
    assert "not at any size: bound by" in told.out
    assert f"with the most {' and '.join(keys)} it takes" in " ".join(told.out.split())
    assert told.out.endswith("\n")


def test_what_is_told_fits_and_is_what_is_found(perfsim_cli):
    words = ("mobilenet", "--hw", HW, "--target", "2ms", "--placement", "liveness")
    words += ("--minimize", "ddr_bandwidth", "--minimize", "matrix")
    found = smallest_sizes(
        perfsim.load_network("mobilenet"),
        perfsim.load_hardware(HW),
        ["ddr_bandwidth", "matrix"],
        0.002,
        "liveness",
    )
    told = json.loads(asked(perfsim_cli, *words, "--format", "json").out)
    assert told["is_part"]
    assert [(row["ddr_bandwidth"], row["matrix"]) for row in told["sizes"]] == list(found.rows)
    table = asked(perfsim_cli, *words).out
    assert "17 pairs of a curve" in table
    assert max(map(len, table.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--minimize", "srma"], "did you mean 'sram'"),
        (["--minimize", "sram", "--minimize", "sram"], "'sram' twice"),
        (
            ["--minimize", "sram", "--minimize", "matrix", "--minimize", "vector"],
            "3 numbers, sram and matrix and vector, expected one number, or two",
        ),
        (
            ["--minimize", "matrix", "--minimize", "clock"],
            "'matrix' and 'clock', which say the same",
        ),
        (["--minimize", "layer_cost"], "need not be faster with more of it; found layer_cost"),
        (["--minimize", "clock"], "which 'clock' would contradict"),
        (["--minimize", "array.partial_sum_bandwidth"], "does not state"),
        (["--minimize", "sram", "--placement", "optimal"], "each memory is a search"),
        (["--minimize", "sram", "--target", "5"], "without a unit"),
        (["--minimize", "sram", "--target", "0ms"], "a time above zero"),
    ],
)
def test_a_wrong_question_is_one_error(perfsim_cli, arguments, says):
    told = asked(perfsim_cli, "mobilenet", "--hw", HW, "--target", "5ms", *arguments, status=2)
    assert told.err.count("\n") == 1
    assert says in told.err


def test_no_numbers_are_an_error():
    with pytest.raises(InputError, match="found none"):
        smallest_sizes(perfsim.load_network("lenet5"), PLAIN, [], 0.005)
