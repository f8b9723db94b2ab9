"""The numbers of a machine for people: what each is called, and its value with a unit."""

from __future__ import annotations

from typing import Any

from perfsim.report.text import amount, duration

_NUMBERS = {
    "sram_bytes": "internal memory (SRAM)",
    "ddr_bytes_per_s": "bandwidth to external memory (DDR)",
    "matrix_flops": "matrix unit, peak",
    "vector_flops": "vector unit, peak",
    "ddr_efficiency": "DDR efficiency",
    "ddr_latency_s": "DDR latency",
    "ddr_burst_bytes": "DDR burst",
    "feature_map_ratio": "compression of feature maps",
    "layer_cost_s": "fixed cost of a layer",
    "inference_cost_s": "fixed cost of an inference",
    "array.kind": "array",
    "array.preload": "array: loads while it computes",
    "array.rounded": "array: rounded up to whole steps",
    "array.input_words": "array: buffer of inputs in an element",
    "array.weight_words": "array: buffer of weights in an element",
    "array.buffer_bytes": "array: shared buffer",
    "array.partial_sum_bytes_per_s": "array: rate of partial sums",
    "array.winograd.gain": "Winograd: multiplications saved",
    "array.winograd.weights": "Winograd: weights",
    "stream.bytes_per_s": "stream to and from the units",
    "stream.read_bytes_per_s": "stream to the units",
    "stream.write_bytes_per_s": "stream from the units",
    "stream.operand_bytes_per_s": "stream of operands on the way out",
    "stream.hidden": "stream hidden behind the units",
    "weight_memory.bytes_per_s": "the weights' own memory",
    "weight_memory.hidden": "the weights' own memory hidden",
    "energy.mac_j.1024": "energy of a MAC",  # one number for all widths
    "energy.vector_op_j": "energy of a vector operation",
    "energy.sram_byte_j": "energy of SRAM",
    "energy.ddr_byte_j": "energy of DDR",
    "energy.weight_byte_j": "energy of the weights' own memory",
    "energy.static_w": "static power",
}
# Numbers by class of layers or by width in bits.
_EACH = {
    "efficiency": "efficiency of the matrix unit, {} layers",
    "matrix_speed": "rate of the matrix unit at {} bit",
    "weight_ratio": "compression of weights, {} layers",
    "weights_shared_by": "images that share a fetch of weights, {} layers",
    "energy.mac_j": "energy of a MAC at up to {} bit",
}
_PER = {  # what stands behind the number and its unit
    "layer_cost_s": "per layer",
    "inference_cost_s": "per inference",
    "ddr_latency_s": "per transfer",
    "ddr_efficiency": "of the bandwidth",
    "feature_map_ratio": "bytes per byte",
    "efficiency": "of the peak",
    "matrix_speed": "times the native rate",
    "weight_ratio": "bytes per byte",
    "array.input_words": "words",
    "array.weight_words": "words",
    "array.winograd.gain": "times",
    "array.winograd.weights": "per weight",
    "energy.mac_j": "per MAC",
    "energy.vector_op_j": "per operation",
    "energy.sram_byte_j": "per byte",
    "energy.ddr_byte_j": "per byte",
    "energy.weight_byte_j": "per byte",
}
_UNITS = (("bytes_per_s", "B/s"), ("bytes", "B"), ("flops", "FLOPS"))
_PICO = 1e-12


def number_label(name: str) -> str:
    """A number of a machine in words; ``efficiency.conv`` is "efficiency of the matrix unit, conv layers"."""
    if name in _NUMBERS:
        return _NUMBERS[name]
    above, _, last = name.rpartition(".")
    if above in _EACH:
        return _EACH[above].format(last)
    return name.replace(".", ": ").replace("_", " ")


def number_text(name: str, value: Any) -> str:
    """The value of a machine's number with its unit, ``0.35 pJ per MAC``; rounded bytes and rates exactly too."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value).replace("_", " ").replace("+", ", ")
    above = name.rpartition(".")[0]
    kind = above if above in _EACH else name
    return f"{_amount(kind, value)} {_PER.get(kind, '')}".rstrip()


def _amount(kind: str, value: float) -> str:
    if kind.endswith("_s") and not kind.endswith("_per_s"):
        return duration(value)
    if kind.endswith("_j"):
        return f"{value / _PICO:.4g} pJ"
    if kind.endswith("_w"):
        return f"{value:.4g} W"
    unit = next((unit for suffix, unit in _UNITS if kind.endswith(suffix)), "")
    if not unit:
        return f"{value:.4g}"
    exactly = f"{value:,.0f} {unit}" if value == int(value) else f"{value!r} {unit}"
    whole = f"{float(f'{value:.4g}')}" == f"{float(value)}"
    return amount(value, unit) if whole else f"{amount(value, unit)} ({exactly})"
