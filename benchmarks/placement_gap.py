"""How far `liveness` is from the best that any choice of whole lives can reach (needs scipy).

For each network and memory size, a mixed-integer programme chooses which feature maps are internal for their
whole life so that they fit at every layer and the bytes moved are least. Compared is what is moved
beyond the compulsory.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

from perfsim import Machine, Program, load_network, lower, simulate
from perfsim.program import Kind, Tensor

SIZES_KB = (64, 96, 128, 192, 256, 384, 512, 640, 768, 900, 1000, 1200, 1500, 2000)
NETWORKS = ("mobilenet", "mobilenet_v1", "resnet18", "resnet50")


def main() -> None:
    """Print the ratio for each network, summed over the sizes."""
    for name in NETWORKS:
        network = load_network(name)
        program = lower(network)
        compulsory = sum(
            tensor.bytes for tensor in program.tensors if tensor.kind is not Kind.FEATURE_MAP
        )
        ours = best = 0.0
        for size in SIZES_KB:
            machine = Machine("m", 1000 * size, 1e9, 1e12, 1e10)
            ours += simulate(network, machine, "liveness").totals.ddr_bytes - compulsory
            best += _least_extra_bytes(program, 1000 * size)
        print(f"{name:<16}{ours / best if best else 1.0:6.3f}")


def _least_extra_bytes(program: Program, sram_bytes: int) -> float:
    maps = [tensor for tensor in program.tensors if tensor.kind is not Kind.WEIGHT]
    live = np.zeros((len(program.layers), len(maps)))
    for column, tensor in enumerate(maps):
        live[tensor.first : tensor.last + 1, column] = tensor.bytes
    saved = np.array([_saved_bytes(tensor) for tensor in maps], dtype=float)
    answer = milp(
        -saved,
        constraints=LinearConstraint(live, -np.inf, sram_bytes),
        integrality=np.ones(len(maps)),
        bounds=Bounds(0, 1),
    )
    return float(saved.sum() - saved @ np.round(answer.x))


def _saved_bytes(tensor: Tensor) -> int:
    """What crosses the bus less when the tensor is internal."""
    if tensor.kind is Kind.INPUT:
        return (tensor.readers - 1) * tensor.bytes
    return (tensor.readers + (tensor.kind is Kind.FEATURE_MAP)) * tensor.bytes


if __name__ == "__main__":
    main()
