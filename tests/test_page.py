"""The report as a page: its data are the result's, and a browser draws all of it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace

import pytest
from browser import Browser, chromium
from conftest import MACHINE, TINY

import perfsim
from perfsim import Machine, load_hardware, load_network, report, simulate
from perfsim.errors import InvalidValueError, OutputError
from perfsim.hardware.machine import numbers_in
from perfsim.report import page_words
from perfsim.report.number_words import number_label
from perfsim.report.page_blocks import blocks_of
from perfsim.report.page_data import page_record
from perfsim.report.page_words import assumptions
from perfsim.report.text import duration
from perfsim.result import parts_of
from perfsim.timing.kernel import BOUNDS

PARTS = ("ddr_s", "matrix_s", "vector_s")
HOSTILE = (
    "</script><script>window.broken = 1</script>",
    "quo\"te, 'single' & amp; <b>Bold</b>",
    "emoji 🚀🧠",
    "عربي שלום",
    "<!-- comment",
    "back\\slash \\u003c",
    "{DATA} ${x} `",
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("machines")
    path = folder / "small.yaml"
    path.write_text(MACHINE)
    return load_hardware(path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "tiny.yaml"
    path.write_text(TINY)
    return load_network(path)


def data_of(page: str) -> dict:
    """The data block as a browser reads it: what stands between its tags, with nothing undone."""
    (block,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL
    )
    return json.loads(block)


# --- the data ---


def test_the_numbers_are_those_of_the_result(tiny, small):
    results = [simulate(tiny, small), simulate(tiny, load_hardware("4MB_4GBs_4TF"))]
    (network,) = data_of(report(*results).html)["networks"]
    for result, run in zip(results, network["runs"], strict=True):
        assert run["totals"] == result.totals_record()
        shown = {**network["common"], **run["columns"]}
        assert {name: shown[name] for name in result.columns} == result.columns
    base, other = (result.totals.total_s for result in results)
    assert [run["speedup"] for run in network["runs"]] == [1.0, base / other]


def test_the_steps_are_those_of_explain(tiny, small):
    result = simulate(tiny, small)
    data = page_record([[result]])
    for position, layer in enumerate(result.program.layers):
        frame = perfsim.explain(result, layer.name)
        told = [data["steps"][index] for index in data["networks"][0]["runs"][0]["steps"][position]]
        for name, at in (("about", 0), ("quantity", 1), ("formula", 2), ("values", 3)):
            assert [data["texts"][step[at]] for step in told] == list(frame[name])
        for step, number, text in zip(told, frame["result"], frame["text"], strict=True):
            assert step[4] == (text if isinstance(step[4], str) else number)


def test_what_bounds_the_layers_adds_up_to_the_total(tiny, small):
    data = page_record([[simulate(tiny, small)]])
    (run,) = data["networks"][0]["runs"]
    assert sum(entry["layers"] for entry in run["by_bound"]) == len(run["columns"]["layer_s"])
    sums = sum(entry["layer_s"] for entry in run["by_bound"])
    assert sums == pytest.approx(run["totals"]["total_s"], rel=1e-12)


def test_the_memory_map_is_that_of_perfsim_memory(perfsim_cli):
    told = json.loads(
        perfsim_cli("memory", "resnet18", "--hw", "1MB_2GBs_2TF", "--format", "json").out
    )
    result = simulate(load_network("resnet18"), load_hardware("1MB_2GBs_2TF"))
    memory = page_record([[result]])["networks"][0]["runs"][0]["memory"]
    rows = [
        [
            *(entry["tensor"], entry["kind"], entry["layer_from"] - 1),
            *(entry["layer_to"], entry["address"], entry["bytes"]),
        ]
        for entry in told["entries"]
    ]
    assert memory["entries"] == rows
    spilled = [(each["tensor"], each["extra_ddr_bytes"]) for each in told["spilled"]]
    assert [(name, extra) for name, _, _, extra in memory["spilled"]] == spilled
    assert spilled


def test_a_policy_without_addresses_says_so(tiny, small):
    run = page_record([[simulate(tiny, small, "accumulate")]])["networks"][0]["runs"][0]
    assert run["memory"]["entries"] is None
    assert "keeps no plan" in run["memory"]["note"]


def test_the_graph_has_an_edge_for_each_feature_map_that_is_read(tiny, small):
    edges = page_record([[simulate(tiny, small)]])["networks"][0]["edges"]
    # stem, two rounds of (depthwise, pointwise), add of stem and the last, pooling, classifier, softmax
    assert edges == [[0, 1], [1, 2], [2, 3], [3, 4], [0, 5], [4, 5], [5, 6], [6, 7], [7, 8]]


def test_parts_are_those_that_are_there():
    columns = ["ddr_s", "vector_s", "matrix_s", "compute_s", "layer_s", "overhead_s", "ddr_bytes"]
    names = ["ddr", "matrix", "vector", "overhead"]
    assert parts_of(columns) == [(name, f"{name}_s") for name in names]


def test_every_bound_has_words():
    assert set(page_words._BOUNDS) == set(BOUNDS)


def test_the_page_names_the_assumptions(tiny, small):
    run = page_record([[simulate(tiny, small, timing="serial")]])["networks"][0]["runs"][0]
    told = dict(run["assumptions"])
    assert told["internal memory (SRAM)"] == "64 kB"
    assert told["bandwidth to external memory (DDR)"] == "1 GB/s"
    assert told["timing"].startswith("serial: ")
    assert "layer_s = ddr_s + compute_s" in told["formulas"]
    assert told["calibrated"].startswith("no: ")
    assert run["policies"] == {"placement": "liveness", "timing": "serial"}


@pytest.mark.parametrize("machine", perfsim.bundled_machines())
def test_every_assumption_has_a_name_and_a_value_with_its_unit(machine):
    hardware = load_hardware(machine)
    rows = assumptions(simulate(load_network("mobilenet_v1", **_widths(machine)), hardware))
    assert len({what for what, _ in rows}) == len(rows)
    assert all(value for _, value in rows)
    assert not [what for what, _ in rows if "_" in what]
    told = dict(rows)
    for name, number in numbers_in(hardware.extras).items():
        text = told[number_label(name)]
        if ".energy" in f".{name}":
            factor, unit = (1, " W") if name.endswith("_w") else (1e12, " pJ per ")
            assert text.startswith(f"{number * factor:.4g}{unit}")
        if name in ("layer_cost_s", "inference_cost_s"):
            assert text.endswith(f" per {name.split('_')[0]}")
    formulas = told["formulas"].splitlines()
    assert all(re.fullmatch(r"[a-z_]+ = .+", line) for line in formulas)
    assert len(formulas) > 4


def _widths(machine: str) -> dict:
    """What a machine of one width takes."""
    return {"precision": {"feature_map": 16, "weight": 16}} if machine == "eyeriss_v1" else {}


def test_a_machine_with_parts_shows_them(perfsim_cli):
    network, machine = load_network("resnet18"), load_hardware("kv260_dpu")
    result = simulate(network, machine)
    data = page_record([[result, simulate(network, load_hardware("1MB_2GBs_2TF"))]])
    columns = [name for name in result.columns if name.endswith("_s")]
    assert {name for _, name in data["parts"]} == {*columns} - {"compute_s", "layer_s"}
    first, second = data["networks"][0]["runs"]
    told = dict(first["assumptions"])
    assert told["calibrated"].startswith("yes: ")
    assert told["array: pixels"] == str(machine.extras.array.pixels)
    assert "overhead_s" in first["columns"]
    assert "overhead_s" not in second["columns"]
    assert any("interval" in sentence for sentence in first["findings"])


def test_the_points_of_the_roofline(load):
    """1,000 inputs, 8,000 outputs and 8,000,000 weights of a byte each, all of which move."""
    network = load("input: [1000]\nlayers:\n  - fully_connected: {units: 8000, bias: false}\n")
    machine = Machine("m", 10**8, 1e9, 1e12, 1e9, timing="serial")
    (run,) = page_record([[simulate(network, machine)]])["networks"][0]["runs"]
    moved, flop = 1000 + 8000 + 8_000_000, 2 * 8_000_000
    seconds = moved / 1e9 + flop / 1e12
    ((layer, intensity, rate),) = run["points"]
    assert (layer, intensity) == (0, pytest.approx(flop / moved))
    assert rate == pytest.approx(flop / seconds)


def test_a_search_is_not_repeated_for_a_page(tiny, small, monkeypatch):
    from perfsim.placement import optimal_search

    result = simulate(tiny, small, "optimal")

    def refuse(*_, **__):
        raise AssertionError("searched again")

    monkeypatch.setattr(optimal_search, "search", refuse)
    (run,) = page_record([[result]])["networks"][0]["runs"]
    assert [gain["number"] for gain in run["gains"]] == [
        *("ddr_bytes_per_s", "matrix_flops", "vector_flops")
    ]


# --- blocks ---


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["conv1", "pool1", "s1.a.x", "s1.a.y", "s1.b.x", "fc"], [2, 2, 1, 1]),
        (["block.1.att.q", "block.1.att.k", "block.1.norm", "block.2.att.q"], [3, 1]),
        (["/l1/l1.0/conv/Conv", "/l1/l1.0/relu/Relu", "/l1/l1.1/conv/Conv", "/fc/Gemm"], [2, 1, 1]),
        (["conv_1", "depthwise_conv_2", "conv_3"], [3]),
        (["net_stage1_conv", "net_stage1_add", "net_stage2_conv", "net_stage2_add"], [2, 2]),
        (["dw3", "pw3", "dw4", "pw4", "pool", "fc"], [2, 2, 2]),
        (["dw.1", "pw.1", "dw.2", "pw.2"], [2, 2]),
        ([], []),
    ],
)
def test_blocks_are_found_in_the_names(names, expected):
    blocks = blocks_of(names)
    assert [block.end - block.first for block in blocks] == expected


def test_blocks_hold_each_layer_once_and_are_not_too_many():
    names = [f"part{at // 3}.layer{at % 3}" for at in range(1000)]
    for most in (1, 7, 40):
        blocks = blocks_of(names, most)
        assert len(blocks) <= most
        held = [at for block in blocks for at in range(block.first, block.end)]
        assert held == list(range(1000))


# --- the file ---


def test_the_page_asks_for_nothing(tiny, small):
    page = report(simulate(tiny, small)).html
    template = page.replace(page[page.index('id="data"') :].split("</script>")[0], "")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", template)
    assert not re.search(r"(src|href)=\"(?!#|data:)", template)


def test_hostile_names_leave_the_template_alone(load, small):
    layers = "".join(
        f"  - conv: {{name: {json.dumps(name, ensure_ascii=False)}, channels: 8, kernel: 3}}\n"
        for name in HOSTILE
    )
    network = load(f"name: {json.dumps(HOSTILE[0])}\ninput: [3, 16, 16]\nlayers:\n{layers}")
    page = report(simulate(network, small)).html
    assert page.count("</script>") == 2
    data = data_of(page)
    assert data["networks"][0]["name"] == HOSTILE[0]
    assert data["networks"][0]["common"]["name"] == list(HOSTILE)


def test_a_page_in_a_notebook_is_framed(tiny, small):
    framed = report(simulate(tiny, small))._repr_html_()
    assert framed.startswith("<iframe")
    assert framed.count("<") == 2
    assert 'sandbox="allow-scripts allow-downloads"' in framed


def test_a_result_shows_itself_in_a_notebook(load, small):
    names = [json.dumps(name, ensure_ascii=False) for name in HOSTILE]
    layers = "".join(f"  - conv: {{name: {name}, channels: 8, kernel: 3}}\n" for name in names)
    result = simulate(load(f"name: <b>\ninput: [3, 8, 8]\nlayers:\n{layers}"), small)
    shown = result._repr_html_()
    assert "<script" not in shown
    assert "<b>\n" not in shown
    assert "&lt;b&gt; on small" in shown
    assert all(f"<bdi>{html.escape(name)}</bdi>" in shown for name in HOSTILE)
    assert duration(result.totals.total_s) in shown


def test_what_has_no_price_is_said_first(tiny, small):
    result = simulate(tiny, small)
    program = replace(result.program, unpriced="1 operator of an <unknown> kind costs nothing")
    result = replace(result, program=program)
    assert "&lt;unknown&gt; kind" in result._repr_html_().partition("tiny on small")[0]
    assert page_record([[result]])["networks"][0]["unpriced"] == program.unpriced


def test_the_notebook_s_bars_are_to_scale(small):
    result = simulate(load_network("resnet18"), small)
    shown = result._repr_html_()
    widths = [float(each) for each in re.findall(r"width:([\d.]+)%", shown)]
    busy = [sum(each) for each in zip(*(result.columns[part] for part in PARTS), strict=True)]
    longest = max(sum(busy[block.first : block.end]) for block in blocks_of(result.columns["name"]))
    assert sum(widths) / 100 * longest == pytest.approx(sum(busy), rel=1e-3)
    assert max(widths) <= 100


def test_results_of_one_network_stand_together(tiny, small):
    other, resnet = load_hardware("4MB_4GBs_4TF"), load_network("resnet18")
    page = report(simulate(tiny, small), simulate(resnet, small), simulate(tiny, other))
    runs = [
        (network["name"], [run["hardware"] for run in network["runs"]])
        for network in data_of(page.html)["networks"]
    ]
    assert runs == [("tiny", ["small", "4MB_4GBs_4TF"]), ("resnet18", ["small"])]


def test_report_says_what_it_wants(tiny, small, tmp_path):
    with pytest.raises(InvalidValueError, match="no result"):
        report()
    with pytest.raises(InvalidValueError, match="simulate"):
        report(tiny)
    page = report(simulate(tiny, small))
    with pytest.raises(OutputError, match=r"\.html"):
        page.write(tmp_path / "page.pdf")
    page.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == page.html


# --- the command ---


def test_the_command_writes_the_page(perfsim_cli, write, tmp_path):
    network, machine = write("tiny.yaml", TINY), write("small.yaml", MACHINE)
    done = perfsim_cli(
        *("report", network, "--hw", machine, "--hw", "4MB_4GBs_4TF"),
        *("--set", "batch=2", "-o", "a.html", "-o", "b.htm"),
    )
    assert (done.status, done.out) == (0, "")
    data = data_of((tmp_path / "a.html").read_text())
    assert data["settings"] == ["batch=2"]
    assert (tmp_path / "b.htm").read_text() == (tmp_path / "a.html").read_text()
    assert data["networks"][0]["runs"][1]["hardware"] == "4MB_4GBs_4TF"


def test_the_command_refuses_what_it_cannot_write(perfsim_cli, write):
    network, machine = write("tiny.yaml", TINY), write("small.yaml", MACHINE)
    done = perfsim_cli("report", network, "--hw", machine, "-o", "page.csv")
    assert done.status == 2
    assert "expected one of .html, .htm" in done.err
    assert perfsim_cli("report", network, "--hw", machine).status == 2


def test_the_command_keeps_a_limit(perfsim_cli, write, tmp_path):
    network, machine = write("tiny.yaml", TINY), write("small.yaml", MACHINE)
    done = perfsim_cli("report", network, "--hw", machine, "-o", "p.html", "--max-time", "1ns")
    assert done.status == 1
    assert (tmp_path / "p.html").exists()


def test_resnet50_on_four_machines_is_small():
    network = load_network("resnet50")
    machines = ("1MB_2GBs_2TF", "1MB_4GBs_1TF", "4MB_4GBs_4TF", "16MB_16GBs_16TF")
    page = report(*(simulate(network, load_hardware(machine)) for machine in machines))
    assert len(page.html.encode()) < 1_000_000  # the issue allows 2 MB


# --- in a browser ---


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = chromium()
    if program is None:
        pytest.skip("no Chromium here: pages are not opened")
    opened = Browser(program, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """MobileNet on two machines, as a file and as its results."""
    network = load_network("mobilenet_v2")
    results = [
        simulate(network, load_hardware(name)) for name in ("256KB_1GBs_0.5TF", "4MB_4GBs_4TF")
    ]
    path = tmp_path_factory.mktemp("page") / "compared.html"
    report(*results).write(path)
    return path, results


def marks(browser: Browser, pictures: str, marks: str, attribute: str = "") -> list[int]:
    """For each picture that fits, how many marks it has, or the sum of an attribute of theirs."""
    each = f"Number(mark.dataset.{attribute})" if attribute else "1"
    return browser.run(
        f"[...document.querySelectorAll('{pictures}')].map(picture => "
        f"[...picture.querySelectorAll('{marks}')].reduce((sum, mark) => sum + {each}, 0))"
    )


def test_every_picture_has_the_marks_of_the_data(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    data = page_record([results])["networks"][0]
    layers = data["layers"]
    bars = "svg[data-picture=time]"
    assert marks(browser, bars, "g[data-layer]") == [layers] * 2
    busy = [sum(1 for name in PARTS for each in result.columns[name] if each) for result in results]
    assert marks(browser, bars, "g rect.fill") == busy
    working = [
        sum(
            1
            for macs, ops, layer_s in zip(
                *(result.columns[name] for name in ("macs", "vector_ops", "layer_s")), strict=True
            )
            if (macs or ops) and layer_s
        )
        for result in results
    ]
    assert marks(browser, "svg[data-picture=roofline]", ".point", "layers") == working
    entries = [len(run["memory"]["entries"]) for run in data["runs"]]
    assert marks(browser, "svg[data-picture=memory]", ".tensor", "tensors") == entries
    spilled = [len(run["memory"]["spilled"]) for run in data["runs"]]
    assert marks(browser, "svg[data-picture=memory]", ".spill", "tensors") == spilled
    assert spilled[0] > 0
    assert marks(browser, "svg[data-picture=graph]", ".node") == [layers]
    assert marks(browser, "svg[data-picture=graph]", ".edge") == [len(data["edges"])]
    assert marks(browser, "#table-body", "tbody tr") == [layers]
    assert browser.problems == []
    assert browser.requests == [path.as_uri()]


def test_the_totals_on_the_page_are_those_of_the_result(browser, compared):
    path, results = compared
    browser.open(path)
    rows = browser.run(
        "[...document.querySelectorAll('#totals tr[data-total]')].map(row => "
        "[Number(row.dataset.total), row.cells[0].textContent, row.cells[1].textContent])"
    )
    expected = [
        [result.totals.total_s, result.machine.name, duration(result.totals.total_s)]
        for result in results
    ]
    assert rows == expected


def test_the_totals_of_unlike_machines_fit_and_have_scales_of_their_own(browser, tmp_path):
    """The table needs no scrolling at 1280 pixels, with all that a machine may state."""
    network = load_network("mobilenet_v2")
    names = ("coral_usb", "stm32n6", "kv260_dpu", "h100_sxm", "256KB_1GBs_0.5TF")
    results = [simulate(network, load_hardware(name)) for name in names]
    totals_s = [result.totals.total_s for result in results]
    assert max(totals_s) > 10 * min(totals_s)
    report(*results).write(tmp_path / "unlike.html")
    browser.open(tmp_path / "unlike.html")
    table = "document.querySelector('#totals .totals')"
    assert browser.run(f"{table}.scrollWidth <= {table}.clientWidth")
    heads = browser.run(f"[...{table}.querySelectorAll('thead th')].map(each => each.textContent)")
    assert heads[:4] == ["machine", "time", "first inference", "speed-up"]
    rows = browser.run(
        f"[...{table}.querySelectorAll('tbody tr')].map(row => "
        "[row.cells[1].textContent, row.cells[row.cells.length - 1].textContent])"
    )
    assert rows == [
        [
            duration(result.totals.steady_s),
            "calibrated" if result.machine.extras.calibration else "not calibrated",
        ]
        for result in results
    ]
    bars = browser.run("document.querySelector('#totals .bars').textContent")
    assert f"(first inference {duration(totals_s[0])})" in bars
    scale = "document.getElementById('same-scale')"
    assert browser.run(f"{scale}.checked") is False
    report(results[0]).write(tmp_path / "one.html")
    browser.open(tmp_path / "one.html")
    assert browser.run(f"{scale}.offsetParent === null") is True
    assert browser.problems == []


def test_a_layer_under_the_pointer_is_marked_in_every_picture(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    layer = 10
    browser.hover(f"svg[data-picture=time] g[data-layer='{layer}'] rect")
    marked = "[...document.querySelectorAll('svg[data-picture], #table-body')].map(picture => " + (
        "picture.querySelectorAll('.band, .ring, .hot').length)"
    )
    assert browser.run(marked) == [1] * 8  # bars, roofline and memory twice, the graph, the table
    assert browser.run("document.querySelector('#table-body .hot').dataset.layer") == str(layer)
    assert browser.run("document.querySelector('.node.hot').dataset.layer") == str(layer)
    name = results[0].program.layers[layer].name
    assert name in browser.run("document.getElementById('readout-text').textContent")
    browser.hover("h1")
    assert browser.run(marked) == [0] * 8
    assert browser.run("document.getElementById('readout').hidden")


def test_a_click_keeps_a_layer_marked_and_explains_it(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    marked = "document.querySelector('#table-body .hot')?.dataset.layer"
    browser.hover("svg[data-picture=graph] g[data-layer='4']")
    browser.click()
    browser.hover("h1")
    assert browser.run(marked) == "4"
    shown = browser.run("document.querySelector('#layer-body h3').textContent")
    assert results[0].program.layers[4].name in shown
    browser.hover("#readout-link")
    browser.click()
    assert browser.run("location.hash") == "#layer"
    last = browser.run("[...document.querySelectorAll('#layer-body dd')].at(-2).textContent")
    layer_s = results[1].columns["layer_s"][4]
    assert f" s ({duration(layer_s)})" in last
    browser.hover("svg[data-picture=graph] g[data-layer='4']")
    browser.click()
    browser.hover("h1")
    assert browser.run(marked) is None


def test_the_keyboard_goes_through_the_layers(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    browser.run("document.querySelector('#time .drawing').focus()")
    for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft"):
        browser.press(key)
    assert browser.run("document.querySelector('#table-body .hot').dataset.layer") == "1"
    browser.press("Enter")
    shown = browser.run("document.querySelector('#layer-body h3').textContent")
    assert results[0].program.layers[1].name in shown
    browser.press("Escape")
    assert browser.run("document.getElementById('readout').hidden")


def shown_rows(browser: Browser, column: int) -> list[str]:
    return browser.run(
        f"[...document.querySelectorAll('#table-body tbody tr')].map(row => row.cells[{column}].textContent)"
    )


def choose(browser: Browser, field: str, value: str, event: str = "change") -> None:
    """Give a field of the page a value, as a person would."""
    browser.run(
        f"(() => {{ const field = document.getElementById('{field}'); field.value = '{value}';"
        f"field.dispatchEvent(new Event('{event}')); }})()"
    )
    browser.settle()


def test_the_table_sorts_and_filters(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    browser.run("document.querySelector('[data-column=layer_s] button').click()")
    seconds, names = results[0].columns["layer_s"], results[0].columns["name"]
    falling = [names[at] for at in sorted(range(len(names)), key=lambda at: (-seconds[at], at))]
    assert shown_rows(browser, 1) == falling
    sort = "document.querySelector('[data-column=layer_s]').getAttribute('aria-sort')"
    assert browser.run(sort) == "descending"
    browser.run("document.querySelector('[data-column=layer_s] button').click()")
    assert browser.run(sort) == "ascending"
    choose(browser, "filter", "EXPAND", "input")
    wanted = {name for name in names if "expand" in name}
    assert set(shown_rows(browser, 1)) == wanted
    assert 0 < len(wanted) < len(names)
    choose(browser, "bound-filter", "ddr")
    bounds = results[0].columns["bound"]
    expected = {name for name, bound in zip(names, bounds, strict=True) if bound == "ddr"} & wanted
    assert set(shown_rows(browser, 1)) == expected


def csv_of(browser: Browser) -> list[dict[str, str]]:
    """The rows that the button gives out."""
    caught = browser.run(
        "new Promise(done => { const make = URL.createObjectURL; URL.createObjectURL = blob => {"
        "blob.text().then(done); URL.createObjectURL = make; return make(blob); };"
        "document.getElementById('csv').click(); })"
    )
    return list(csv.DictReader(io.StringIO(caught)))


def test_the_csv_is_the_table(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    rows = csv_of(browser)
    columns = results[0].columns
    assert list(rows[0]) == list(columns)
    for name, values in columns.items():
        read = [type(value)(row[name]) for value, row in zip(values, rows, strict=True)]
        assert read == values


def test_a_block_alone_can_be_looked_at(browser, compared):
    path, results = compared
    browser.open(path)
    browser.show_all()
    block = blocks_of(results[0].columns["name"])[2]
    choose(browser, "range", "2")
    size = block.end - block.first
    assert marks(browser, "svg[data-picture=time]", "g[data-layer]") == [size] * 2
    assert marks(browser, "svg[data-picture=graph]", ".node") == [size]
    assert shown_rows(browser, 0) == [str(at + 1) for at in range(block.first, block.end)]


def test_hostile_names_are_text(browser, load, small, tmp_path):
    layers = "".join(
        f"  - conv: {{name: {json.dumps(name, ensure_ascii=False)}, channels: 8, kernel: 3}}\n"
        for name in HOSTILE
    )
    title = json.dumps("".join(HOSTILE), ensure_ascii=False)
    network = load(f"name: {title}\ninput: [3, 16, 16]\nlayers:\n{layers}")
    path = tmp_path / "hostile.html"
    report(simulate(network, small)).write(path)
    browser.open(path)
    browser.show_all()
    assert browser.problems == []
    assert browser.run("window.broken") is None
    assert browser.run("document.getElementById('title').textContent") == "".join(HOSTILE)
    assert shown_rows(browser, 1) == list(HOSTILE)
    assert browser.run("document.querySelectorAll('b, script').length") == 2
    assert [row["name"] for row in csv_of(browser)] == list(HOSTILE)
    choose(browser, "filter", "bold", "input")
    assert shown_rows(browser, 1) == [HOSTILE[1]]


def test_the_page_keeps_to_the_window(browser, compared, tmp_path):
    path, _ = compared
    for width in (400, 1280, 1920):
        browser.open(path, width)
        browser.show_all()
        assert browser.run("document.documentElement.scrollWidth") <= width
        drawn = browser.run(
            "document.querySelector('svg[data-picture=time]').viewBox.baseVal.width"
        )
        assert drawn == browser.run("document.getElementById('time-body').clientWidth")
        browser.screenshot(tmp_path / f"{width}.png")
    assert browser.problems == []


def test_a_print_has_everything(browser, compared):
    path, results = compared
    browser.open(path, 1280, 600)
    pictures = "document.querySelectorAll('svg[data-picture]').length"
    assert browser.run(pictures) < 7  # what is not in sight is not drawn
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(pictures) == 7
    assert len(shown_rows(browser, 0)) == len(results[0].program.layers)


def test_light_and_dark(browser, compared):
    path, _ = compared
    colour = "getComputedStyle(document.body).backgroundColor"
    for scheme, first, second in (
        ("light", "rgb(255, 255, 255)", "rgb(21, 24, 28)"),
        ("dark", "rgb(21, 24, 28)", "rgb(255, 255, 255)"),
    ):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.call("Emulation.setEmulatedMedia", features=features)
        browser.open(path)
        assert browser.run(colour) == first
        browser.run("document.getElementById('theme').click()")
        assert browser.run(colour) == second
    browser.call("Emulation.setEmulatedMedia", features=[])


@pytest.mark.thorough
def test_five_thousand_layers_stay_responsive(browser, load, small, tmp_path):
    network = load(
        "name: long\ninput: [16, 8, 8]\nlayers:\n  - repeat: 2500\n    layers:\n"
        "      - conv: {name: c, channels: 16, kernel: 3}\n      - add: {name: a, inputs: [block_input, previous]}\n"
    )
    path = tmp_path / "long.html"
    result = simulate(network, small)
    report(result).write(path)
    assert browser.open(path) < 3.0
    browser.show_all()
    assert marks(browser, "svg[data-picture=time]", "g[data-layer]", "layers") == [5000]
    assert marks(browser, "svg[data-picture=graph]", ".node", "layers") == [5000]
    assert marks(browser, "svg[data-picture=roofline]", ".point", "layers") == [5000]
    assert "Each bar adds up" in browser.run("document.getElementById('time-body').textContent")
    assert "each node is a block" in browser.run(
        "document.getElementById('graph-about').textContent"
    )
    for action in (
        "document.querySelector('[data-column=layer_s] button').click()",
        "document.getElementById('table-body').scrollTop = 60000",
        "document.getElementById('same-scale').click()",
    ):
        took_ms = browser.run(
            f"new Promise(done => {{ const start = performance.now(); {action};"
            "requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start))); })"
        )
        assert took_ms < 1000
    assert browser.problems == []
