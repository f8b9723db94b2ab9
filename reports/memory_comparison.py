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
from itertools import groupby
from math import ceil
from pathlib import Path

import numpy as np

from perfsim import Program, load_hardware, load_network, lower
from perfsim.placement.address_buffers import make_buffers
from perfsim.placement.addresses import plan_addresses
from perfsim.placement.buffers import buffers_of
from perfsim.placement.liveness import Liveness, whole_lives
from perfsim.placement.memory_levels import spilled
from perfsim.placement.placement import Placement
from perfsim.placement.streaming import Streaming

MEASURED = Path(__file__).resolve().parent.parent / "tests" / "published" / "measured"
KIB = 1024
STM32N6_RAM_BYTES = 4_200_000  # internal RAM of the STM32N6 (as its maker states it)

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

    position: int  # from 0
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
    for position, row in enumerate(_read("nvdla_workbook.csv")):
        sizes = {name: _bytes(row[f"{name}_KB"]) for name in ("in", "out", "weight")}
        rows.append(
            Row(
                position=position,
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
    """Bytes that we move more than the row says, by reason; worked out from the row's shapes.

    Ours are without SRAM those of a run that leaves every feature map external, with it of one that keeps all.
    """
    external = configuration == "nvdla_2048"
    ops = {re.sub(r"\d", "", layer.rpartition(".")[2]) for layer in our_layers(row)}
    is_first = row.name in {"1", "Conv1"}
    reads_input = external or is_first
    full, inputs = row.outputs * row.places, row.channels * row.size**2
    weights = row.channels * row.kernel**2 * row.outputs
    more = dict.fromkeys(REASONS, Fraction(0))

    # a bias for each output, and the scale and shift of the batch normalisation
    more["biases_and_norms"] += (
        3 if row.network == "ResNet50" and "fc" not in ops else 1
    ) * row.outputs
    folded = 16 * ceil(row.channels * row.stride**2 / 16)  # the stride goes into the channels
    folded_weights = folded * ceil(row.kernel / row.stride) ** 2 * row.outputs
    more["folding"] -= folded_weights - weights
    if reads_input:
        more["folding"] -= folded * ceil(row.size / row.stride) ** 2 - inputs
    if row.winograd:  # 3 x 3 taps become 4 x 4
        more["winograd"] -= Fraction(7, 9) * folded_weights
    more["shared_weights"] += row.weight_bytes * (
        1 - Fraction(1, images_per_weight(row, configuration))
    )
    if row.network == "AlexNet" and is_first:
        more["wrong_shape"] += row.channels * (227**2 - row.size**2)  # 55 outputs take 227 inputs
    if row.name == "Res2a_branch2a":  # it reads the same 64 channels as Res2a_branch1
        more["wrong_shape"] -= (row.channels - 64) * (row.outputs + external * row.size**2)

    if not external:
        more["output_also_written"] -= row.output_bytes * writes_output(row)
        more["input_also_read"] -= row.input_bytes * ("fc" in ops)
        return more
    if "fc" in ops:
        more["rounded_output"] -= row.output_bytes - full
    # what we run as a layer of its own gets the map from external memory, into which it was written
    more["lrn_apart"] += 2 * full * ("lrn" in ops)
    more["elementwise_apart"] += 2 * full * ("add" in ops)
    more["pooling_apart"] += 2 * full * ("pool" in ops)
    if {"add", "pool"} <= ops:  # the row takes the other operand as small as the pooled output
        more["pooling_apart"] += full - row.output_bytes
    return more


def images_per_weight(row: Row, configuration: str) -> int:
    """Among how many images of a batch the row shares its weights; the sheets do not agree on it."""
    if row.kind == "fc":
        return 16
    if row.network == "AlexNet" and configuration == "nvdla_2048_sram":
        return 16 if row.position == 1 else 18  # the first of the two groups of layer 2
    return 1


def writes_output(row: Row) -> bool:
    """Whether the sheet with SRAM writes the output to DRAM as well: in ResNet-50 from Res2b_branch2b on."""
    if row.network == "AlexNet":
        return row.name == "5"
    return row.kind != "fc" and row.name not in _KEEPS_OUTPUT


_KEEPS_OUTPUT = {
    "Conv1",
    *("Res2a_branch1", "Res2a_branch2a", "Res2a_branch2b", "Res2a_branch2c"),
    "Res2b_branch2a",
}


def nvdla_table() -> tuple[list[str], list[list[object]]]:
    """Header and rows: DRAM bytes of the workbook and of ours on both configurations, the difference by reason."""
    header = [
        "configuration",
        "network",
        "workbook_row",
        "layers",
        "workbook_bytes",
        "perfsim_bytes",
    ]
    table: list[list[object]] = []
    programs = {
        "AlexNet": lower(load_network("alexnet_grouped")),
        "ResNet50": lower(load_network("resnet50_v1")),
    }
    for configuration in CONFIGURATIONS:
        sram_bytes = int(load_hardware(configuration).sram_bytes)
        moved = {
            network: [
                _per_layer_bytes(program, placement)
                for placement in (
                    Liveness().place(program, sram_bytes),
                    Streaming().place(program, sram_bytes),
                )
            ]
            for network, program in programs.items()
        }
        for rows in _combined(workbook()):
            first, layers = rows[0], our_layers(rows[0])
            ours, external = (sum(each[layer] for layer in layers) for each in moved[first.network])
            theirs = sum(row.dram_bytes[configuration] for row in rows)
            more = [differences(row, configuration) for row in rows]
            reasons = {reason: sum(each[reason] for each in more) for reason in REASONS}
            if configuration == "nvdla_2048":
                reasons["kept_on_chip"] = Fraction(ours - external)
            rest = ours - theirs - sum(reasons.values())
            numbers = [theirs, Fraction(ours), *reasons.values(), rest]
            names = [configuration, first.network, first.name, " ".join(layers)]
            table.append([*names, *(f"{float(number):.10g}" for number in numbers)])
    return [*header, *(f"{reason}_bytes" for reason in REASONS), "unexplained_bytes"], table


def _combined(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows that are one layer of ours together: the two groups of AlexNet's convolutions stand one after the other."""
    for _, group in groupby(rows, lambda row: (row.network, row.name)):
        yield list(group)


def _per_layer_bytes(program: Program, placement: Placement) -> dict[str, int]:
    moved = (placement.ddr_read_bytes + placement.ddr_write_bytes).tolist()
    return {layer.name: size for layer, size in zip(program.layers, moved, strict=True)}


def stm32n6_table() -> tuple[list[str], list[list[object]]]:
    """Header and rows: RAM that the vendor's compiler used, and that our plan takes, in KiB.

    live_peak_KiB is the most that feature maps take at any layer with ample memory, address_peak_KiB where the
    addresses of the same maps end, spilled_KiB what moves beyond weights, input and output with the machine's RAM.
    """
    header = [
        *("network", "set", "vendor_internal_KiB", "vendor_external_KiB"),
        *("live_peak_KiB", "address_peak_KiB", "spilled_KiB", "vendor_to_live"),
    ]
    table: list[list[object]] = []
    for row in _read("stm32n6.csv"):
        settings = dict(each.split("=") for each in row["set"].split())
        program = lower(
            load_network(
                row["network"], **{key: ast.literal_eval(value) for key, value in settings.items()}
            )
        )
        everything = np.ones(len(buffers_of(program).bytes), dtype=bool)
        spans = whole_lives(program, everything).spans
        live_bytes = int(spans.bytes_in_use(program).max())
        sizes = buffers_of(program).bytes[spans.buffer].tolist()
        buffers = make_buffers(
            spans.first.tolist(), (spans.last + 1).tolist(), sizes, [1] * len(sizes)
        )
        here = Liveness().place(program, STM32N6_RAM_BYTES)
        internal = float(row["internal_ram_KiB"])
        numbers = (
            live_bytes / KIB,
            plan_addresses(buffers).peak_bytes / KIB,
            sum(size for _, size in spilled(program, here)) / KIB,
        )
        table.append(
            [
                *(row["network"], row["set"], row["internal_ram_KiB"], row["external_ram_KiB"]),
                *(f"{number:.10g}" for number in numbers),
                f"{internal * KIB / live_bytes:.3f}",
            ]
        )
    return header, table
