"""How the numbers of one layer came about: each formula, the values put into it, and what binds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfsim.network.operators import OPERATORS
from perfsim.network.work import Count, total
from perfsim.program import Kind, position_of
from perfsim.report.explain_text import Row, explain_text
from perfsim.report.run import order_record, policies
from perfsim.report.sheet import Sheet
from perfsim.result import FURTHER
from perfsim.timing.energy import ENERGIES
from perfsim.timing.formula import FUNCTIONS, GLOBALS
from perfsim.timing.output_stage import output_stage
from perfsim.timing.terms import shape_of
from perfsim.timing.values import MEANINGS, by_width
from perfsim.timing.work import layer_work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from perfsim.program import Layer, Tensor
    from perfsim.result import Result

_WORD = re.compile(r"[a-z_]+")


def explain_sheet(result: Result, position: int, settings: Sequence[str] = ()) -> Sheet:
    """The explanation of the layer at `position` as a sheet."""
    layer = result.program.layers[position]
    rows = explain_rows(result, position)
    about, quantity, formula, values, results = (list(column) for column in zip(*rows, strict=True))
    columns = {
        "about": about,
        "quantity": quantity,
        "formula": formula,
        "values": values,
        "result": [None if isinstance(result, str) else result for result in results],
        "text": [result if isinstance(result, str) else "" for result in results],
    }
    record = {
        "network": result.program.name,
        "hardware": result.machine.name,
        "policies": policies(result),
        "order": order_record(result.program),
        "settings": list(settings),
        "layer": position + 1,
        "name": layer.name,
        "op": layer.op,
        "bound": result.columns["bound"][position],
    }
    return Sheet(
        record,
        "steps",
        columns,
        lambda width: explain_text(result, position, rows, settings, width),
    )


def explain(result: Result, layer: str | int) -> pd.DataFrame:
    """How the numbers of one layer came about, a step a row.

    layer: its name, the name of a part fused into it, or its number in the table.

    Columns: about, quantity, formula, values, result (a number), text (an answer in words).
    Raises UnknownNameError for a layer that is not there.
    """
    import pandas as pd

    return pd.DataFrame(explain_sheet(result, position_of(result.program, str(layer))).columns)


_SECONDS = ("ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s")


def explain_rows(result: Result, position: int) -> list[Row]:
    """(about, quantity, formula, values, result) of every step that led to the numbers of the layer at `position`."""
    layer = result.program.layers[position]
    return [*_counts(layer), *_memory(result, position), *_times(result, position)]


def _counts(layer: Layer) -> list[Row]:
    rows: list[Row] = []
    for name, count in (
        ("macs", layer.macs),
        ("vector_ops", layer.vector_ops),
        ("params", layer.params),
    ):
        rows.append(("counts", name, _products(count), _products_values(count), total(count)))
    if layer.tied:
        name = "of another layer"
        count = layer.tied
        rows.append(("counts", name, _products(count), _products_values(count), total(count)))
    for fused in layer.fused:
        here = _where_free(layer, fused.op) if fused.is_free else "counted in vector_ops"
        cost = f"; by itself {OPERATORS[fused.op].cost}" if fused.op in OPERATORS else ""
        rows.append(("counts", f"fused {fused.op}", here + cost, "", ""))
    if layer.is_view:
        rows.append(("counts", layer.op, OPERATORS[layer.op].cost, "", ""))
    return rows


def _where_free(layer: Layer, op: str) -> str:
    """Why something fused costs nothing."""
    if op in OPERATORS and OPERATORS[op].enters:
        return "free on the way in"
    if not layer.macs:
        return "free: it undoes what is applied on the way in"
    return "free on the matrix unit's way out"


def _products(count: Count) -> str:
    return " + ".join(f"{product.of}: {product}" for product in count)


def _products_values(count: Count) -> str:
    return " + ".join(" × ".join(str(value) for value, _ in product.factors) for product in count)


def _memory(result: Result, position: int) -> list[Row]:
    layer, tensors = result.program.layers[position], result.program.tensors
    columns = result.columns
    rows: list[Row] = []
    for name, indices in (
        ("input_bytes", layer.reads),
        ("output_bytes", layer.writes),
        ("weight_bytes", layer.weights),
    ):
        distinct = list(dict.fromkeys(indices))
        values = " + ".join(_size(tensors[index]) for index in distinct)
        formula = " + ".join(f"'{tensors[index].name}'" for index in distinct)
        rows.append(("memory", name, formula, values, columns[name][position]))
    for name in ("input_location", "output_location", "weight_location"):
        if columns[name][position]:
            rows.append(("memory", name, "", "", columns[name][position]))
    used = columns["sram_used_bytes"][position]
    resident = result.placement_policy.in_use(result.program, result.placement, position)
    in_use = _sum_of([what for what, _ in resident])
    sizes_in_use = _sum_of([str(size) for _, size in resident])
    rows.append(("memory", "sram_used_bytes", in_use, sizes_in_use, used))
    rows += _moves(result, position)
    if layer.is_view:
        return rows
    rows += _on_the_way_out(result, position)
    policy = result.placement_policy
    reasons = policy.explain(result.program, result.placement, position)
    rows += [("memory", f"placement {policy.name}", reason, "", "") for reason in reasons]
    return rows


def _moves(result: Result, position: int) -> list[Row]:
    """What moves, by tensor; maps and weights apart where the machine makes something of that (`traffic_formulas`)."""
    moves, tensors = result.placement.moves, result.program.tensors
    here = moves.layer == position
    parts: dict[str, list[tuple[str, int]]] = {"ddr_read_bytes": [], "ddr_write_bytes": []}
    apart = "ddr_read_bytes" in result.times.steps
    if apart:
        parts = {"map_read_bytes": [], "weight_read_bytes": [], "write_bytes": []}
    for index, read, written in zip(
        moves.tensor[here].tolist(),
        moves.read_bytes[here].tolist(),
        moves.write_bytes[here].tolist(),
        strict=True,
    ):
        what = "weight" if tensors[index].kind is Kind.WEIGHT else "map"
        for name, size in (
            (f"{what if apart else 'ddr'}_read_bytes", read),
            ("write_bytes" if apart else "ddr_write_bytes", written),
        ):
            if size:
                parts[name].append((f"'{tensors[index].name}'", size))
    rows: list[Row] = []
    for name, moved in parts.items():
        named, sizes = (_sum_of([str(each[place]) for each in moved]) for place in (0, 1))
        rows.append(("memory", name, named, sizes, sum(size for _, size in moved)))
    if not apart:
        values = " + ".join(str(row[-1]) for row in rows)
        total_bytes = sum(row[-1] for row in rows)
        rows.append(
            ("memory", "ddr_bytes", "ddr_read_bytes + ddr_write_bytes", values, total_bytes)
        )
    return rows


def _on_the_way_out(result: Result, position: int) -> list[Row]:
    """With which layer it is timed, or which ones with it, on a machine with an output stage."""
    stage = output_stage(result.program, result.machine.extras.output_stage)
    if stage is None:
        return []
    head, layers = stage.head.tolist(), result.program.layers
    if head[position] != position:
        text = (
            f"on the way out of '{layers[head[position]].name}', which moves and is timed with it"
        )
        return [("memory", "applied", text, "", "")]
    names = [layers[each].name for each in range(position + 1, len(head)) if head[each] == position]
    if not names:
        return []
    listed = " and ".join(f"'{name}'" for name in names)
    text = f"on its way out, and timed with it: {listed}; what they are handed does not move"
    return [("memory", "applied", text, "", "")]


def _size(tensor: Tensor) -> str:
    return f"ceil({tensor.elements} × {tensor.bits} / 8)"


def _sum_of(parts: list[str]) -> str:
    if len(parts) > 8:
        parts = [*parts[:6], f"... ({len(parts) - 7} more)", parts[-1]]
    return " + ".join(parts)


def _times(result: Result, position: int) -> list[Row]:
    """The formulas of the layer, as far as what it is asked for depends on them; energy at the end."""
    steps = result.times.steps

    def at(name: str) -> Any:
        value = steps[name]
        return value[position].item() if getattr(value, "shape", ()) else value

    def value(match: re.Match[str]) -> str:
        return match[0] if match[0] in FUNCTIONS else _exactly(at(match[0]))

    one = _OneLayer(at)
    formulas = [
        formula.for_one(one)
        for formula in result.timing_policy.formulas(shape_of(result.machine))
        if not formula.only or at(formula.only)
    ]
    asked, shown = {*_SECONDS, *FURTHER}, []
    for formula in reversed(formulas):
        if formula.symbol in asked:
            asked |= set(formula.names)
            shown.append(formula)
    rows: list[Row] = []
    said: set[str] = set()
    bound = result.columns["bound"][position]
    rule = result.timing_policy.bound_rule
    further = [name for name in ("stream_s", "weight_s", "overhead_s") if name in steps]
    rule += f"; {' or '.join(further)} where that is longer" if further else ""
    decided: Row = ("time", "bound", rule, "", bound)
    for formula in reversed(shown):
        about = "energy" if formula.symbol in ENERGIES else "time"
        if about == "energy" and decided not in rows:
            rows.append(decided)
        for name in formula.names:
            if name in MEANINGS and name not in said:
                said.add(name)
                rows.append((about, name, _meaning(result, position, name), "", at(name)))
        filled = _WORD.sub(value, formula.text)
        rows.append((about, formula.symbol, formula.text, filled, at(formula.symbol)))
    return rows if decided in rows else [*rows, decided]


def _meaning(result: Result, position: int, name: str) -> str:
    """What a value is that no formula makes, and at which width of the operands it was taken."""
    meaning, speeds = MEANINGS[name], result.machine.extras.matrix_speed
    if name != "matrix_speed":
        return meaning
    work, widths = layer_work(result.program), {width: width for width in speeds}
    return meaning.format(width=by_width(widths, work, position, result.machine, "matrix"))


class _OneLayer(dict[str, Any]):
    """The values of one layer, by name."""

    def __init__(self, at: Callable[[str], Any]) -> None:
        super().__init__()
        self._at = at

    def __missing__(self, name: str) -> Any:
        if name in GLOBALS:
            raise KeyError(name)  # it is looked up behind the values
        return self._at(name)


def _exactly(value: float) -> str:
    """The shortest text that reads back to the same value."""
    return str(int(value)) if value == int(value) and value < 1e16 else repr(value)
