"""What reading ONNX costs: processor time beside `import onnx` and onnx-tool, and in process; peak memory.

Install perfsim itself (not editable) with its extra `onnx` first, and onnx-tool to compare with it.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from multiprocessing import Process
from pathlib import Path
from typing import Any

RUNS = 9
EMBEDDED = "resnet50_weights.onnx"
BARE = "resnet50_light.onnx"
IN_PROCESS = """\
import time, sys, onnx
start = time.process_time()
from perfsim import load_network, lower
lower(load_network(sys.argv[1]))
print(time.process_time() - start)
"""


def main() -> None:
    """Print every figure, a line each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        maker = Process(target=_write_models, args=(folder,))  # so that this process stays small:
        maker.start()  # the peak memory of a child is at least that of its parent
        maker.join()
        _print_processor_time(folder)
        print(
            "processor seconds in process to import perfsim, load and lower, beyond `import onnx`"
        )
        for file in (BARE, EMBEDDED, "conv_5000.onnx", "transformer_5000.onnx"):
            print(f"  {file:<42}{_in_process(folder / file):6.2f} s")
        print("peak memory of perfsim run")
        for file in (BARE, EMBEDDED, "absent.onnx", "present.onnx", "llm_1000.onnx"):
            command = _perfsim(folder / file)
            megabytes = max(_measured(command)[1] for _ in range(3))
            print(f"  {file:<42}{megabytes:6.0f} MB")


def _print_processor_time(folder: Path) -> None:
    """Whole processes in turn: the median of each, and of its ratio to `import onnx` in the same round."""
    python = sys.executable
    base = "import onnx"
    commands = {base: [python, "-c", base]}
    for file in (BARE, EMBEDDED):
        commands[f"perfsim run {file}"] = _perfsim(folder / file)
        commands[f"onnx_tool -i {file}"] = [python, "-m", "onnx_tool", "-i", str(folder / file)]
    if find_spec("onnx_tool") is None:
        print("onnx-tool is not installed: no comparison with it")
        commands = {name: each for name, each in commands.items() if "onnx_tool" not in name}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS + 1):  # the first warms the file cache
        for name, command in commands.items():
            seconds[name].append(_measured(command)[0])
    print("processor time (user and system) of whole processes: ratio to", base)
    for name, times in seconds.items():
        print(f"  {name:<42}{_ratio(times, seconds[base]):6.2f}   ({_milliseconds(times):.0f} ms)")
    for file in (BARE, EMBEDDED):
        theirs = seconds.get(f"onnx_tool -i {file}")
        if theirs:
            ratio = _ratio(seconds[f"perfsim run {file}"], theirs)
            print(f"  {f'perfsim / onnx-tool, {file}':<42}{ratio:6.2f}")


def _ratio(times: list[float], others: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(times[1:], others[1:], strict=True))


def _milliseconds(times: list[float]) -> float:
    return 1e3 * statistics.median(times[1:])


def _perfsim(file: Path) -> list[str]:
    perfsim = str(Path(sys.executable).with_name("perfsim"))
    return [perfsim, "run", str(file), "--hw", "8MB_8GBs_8TF"]


def _measured(command: list[str]) -> tuple[float, float]:
    """(processor seconds, peak megabytes) of one process."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    unit = 1 if sys.platform == "darwin" else 1024
    return used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6


def _in_process(file: Path) -> float:
    """The median of three fresh processes."""
    command = [sys.executable, "-c", IN_PROCESS, str(file)]
    runs = [subprocess.run(command, capture_output=True, check=True, text=True) for _ in range(3)]
    return statistics.median(float(each.stdout) for each in runs)


def _write_models(folder: Path) -> None:
    """All models that are measured."""
    import onnx

    light = Path(onnx.__file__).parent / "backend/test/data/light/light_resnet50.onnx"
    model = onnx.load(light)
    onnx.save(model, folder / BARE)
    _fill(model)
    onnx.save(model, folder / EMBEDDED)
    onnx.save(_convolutions(2_500), folder / "conv_5000.onnx")
    onnx.save(_transformer(333, 256), folder / "transformer_5000.onnx")
    onnx.save(_transformer(36, 1248, "missing.data"), folder / "absent.onnx")
    onnx.save(_transformer(36, 1248, "sparse.data"), folder / "present.onnx")
    with (folder / "sparse.data").open("wb") as file:
        file.truncate(36 * 12 * 1248**2 * 4)  # 2.7 GB that take no room on most file systems
    onnx.save(_transformer(1_000, 4096), folder / "llm_1000.onnx")


def _fill(model: Any) -> None:
    """Put the weights into a light model, which makes them while it runs."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim]
        for each in graph.value_info
    }
    made: set[str] = set()
    kept = []
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape" or node.input[0] in made:
            made.add(node.output[0])
        else:
            kept.append(node)
    read = {name for node in kept for name in node.input}
    del model.graph.node[:]
    model.graph.node.extend(kept)
    for name in sorted(made & read):
        tensor = model.graph.initializer.add(name=name, dims=shapes[name], data_type=1)
        count = 1
        for size in shapes[name]:
            count *= size
        tensor.raw_data = os.urandom(4 * count)


def _model(nodes: list[Any], shape: list[int], weights: list[Any]) -> Any:
    from onnx import TensorProto, helper

    read = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    written = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", read, written, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def _weight(name: str, shape: list[int], file: str = "", offset: int = 0) -> Any:
    """An initializer in an external `file`, or without its values."""
    from onnx import TensorProto

    tensor = TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
    if file:
        tensor.data_location = TensorProto.EXTERNAL
        length = 4 * shape[0] * shape[1]
        for key, value in (("location", file), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
    return tensor


def _convolutions(count: int) -> Any:
    """A chain of convolutions, each with its activation."""
    from onnx import helper

    nodes, weights, last = [], [], "x"
    for at in range(count):
        weights.append(_weight(f"w{at}", [16, 16, 3, 3]))
        nodes.append(helper.make_node("Conv", [last, f"w{at}"], [f"c{at}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{at}"], [f"r{at}"]))
        last = f"r{at}"
    return _model(nodes, [1, 16, 8, 8], weights)


def _transformer(blocks: int, features: int, file: str = "") -> Any:
    """Blocks of 15 nodes with 12 features^2 weights each, one head, 64 tokens."""
    from onnx import helper

    nodes: list[Any] = []
    weights = [_weight("norm", [features])]
    offset, last = 0, "x"

    def add(op: str, write: str, *read: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, list(read), [write], **attributes))
        return write

    def product(name: str, read: str, rows: int, columns: int) -> str:
        nonlocal offset
        weights.append(_weight(f"{name}.w", [rows, columns], file, offset))
        offset += 4 * rows * columns
        return add("MatMul", name, read, f"{name}.w")

    for at in range(blocks):
        normal = add("LayerNormalization", f"{at}.n1", last, "norm")
        query, key, value = (product(f"{at}.{each}", normal, features, features) for each in "qkv")
        turned = add("Transpose", f"{at}.t", key, perm=[0, 2, 1])
        scores = add("Softmax", f"{at}.s", add("MatMul", f"{at}.qk", query, turned))
        mixed = add("MatMul", f"{at}.m", scores, value)
        last = add("Add", f"{at}.a1", last, product(f"{at}.o", mixed, features, features))
        normal = add("LayerNormalization", f"{at}.n2", last, "norm")
        wide = add("Gelu", f"{at}.g", product(f"{at}.up", normal, features, 4 * features))
        last = add("Add", f"{at}.a2", last, product(f"{at}.down", wide, 4 * features, features))
    return _model(nodes, [1, 64, features], weights)


if __name__ == "__main__":
    main()
