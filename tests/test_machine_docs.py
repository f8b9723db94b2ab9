"""docs/machines.md has every key of a machine's file, and with docs/model.md every formula of every part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import ROOT

from perfsim import Machine
from perfsim.hardware.parts import LAYER_CLASSES, Extras, Stream
from perfsim.hardware.profile import hardware_schema
from perfsim.timing.kernel import TIMINGS
from perfsim.timing.terms import Shape, shape_of

MACHINES = (ROOT / "docs/machines.md").read_text()
BOTH = MACHINES + (ROOT / "docs/model.md").read_text()

PLAIN = Machine("m", 10**6, 1e9, 1e12, 1e10)
STREAMS = (
    Stream(1.0),
    Stream(None, 1.0, 1.0, 1.0),
    Stream(None, 1.0, 1.0),
    Stream(None, 1.0, 1.0, hidden=False),
)
COSTS = (
    {"layer_cost_s": 1.0},
    {"inference_cost_s": 1.0},
    {"layer_cost_s": 1.0, "inference_cost_s": 1.0},
)
# A machine with one part each, in every variant of it; parts together combine these.
SHAPES = (
    Shape(),
    *(
        Shape(array="grid", packing=packing)
        for packing in ("none", "kernel_row", "kernel", "stride")
    ),
    Shape(array="grid", packing="stride", packing_layers="all"),
    Shape(array="output_stationary"),
    Shape(apart=True),
    *(
        Shape(array=flow, preload=preload)
        for flow in ("weight_stationary", "input_stationary")
        for preload in (False, True)
    ),
    Shape(array="row_stationary"),
    Shape(array="grid", depthwise=True),
    Shape(array="grid", winograd=True, ratios=("weight_ratio",)),
    Shape(efficiency=True),
    Shape(matrix_speed=True),
    *(Shape(ddr=(key,)) for key in ("ddr_efficiency", "ddr_latency_s", "ddr_burst_bytes")),
    *(Shape(ratios=(key,)) for key in ("feature_map_ratio", "weight_ratio")),
    *(shape_of(replace(PLAIN, extras=Extras(stream=stream))) for stream in STREAMS),
    Shape(weight_memory=True, weights_hidden=True),
    Shape(weight_memory=True, weights_hidden=False),
    *(shape_of(replace(PLAIN, extras=Extras(**cost))) for cost in COSTS),
    Shape(energy=("mac_j", "static_w")),
    Shape(energy=("mac_j", "static_w"), array="grid", winograd=True, ratios=("weight_ratio",)),
    Shape(energy=("mac_j", "static_w"), output_stage=True, apart=True),
    Shape(energy=("mac_j", "weight_byte_j", "static_w"), weight_memory=True),
)


def keys(schema: dict, definitions: dict, above: str = "") -> list[str]:
    """Every key of a schema by its dotted path."""
    found = []
    for name, value in schema["properties"].items():
        parts = [each["$ref"] for each in (value, *value.get("anyOf", [])) if "$ref" in each]
        for part in parts:
            inner = definitions[part.rpartition("/")[2]]
            found += keys(inner, definitions, f"{above}{name}.")
        if not parts or not above:
            found.append(f"{above}{name}")
    return found


def test_every_key_is_in_the_document():
    schema = hardware_schema()
    found = keys(schema, schema["$defs"])
    assert {"clock", "array.depthwise.pixels", "energy.mac", "calibration.of_layers"} <= set(found)
    for key in found:
        assert f"`{key}`" in MACHINES, key
    for name in LAYER_CLASSES:
        assert f"| `{name}` |" in MACHINES


@pytest.mark.parametrize("policy", TIMINGS, ids=lambda policy: policy.name)
def test_every_formula_is_in_the_documents(policy):
    for shape in SHAPES:
        for formula in policy.formulas(shape):
            assert f"{formula.symbol} = {formula.text}" in BOTH, shape


def test_parts_together_combine_the_texts_of_each():
    """What no machine with one part has: products of rates, sums of what is beside a layer."""
    shape = Shape(
        *("grid", "kernel_row"),
        depthwise=True,
        winograd=True,
        efficiency=True,
        matrix_speed=True,
        ddr=("ddr_efficiency", "ddr_latency_s", "ddr_burst_bytes"),
        ratios=("feature_map_ratio", "weight_ratio"),
        stream="1",
        weight_memory=True,
        overhead="1",
    )
    overlap = {each.symbol: each.text for each in TIMINGS[0].formulas(shape)}
    assert overlap["matrix_s"] == (
        "2 * matrix_cycles * array_macs / (matrix_flops * efficiency * matrix_speed)"
    )
    assert overlap["matrix_cycles"] == (
        "where(macs > 0, where(depthwise, depthwise_cycles, "
        "where(winograd, winograd_cycles, array_cycles)), 0)"
    )
    assert overlap["ddr_s"] == (
        "ceil(ddr_bytes / ddr_burst_bytes) * ddr_burst_bytes / (ddr_bytes_per_s * ddr_efficiency)"
        " + (ddr_transfers - weight_transfers) * ddr_latency_s"
    )
    assert overlap["layer_s"] == "max(ddr_s, compute_s) + weight_s + overhead_s"
    hidden = {
        each.symbol: each.text for each in TIMINGS[0].formulas(replace(shape, weights_hidden=True))
    }
    assert hidden["layer_s"] == "max(ddr_s, compute_s, weight_s) + overhead_s"
