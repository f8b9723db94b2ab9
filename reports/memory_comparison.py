"""What two other programs say of memory, beside ours: NVDLA's performance workbook and STMicroelectronics' compiler.

Their numbers lie in tests/published/measured; docs/memory_comparison.md says what the two tables show.
"""

from __future__ import annotations

import ast
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np

from perfsim import Program, load_hardware, load_network, lower
from perfsim.placement.address_buffers import make_buffers
from perfsim.placement.addresses import plan_addresses
from perfsim.placement.buffers import buffers_of
from perfsim.placement.liveness import Liveness, whole_lives
from perfsim.placement.memory_levels import ample_bytes, spilled
from perfsim.placement.placement import Placement
from perfsim.placement.plan import placement_of

MEASURED = Path(__file__).resolve().parent.parent / "tests" / "published" / "measured"
KIB = 1024
STM32N6_RAM_BYTES = 4_200_000  # internal RAM of the STM32N6 (its datasheet)

# Why a row of the workbook and a run differ. All but the last are worked out from the row's shapes alone.
REASONS = (
    "biases_and_norms",
    "winograd",
    "folding",
    "shared_weights",
    "elementwise_apart",
    "pooling_apart",
    "lrn_apart",
    "wrong_shape",
    "rounded_output",
    "output_also_written",
    "input_also_read",
    "kept_on_chip",
)


@dataclass(frozen=True)
class Row:
    """A row of the workbook: a convolution or a fully connected layer, with what is fused behind it. Sizes in bytes."""

    network: str
    name: str
    kind: str
    channels: int
    size: int
    outputs: int
    kernel: int
    stride: int
    places: int  # of the convolution's output, before pooling
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    winograd: bool
    dram_bytes: dict[str, Fraction]  # per configuration


CONFIGURATIONS = {
    "nvdla_2048": "nosram_dram_KB",
    "nvdla_2048_sram": "cvsram4M_dram_KB",
}


def workbook() -> list[Row]:
    """All rows of the workbook, in its order."""
    rows = []
    for row in _read("nvdla_workbook.csv"):
        sizes = {name: _bytes(row[f"{name}_KB"]) for name in ("in", "out", "weight")}
        rows.append(
            Row(
                network=row["network"],
                name=row["layer"].split(" ")[0],
                kind=row["kind"],
                channels=int(row["C"]),
                size=int(row["H"]),
                outputs=int(row["K"]),
                kernel=int(row["R"]),
                stride=int(row["stride"]),
                places=int(row["P"]) * int(row["Q"]),
                input_bytes=int(sizes["in"]),
                weight_bytes=int(sizes["weight"]),
                output_bytes=int(sizes["out"]),
                winograd=row["winograd"] == "True",
                dram_bytes={name: _bytes(row[key]) for name, key in CONFIGURATIONS.items()},
            )
        )
    return rows


def _read(name: str) -> list[dict[str, str]]:
    with (MEASURED / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _bytes(kilobytes: str) -> Fraction:
    """From KB of 1024 bytes. The workbook's numbers are 1024ths of a KB, some divided by 18."""
    return Fraction(kilobytes).limit_denominator(18 * KIB) * KIB


def our_layers(row: Row) -> tuple[str, ...]:
    """The layers of `alexnet_grouped` or `resnet50_v1` that do what the row does."""
    if row.network == "AlexNet":
        return {
            "1": ("conv1", "norm1.lrn", "norm1.pool"),
            "2": ("conv2", "norm2.lrn", "norm2.pool"),
            "5": ("conv5", "pool5"),
            "fc1": ("flatten", "fc6"),
            "fc2": ("fc7",),
            "fc3": ("fc8",),
        }.get(row.name, (f"conv{row.name}",))
    found = re.fullmatch(r"Res(\d)([a-f])_branch(1|2a|2b|2c)", row.name)
    if found is None:
        return {"Conv1": ("conv1", "pool1"), "fc1000": ("fc",)}[row.name]
    stage, block, branch = found.groups()
    inside = {"1": ("shortcut",), "2a": ("conv1",), "2b": ("conv2",), "2c": ("conv3", "add")}
    place = "first" if block == "a" else f"block.{'abcdef'.index(block)}"
    layers = tuple(f"stage{int(stage) - 1}.{place}.{layer}" for layer in inside[branch])
    return (*layers, "pool") if row.name == "Res5c_branch2c" else layers


def differences(row: Row, configuration: str) -> dict[str, Fraction]:
    """Bytes that we move more than the row says, by reason, where every feature map of ours is external (without SRAM)
    or internal (with it)."""
    external = configuration == "nvdla_2048"
    ours, layers = _elements(row), our_layers(row)
    is_first, is_dense = layers[0] == "conv1", row.kind == "fc"
    full = row.outputs * row.places
    more = dict.fromkeys(REASONS, Fraction(0))
    per_output = 3 if row.network == "ResNet50" and not is_dense else 1  # bias; scale and shift
    more["biases_and_norms"] += per_output * row.outputs
    in_folded, weights_folded = _folded(row)
    if row.winograd:
        more["winograd"] -= Fraction(7, 9) * weights_folded
    more["folding"] -= weights_folded - ours["weights"]
    share = _share(row, configuration)
    more["shared_weights"] += row.weight_bytes * (1 - Fraction(1, share))
    if external or is_first:
        more["folding"] -= in_folded - ours["input"]
    if row.network == "AlexNet" and is_first:
        more["wrong_shape"] += 3 * (227**2 - 224**2)  # the network's 55 outputs take 227
    if row.name == "Res2a_branch2a":  # it reads the pooled map of 64 channels, as Res2a_branch1
        excess = row.channels - 64
        more["wrong_shape"] -= excess * (row.outputs + (row.size**2 if external else 0))
    if external:
        if layers[-1].endswith(("pool", "pool1", "pool5")):
            more["pooling_apart"] += 2 * full
        if "add" in layers[-1] or layers[-1] == "pool":
            more["elementwise_apart"] += 2 * full
        if layers[-1] == "pool":  # the workbook counts the other operand pooled too
            more["pooling_apart"] += full - row.output_bytes
        if layers[1:2] in {("norm1.lrn",), ("norm2.lrn",)}:
            more["lrn_apart"] += 2 * full
        if is_dense:
            more["rounded_output"] -= row.output_bytes - full
    else:
        if _writes_output(row):
            more["output_also_written"] -= row.output_bytes
        if is_dense:
            more["input_also_read"] -= row.input_bytes
    return more


def _elements(row: Row) -> dict[str, int]:
    """What the row's shapes hold, without any rounding."""
    return {
        "input": row.channels * row.size**2,
        "weights": row.channels * row.kernel**2 * row.outputs,
    }


def _folded(row: Row) -> tuple[int, int]:
    """Input and weights as the workbook counts them: the stride folded into the channels, these rounded up to 16."""
    channels = 16 * ceil(row.channels * row.stride**2 / 16)
    return (
        channels * ceil(row.size / row.stride) ** 2,
        channels * ceil(row.kernel / row.stride) ** 2 * row.outputs,
    )


def _share(row: Row, configuration: str) -> int:
    """Among how many images the row shares its weights."""
    if row.kind == "fc":
        return 16
    if row.network == "ResNet50" or configuration == "nvdla_2048" or row.name == "1":
        return _SHARE_FIRST if _is_first_of_alexnet(row, configuration) else 1
    return 18


_SHARE_FIRST = 18


def _is_first_of_alexnet(row: Row, configuration: str) -> bool:
    return row.network == "AlexNet" and row.name == "1" and configuration == "nvdla_2048_sram"


def _writes_output(row: Row) -> bool:
    """Whether the sheet with SRAM counts the output in DRAM too: in ResNet-50 from the second block's 3 x 3 on."""
    if row.network == "AlexNet":
        return row.name == "5"
    early = ("Conv1", "Res2a_branch1", "Res2a_branch2a", "Res2a_branch2b", "Res2a_branch2c")
    return row.kind != "fc" and row.name not in (*early, "Res2b_branch2a")
