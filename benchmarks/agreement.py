"""Bundled networks against the same networks of torchvision, timm and transformers: counts layer by layer.

    python benchmarks/agreement.py [NETWORK ...]

Each network is read from models/*.yaml, from the PyTorch module, and from ONNX as PyTorch's two exporters write it,
batch normalisation kept. Needs torch, onnx and onnxscript, and those libraries.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import perfsim
from perfsim.network.work import total

NETWORKS = {
    **{
        name: ("torchvision", name)
        for name in (
            *("alexnet", "densenet121", "densenet169", "densenet201", "googlenet", "inception_v3"),
            *("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "squeezenet1_0"),
            *("squeezenet1_1", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
            *("vgg11", "vgg16", "vgg19", "vit_b_16", "swin_t"),
            *(f"efficientnet_b{number}" for number in range(8)),
        )
    },
    "convnext_t": ("torchvision", "convnext_tiny"),
    "mnasnet_b1": ("torchvision", "mnasnet1_0"),
    "shufflenet_v2": ("torchvision", "shufflenet_v2_x1_0"),
    "efficientnet_edgetpu_s": ("timm", "efficientnet_es"),
    "efficientnet_edgetpu_m": ("timm", "efficientnet_em"),
    "efficientnet_edgetpu_l": ("timm", "efficientnet_el"),
    "inception_resnet_v2": ("timm", "inception_resnet_v2"),
    "inception_v4": ("timm", "inception_v4"),
    "mnasnet_a1": ("timm", "semnasnet_100"),
    "mobilenet_v1": ("timm", "mobilenetv1_100"),
    "nasnet_large": ("timm", "nasnetalarge"),
    "regnetx_200mf": ("timm", "regnetx_002"),
    "xception": ("timm", "legacy_xception"),
    "bert_base": ("transformers", "BertModel"),
    "gpt2": ("transformers", "GPT2LMHeadModel"),
}


def module_of(library: str, name: str, shape: tuple[int, ...]) -> tuple[Any, tuple[Any, ...]]:
    """(the module with random weights, its inputs)."""
    torch = importlib.import_module("torch")
    if library == "torchvision":
        build = importlib.import_module("torchvision.models").get_model
        auxiliary = name in ("googlenet", "inception_v3")
        more = {"init_weights": False, "aux_logits": False} if auxiliary else {}
        return build(name, weights=None, **more).eval(), (torch.zeros(shape),)
    if library == "timm":
        build = importlib.import_module("timm").create_model
        return build(name, exportable=True).eval(), (torch.zeros(shape),)
    transformers = importlib.import_module("transformers")
    kind = getattr(transformers, name)
    config = kind.config_class()
    config.use_cache = False
    inner = kind(config).eval()

    class Words(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, words: Any) -> Any:
            return self.inner(input_ids=words).to_tuple()

    words: Any = Words()
    return words.eval(), (torch.zeros((shape[0], shape[-1]), dtype=torch.int64),)


def randomised(module: Any) -> Any:
    """`module` whose small parameters all differ, as after training: exporters drop zeros and join equals."""
    torch = importlib.import_module("torch")
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point() and tensor.dim() < 2:
                tensor.add_(torch.rand_like(tensor) * 0.1 + 0.01)
    return module


def networks(module: Any, inputs: tuple[Any, ...]) -> dict[str, Any]:
    """The network by each road, or what a road said."""
    torch = importlib.import_module("torch")

    def exported(**settings: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "net.onnx"
            torch.onnx.export(module, inputs, str(path), **settings)
            return perfsim.load_network(path)

    kept = torch.onnx.TrainingMode.PRESERVE
    roads: dict[str, Callable[[], Any]] = {
        "PyTorch": lambda: perfsim.from_torch(module, inputs),
        "TorchScript": lambda: exported(dynamo=False, training=kept, opset_version=18),
        "dynamo": lambda: exported(dynamo=True, optimize=False, verbose=False),
    }
    torch.backends.mha.set_fastpath_enabled(False)  # whose operators no exporter of ONNX knows
    found: dict[str, Any] = {}
    for road, read in roads.items():
        try:
            with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                found[road] = read()
        except Exception as error:  # of an exporter as well: the table says which road fails
            found[road] = f"{type(error).__name__}: {str(error).splitlines()[0][:80]}"
    return found


def rows(network: Any) -> list[tuple[int, ...]]:
    """(MACs, parameters, bytes read, bytes written, bytes of weights) of each layer with a MAC or a parameter."""
    program = perfsim.lower(network)
    found = []
    for layer in program.layers:
        macs, params = total(layer.macs), total(layer.params)
        moved = (layer.reads, layer.writes, layer.weights)
        sizes = (sum(program.tensors[each].bytes for each in set(names)) for names in moved)
        if macs or params:
            found.append((macs, params, *sizes))
    return found


def main() -> int:
    """Print the table; 1 if a road's MACs are not the bundled network's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []], metavar="NETWORK")
    parser.add_argument("--layers", action="store_true", help="print the layers that differ")
    arguments = parser.parse_args()
    failed = False
    print("| network | road | layers | equal | in order | MACs | parameters |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.networks or NETWORKS:
        library, of_library = NETWORKS[name]
        bundled = perfsim.load_network(name)
        wanted = rows(bundled)
        counts = [sum(row[at] for row in wanted) for at in (0, 1)]
        print(f"| {name} | bundled | {len(wanted)} | | | {counts[0]:,} | {counts[1]:,} |")
        shape = bundled.tensors[bundled.inputs[0]].shape
        module, inputs = module_of(library, of_library, shape)
        for road, network in networks(randomised(module), inputs).items():
            label = f"{library} {of_library}, {road}"
            if isinstance(network, str):
                print(f"| {name} | {label} | {network} | | | | |")
                continue
            found = rows(network)
            common = (Counter(found) & Counter(wanted)).total()
            ordered = "yes" if found == wanted else "no"
            sums = [sum(row[at] for row in found) for at in (0, 1)]
            signs = [f"{a - b:+,}" if a != b else "=" for a, b in zip(sums, counts, strict=True)]
            print(
                f"| {name} | {label} | {len(found)} | {common} | {ordered} | {' | '.join(signs)} |"
            )
            failed |= sums[0] != counts[0]
            if arguments.layers:
                for row in (Counter(wanted) - Counter(found)).elements():
                    print("    only bundled:", row)
                for row in (Counter(found) - Counter(wanted)).elements():
                    print("    only there:  ", row)
        sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
