"""The exported program of a PyTorch module, made without its weights."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from perfsim.errors import GraphError, InvalidValueError, describe
from perfsim.frontends.torch_layout import ALIASES, BLANKS
from perfsim.network.work import Shape

# What an input of indices must be given as, since a shape means floats.
_WHOLE_NUMBERS = (
    "numbers of words as a tensor: torch.zeros(shape, dtype=torch.int64, device='meta')"
)


def export(torch: Any, module: Any, inputs: Sequence[Any]) -> Any:
    """The exported program of a copy of `module` whose tensors have shapes and no memory."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    shapes = _shapes(torch, inputs)
    backend = torch.backends.mha
    fast = backend.get_fastpath_enabled()
    try:
        with _silence():
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            bare = copy.deepcopy(module, dict(_without_memory(torch, module, mode))).eval()
            with mode:
                examples = tuple(torch.empty(shape, dtype=dtype) for shape, dtype in shapes)
            backend.set_fastpath_enabled(False)  # whose operators hide whole layers
            with torch.no_grad():
                return _inlined(torch, torch.export.export(bare, examples, strict=False))
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        wants_numbers = "scalar types: Long" in reason
        raise GraphError(
            f"PyTorch cannot export the module: {reason}",
            expected=_WHOLE_NUMBERS if wants_numbers else None,
        ).at(where=type(module).__name__) from error
    finally:
        backend.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without what the exporter says of its own: warnings about what we do not use, dumps of what failed."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _inlined(torch: Any, exported: Any) -> Any:
    """`exported` with the graphs that a context of PyTorch's (autocast, no_grad) runs written out."""
    graph = exported.graph
    for node in list(graph.nodes):
        if node.op != "call_function" or not operator_name(node).startswith("wrap_with_"):
            continue
        nodes = [each for each in node.args if isinstance(each, torch.fx.Node)]
        inner = getattr(exported.graph_module, nodes[0].target).graph
        given = [each for each in inner.nodes if each.op == "placeholder"]
        with graph.inserting_before(node):
            results = graph.graph_copy(inner, dict(zip(given, nodes[1:], strict=True)))
        for user in list(node.users):
            user.replace_all_uses_with(results[user.args[1]])
            graph.erase_node(user)
        graph.erase_node(node)
        if not nodes[0].users:
            graph.erase_node(nodes[0])
    return exported


def functional(exported: Any) -> Any:
    """`exported` where no operator writes into memory: each gives out a new tensor instead."""
    with _silence():
        return exported.run_decompositions({})


def writes_into_what_is_read(torch: Any, exported: Any) -> bool:
    """Whether an operator writes into memory that is read under another name afterwards.

    The exporter passes on what an in-place operator returns, which is all that it writes only while nobody looks
    at the same memory through another tensor. What no input reaches may be written freely: all of it happens
    before the run.
    """
    nodes = list(exported.graph.nodes)
    position = {node: index for index, node in enumerate(nodes)}
    reached = _reached(exported)
    for node in nodes:
        if node not in reached or not re.search(r"[^_]_$", operator_name(node)):
            continue
        root = node.args[0]
        if not isinstance(root, torch.fx.Node):
            return True
        while root.op == "call_function" and operator_name(root) in ALIASES and root.args:
            root = root.args[0]
        aliases, open_ends = {root}, [root]
        while open_ends:
            for user in open_ends.pop().users:
                is_alias = user.op == "call_function" and operator_name(user) in ALIASES
                if is_alias and user not in aliases:
                    aliases.add(user)
                    open_ends.append(user)
        if any(position[user] > position[node] for alias in aliases for user in alias.users):
            return True
    return False


def _reached(exported: Any) -> set[Any]:
    """The calls that depend on the inputs."""
    given = set(exported.graph_signature.user_inputs)
    reached: set[Any] = set()
    for node in exported.graph.nodes:
        is_input = node.op == "placeholder" and node.name in given
        depends = not reached.isdisjoint(node.all_input_nodes)
        if is_input or (depends and operator_name(node) not in BLANKS):
            reached.add(node)
    return {node for node in reached if node.op == "call_function"}


def operator_name(node: Any) -> str:
    """The name of a node's operator without namespace and overload: ``conv2d``, ``relu_``."""
    return str(getattr(node.target, "_opname", getattr(node.target, "__name__", node.target)))


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
