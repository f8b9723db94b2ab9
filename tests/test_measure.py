"""Measuring on this computer: nodes joined to layers, medians by hand, a made-up runtime, wrong input."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from conftest import read_csv

from perfsim import load_hardware, load_network, lower, measure, measure_host, simulate, validate
from perfsim.host import computer, measuring, probing, repeats
from perfsim.host.joining import Joined, join
from perfsim.host.onnx_runtime import RunNode
from perfsim.host.random_inputs import precision_of, random_inputs
from perfsim.report.measure import host_text

SMALL = """\
name: small
input: [16, 8, 8]
layers:
  - conv: {name: expand, channels: 32, kernel: 1, batch_norm: true, activation: relu}
  - conv: {name: project, channels: 16, kernel: 1, batch_norm: true}
  - add: {name: shortcut, inputs: [input, project]}
  - conv: {name: last, channels: 16, kernel: 3, batch_norm: true}
  - add: {name: second, inputs: [shortcut, last]}
  - global_avg_pool: {name: pool}
  - fully_connected: {name: fc, units: 10}
"""
MACHINE = "name: m\nsram: 1 MB\nddr_bandwidth: 1 GB/s\nmatrix: 1 TFLOPS\nvector: 10 GFLOPS\n"

MODEL_NODES = (
    RunNode("expand", "Conv", ("input",), ("expand",)),
    RunNode("expand.batch_norm", "BatchNormalization", ("expand",), ("expand.batch_norm",)),
    RunNode("expand.relu", "Relu", ("expand.batch_norm",), ("expand.relu",)),
    RunNode("project", "Conv", ("expand.relu",), ("project",)),
    RunNode("project.batch_norm", "BatchNormalization", ("project",), ("project.batch_norm",)),
    RunNode("shortcut", "Add", ("input", "project.batch_norm"), ("shortcut",)),
    RunNode("last", "Conv", ("shortcut",), ("last",)),
    RunNode("last.batch_norm", "BatchNormalization", ("last",), ("last.batch_norm",)),
    RunNode("second", "Add", ("shortcut", "last.batch_norm"), ("second",)),
    RunNode("pool", "GlobalAveragePool", ("second",), ("pool",)),
    RunNode("fc.flatten", "Flatten", ("pool",), ("fc.flatten",)),
    RunNode("fc", "Gemm", ("fc.flatten",), ("fc",)),
)
BLOCKED = (
    RunNode("ReorderInput", "ReorderInput", ("input",), ("t0",)),
    RunNode("expand.relu_nchwc", "Conv", ("t0",), ("t1",)),
    RunNode("project.batch_norm_nchwc", "Conv", ("t1", "w", "b", "t0"), ("t2",)),
    RunNode("last.batch_norm_nchwc", "Conv", ("t2", "w2", "b2", "t2"), ("t3",)),
    RunNode("pool_nchwc", "GlobalAveragePool", ("t3",), ("t4",)),
    RunNode("ReorderOutput", "ReorderOutput", ("t4",), ("pool",)),
    RunNode("fc.flatten", "Flatten", ("pool",), ("fc.flatten",)),
    RunNode("fc", "Gemm", ("fc.flatten",), ("fc",)),
)


@pytest.fixture
def small(write):
    return load_network(write("small.yaml", SMALL))


def joined_names(network, executed, model=MODEL_NODES):
    """(the layer of each node, which layers each one holds, layers that were lost), by name."""
    program = lower(network)
    joined = join(executed, model, network, program)
    names = [layer.name for layer in program.layers]
    held = {names[one]: names[into] for one, into in joined.fused_into.items()}
    layers = [None if one is None else names[one] for one in joined.layer_of]
    return layers, held, [names[one] for one in joined.lost]


def test_nodes_in_blocks_of_channels_are_joined_to_layers(small):
    layers, held, lost = joined_names(small, BLOCKED)
    assert layers == ["expand", "expand", "project", "last", "pool", "pool", "fc", "fc"]
    assert held == {"shortcut": "project", "second": "last"}
    assert lost == []


def test_a_node_that_is_not_fused_belongs_to_its_layer(small):
    layers, held, lost = joined_names(small, MODEL_NODES)
    assert layers == [
        *("expand", "expand", "expand", "project", "project", "shortcut"),
        *("last", "last", "second", "pool", "fc", "fc"),
    ]
    assert not held
    assert not lost


def test_a_fused_node_that_writes_the_later_tensor_holds_the_earlier_layer(small):
    """As a skip connection in front of a normalisation: the addition's operands are what the later node reads."""
    executed = [
        node if node.name != "pool" else RunNode("x", "AddPool", node_inputs, node.outputs)
        for node in MODEL_NODES
        if node.name != "second"
        for node_inputs in [("shortcut", "last.batch_norm")]
    ]
    layers, held, lost = joined_names(small, executed)
    assert layers[8:] == ["pool", "fc", "fc"]
    assert held == {"second": "pool"}
    assert not lost


def test_what_is_called_after_a_fusion_belongs_to_the_node_in_front(small):
    executed = (
        *MODEL_NODES[:6],
        RunNode("last/ConvFusion/", "Conv", ("shortcut",), ("t",)),
        RunNode("second", "Add", ("shortcut", "t"), ("second",)),
    )
    assert joined_names(small, executed)[0][-2:] == ["last", "second"]


def test_a_view_has_no_time_of_its_own_and_is_not_missed(write):
    text = """\
name: viewed
input: [16, 8, 8]
layers:
  - conv: {name: body, channels: 16, kernel: 3}
  - flatten: {name: view}
  - softmax: {name: last}
"""
    network = load_network(write("viewed.yaml", text))
    model = (
        RunNode("body", "Conv", ("input",), ("body",)),
        RunNode("view", "Flatten", ("body",), ("view",)),
        RunNode("last", "Softmax", ("view",), ("last",)),
    )
    assert joined_names(network, model, model) == (["body", "last", "last"], {}, [])
    assert joined_names(network, (model[0], model[2]), model) == (["body", "last"], {}, [])


def test_a_reorder_of_an_output_belongs_to_what_it_reads(small):
    executed = (*MODEL_NODES, RunNode("new", "ReorderOutput", ("fc",), ("elsewhere",)))
    assert joined_names(small, executed)[0][-1] == "fc"


def test_what_reads_and_serves_nothing_of_ours_is_other_and_what_has_no_node_is_lost(small):
    executed = (*MODEL_NODES[:3], RunNode("odd", "Odd", ("here",), ("there",)))
    layers, held, lost = joined_names(small, executed)
    assert layers[-1] is None
    assert lost == ["project", "shortcut", "last", "second", "pool", "fc"]
    assert not held


def test_a_convolution_called_after_a_layer_without_macs_is_the_convolution_s(write):
    text = """\
name: branched
input: [16, 8, 8]
layers:
  - conv: {name: body, channels: 16, kernel: 3}
  - mul: {name: scaled, inputs: [body, body]}
"""
    network = load_network(write("branched.yaml", text))
    model = (
        RunNode("body", "Conv", ("input",), ("body",)),
        RunNode("scaled", "Mul", ("body", "body"), ("scaled",)),
    )
    executed = (RunNode("scaled_nchwc", "Conv", ("input",), ("t",)),)
    assert joined_names(network, executed, model) == (["body"], {"scaled": "body"}, [])


def test_the_median_of_whole_microseconds_is_interpolated():
    """Grouped data: of 4, 5, 5, 6 in steps of one the median lies at 4.5 + (2 - 1) / 2 = 5."""
    assert repeats.timing_of_microseconds([4, 5, 5, 6]).median_s == pytest.approx(5e-6)
    assert repeats.timing_of_microseconds([4, 5, 5, 5]).median_s == pytest.approx(
        (4.5 + 1 / 3) * 1e-6
    )


def test_quartiles_are_those_of_linear_interpolation():
    timing = repeats.timing_of([1.0, 2.0, 3.0, 5.0, 9.0])
    assert (timing.first_quartile_s, timing.median_s, timing.third_quartile_s) == (2.0, 3.0, 5.0)
    assert timing.runs == 5


def test_the_error_of_a_median_is_that_of_normal_noise():
    """Against the spread of medians of many samples."""
    random = np.random.default_rng(1)
    samples = random.normal(100.0, 3.0, (2000, 101))
    spread = np.std(np.median(samples, axis=1)) / 100
    estimates = [repeats.relative_error_of_median(sample.tolist()) for sample in samples[:300]]
    assert np.mean(estimates) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("runs", [1, 4, 5, 6, 12])
def test_as_many_runs_are_kept_as_are_asked_for(runs):
    """The first run of each turn of five is dropped, in both sessions, and three of each before."""
    calls = {"plain": 0, "profiled": 0}

    def session(name):
        def run():
            calls[name] += 1
            return 1e-4 + calls[name] * 1e-9

        return run

    times, kept = repeats.run_in_turns(
        session("plain"), session("profiled"), runs=runs, budget_s=10.0, most_profiled=10**6
    )
    numbers = [round((time - 1e-4) / 1e-9) - 1 for time in times]
    assert numbers == kept == sorted(set(kept))
    turns = [5] * (runs // 5) + ([runs % 5] if runs % 5 else [])
    first = 3
    expected = []
    for turn in turns:
        first += turn > 1
        expected += range(first, first + turn)
        first += turn
    assert kept == expected
    assert calls == {"plain": first, "profiled": first}


def test_measuring_ends_when_the_median_is_known():
    times, _ = repeats.run_in_turns(
        lambda: 1e-3, lambda: 1e-3, runs=None, budget_s=60.0, most_profiled=10**6
    )
    assert len(times) == 50


def test_measuring_ends_before_the_profile_is_full():
    _, kept = repeats.run_in_turns(
        lambda: 1e-3, lambda: 1e-3, runs=None, budget_s=60.0, most_profiled=21
    )
    assert max(kept) < 21
    assert len(kept) == 15


class MadeUpRuntime:
    """A runtime that fuses nothing and says that node k (from 0) of run r takes 10 (k + 1) + r % 3 microseconds."""

    __version__ = "0.0"
    ExecutionMode = SimpleNamespace(ORT_SEQUENTIAL=0)
    refuses = ""
    fails = ""

    class SessionOptions(SimpleNamespace):
        pass

    def InferenceSession(self, source, options, providers):  # noqa: N802
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        assert providers == ["CPUExecutionProvider"]
        if self.refuses:
            raise Exception(self.refuses)
        return MadeUpSession(source, options, self.fails)


class MadeUpSession:
    def __init__(self, source, options, fails):
        is_bytes = isinstance(source, bytes)
        self.model = (
            onnx.load_from_string(source)
            if is_bytes
            else onnx.load(source, load_external_data=False)
        )
        self.options = options
        self.runs = 0
        self.fails = fails
        if getattr(options, "enable_profiling", False):
            shutil.copy(source, options.optimized_model_filepath)

    def get_inputs(self):
        return [
            SimpleNamespace(name=each.name, type="tensor(float)") for each in self.model.graph.input
        ]

    def run(self, _, inputs):
        if self.fails:
            raise Exception(self.fails)
        for each in self.model.graph.input:
            shape = [dim.dim_value for dim in each.type.tensor_type.shape.dim]
            assert list(inputs[each.name].shape) == shape
        self.runs += 1

    def end_profiling(self):
        events = [{"cat": "Session", "name": "model_run", "dur": 1}]
        for run in range(self.runs):
            for number, node in enumerate(self.model.graph.node):
                events.append(
                    {
                        "cat": "Node",
                        "name": f"{node.name}_kernel_time",
                        "dur": 10 * (number + 1) + run % 3,
                        "args": {"op_name": node.op_type},
                    }
                )
        path = Path(f"{self.options.profile_file_prefix}.json")
        path.write_text(json.dumps(events))
        return str(path)


@pytest.fixture
def runtime(monkeypatch):
    made_up = MadeUpRuntime()
    monkeypatch.setitem(sys.modules, "onnxruntime", made_up)
    return made_up


def test_the_rows_have_the_sums_of_the_medians(runtime, perfsim_cli, write):
    """Nodes 0 to 11; a node's middle time is 10 (k + 1) + 1 us, and half a microsecond was cut off."""
    write("small.yaml", SMALL)
    run = perfsim_cli("measure", "small.yaml", "--runs", "300", "-o", "measured.csv", "--quiet")
    assert (run.status, run.out, run.err) == (0, "", "")
    whole, *layers = read_csv(Path("measured.csv"))
    assert (whole["network"], whole["layer"], whole["precision"], whole["batch"]) == (
        *("small.yaml", "", "fp32"),
        "1",
    )
    assert float(whole["measured_ms"]) > 0
    numbers = {
        "expand": (0, 1, 2),
        "project": (3, 4),
        "shortcut": (5,),
        "last": (6, 7),
        "second": (8,),
        "pool": (9,),
        "fc": (10, 11),
    }
    assert [row["layer"] for row in layers] == list(numbers)
    for row, nodes in zip(layers, numbers.values(), strict=True):
        each = [10 * (number + 1) + 1.5 for number in nodes]
        assert float(row["measured_ms"]) == pytest.approx(sum(each) / 1000, abs=5.1e-4)
        assert len(row["nodes"].split()) == len(nodes)
        assert row["runs"] == "300"


def test_what_was_measured_can_be_validated(runtime, perfsim_cli, write):
    write("small.yaml", SMALL)
    write("m.yaml", MACHINE)
    arguments = ("--set", "batch=2", "--set", "resolution=8", "--runs", "3")
    assert perfsim_cli("measure", "small.yaml", *arguments, "-o", "measured.csv").status == 0
    validation = validate("measured.csv", load_hardware("m.yaml"))
    assert [row.settings["batch"].value for row in validation.measurements] == [2] * 8
    assert validation.measurements[0].settings["resolution"].value == 8
    assert {row.settings["precision.weight"].value for row in validation.measurements} == {32}
    assert list(validation.names)[1:] == [
        *("expand", "project", "shortcut", "last", "second", "pool", "fc")
    ]


def test_what_was_fused_is_predicted_with_its_row(write, perfsim_cli):
    """Two additions in the times of two convolutions, one of a name with a blank."""
    text = SMALL.replace("name: second", "name: the second")
    path = write("small.yaml", text)
    program = lower(load_network(path))
    fused = {2: 1, 4: 3}
    timing = repeats.Timing(1e-3, 1e-3, 1e-3, 9)
    layers = dict.fromkeys((0, 1, 3, 5, 6), timing)
    measured = measuring.HostMeasurement(
        *(str(path), "", "fp32", 1, program, (), Joined((), fused, ()), timing, layers),
        *(None, "here"),
    )
    assert measured.columns["with"] == ["", "", "shortcut", "5", "", ""]
    rows = zip(*measured.columns.values(), strict=True)
    lines = [",".join(map(str, row)) for row in (measured.columns, *rows)]
    machine = load_hardware(write("m.yaml", MACHINE))
    validation = validate(write("m.csv", "\n".join(lines)), machine)
    layer_s = simulate(
        load_network(path, precision={"feature_map": 32, "weight": 32}), machine
    ).columns["layer_s"]
    expected = [sum(layer_s[at] for at in at_all) for at_all in ((0,), (1, 2), (3, 4), (5,), (6,))]
    assert validation.predicted_ms[1:] == pytest.approx([1000 * each for each in expected], 1e-12)
    assert validation.predicted_ms[0] == pytest.approx(1000 * sum(expected), 1e-12)


def test_the_report_shows_the_sum_beside_the_whole(runtime, perfsim_cli, write):
    write("small.yaml", SMALL)
    run = perfsim_cli("measure", "small.yaml", "--runs", "9")
    assert "without profiling" in run.out
    assert "the sum of the layers, profiled: " in run.out
    assert "other nodes: 0 s" in run.out
    record = json.loads(perfsim_cli("measure", "small.yaml", "--runs", "9", "--format", "json").out)
    total = sum(row["measured_ms"] for row in record["measurements"][1:])
    assert record["layers_ms"] == pytest.approx(total)
    assert record["other_ms"] == 0


def test_a_node_of_no_layer_is_said_loudly(runtime, perfsim_cli, write, monkeypatch):
    path = perfsim_cli_export(perfsim_cli, write)
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("Odd", ["nowhere"], ["gone"], name="stray"))

    def save_with_stray(source, target):
        onnx.save(model, target)

    monkeypatch.setattr(shutil, "copy", save_with_stray)
    monkeypatch.setattr(
        MadeUpSession, "end_profiling", with_nodes(MadeUpSession.end_profiling, model)
    )
    run = perfsim_cli("measure", "small.yaml", "--runs", "30", "--format", "json")
    assert "of the time is of nodes that belong to no layer: Odd stray" in run.err
    record = json.loads(run.out)
    assert record["other_ms"] == pytest.approx(0.1315, abs=1e-3)  # node 12: 10 x 13 + 1.5 us
    assert record["layers_ms"] == pytest.approx(
        sum(10 * k + 1.5 for k in range(1, 13)) / 1000, abs=1e-2
    )


def with_nodes(end_profiling, model):
    def end(self):
        self.model = model
        return end_profiling(self)

    return end


def perfsim_cli_export(perfsim_cli, write):
    write("small.yaml", SMALL)
    assert perfsim_cli("export", "small.yaml", "-o", "small.onnx").status == 0
    return "small.onnx"


def test_an_onnx_file_is_run_as_it_is(runtime, perfsim_cli, write):
    path = perfsim_cli_export(perfsim_cli, write)
    measured = measure(path, runs=6)
    assert measured.network == "small.onnx"
    assert measured.precision == "fp32"
    assert len(measured.layers) == 7


def test_the_precision_is_that_of_most_fractions(perfsim_cli, write):
    model = onnx.load(perfsim_cli_export(perfsim_cli, write))
    for tensor in model.graph.initializer:
        if len(tensor.dims) == 4:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    onnx.save(model, "half.onnx")
    assert precision_of(Path("half.onnx")) == "fp16"


@pytest.mark.parametrize(("slow_runs", "warns"), [(0, False), (5, False), (25, True)])
def test_a_busy_computer_is_said(runtime, perfsim_cli, write, monkeypatch, slow_runs, warns):
    """Of 40 runs, those that took twice as long count when they are more than a quarter."""
    times = [2e-3] * slow_runs + [1e-3] * (40 - slow_runs)
    monkeypatch.setattr(measuring, "run_in_turns", lambda *_, **__: (times, [0]))
    monkeypatch.setattr(MadeUpSession, "end_profiling", with_one_run(MadeUpSession.end_profiling))
    write("small.yaml", SMALL)
    err = perfsim_cli("measure", "small.yaml", "--runs", "1").err
    assert ("2.00 times as long" in err) == warns


def with_one_run(end_profiling):
    def end(self):
        self.runs = 1
        return end_profiling(self)

    return end


def test_weights_that_are_not_there_are_an_error(runtime, perfsim_cli, write):
    model = onnx.load(perfsim_cli_export(perfsim_cli, write))
    onnx.save(
        model,
        "lean.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="lean.data",
        size_threshold=64,
    )
    assert perfsim_cli("measure", "lean.onnx", "--runs", "1").status == 0
    Path("lean.data").unlink()
    run = perfsim_cli("measure", "lean.onnx", "-o", "measured.csv")
    assert run.status == 2
    assert "lean.onnx: the weights of 'expand.weight' are not there" in run.err
    assert "expected the file 'lean.data' beside the model" in run.err
    assert not Path("measured.csv").exists()


@pytest.mark.parametrize("when", ["refuses", "fails"])
def test_what_the_runtime_does_not_run_is_one_error(runtime, perfsim_cli, write, when):
    setattr(
        runtime, when, "\x1b[31m[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : no kernel\nmore\x1b[m"
    )
    write("small.yaml", SMALL)
    run = perfsim_cli("measure", "small.yaml", "-o", "measured.csv")
    assert run.status == 2
    assert run.err == (
        "error: small.yaml: ONNX Runtime cannot run it: 9 : NOT_IMPLEMENTED : no kernel\n"
    )
    assert not list(Path().glob("measured*"))


@pytest.mark.parametrize("wrong", ["name", "op", "count"])
def test_a_profile_of_something_else_is_an_error(runtime, perfsim_cli, write, monkeypatch, wrong):
    end_profiling = MadeUpSession.end_profiling

    def end(self):
        path = Path(end_profiling(self))
        events = json.loads(path.read_text())
        if wrong == "count":
            events.pop()
        elif wrong == "name":
            events[-1]["name"] = "other_kernel_time"
        else:
            events[-1]["args"]["op_name"] = "Other"
        path.write_text(json.dumps(events))
        return str(path)

    monkeypatch.setattr(MadeUpSession, "end_profiling", end)
    write("small.yaml", SMALL)
    run = perfsim_cli("measure", "small.yaml", "--runs", "2", "-o", "measured.csv")
    assert run.status == 2
    assert "the profile of ONNX Runtime is not that of its optimised model" in run.err
    assert not Path("measured.csv").exists()


def test_without_any_library_of_the_extra_no_import_fails(tmp_path):
    """A process of its own: here onnx is imported already."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(['google', 'google.protobuf', 'onnx', 'onnxruntime']); "
        "from perfsim.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    hint = "pip install 'perfsim[host]', or in a clone '.[host]'\n"
    for what in ("lenet5", "--host"):
        command = [sys.executable, "-c", code, "measure", what, "-o", str(tmp_path / "made.yaml")]
        if what == "lenet5":
            command = command[:-2]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stdout) == (2, "")
        assert run.stderr.startswith("error: ")
        assert run.stderr.endswith(hint)
        assert run.stderr.count("\n") == 1


def test_without_the_runtime_the_extra_is_named(monkeypatch, perfsim_cli, write):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    write("small.yaml", SMALL)
    for arguments in (("small.yaml",), ("--host",)):
        run = perfsim_cli("measure", *arguments)
        assert run.status == 2
        assert "pip install 'perfsim[host]'" in run.err
        assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "found nothing to measure, expected MODEL or --host"),
        (("small.yaml", "--host"), "--host: found MODEL, expected --host alone"),
        (("--host", "--runs", "3"), "--host: found --runs"),
        (("small.yaml", "--threads", "0"), "found threads 0, expected at least 1"),
        (("small.yaml", "--runs", "0"), "found runs 0, expected at least 1"),
        (("small.yaml", "--runs", "9999999"), "expected fewer"),
        (("small.yaml", "--time", "soon"), "--time"),
        (("small.yaml", "--runs", "1", "--time", "1s"), "not allowed with argument"),
        (("small.yaml", "--set", "precision.weight=8"), "found a precision"),
        (("small.yaml", "--set", "hw.sram=1MB"), "found a key of a machine"),
        (("small.yaml", "--set", "input=[16, 4, 4]"), "expected a number or word"),
        (("smal.yaml",), "smal.yaml"),
        (("small.yaml", "-o", "measured.txt"), "found the suffix '.txt'"),
        (("--host", "-o", "host.csv"), "found the suffix '.csv'"),
        (("mobilenet_printed.csv",), "cannot be written as ONNX"),
    ],
)
def test_wrong_input_is_one_error(runtime, perfsim_cli, write, arguments, said):
    write("small.yaml", SMALL)
    run = perfsim_cli("measure", *arguments)
    assert run.status == 2
    assert said in run.err
    assert run.err.count("\n") == 1
    assert run.out == ""


def test_whole_numbers_are_rows_of_the_table(write):
    text = """\
name: words
input: [500]
layers:
  - embedding: {name: table, entries: 7, features: 4}
"""
    network = load_network(write("words.yaml", text))
    arrays = random_inputs(network, {"input": "tensor(int64)"}, "words.yaml")
    assert arrays["input"].shape == (1, 500)
    assert set(np.unique(arrays["input"])) == set(range(7))


def test_caches_are_what_the_system_says(tmp_path, monkeypatch):
    for number, (level, kind, size) in enumerate(
        [
            ("1", "Data", "48K"),
            ("1", "Instruction", "32K"),
            ("3", "Unified", "32M"),
            ("2", "Unified", "1024K"),
        ]
    ):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in (("level", level), ("type", kind), ("size", size)):
            (folder / name).write_text(f"{text}\n")
    monkeypatch.setattr(computer, "_CACHES", tmp_path)
    caches = [(cache.level, cache.size_bytes) for cache in computer.data_caches()]
    assert caches == [(1, 48 * 1024), (2, 1024 * 1024), (3, 32 * 1024 * 1024)]


def test_the_computer_as_a_machine(runtime, perfsim_cli, monkeypatch):
    """With one second for whatever is measured, rates are what was done in it."""
    caches = [computer.Cache(1, 32768), computer.Cache(2, 131072), computer.Cache(3, 1 << 20)]
    monkeypatch.setattr(probing, "data_caches", lambda: caches)
    monkeypatch.setattr(probing, "processor_name", lambda: 'A "fast" one: 3 GHz')
    monkeypatch.setattr(probing, "_best_s", lambda work: (work(), 1e-3)[1])
    numbers = {number.key: number.value for number in measure_host().numbers}
    assert numbers == {
        "sram": 1 << 20,
        "ddr_bandwidth": pytest.approx(2 * 4 * (1 << 20) * 1000),
        "matrix": pytest.approx(2 * 512**3 * 1000),
        "vector": pytest.approx(131072 // 2 // 12 * 1000),
        "stream": pytest.approx(2 * (1 << 20) // 8 * 1000),
    }
    run = perfsim_cli("measure", "--host", "-o", "host.yaml")
    assert run.status == 0
    assert run.out == Path("host.yaml").read_text() == host_text(measure_host())
    machine = load_hardware("host.yaml")
    assert (machine.name, machine.sram_bytes, machine.timing) == ("host", 1 << 20, "serial")
    assert machine.matrix_flops == pytest.approx(2 * 512**3 * 1000, rel=0.005)
    assert machine.extras.stream.bytes_per_s == pytest.approx(2 * (1 << 20) // 8 * 1000, rel=0.005)
    assert not machine.extras.stream.hidden
    assert machine.extras.output_stage == ("add",)
    assert "on this computer, 20" in run.out


def test_a_copy_counts_what_it_reads_and_writes(monkeypatch):
    monkeypatch.setattr(probing, "_PROBE_S", 0.01)
    rate = probing.copy_bytes_per_s(1 << 16)
    assert 1e8 < rate < 1e13


def test_onnx_runtime_itself(perfsim_cli, write):
    """Where it is installed: every layer that takes time has a row, and the sum is about the whole."""
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    text = SMALL.replace("[16, 8, 8]", "[16, 64, 64]")
    measured = measure(write("small.yaml", text), runs=20)
    layers = measured.program.layers
    names = {layers[position].name for position in measured.layers}
    fused = {layers[position].name for position in measured.joined.fused_into}
    assert names | fused == {*("expand", "project", "shortcut", "last", "second", "pool", "fc")}
    assert {"expand", "project", "last", "fc"} <= names
    assert measured.other is None
    assert not measured.warnings
    assert measured.layers_s == pytest.approx(measured.whole.median_s, rel=0.8)
