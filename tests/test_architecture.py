"""Imports go one way, libraries stay in their place, and the public names are complete."""

from __future__ import annotations

import ast
from pathlib import Path

from conftest import ROOT

import perfsim

PACKAGE = ROOT / "perfsim"

# From the top down; a module may import from its own level and from those below it.
LEVELS = (
    ("cli", "__main__"),
    ("report",),
    ("accuracy", "calibration", "host", "sensitivity"),
    ("calibration_choice",),
    ("calibration_steps",),
    ("calibration_fit", "calibration_file"),
    ("calibration_rows",),
    ("sweeps",),
    ("simulation", "timeline"),
    ("schedule_pipelined",),
    ("schedule",),
    ("confidence",),
    ("cliffs",),
    ("result", "traffic", "measured"),
    ("report.notebook",),  # how a result shows itself
    ("report.page_blocks", "report.text"),
    ("timing", "placement"),
    ("program",),
    ("fusion",),
    ("frontends",),
    ("hardware.profile", "network"),
    ("hardware.profile_array", "hardware.profile_parts"),
    ("hardware.profile_types",),
    ("hardware",),
    ("settings", "validation", "catalog", "measurements"),
    ("document",),
    ("csv_table",),
    ("errors", "garbage", "per_object", "__init__"),
)

# Where each library may be imported at all.
HOMES = {
    "pydantic": {
        "validation",
        "hardware.profile",
        "hardware.profile_array",
        "hardware.profile_parts",
        "hardware.profile_types",
        "network.file_schema",
        "network.field_types",
        "frontends.layer_table",
        "frontends.onnx_reader",
    },
    "onnx": {
        "frontends.onnx_reader",
        "frontends.onnx_constants",
        "frontends.onnx_file",
        "frontends.onnx_graph",
        "frontends.onnx_inference",
        "frontends.onnx_types",
        "frontends.onnx_writer",
        "frontends.onnx_writer_graph",
        "host.onnx_runtime",
        "host.probing",
        "report.export",
    },
    "onnxruntime": {"host.onnx_runtime"},
    "yaml": {"document"},
    "distributed": {"sweeps.cluster"},
    "networkx": {"network.graph"},
    "pandas": {"result", "simulation", "report.explain", "accuracy", "sweeps.sweep"},
    "pyarrow": {"report.sheet", "sweeps.writers"},
    "matplotlib": {"report.figures.canvas"},
    "numba": {"placement.address_sections", "sweeps.compiled_loops"},
    "ortools": {"placement.address_cp_sat"},
    "scipy": {"placement.optimal_solver", "calibration_fit", "sweeps.grid"},
    "torch": {"frontends.torch_reader", "frontends.torch_export"},
    "numpy": {
        "cli",
        "frontends.onnx_constants",
        "frontends.onnx_fold",
        "frontends.onnx_graph",
        "frontends.onnx_trained",
        "frontends.onnx_writer",
        "frontends.onnx_writer_graph",
        "calibration",
        "calibration_fit",
        "calibration_rows",
        "calibration_steps",
        "hardware.machine",
        "hardware.parts",
        "host",
        "placement",
        "timing",
        "traffic",
        "result",
        "report.figures.accuracy",
        "report.figures.canvas",
        "report.figures.gantt",
        "report.figures.labels",
        "report.figures.layers",
        "report.figures.memory",
        "report.figures.pareto",
        "report.figures.roofline",
        "timeline",
        "schedule",
        "schedule_pipelined",
        "simulation",
        "sensitivity",
        "sweeps",
    },
}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def level(module: str) -> int:
    """The first level that names the module, exactly or as its package."""
    exact = [index for index, names in enumerate(LEVELS) if module in names]
    package = [
        index for index, names in enumerate(LEVELS) if module.split(".", maxsplit=1)[0] in names
    ]
    return (exact or package)[0]


def test_imports_go_one_way():
    known = modules()
    for module, path in known.items():
        if module == "__init__":
            continue  # the public names, loaded when they are used
        for name in imports(path):
            target = name.removeprefix("perfsim.")
            if name.startswith("perfsim.") and target in known:
                assert level(target) >= level(module), f"{module} imports {target}"


def test_libraries_are_imported_where_they_belong_and_nowhere_else():
    for module, path in modules().items():
        for name in imports(path):
            library = name.split(".")[0]
            if library in HOMES:
                homes = {module, module.partition(".")[0]}  # a package stands for its modules
                assert homes & HOMES[library], f"{module} imports {library}"


def test_the_core_does_not_print_exit_or_read_the_command_line():
    for module, path in modules().items():
        if module.startswith("cli") or module == "__main__":
            continue
        tree = ast.parse(path.read_text())
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        # Formulas are texts of the package's own, compiled where they are kept; nothing of a user's is ever run.
        allowed = {"eval"} if module == "timing.formula" else set()
        assert not called & {"print", "exit", "input", "eval", "exec"} - allowed, module
        assert "sys" not in imports(path), module


def test_only_the_kernel_divides_by_a_rate():
    """A formula has one home: nothing else divides by a machine's number."""
    for module, path in modules().items():
        if module in ("timing.kernel", "report.figures.roofline"):  # a ridge is a rate by a rate
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv):
                names = {
                    each.attr for each in ast.walk(node.right) if isinstance(each, ast.Attribute)
                }
                names |= {each.id for each in ast.walk(node.right) if isinstance(each, ast.Name)}
                rates = {name for name in names if name.endswith(("_per_s", "_flops"))}
                assert not rates, (module, ast.unparse(node))


def test_files_can_be_read_in_one_sitting():
    for module, path in modules().items():
        assert len(path.read_text().splitlines()) <= 320, module


def test_public_names_are_complete_and_exist():
    homes = set(perfsim._HOMES)
    assert set(perfsim.__all__) == homes | {"__version__"}
    assert len(perfsim.__all__) == len(set(perfsim.__all__))
    for name in perfsim.__all__:
        assert getattr(perfsim, name) is not None
    assert dir(perfsim) == sorted(perfsim.__all__)


def test_no_module_hides_a_public_name():
    """Importing `perfsim.x` puts a module under the name x into the package, whatever else was there.

    `report` is the one that is both: the package itself can be called.
    """
    submodules = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if path.is_dir()
    }
    assert submodules & set(perfsim.__all__) == {"report"}
    assert callable(perfsim.report)


def test_every_public_thing_says_what_it_is():
    for name in perfsim.__all__:
        if name != "__version__":
            assert getattr(perfsim, name).__doc__


def test_no_check_of_input_is_an_assert():
    for module, path in modules().items():
        asserts = [
            node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)
        ]
        assert not asserts, module
