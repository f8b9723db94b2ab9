"""perfsim: an analytical performance simulator for neural networks on accelerators.

    import perfsim

    network = perfsim.load_network("mobilenet.yaml", width=0.5)
    machine = perfsim.load_hardware("1MB_1GBs_1TF.yaml")
    result = perfsim.simulate(network, machine)
    print(result.table, result.totals.total_s)

The names below are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfsim.accuracy import Accuracy, Validation, validate
    from perfsim.calibration import CalibrationResult, calibrate
    from perfsim.catalog import bundled_machines, bundled_networks
    from perfsim.errors import (
        ClusterError,
        CountError,
        FileError,
        GraphError,
        InputError,
        InvalidValueError,
        MissingExtraError,
        OutputError,
        ParseError,
        PerfsimError,
        ShapeError,
        UnknownNameError,
    )
    from perfsim.frontends import load_network
    from perfsim.frontends.torch_reader import from_torch
    from perfsim.hardware.machine import Machine
    from perfsim.hardware.profile import load_hardware
    from perfsim.host.measuring import measure
    from perfsim.host.probing import measure_host
    from perfsim.network.graph import Network
    from perfsim.placement.address_buffers import Buffers, make_buffers
    from perfsim.placement.addresses import AddressPlan, plan_addresses
    from perfsim.placement.order import order_for_memory
    from perfsim.program import Program, lower
    from perfsim.report.check import check
    from perfsim.report.diff import Difference, diff
    from perfsim.report.explain import explain
    from perfsim.report.export import export_onnx
    from perfsim.report.figures import plot
    from perfsim.report.files import write
    from perfsim.report.page import Page, report
    from perfsim.report.schema import schema
    from perfsim.report.trace import trace
    from perfsim.result import Result, Totals
    from perfsim.sensitivity import Gain, gains
    from perfsim.simulation import compare, simulate, simulate_array
    from perfsim.sweeps.sweep import Sweep, sweep
    from perfsim.timeline import Timeline, timeline_of

__version__ = "0.1.0"

_HOMES = {
    "load_network": "perfsim.frontends",
    "from_torch": "perfsim.frontends.torch_reader",
    "load_hardware": "perfsim.hardware.profile",
    "simulate": "perfsim.simulation",
    "simulate_array": "perfsim.simulation",
    "compare": "perfsim.simulation",
    "sweep": "perfsim.sweeps.sweep",
    "explain": "perfsim.report.explain",
    "export_onnx": "perfsim.report.export",
    "report": "perfsim.report",
    "gains": "perfsim.sensitivity",
    "validate": "perfsim.accuracy",
    "calibrate": "perfsim.calibration",
    "plan_addresses": "perfsim.placement.addresses",
    "make_buffers": "perfsim.placement.address_buffers",
    "write": "perfsim.report.files",
    "plot": "perfsim.report.figures",
    "trace": "perfsim.report.trace",
    "diff": "perfsim.report.diff",
    "timeline_of": "perfsim.timeline",
    "check": "perfsim.report.check",
    "schema": "perfsim.report.schema",
    "bundled_networks": "perfsim.catalog",
    "bundled_machines": "perfsim.catalog",
    "lower": "perfsim.program",
    "measure": "perfsim.host.measuring",
    "measure_host": "perfsim.host.probing",
    "order_for_memory": "perfsim.placement.order",
    "Network": "perfsim.network.graph",
    "Machine": "perfsim.hardware.machine",
    "Program": "perfsim.program",
    "Result": "perfsim.result",
    "Totals": "perfsim.result",
    "Sweep": "perfsim.sweeps.sweep",
    "Timeline": "perfsim.timeline",
    "Difference": "perfsim.report.diff",
    "Buffers": "perfsim.placement.address_buffers",
    "AddressPlan": "perfsim.placement.addresses",
    "Page": "perfsim.report.page",
    "Gain": "perfsim.sensitivity",
    "Validation": "perfsim.accuracy",
    "Accuracy": "perfsim.accuracy",
    "CalibrationResult": "perfsim.calibration",
    "PerfsimError": "perfsim.errors",
    "InputError": "perfsim.errors",
    "FileError": "perfsim.errors",
    "ParseError": "perfsim.errors",
    "UnknownNameError": "perfsim.errors",
    "InvalidValueError": "perfsim.errors",
    "ShapeError": "perfsim.errors",
    "GraphError": "perfsim.errors",
    "CountError": "perfsim.errors",
    "OutputError": "perfsim.errors",
    "MissingExtraError": "perfsim.errors",
    "ClusterError": "perfsim.errors",
}

__all__ = [
    "__version__",
    "load_network",
    "from_torch",
    "load_hardware",
    "simulate",
    "simulate_array",
    "compare",
    "sweep",
    "explain",
    "export_onnx",
    "report",
    "gains",
    "validate",
    "measure",
    "measure_host",
    "calibrate",
    "plan_addresses",
    "make_buffers",
    "write",
    "plot",
    "trace",
    "diff",
    "timeline_of",
    "check",
    "schema",
    "bundled_networks",
    "bundled_machines",
    "lower",
    "order_for_memory",
    "Network",
    "Machine",
    "Program",
    "Result",
    "Totals",
    "Sweep",
    "Timeline",
    "Difference",
    "Buffers",
    "AddressPlan",
    "Page",
    "Gain",
    "Validation",
    "Accuracy",
    "CalibrationResult",
    "PerfsimError",
    "InputError",
    "FileError",
    "ParseError",
    "UnknownNameError",
    "InvalidValueError",
    "ShapeError",
    "GraphError",
    "CountError",
    "OutputError",
    "MissingExtraError",
    "ClusterError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'perfsim' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
