"""Which points a sweep has, which of them are kept, which are best; and what the commands answer."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import perfsim
from perfsim.errors import InputError
from perfsim.hardware.fields import field_of
from perfsim.sweeps import front as front_module
from perfsim.sweeps.expression import parse_expression
from perfsim.sweeps.front import Front, non_dominated
from perfsim.sweeps.grid import Grid, Sample, parse_axis
from perfsim.sweeps.improve import improvements

HW = "1MB_1GBs_1TF"


def axis(key, text, **options):
    return parse_axis(field_of(key), text, **options)


def test_a_logarithmic_range_has_equal_ratios_and_both_ends():
    values = axis("ddr_bandwidth", "1GB/s:16GB/s:log:5").values
    assert values.tolist() == pytest.approx([1e9, 2e9, 4e9, 8e9, 16e9])
    assert (values[0], values[-1]) == (1e9, 16e9)
    assert axis("sram", "1KiB:4KiB:linear:4").values.tolist() == [1024, 2048, 3072, 4096]


def test_a_grid_is_all_combinations_the_last_key_fastest():
    axes = [axis("sram", "1kB,2kB"), axis("vector", "1GFLOPS,3GFLOPS,9GFLOPS")]
    points = Grid(axes).points(0, 6)
    pairs = list(zip(points["sram"].tolist(), points["vector"].tolist(), strict=True))
    assert pairs == list(itertools.product([1000, 2000], [1e9, 3e9, 9e9]))
    part = Grid(axes).points(2, 5)
    assert part["sram"].tolist() == points["sram"][2:5].tolist()


@pytest.mark.parametrize("sampler", ["sobol", "random"])
def test_a_part_of_a_sample_is_the_same_by_itself(sampler):
    axes = [axis("sram", "1kB:1GB", sampled=True), axis("vector", "1GFLOPS,3GFLOPS", sampled=True)]
    whole = Sample(axes, 200_000, 7, sampler).points(0, 200_000)
    part = Sample(axes, 200_000, 7, sampler).points(65_000, 140_000)
    for key, values in part.items():
        assert np.array_equal(values, whole[key][65_000:140_000])
    assert np.log10(whole["sram"]).mean() == pytest.approx(6, abs=0.05)
    assert whole["sram"].min() >= 1000
    assert whole["sram"].max() <= 10**9
    assert set(whole["vector"].tolist()) == {1e9, 3e9}


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("sram", "1MB:1MB:log:3", "empty"),
        ("sram", "2MB:1MB:log:3", "reversed"),
        ("efficiency.conv", "0:1:log:4", "logarithmic range above zero"),
        ("sram", "1MB:2MB:log", "FIRST:LAST:log:64"),
        ("sram", "1MB:2MB:cubic:4", "FIRST:LAST:log:64"),
        ("sram", "1MB,,", "a size"),
        ("sram", "1GB/s", "bandwidth"),
        ("sram", "1B:4B:log:64", "no more steps than numbers"),
        ("sram", "1MB:2MB:log:1", "2 to"),
        ("sram", "1MB,1MB", "each number once"),
    ],
)
def test_a_wrong_range_is_one_error(key, text, says):
    with pytest.raises(InputError, match=says):
        axis(key, text)


VALUES = {"sram": np.array([1, 5_000_000]), "total_s": np.array([0.001, 1.0])}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("sram <= 4 MB", [True, False]),
        ("sram <= 4MB and total_s < 5 ms", [True, False]),
        ("not sram <= 4 MB or time >= 1ms", [True, True]),
        ("sram * 2 + 1 == 3", [True, False]),
        ("-(sram - 1) / 2 >= 0", [True, False]),
        ("1 - 2 - 3 == -4", True),
        ("sram/1MB > 4 and (total_s > 2 s or sram != 1)", [False, True]),
    ],
)
def test_a_condition(text, holds):
    found = parse_expression(text, list(VALUES), condition=True).of(VALUES)
    assert np.array_equal(found, holds)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sram <",
            "srma < 3",
            "sram <= 4 MX",
            "sram",
            "sram < 3 < 4",
            "(sram < 3",
            "sram + (1 < 2)",
        ),
        *(
            "__import__('os')",
            "sram.real < 1",
            "sram < 1 and",
            "",
            "1 +* 2 < 3",
            "(" * 60 + "1" + ")" * 60,
        ),
    ],
)
def test_a_wrong_condition_is_one_error(text):
    with pytest.raises(InputError):
        parse_expression(text, list(VALUES), condition=True)


def asked(perfsim_cli, *words, status=0):
    """What a command line says, with that exit status."""
    told = perfsim_cli(*map(str, words))
    assert told.status == status, told.err
    return told


def beaten(one, other):
    return all(other <= one) and any(other < one)


@pytest.mark.parametrize("cells", [0, 10**6])
@pytest.mark.parametrize("costs", [1, 2, 3, 4])
def test_a_front_is_what_no_other_point_beats(monkeypatch, costs, cells):
    monkeypatch.setattr(front_module, "_CELLS", cells)
    monkeypatch.setattr(front_module, "_CELLS_PER_POINT", cells)
    points = np.random.default_rng(costs).integers(0, 12, (700, costs)).astype(float)
    wanted = [
        at
        for at, point in enumerate(points)
        if not any(beaten(point, other) for other in points)
        and not any((point == other).all() for other in points[:at])
    ]
    assert non_dominated(points).tolist() == wanted
    front = Front()
    for number in (2, 0, 1):  # blocks come in any order
        part = slice(number * 250, number * 250 + 250)
        front.add(number, points[part], {"at": np.arange(700)[part]})
    assert sorted(front.rows()["at"].tolist()) == wanted


@pytest.mark.parametrize("spread", [1, 1e-9, 1e6])
def test_of_two_costs_only_beaten_points_are_left_out_beforehand(spread):
    points = np.random.default_rng(5).integers(-40, 40, (3000, 2)) * float(spread)
    points[7] = 0.0, -1e300
    points[1507] = 1e300, 0.0
    points[1509] = -1e300, 1e300
    points[1508] = -0.0, 0.0
    front = Front()
    front.add(0, points[:1000], {"at": np.arange(1000)})
    front.add(2, points[:1], {"at": np.arange(1)})  # a later block says nothing of this one
    new = points[1000:]
    left = set(front.not_beaten(1, list(new.T)).tolist())
    beaten_by_front = {
        at
        for at, point in enumerate(new)
        if any((other <= point).all() for other in points[non_dominated(points[:1000])])
    }
    assert left
    assert set(range(len(new))) - left <= beaten_by_front
    assert len(left & beaten_by_front) < 0.2 * len(beaten_by_front)  # it is worth its while


@pytest.mark.parametrize("cost", ["1 / 0", "1 / (sram - 2 MB)", "sram / (matrix - matrix)"])
def test_a_division_by_zero_is_one_error(perfsim_cli, cost):
    told = asked(
        perfsim_cli,
        *("pareto", "mobilenet", "--hw", HW, "--vary", "sram=1MB,2MB", "--vary", "matrix=1TFLOPS"),
        *("--cost", "time", "--cost", cost),
        status=2,
    )
    assert f"a division by zero in '{cost}'" in told.err


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 60), (0, 1), (7, 60), (13, 29), (19, 20), (59, 60)]
)
def test_a_part_of_a_grid(start, stop):
    axes = [
        axis("sram", "1MB,2MB,3MB"),
        axis("matrix", "1TFLOPS"),
        axis("vector", "1GFLOPS:4GFLOPS:linear:4"),
        axis("ddr_bandwidth", "1GB/s:2GB/s:log:5"),
    ]
    wanted = list(itertools.product(*(each.values.tolist() for each in axes)))[start:stop]
    found = Grid(axes).points(start, stop)
    assert list(zip(*(found[each.key].tolist() for each in axes), strict=True)) == wanted


def test_what_helps_most_is_what_bounds():
    network, machine = perfsim.load_network("mobilenet"), perfsim.load_hardware(HW)
    best, *others = improvements(network, machine, "liveness", "serial")
    base = perfsim.simulate(network, machine, "liveness", "serial").totals
    assert (best.key, base.bound) == ("ddr_bandwidth", "ddr")
    # Serial: the time is a sum of terms, of which one is divided by 1.1.
    assert best.total_s - best.better_total_s == pytest.approx(base.ddr_s * (1 - 1 / 1.1))
    assert sum(best.saved_s) == pytest.approx(best.total_s - best.better_total_s)
    by_key = {each.key: each for each in others}
    assert by_key["matrix"].total_s - by_key["matrix"].better_total_s == pytest.approx(
        base.matrix_s * (1 - 1 / 1.1)
    )
    assert by_key["sram"].better_total_s <= base.total_s


def test_the_next_bottleneck_begins_where_it_says():
    from dataclasses import replace

    network, machine = perfsim.load_network("mobilenet_v1"), perfsim.load_hardware(HW)
    (found,) = (
        each
        for each in improvements(network, machine, "liveness", "overlap")
        if each.key == "ddr_bandwidth"
    )
    assert found.next_bound == "matrix"

    def bound(rate):
        one = replace(machine, ddr_bytes_per_s=rate)
        return perfsim.simulate(network, one, "liveness", "overlap").totals.bound

    assert bound(found.next_value) == "matrix"
    assert bound(found.next_value * (1 - 2e-6)) == "ddr"


def test_a_sweep_of_networks_at_scales(perfsim_cli):
    told = asked(
        perfsim_cli,
        *("sweep", "mobilenet_v1", "lenet5", "--hw", HW, "--vary", "batch=1,2"),
        *("--vary", "sram=1MB,4MB", "--where", "sram > 1 MB", "--format", "json"),
    )
    rows = json.loads(told.out)["points"]
    assert [(row["network"], row["batch"], row["sram"]) for row in rows] == [
        (name, batch, 4_000_000) for name in ("mobilenet_v1", "lenet5") for batch in (1, 2)
    ]
    one = perfsim.simulate(
        perfsim.load_network("lenet5", batch=2), perfsim.load_hardware(HW, sram="4 MB")
    )
    assert rows[3]["total_s"] == one.totals.total_s
    assert rows[3]["bound"] == one.totals.bound


def test_a_row_for_each_layer(perfsim_cli):
    told = asked(
        perfsim_cli,
        *("sweep", "mobilenet", "--hw", HW, "--vary", "vector=1GFLOPS,2GFLOPS"),
        *("--per-layer", "--format", "json"),
    )
    rows = json.loads(told.out)["points"]
    one = perfsim.simulate(
        perfsim.load_network("mobilenet"), perfsim.load_hardware(HW, vector="2 GFLOPS")
    ).columns
    for at, row in enumerate(rows[len(rows) // 2 :]):
        for key in ("layer", "name", "op", "ddr_bytes", "ddr_s", "vector_s", "layer_s", "bound"):
            assert row[key] == one[key][at]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--vary", "srma=1MB"], "did you mean 'sram'"),
        (["--vary", "sram=1MB", "--vary", "sram=2MB"], "each key once"),
        (["--vary", "sram"], "KEY=VALUES"),
        (["--vary", "sram=1B:9B:log:4"], "--where 'sram >="),
        (["--vary", "sram=1MB:2MB:log:9", "--sample", "3"], "a range without steps"),
        (["--vary", "sram=1MB:2MB", "--sample", "0"], "a whole number from 1 to"),
        (["--vary", "sram=1MB", "--where", "total < 1"], "unknown name 'total'"),
        (["--vary", "sram=1MB", "--columns", "time"], "unknown column 'time'"),
        (["--vary", "sram=1MB", "--resume"], "-o FILE"),
        (["--vary", "sram=1MB", "-o", "x.json"], ".parquet, .csv"),
        (["--vary", "clock=1GHz"], "which 'clock' would contradict"),
        (["--vary", "width=0.5,0"], "from 1e-06"),
    ],
)
def test_a_wrong_command_line_is_one_error(perfsim_cli, arguments, says):
    told = asked(
        perfsim_cli,
        "sweep",
        "mobilenet",
        "--hw",
        HW,
        "--placement",
        "liveness",
        *arguments,
        status=2,
    )
    assert told.err.count("\n") == 1
    assert says in told.err


@pytest.mark.parametrize("command", ["sweep", "pareto"])
def test_a_grid_of_1e15_points_is_refused_with_its_size(perfsim_cli, command, tmp_path):
    steps = ("sram=1MB:1GB:log:100000", "matrix=1GFLOPS:1TFLOPS:log:100000")
    told = asked(
        perfsim_cli,
        *(command, "mobilenet", "--hw", HW, "-o", tmp_path / "x.csv"),
        *(
            word
            for text in (*steps, "vector=1GFLOPS:1TFLOPS:log:100000")
            for word in ("--vary", text)
        ),
        status=2,
    )
    assert "1,000,000,000,000,000 points" in told.err
    assert not list(tmp_path.iterdir())


def test_a_front_of_machines(perfsim_cli):
    arguments = (
        "mobilenet",
        "--hw",
        HW,
        "--vary",
        "sram=100kB:4MB:log:20",
        "--placement",
        "liveness",
    )
    told = asked(perfsim_cli, "pareto", *arguments, "--format", "json")
    front = [(row["total_s"], row["sram"]) for row in json.loads(told.out)["points"]]
    told = asked(perfsim_cli, "sweep", *arguments, "--format", "json")
    points = [(row["total_s"], row["sram"]) for row in json.loads(told.out)["points"]]
    assert front == sorted(
        one
        for one in points
        if not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in points)
    )


@pytest.mark.parametrize("options", [(), ("--per-layer",)])
def test_a_partition_or_a_scale_without_points_is_no_error(
    perfsim_cli, monkeypatch, tmp_path, options
):
    monkeypatch.setattr("perfsim.sweeps.study.PARTITION", 4)
    words = (
        "sweep",
        "lenet5",
        "--hw",
        HW,
        "--vary",
        "batch=1,8",
        "--vary",
        "sram=1MB:8MB:linear:8",
    )
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    asked(perfsim_cli, *words, *options, "-o", whole)
    asked(perfsim_cli, *words, *options, "--where", "sram > 4 MB and batch < 4", "-o", part)
    head, *rows = whole.read_text().splitlines()
    _, batch, sram, *_ = zip(*(row.split(",") for row in rows), strict=True)
    wanted = [
        row
        for row, images, size in zip(rows, batch, sram, strict=True)
        if int(images) < 4 and int(size) > 4e6
    ]
    assert part.read_text().splitlines() == [head, *wanted]
    assert wanted
    told = asked(perfsim_cli, *words, *options, "--where", "sram < 2")
    assert "no points" in told.out


def test_no_point_is_on_the_front(perfsim_cli):
    words = ("--vary", "sram=1MB:8MB:log:8", "--vary", "ddr_bandwidth=1GB/s,2GB/s")
    told = asked(perfsim_cli, "pareto", "lenet5", "--hw", HW, *words, "--where", "total_s < 1 ns")
    assert "no non-dominated points" in told.out


@pytest.mark.parametrize("command", ["sweep", "pareto"])
def test_a_range_without_steps_is_one_error(perfsim_cli, command):
    told = asked(perfsim_cli, command, "lenet5", "--hw", HW, "--vary", "sram=1MB:2MB", status=2)
    assert "found '1MB:2MB', expected FIRST:LAST:log:64" in told.err


@pytest.mark.parametrize("seed", range(30))
def test_a_front_of_two_costs_of_both_signs_block_by_block(seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(
        generator.choice([-3, 0, 3]), generator.choice([1, 1e-6, 1e6]), (900, 2)
    )
    points = np.round(points, generator.integers(1, 4))
    front = Front()
    for number in range(9):
        part = points[100 * number : 100 * number + 100]
        kept = front.not_beaten(number, list(part.T))
        front.add(number, part[kept], {"at": 100 * number + kept})
    wanted = [
        at
        for at, point in enumerate(points)
        if not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
        and not (points[:at] == point).all(axis=1).any()
    ]
    assert sorted(front.rows()["at"].tolist()) == wanted


def test_a_cost_that_is_not_finite_is_one_error(perfsim_cli):
    told = asked(
        perfsim_cli,
        *("pareto", "lenet5", "--hw", HW, "--vary", "sram=1MB,2MB"),
        *("--cost", "time", "--cost", "sram * 1e304"),
        status=2,
    )
    assert "a number too large in 'sram * 1e304'" in told.err
    assert "Warning" not in told.err
