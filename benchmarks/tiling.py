"""What choosing the tiles of a layer takes, and how far thinning the tile sizes is from trying all of them.

Over the different layers of bundled networks, all operands external, 8 bits, with memories of 1/2 to 1/50 of what the
layer touches in one group. That trying all sizes for the orders that are looked at gives what an exhaustive search
over all orders gives is a test.
"""

from __future__ import annotations

import time

import numpy as np

from perfsim import load_network
from perfsim.network.nest import Nest
from perfsim.placement import tiling
from perfsim.placement.tiling import Front, compulsory_bytes, front

NETWORKS = ("alexnet", "vgg16", "resnet50", "inception_v4", "densenet121", "efficientnet_b4")
TRANSFORMERS = ("bert_base", "gpt2", "swin_t", "convnext_t", "vit_b_16")
BITS = (8, 8, 8)
EXTERNAL = (True, True, True)
ALL_SIZES = 10**12


def main() -> None:
    """Print milliseconds a layer, and ratios of traffic."""
    nests: dict[Nest, None] = {}
    for name in (*NETWORKS, *TRANSFORMERS):
        network = load_network(name)
        for node in network.nodes:
            nest = node.operator.nest(network.shapes(node.inputs), network.shapes(node.outputs))
            if nest is not None:
                nests[nest] = None
    first, chosen = _fronts(nests)
    times = np.array([first, *(_fronts(nests)[0] for _ in range(4))])
    again = np.median(times[1:], axis=0)
    print(f"{len(nests)} layers")
    print(f"ms a layer, first time:  mean {first.mean():.2f}, median {np.median(first):.2f}")
    print(f"ms a layer, median of 4: mean {again.mean():.2f}, most {again.max():.2f}")
    tiling.COMBINATIONS = ALL_SIZES
    _, best = _fronts(nests)
    ratios = np.array(
        [ratio for each, other in zip(chosen, best, strict=True) for ratio in _ratios(each, other)]
    )
    print(f"traffic / that of all tile sizes: mean {ratios.mean():.4f}, worst {ratios.max():.4f}")


def _fronts(nests: dict[Nest, None]) -> tuple[np.ndarray, list[Front]]:
    """(milliseconds, front) of each layer, worked out anew."""
    front.cache_clear()
    times, fronts = [], []
    for nest in nests:
        start = time.perf_counter()
        fronts.append(front(nest, BITS, EXTERNAL))
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times), fronts


def _ratios(found: Front, best: Front) -> list[float]:
    working_set = compulsory_bytes(found.nest, BITS, EXTERNAL) / found.nest.groups
    ratios = []
    for part in np.geomspace(2, 50, 12):
        step, other = found.step(int(working_set / part)), best.step(int(working_set / part))
        if step is not None and other is not None:
            ratios.append(float(found.traffic_bytes[step] / best.traffic_bytes[other]))
    return ratios


if __name__ == "__main__":
    main()
