"""Pictures: as many marks as there are data, in their places, no text over another, the same bytes each time."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from conftest import MACHINE, ROOT, TINY
from pictures import PICTURES as COMMITTED
from pictures import draw_pictures

from perfsim import load_hardware, load_network, plot, simulate
from perfsim.errors import InvalidValueError, UnknownNameError
from perfsim.placement import placement_policy
from perfsim.placement.buffers import buffers_of
from perfsim.placement.placement import touches_of
from perfsim.program import lower
from perfsim.report.figures import PICTURES, canvas, machines_against_time
from perfsim.report.figures.memory import outside
from perfsim.report.figures.pareto import non_dominated
from perfsim.report.figures.roofline import draw_roofline, roofline_points, roofs
from perfsim.report.machine import machine_text
from perfsim.timing.kernel import BOUNDS

try:
    import matplotlib as mpl
except ImportError:
    mpl = None
drawn = pytest.mark.skipif(
    mpl is None, reason="pictures need matplotlib: pip install 'perfsim[plot]'"
)

SVG = "{http://www.w3.org/2000/svg}"
RUNS = [
    ("mobilenet", "1MB_1GBs_1TF", "liveness"),
    ("resnet50", "1MB_2GBs_2TF", "liveness"),
    ("mobilenet_v1", "stm32n6", "pinned"),  # a stream and a memory for weights beside
    ("vgg16", "h100_sxm", "pinned"),  # rates by width: 8 bit at twice the native one
]
SINGLE = [kind for kind in PICTURES if kind != "pareto"]


def picture(perfsim_cli, tmp_path, kind, model, machine, *options):
    """The SVG that the command line draws, parsed."""
    run = perfsim_cli("plot", model, "--hw", machine, "--kind", kind, "-o", "p.svg", *options)
    assert (run.status, run.out, run.err) == (0, "", "")
    return ET.parse(tmp_path / "p.svg").getroot()


def rows_of(perfsim_cli, command, model, machine, *options):
    run = perfsim_cli(command, model, "--hw", machine, "--format", "csv", *options)
    return list(csv.DictReader(io.StringIO(run.out)))


def group(svg, name):
    """The group of that id, or None."""
    return next((each for each in svg.iter(f"{SVG}g") if each.get("id") == name), None)


def boxes(svg, name) -> np.ndarray:
    """The rectangles of a shape: left, top, right, bottom in the SVG's coordinates, in their order."""
    shape = group(svg, name)
    if shape is None:
        return np.empty((0, 4))
    text = "".join(path.get("d") for path in shape.iter(f"{SVG}path"))
    found = []
    for part in text.split("M")[1:]:
        points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", part), dtype=float)
        found.append([*points.min(axis=0), *points.max(axis=0)])
    return np.array(found)


def marks(svg, name) -> int:
    """How many marks a group has: one path each, or, where they share a path, one use of it each."""
    shape = group(svg, name)
    if shape is None:
        return 0
    return len(list(shape.iter(f"{SVG}use"))) or len(list(shape.iter(f"{SVG}path")))


def vertices(svg, name) -> np.ndarray:
    """All points of a shape, shape (points, 2)."""
    text = " ".join(path.get("d") for path in group(svg, name).iter(f"{SVG}path"))
    return np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", text), dtype=float)


def line_height(svg, name) -> float:
    """Where a level line lies."""
    heights = vertices(svg, name)[:, 1]
    assert np.ptp(heights) == 0
    return float(heights[0])


def in_unit_square(rectangles) -> np.ndarray:
    """Rectangles relative to what they span together."""
    if not len(rectangles):
        return rectangles
    low, high = rectangles[:, :2].min(axis=0), rectangles[:, 2:].max(axis=0)
    size = np.where(high > low, high - low, 1)
    return (rectangles - np.tile(low, 2)) / np.tile(size, 2)


def parts_in(rows) -> dict[str, str]:
    """Which resources a run's table has, and the column of each."""
    columns = {"ddr": "ddr_s", "matrix": "matrix_s", "vector": "vector_s", "stream": "stream_s"}
    columns |= {"weights": "weight_s", "overhead": "overhead_s"}
    return {part: column for part, column in columns.items() if column in rows[0]}


def check_same_picture(made, kept):
    """Their texts and how many marks they have, and where; but for names, which fit by the widths of the font."""
    fresh, committed = (ET.parse(path).getroot() for path in (made, kept))
    for svg in (fresh, committed):
        for parent in list(svg.iter(f"{SVG}g")):
            for each in [each for each in parent if (each.get("id") or "").startswith("label ")]:
                parent.remove(each)
    assert texts(fresh) == texts(committed), kept.name
    for each in fresh.iter(f"{SVG}g"):
        if " " in (each.get("id") or ""):  # ours
            shape = each.get("id")
            assert marks(fresh, shape) == marks(committed, shape), (kept.name, shape)
            places = [in_unit_square(boxes(svg, shape)) for svg in (fresh, committed)]
            assert places[0] == pytest.approx(places[1], abs=0.02), (kept.name, shape)
    assert kept.stat().st_size < 100_000


def check_texts(figure, monkeypatch):
    """No text of the figure lies over another or outside of it: every pair of texts, measured as they are drawn."""
    found, draw = [], mpl.text.Text.draw

    def recorded(text, renderer):
        if text.get_text().strip() and text.get_visible():
            found.append((text.get_text(), text.get_window_extent(renderer)))
        draw(text, renderer)

    monkeypatch.setattr(mpl.text.Text, "draw", recorded)
    with canvas.drawing():
        figure.canvas.draw()
    assert len(found) > 10
    whole = figure.bbox
    for text, box in found:
        assert box.x0 >= -1, text
        assert box.x1 <= whole.x1 + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= whole.y1 + 1, text
    for (one, a), (other, b) in itertools.combinations(found, 2):
        across = min(a.x1, b.x1) - max(a.x0, b.x0)
        along = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 1 or along <= 1, (one, other)


def texts(svg) -> str:
    return " ".join("".join(each.itertext()) for each in svg.iter(f"{SVG}text"))


@drawn
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_the_roofline_has_a_mark_for_each_layer_that_computes(
    perfsim_cli, tmp_path, model, machine, placement
):
    svg = picture(perfsim_cli, tmp_path, "roofline", model, machine, "--placement", placement)
    rows = rows_of(perfsim_cli, "run", model, machine, "--placement", placement)
    computing = [row for row in rows if int(row["macs"]) + int(row["vector_ops"])]
    assert {row["bound"] for row in rows} <= set(BOUNDS)
    for bound in BOUNDS:
        assert marks(svg, f"layers bound by {bound}") == sum(
            row["bound"] == bound for row in computing
        )
    matrix = "matrix, 8 bit" if machine in ("stm32n6", "h100_sxm") else "matrix"
    ceilings = [group(svg, f"ceiling {unit}") for unit in (matrix, "vector")]
    assert None not in ceilings


@drawn
def test_the_marks_of_the_roofline_lie_where_the_table_says(perfsim_cli, tmp_path):
    """On logarithmic axes a mark's place is linear in the logarithm of what it stands for; its area is the time."""
    svg = picture(perfsim_cli, tmp_path, "roofline", "resnet50", "1MB_2GBs_2TF")
    rows = rows_of(perfsim_cli, "run", "resnet50", "1MB_2GBs_2TF")
    found, expected = [], []
    for bound in BOUNDS:
        of = [row for row in rows if row["bound"] == bound and int(row["ddr_bytes"])]
        of.sort(key=lambda row: -float(row["layer_s"]))
        marked = group(svg, f"layers bound by {bound}") if of else ()
        for path, row in zip(marked, of, strict=False):  # those without traffic lie in a strip
            points = np.array(re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d")), dtype=float)
            flop = 2 * int(row["macs"]) + int(row["vector_ops"])
            x, y = (points.min(axis=0) + points.max(axis=0)) / 2
            found.append([x, y, np.prod(np.ptp(points, axis=0))])
            seconds = float(row["layer_s"])
            expected.append([np.log(flop / int(row["ddr_bytes"])), np.log(flop / seconds), seconds])
    assert len(found) > 40
    for place, value in zip(np.array(found).T, np.array(expected).T, strict=True):
        of = slice(None) if np.ptp(value) else slice(0, 0)
        slope, start = np.polyfit(value[of], place[of], 1)
        assert np.abs(slope * value + start - place).max() < 0.02 * np.ptp(place)


@pytest.mark.parametrize("timing", ["overlap", "serial"])
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_no_layer_lies_above_the_roof(model, machine, placement, timing):
    result = simulate(load_network(model), load_hardware(machine), placement, timing)
    points, hardware = roofline_points(result), result.machine
    highest = max(roof.flops for roof in roofs(result))
    roof = np.minimum(points.flop_per_byte * hardware.ddr_bytes_per_s, highest)
    assert (points.flops <= roof * (1 + 1e-12)).all()
    assert points.without == len(result.program.layers) - len(points.layer)


def test_a_roof_for_each_width_that_ran(write):
    """8-bit layers run at 16 TFLOPS, one of 12 bits at the rate of 16 bits; nothing runs at 32."""
    rates = "matrix: {16: 8 TFLOPS, 8: 16 TFLOPS, 32: 1 TFLOPS}\n"
    machine = f"name: m\nsram: 1 MB\nddr_bandwidth: 1 GB/s\n{rates}vector: 1 GFLOPS\n"
    network = (
        "input: [3, 8, 8]\nlayers:\n  - conv: {channels: 4, kernel: 3}\n"
        "  - conv: {channels: 4, kernel: 3, precision: {weight: 12}}\n  - softmax: {}\n"
    )
    hardware = load_hardware(write("m.yaml", machine))
    result = simulate(load_network(write("n.yaml", network)), hardware)
    assert [(roof.unit, roof.label, roof.flops) for roof in roofs(result)] == [
        ("matrix", "matrix, 8 bit", 16e12),
        ("matrix", "matrix, 16 bit", 8e12),
        ("vector", "vector", 1e9),
    ]
    rates = "8 TFLOPS matrix at 16 bit; 8 bit 16 TFLOPS; 32 bit 1 TFLOPS, 1 GFLOPS vector"
    assert rates in machine_text(hardware)
    softmax = simulate(
        load_network(write("s.yaml", "input: [3]\nlayers:\n  - softmax: {}\n")), hardware
    )
    assert [roof.flops for roof in roofs(softmax)] == [8e12, 1e9]  # the native one


@drawn
def test_the_legend_says_the_rate_of_the_width_that_ran(perfsim_cli, tmp_path):
    svg = picture(perfsim_cli, tmp_path, "roofline", "mobilenet_v1", "h100_sxm")
    assert "then matrix, 8 bit 1.979 PFLOPS" in texts(svg)
    assert "989.4 TFLOPS matrix at 16 bit; 8 bit 1.979 PFLOPS" in texts(svg)


def test_the_place_of_a_layer_in_the_roofline_by_hand(write):
    """4000 MACs and 1000 operations over 1700 bytes in 2 us: 9000 FLOP, 90/17 a byte, 4.5 GFLOP/s."""
    table = "layer,op,input_elements,output_elements,weights,macs,vector_ops\n1,conv,1000,500,200,4000,1000\n"
    machine = "name: m\nsram: 1 MB\nddr_bandwidth: 1 GB/s\nmatrix: 8 GFLOPS\nvector: 1 GFLOPS\n"
    result = simulate(load_network(write("t.csv", table)), load_hardware(write("m.yaml", machine)))
    points = roofline_points(result)
    assert points.flop_per_byte.tolist() == [9000 / 1700]
    assert points.flops == pytest.approx([4.5e9])
    assert points.bound == ["matrix"]


@drawn
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_the_bars_are_as_high_as_the_layers_take(perfsim_cli, tmp_path, model, machine, placement):
    svg = picture(perfsim_cli, tmp_path, "layers", model, machine, "--placement", placement)
    rows = rows_of(perfsim_cli, "run", model, machine, "--placement", placement)
    scales, stacks = [], {}
    for part, column in parts_in(rows).items():
        bars = boxes(svg, f"part {part}")
        seconds = np.array([float(row[column]) for row in rows])
        used = seconds[seconds > 0]
        assert len(bars) == len(used)
        heights = bars[:, 3] - bars[:, 1]
        scales.append(heights.sum() / used.sum())
        assert heights == pytest.approx(used * scales[0], abs=1e-4)  # six decimals each
        assert (np.diff(bars[:, 0]) > 0).all()
        for box in bars.tolist():
            stacks.setdefault(round(box[0], 3), []).append(box)
    floor = max(box[3] for of in stacks.values() for box in of)
    for of in stacks.values():  # each part stands on another, the first on the axis
        of.sort(key=lambda box: -box[3])
        assert [box[3] for box in of] == pytest.approx(
            [floor, *(box[1] for box in of[:-1])], abs=1e-4
        )
    assert marks(svg, "layer time") == len(rows)
    for row in rows:
        assert row["name"][:10] in texts(svg)


@pytest.mark.thorough
@drawn
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_the_memory_map_has_a_rectangle_for_each_entry(
    perfsim_cli, tmp_path, model, machine, placement
):
    svg = picture(perfsim_cli, tmp_path, "memory", model, machine, "--placement", placement)
    rows = rows_of(perfsim_cli, "memory", model, machine, "--placement", placement)
    document = json.loads(
        perfsim_cli(
            "memory", model, "--hw", machine, "--placement", placement, "--format", "json"
        ).out
    )
    found = {kind: boxes(svg, f"kind {kind}") for kind in canvas.KINDS}
    first = max(rows, key=lambda row: int(row["bytes"]))
    for kind, rectangles in found.items():
        of = [row for row in rows if row["kind"] == kind]
        assert len(rectangles) == len(of)
        if kind == first["kind"]:
            largest = rectangles[of.index(first)]
            per_byte = (largest[3] - largest[1]) / int(first["bytes"])
            floor = largest[3] + int(first["address"]) * per_byte
    for kind, rectangles in found.items():
        for box, row in zip(rectangles, (row for row in rows if row["kind"] == kind), strict=True):
            assert box[3] - box[1] == pytest.approx(int(row["bytes"]) * per_byte, abs=1e-4)
            assert floor - box[3] == pytest.approx(int(row["address"]) * per_byte, abs=1e-4)
    outline = vertices(svg, "use tiles")
    ground = vertices(svg, "use feature map")[:, 1].max()
    used = np.array([each["sram_used_bytes"] for each in document["occupancy"]])
    in_use = (ground - outline[:, 1]) * (used.max() / (ground - outline[:, 1].min()))
    assert all(np.abs(in_use - size).min() < 1e-3 * used.max() for size in used)
    limit = line_height(svg, "capacity in use")
    assert (ground - limit) / (ground - outline[:, 1].min()) == pytest.approx(
        document["machine"]["sram_bytes"] / used.max(), rel=1e-3
    )
    spilled = boxes(svg, "spilled")
    assert (len(spilled) > 0) == bool(document["spilled"])
    assert len(spilled) >= len(document["spilled"])
    for one, other in itertools.combinations(np.concatenate([*found.values()]).tolist(), 2):
        apart = one[2] <= other[0] + 1e-4 or other[2] <= one[0] + 1e-4
        assert apart or one[3] <= other[1] + 1e-4 or other[3] <= one[1] + 1e-4
    height = line_height(svg, "capacity")
    assert floor - height == pytest.approx(document["machine"]["sram_bytes"] * per_byte, abs=1e-3)


def test_what_is_spilled_is_that_of_the_worked_example(write):
    """docs/model.md: with 100,000 bytes map 2 lies outside, and nothing else is moved more often than it must."""
    rows = ["1,100000,60000,10000", "2,60000,80000,20000", "3,80000,20000,30000"]
    table = "layer,op,input_elements,output_elements,weights,macs,vector_ops\n" + "".join(
        f"{layer},{'softmax'},{rest},0,0\n" for layer, rest in (row.split(",", 1) for row in rows)
    )
    program = lower(load_network(write("t.csv", table)))
    policy = placement_policy("liveness")
    for sram_bytes, expected in (
        (1_000_000, []),
        (150_000, []),
        (100_000, [(1, 2)]),  # written by the second layer, read by the third: positions from 0
        (50_000, [(1, 2), (0, 1)]),
    ):
        placement = policy.place(program, sram_bytes)
        found = [(first, last) for _, first, last in outside(program, placement)]
        assert found == expected, sram_bytes


@pytest.mark.parametrize("placement", ["liveness", "pinned", "optimal"])
@pytest.mark.parametrize(
    ("model", "sram_bytes"),
    [("resnet18", 128_000), ("googlenet", 128_000), ("mobilenet_v2", 64_000)],
)
def test_what_is_drawn_as_spilled_is_outside_whenever_it_is_touched(model, placement, sram_bytes):
    """Touch by touch, against the placement's own word; in mid-life too, and where two share a buffer."""
    program = lower(load_network(model))
    placed = placement_policy(placement).place(program, sram_bytes)
    found = outside(program, placed)
    at = {(index, layer) for index, first, last in found for layer in range(first, last + 1)}
    assert len(at) == sum(last - first + 1 for _, first, last in found)  # none twice
    drawn_tensors = {index for index, _, _ in found}
    assert drawn_tensors
    for index, first, last in found:
        assert program.tensors[index].first <= first <= last <= program.tensors[index].last
    touches = touches_of(program)
    for layer, index, inside in zip(
        touches.layer.tolist(), touches.tensor.tolist(), placed.internal.tolist(), strict=True
    ):
        if index in drawn_tensors:
            assert ((index, layer) in at) != inside, program.tensors[index].name
    touched = set(zip(touches.tensor.tolist(), touches.layer.tolist(), strict=True))
    spans = [each.tolist() for each in (placed.spans.buffer, placed.spans.first, placed.spans.last)]
    for index in drawn_tensors:  # and between its touches it is where its buffer is
        buffer = buffers_of(program).of[index]
        for layer in range(program.tensors[index].first, program.tensors[index].last + 1):
            if (index, layer) not in touched:
                inside = any(
                    of == buffer and a <= layer <= b for of, a, b in zip(*spans, strict=True)
                )
                assert ((index, layer) in at) != inside


@drawn
@pytest.mark.parametrize("timing", ["overlap", "serial"])
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_the_timeline_has_an_interval_for_each_part_of_a_layer(
    perfsim_cli, tmp_path, model, machine, placement, timing
):
    options = ("--timing", timing, "--placement", placement)
    svg = picture(perfsim_cli, tmp_path, "timeline", model, machine, *options)
    rows = rows_of(perfsim_cli, "run", model, machine, *options)
    layers = np.concatenate([boxes(svg, f"layers {parity}") for parity in (0, 1)])
    assert len(layers) == len(rows)
    across = layers[:, 2].max() - layers[:, 0].min()
    outline = vertices(svg, "use")
    peak = max(int(row["sram_used_bytes"]) for row in rows)
    ground = outline[:, 1].max()
    limit = (ground - line_height(svg, "capacity")) / (ground - outline[:, 1].min())
    assert limit == pytest.approx(load_hardware(machine).sram_bytes / peak, rel=1e-3)
    per_s = across / sum(float(row["layer_s"]) for row in rows)
    for part, column in parts_in(rows).items():
        bars = np.concatenate([boxes(svg, f"{part} {parity}") for parity in (0, 1)])
        seconds = [float(row[column]) for row in rows]
        assert len(bars) == sum(value > 0 for value in seconds)
        assert (bars[:, 2] - bars[:, 0]).sum() == pytest.approx(sum(seconds) * per_s, abs=1e-3)
        bars = bars[np.argsort(bars[:, 0])]
        assert (bars[1:, 0] >= bars[:-1, 2] - 1e-5).all()


@drawn
def test_a_machine_that_none_beats_is_joined_to_the_next(perfsim_cli, tmp_path):
    machines = (
        "256KB_1GBs_0.5TF",
        "1MB_2GBs_2TF",
        "2MB_2GBs_2TF",
        "4MB_4GBs_4TF",
        "16MB_16GBs_16TF",
    )
    options = [word for machine in machines[1:] for word in ("--hw", machine)]
    svg = picture(perfsim_cli, tmp_path, "pareto", "mobilenet_v1", machines[0], *options)
    results = [
        json.loads(perfsim_cli("run", "mobilenet_v1", "--hw", machine, "--format", "json").out)
        for machine in machines
    ]
    costs = [(each["machine"]["sram_bytes"], each["totals"]["total_s"]) for each in results]
    best = sum(
        not any(other != one and other[0] <= one[0] and other[1] <= one[1] for other in costs)
        for one in costs
    )
    assert marks(svg, "best candidates") == best
    assert marks(svg, "beaten candidates") == len(costs) - best
    for machine in machines:
        assert machine in texts(svg)
    assert "internal memory [MB]" in texts(svg)
    assert "mobilenet_v1 on 5 machines" in texts(svg)


def test_the_front_is_what_comparing_all_pairs_gives():
    generator = random.Random(7)
    for size in (0, 1, 2, 3, 8, 40):
        for _ in range(40):
            cost = [generator.randrange(6) for _ in range(size)]
            time_s = [generator.randrange(6) for _ in range(size)]
            pairs = list(zip(cost, time_s, strict=True))
            expected = [
                not any(
                    other[0] <= one[0] and other[1] <= one[1] and other != one for other in pairs
                )
                for one in pairs
            ]
            assert non_dominated(cost, time_s).tolist() == expected


@drawn
@pytest.mark.parametrize("against", ["sram", "ddr_bandwidth", "matrix", "vector"])
def test_other_costs_have_their_units(perfsim_cli, tmp_path, against):
    options = ("--hw", "4MB_4GBs_4TF", "--against", against)
    svg = picture(perfsim_cli, tmp_path, "pareto", "mobilenet_v1", "1MB_2GBs_2TF", *options)
    unit = {"sram": "[MB]", "ddr_bandwidth": "[GB/s]", "matrix": "[TFLOPS]", "vector": "[GFLOPS]"}
    assert unit[against] in texts(svg)


@drawn
@pytest.mark.parametrize("dots_per_inch", [72, 100, canvas.PNG_DOTS_PER_INCH])
@pytest.mark.parametrize(
    ("model", "machine", "batch"), [("mobilenet_v2", "coral_usb", 1), ("vgg16", "h100_sxm", 64)]
)
def test_no_label_is_cut_or_meets_another_at_any_resolution(
    monkeypatch, model, machine, batch, dots_per_inch
):
    result = simulate(load_network(model, batch=batch), load_hardware(machine))
    facts = f"{machine_text(result.machine)}; placement pinned, timing overlap; total 1.54 ms"
    with canvas.drawing():
        figure = draw_roofline(result, f"{model} on {machine}", facts)
        figure.set_dpi(dots_per_inch)
    check_texts(figure, monkeypatch)
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert (box.x0, figure.bbox.width - box.x1) > (0, 0)


@drawn
def test_a_legend_of_several_columns_is_never_wider_than_its_picture():
    """Three columns where they fit in the file, else fewer; its letters are wider than those that are measured."""
    columns = set()
    with canvas.drawing():
        for letters in range(10, 60):
            figure = canvas.new_figure(6.4, 2)
            handles = [canvas.stroke(("legend " * 9)[:letters], color="k") for _ in range(3)]
            canvas.legend_below(figure, handles, columns=3)
            (legend,) = figure.legends
            columns.add(legend._ncols)
            figure.set_dpi(canvas.PNG_DOTS_PER_INCH)
            figure.canvas.draw()
            box = legend.get_window_extent()
            assert 0 < box.x0 < box.x1 < figure.bbox.width
    assert columns == {1, 2, 3}


@drawn
def test_thin_rectangles_of_the_memory_have_no_outline(perfsim_cli, tmp_path):
    """A tensor of a thousandth of the memory is a fifth of a point high: a white line would hide it."""
    svg = picture(perfsim_cli, tmp_path, "memory", "mobilenet_v2", "coral_usb")
    filled = np.concatenate([boxes(svg, f"kind {kind}") for kind in canvas.KINDS])
    outlined = boxes(svg, "outlines")
    extents = np.ptp(filled.reshape(-1, 2, 2), axis=1).min(axis=1)
    assert 0 < (extents >= 1.6).sum() == len(outlined) < len(filled)
    assert np.ptp(outlined.reshape(-1, 2, 2), axis=1).min() >= 1.6 - 1e-6


@drawn
@pytest.mark.parametrize("kind", SINGLE)
def test_units_machine_and_network_are_named_and_no_date(perfsim_cli, tmp_path, kind):
    svg = picture(perfsim_cli, tmp_path, kind, "resnet18", "1MB_2GBs_2TF", "--set", "hw.sram=900KB")
    shown = texts(svg)
    assert "resnet18 on 1MB_2GBs_2TF" in shown
    assert "900 kB SRAM, 2 GB/s DDR, 2 TFLOPS matrix" in shown
    assert "hw.sram=900KB" in shown
    assert {"roofline": "[FLOP/byte]", "layers": "[ms]", "memory": "[kB]", "timeline": "[ms]"}[
        kind
    ] in shown
    data = (tmp_path / "p.svg").read_text()
    assert "resnet18 on 1MB_2GBs_2TF</dc:title>" in data
    assert "dc:date" not in data
    assert len(data) < 100_000
    assert not re.search(r"20\d\d-\d\d-\d\d", data)
    ids = [each.get("id") for each in svg.iter() if each.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.thorough
@drawn
@pytest.mark.parametrize("kind", PICTURES)
def test_the_same_bytes_each_time_whatever_the_user_s_own_style(tmp_path, kind):
    def draw(name):
        machines = ("1MB_2GBs_2TF", "4MB_4GBs_4TF") if kind == "pareto" else ("1MB_2GBs_2TF",)
        results = [simulate(load_network("resnet18"), load_hardware(each)) for each in machines]
        files = [tmp_path / f"{name}{suffix}" for suffix in (".svg", ".png")]
        plot(results, *files, kind=kind)
        return [file.read_bytes() for file in files]

    svg, png = draw("a")
    with mpl.rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.grid": True}):
        assert draw("b") == [svg, png]
        assert mpl.rcParams["font.size"] == 20
    assert (svg[:5], png[:8]) == (b"<?xml", b"\x89PNG\r\n\x1a\n")


@pytest.mark.thorough
@drawn
@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize(("model", "machine", "placement"), RUNS)
def test_no_text_lies_over_another_or_outside_the_picture(
    model, machine, placement, kind, tmp_path, monkeypatch
):
    """Measured on the figure: every pair of texts, with the names of tensors, layers and machines among them."""
    figures = []
    make = canvas.new_figure
    monkeypatch.setattr(
        canvas, "new_figure", lambda *size: figures.append(make(*size)) or figures[-1]
    )
    names = (
        [machine] if kind != "pareto" else ["1MB_2GBs_2TF", "2MB_2GBs_2TF", "1MB_4GBs_1TF", machine]
    )
    results = [
        simulate(load_network(model), load_hardware(name), placement)
        for name in dict.fromkeys(names)
    ]
    plot(results, tmp_path / "p.png", kind=kind)
    (figure,) = figures
    check_texts(figure, monkeypatch)


@pytest.mark.thorough
@drawn
def test_the_committed_pictures_are_fresh(tmp_path):
    """Their texts and how many marks they have: another version of matplotlib may shift them by a hair."""
    draw_pictures(tmp_path)
    folder = ROOT / "reports" / "pictures"
    assert {path.name for path in folder.iterdir()} == set(COMMITTED)
    for name in COMMITTED:
        check_same_picture(tmp_path / name, folder / name)


@drawn
def test_names_stay_text_and_break_nothing(perfsim_cli, write, tmp_path):
    name = 'a "b" </script> \N{GRINNING FACE} \N{HEBREW LETTER ALEF} $x_$'
    quoted = json.dumps(name, ensure_ascii=False)
    network = write(
        "n.yaml",
        f"name: {quoted}\ninput: [3, 8, 8]\nlayers:\n  - conv: {{name: {quoted}, channels: 4, kernel: 3}}\n",
    )
    for kind in SINGLE:
        svg = picture(perfsim_cli, tmp_path, kind, network, write("m.yaml", MACHINE))
        assert f"{name} on small" in texts(svg), kind
    perfsim_cli("plot", network, "--hw", "m.yaml", "-o", "p.png")
    assert (tmp_path / "p.png").stat().st_size > 1000


@drawn
def test_thousands_of_layers_share_bars_and_the_axis_says_so(perfsim_cli, write, tmp_path):
    network = write(
        "n.yaml",
        "name: long\ninput: [2, 4, 4]\nlayers:\n"
        "  - repeat: 1000\n    layers:\n      - conv: {channels: 2, kernel: 1}\n",
    )
    svg = picture(perfsim_cli, tmp_path, "layers", network, write("m.yaml", MACHINE))
    assert len(boxes(svg, "part matrix")) == 334  # ceil(1000 / 3)
    assert "a bar is the sum of 3 layers" in texts(svg)
    bars = boxes(svg, "part matrix")
    heights = bars[:, 3] - bars[:, 1]
    assert heights[0] == pytest.approx(3 * heights[-1], abs=1e-4)  # the last one has one layer


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "p.pdf"), "p.pdf: found the suffix '.pdf', expected one of .svg, .png"),
        (("-o", "p.sgv"), "did you mean '.svg'?"),
        (("-o", "no/p.svg"), "no/p.svg: the folder 'no' does not exist"),
        (
            ("-o", "p.svg", "--kind", "rofline"),
            "unknown picture 'rofline'; did you mean 'roofline'? expected one of roofline,",
        ),
        (("-o", "p.svg", "--hw", "4MB_4GBs_4TF"), "--hw: found 2 machines, expected one"),
        (("-o", "p.svg", "--kind", "pareto", "--against", "sramm"), "did you mean 'sram'?"),
        (
            ("-o", "p.svg", "--kind", "memory", "--placement", "accumulate"),
            "keeps no plan of what lies where",
        ),
        ((), "the following arguments are required: -o/--output"),
    ],
)
def test_wrong_input_is_one_error_and_no_file(perfsim_cli, tmp_path, options, message):
    run = perfsim_cli("plot", "resnet18", "--hw", "1MB_2GBs_2TF", *options)
    assert (run.status, run.out) == (2, "")
    assert message in run.err
    assert run.err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install(perfsim_cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = perfsim_cli("plot", "resnet18", "--hw", "1MB_2GBs_2TF", "-o", "p.svg")
    assert (run.status, run.err) == (
        2,
        "error: pictures need the library matplotlib; expected pip install 'perfsim[plot]', or in a clone '.[plot]'\n",
    )
    assert not list(tmp_path.iterdir())


def test_other_commands_do_not_load_matplotlib():
    code = (
        "import sys; from perfsim.cli import main; "
        "main(['run', 'mobilenet', '--hw', '1MB_1GBs_1TF', '--quiet']); main(['plot', '--help']); "
        "main(['trace', 'mobilenet', '--hw', '1MB_1GBs_1TF', '-o', sys.argv[1], '--quiet']); "
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, "/dev/null.json"], check=True, capture_output=True)


def test_the_library_checks_its_arguments(load, write, tmp_path):
    result = simulate(load(TINY), load_hardware(write("m.yaml", MACHINE)))
    with pytest.raises(InvalidValueError, match="found 2 runs, expected one for a layers picture"):
        plot([result, result], tmp_path / "p.svg", kind="layers")
    with pytest.raises(InvalidValueError, match="found runs of 0 networks"):
        plot([], tmp_path / "p.svg", kind="pareto")
    other = simulate(load_network("resnet18"), load_hardware("1MB_2GBs_2TF"))
    with pytest.raises(InvalidValueError, match="found runs of 2 networks"):
        machines_against_time([result, other], "sram")
    with pytest.raises(UnknownNameError):
        machines_against_time([result], "energy")
