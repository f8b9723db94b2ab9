"""The exported program of a PyTorch module, made without its weights."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from perfsim.errors import GraphError, InvalidValueError, describe
from perfsim.network.work import Shape


def export(torch: Any, module: Any, inputs: Sequence[Any]) -> Any:
    """The exported program of a copy of `module` whose tensors have shapes and no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    shapes = _shapes(torch, inputs)
    backend = torch.backends.mha
    fast = backend.get_fastpath_enabled()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, about what we do not use
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            bare = copy.deepcopy(module, dict(_without_memory(torch, module, mode))).eval()
            with mode:
                examples = tuple(torch.empty(shape, dtype=dtype) for shape, dtype in shapes)
            backend.set_fastpath_enabled(False)  # whose operators hide whole layers
            with torch.no_grad():
                return torch.export.export(bare, examples, strict=False)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        raise GraphError(f"PyTorch cannot export the module: {reason}").at(
            where=type(module).__name__
        ) from error
    finally:
        backend.set_fastpath_enabled(fast)


def _without_memory(torch: Any, module: Any, mode: Any) -> Iterator[tuple[int, Any]]:
    """(identity, stand-in) for each tensor that the module holds; the memo of a deep copy."""
    tensors = [*module.parameters(), *module.buffers()]
    for each in module.modules():
        tensors += [value for value in vars(each).values() if isinstance(value, torch.Tensor)]
    for tensor in tensors:
        with mode:
            bare = torch.empty(tensor.shape, dtype=tensor.dtype)
            if isinstance(tensor, torch.nn.Parameter):
                bare = torch.nn.Parameter(bare, requires_grad=False)
        yield id(tensor), bare


def _shapes(torch: Any, inputs: Any) -> list[tuple[Shape, Any]]:
    """Shape and type of each input."""
    expected = "a list of shapes or tensors, one for each argument: [(1, 3, 224, 224)]"
    if not isinstance(inputs, list | tuple):
        raise InvalidValueError("", found=type(inputs).__name__, expected=expected).at(
            where="inputs"
        )
    found: list[tuple[Shape, Any]] = []
    for each in inputs:
        if isinstance(each, torch.Tensor):
            shape, kind = tuple(each.shape), each.dtype
        elif isinstance(each, list | tuple):
            shape, kind = tuple(each), torch.float32
        else:
            raise InvalidValueError("", found=describe(each), expected=expected).at(where="inputs")
        for size in shape:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise InvalidValueError(
                    "", found=describe(size), expected="whole numbers of at least 1"
                ).at(where="inputs")
        found.append((shape, kind))
    return found
