"""What changed between two results of ``perfsim run -o result.json``: the totals, and the layers by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perfsim.errors import unknown_name
from perfsim.report.saved import Saved, is_number, read_result
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    BYTE_UNITS,
    ENERGY_UNITS,
    NAME_LEAST,
    TIME_UNITS,
    Column,
    amount,
    duration,
    scaled,
    table,
    wrapped,
)
from perfsim.timing.energy import ENERGIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from perfsim.result import Columns

IDENTITY = (
    "network",
    "hardware",
    "policies",
    "order",
    "settings",
    "machine",
    "perfsim",
    "unpriced",
)


@dataclass(frozen=True)
class Difference:
    """Two results side by side."""

    old: Saved
    new: Saved

    @cached_property
    def columns(self) -> Columns:
        """A row for each layer that is not the same in both, the largest change of time first.

        Columns: name, status (added, removed, changed), op, old_s, new_s, change_s, change (a fraction of the old
        time; None where that is zero or there is none), old_bound, new_bound, old_ddr_bytes, new_ddr_bytes,
        old_sram_used_bytes, new_sram_used_bytes, old_energy_j, new_energy_j,
        differs (the columns of the table that differ, joined by ";").
        A layer that is in one result only takes no time in the other; its other values there are None.
        """
        rows = []
        for name in dict.fromkeys([*self.old.layers, *self.new.layers]):
            old, new = self.old.layers.get(name), self.new.layers.get(name)
            row = _row(name, old, new)
            if row["status"] != "changed" or row["differs"]:
                rows.append(row)
        rows.sort(key=lambda row: -abs(row["change_s"]))
        return {key: [row[key] for row in rows] for key in _row("", {}, {})}

    @property
    def unchanged(self) -> int:
        """How many layers are the same in both."""
        both = sum(name in self.new.layers for name in self.old.layers)
        return both - self.columns["status"].count("changed")

    def total_changes(self) -> list[dict[str, Any]]:
        """name, old, new, change, share (of the old; None where that is zero) of each total that is in both."""
        return [
            {
                **{"name": name, "old": old, "new": self.new.totals[name]},
                "change": self.new.totals[name] - old,
                "share": _share(old, self.new.totals[name]),
            }
            for name, old in self.old.totals.items()
            if is_number(old) and is_number(self.new.totals.get(name))
        ]

    def regression(self, quantity: str, limit: float) -> str | None:
        """A sentence when a total is greater by more than `limit`, a fraction of the old one; None when it is not.

        quantity: such as "total_s" or "ddr_bytes". Raises UnknownNameError for one that is not a number in both.
        """
        known = {change["name"]: change for change in self.total_changes()}
        if quantity not in known:
            raise unknown_name("total", quantity, known)
        old, new = known[quantity]["old"], known[quantity]["new"]
        if new <= old * (1 + limit):
            return None
        grown = _percent(_share(old, new)) or "from nothing"
        return (
            f"{quantity} went from {_shown(quantity, old)} to {_shown(quantity, new)} ({grown}), "
            f"more than {100 * limit:+.4g}%"
        )


def diff(old: str | PathLike[str], new: str | PathLike[str]) -> Difference:
    """What changed from one result to another, both files of ``perfsim run -o result.json``.

    >>> diff("before.json", "after.json").columns["change_s"]

    Raises InputError for what is no such file.
    """
    return Difference(read_result(old), read_result(new))


def _row(name: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> dict[str, Any]:
    before, after = old or {}, new or {}
    status = "added" if old is None else "removed" if new is None else "changed"
    old_s, new_s = before.get("layer_s", 0.0), after.get("layer_s", 0.0)
    keys = [key for key in dict.fromkeys([*before, *after]) if key != "layer"]
    differs = [key for key in keys if before.get(key) != after.get(key)]
    row = {
        **{"name": name, "status": status, "op": after.get("op", before.get("op"))},
        **{"old_s": old_s, "new_s": new_s, "change_s": new_s - old_s},
        "change": None if status != "changed" else _share(old_s, new_s),
    }
    for key in ("bound", "ddr_bytes", "sram_used_bytes", "energy_j"):
        row |= {f"old_{key}": before.get(key), f"new_{key}": after.get(key)}
    row["differs"] = ";".join(differs) if status == "changed" else ""
    return row


def _share(old: float, new: float) -> float | None:
    """The change as a fraction of the old value; None where that is zero and the new one is not."""
    if old:
        return (new - old) / old
    return None if new else 0.0


def diff_sheet(difference: Difference) -> Sheet:
    """The differences as a sheet: a row for each layer that is not the same in both."""
    record = {
        "old": _identity(difference.old),
        "new": _identity(difference.new),
        "not_the_same": not_the_same(difference),
        "totals": difference.total_changes(),
        "unchanged_layers": difference.unchanged,
    }
    return Sheet(record, "layers", difference.columns, lambda width: _text(difference, width))


def _identity(saved: Saved) -> dict[str, Any]:
    known = {key: saved.record[key] for key in IDENTITY if key in saved.record}
    return {"file": saved.file, **known}


def not_the_same(difference: Difference) -> list[str]:
    """What else differs between two results, a sentence each: network, machine, policies, version."""
    old, new = difference.old.record, difference.new.record
    found = []
    for key in IDENTITY:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            parts = [each for each in {**before, **after} if before.get(each) != after.get(each)]
            shown = (
                f"{each} {_plain(before.get(each))} -> {_plain(after.get(each))}" for each in parts
            )
            found.append(f"{key}: {', '.join(shown)}")
        else:
            found.append(f"{key}: {_plain(before)} -> {_plain(after)}")
    return found


def _plain(value: Any) -> str:
    """A value of a record in few words."""
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None or value == "" else str(value)


def _shown(quantity: str, value: float) -> str:
    if quantity.endswith("_s"):
        return duration(value)
    if quantity.endswith(("_j", "_js")):
        return f"{value:.4g} {'J' if quantity.endswith('_j') else 'J s'}"
    return amount(value, "B") if quantity.endswith("_bytes") else f"{value:,}"


def _percent(share: float | None) -> str:
    """``+12.5%``; empty where there is nothing to relate to."""
    if share is None:
        return ""
    return f"{100 * share:+.2f}%" if abs(share) < 10 else f"{1 + share:.4g}x"


def _text(difference: Difference, width: int) -> str:
    old, new = difference.old, difference.new
    heading = [f"{old.file} -> {new.file}: {_name_of(new.record)}"]
    heading += [f"not the same: {sentence}" for sentence in not_the_same(difference)]
    bounds = [str(each.totals.get("bound", "")) for each in (old, new)]
    if bounds[0] != bounds[1]:
        heading.append(f"mostly bound by: {bounds[0]} -> {bounds[1]}")
    parts = ["\n".join(wrapped(line, width) for line in heading)]
    changes = [
        each for each in difference.total_changes() if each["change"] or each["name"] == "total_s"
    ]
    parts.append(_totals_table(changes, width))
    columns = difference.columns
    if columns["name"]:
        parts.append(_layers_table(columns, width))
    counts = [
        f"{columns['status'].count(status)} {status}" for status in ("changed", "added", "removed")
    ]
    parts.append(f"layers: {', '.join(counts)}, {difference.unchanged} the same")
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _name_of(record: Mapping[str, Any]) -> str:
    return f"{record['network']} on {record['hardware']}"


def _totals_table(changes: Sequence[dict[str, Any]], width: int) -> str:
    def signed(change: dict[str, Any]) -> str:
        sign = "-" if change["change"] < 0 else "+" if change["change"] > 0 else ""
        return sign + _shown(change["name"], abs(change["change"]))

    return table(
        [
            Column("total", [each["name"] for each in changes], left=True),
            Column("old", [_shown(each["name"], each["old"]) for each in changes]),
            Column("new", [_shown(each["name"], each["new"]) for each in changes]),
            Column("change", [signed(each) for each in changes]),
            Column("", [_percent(each["share"]) for each in changes]),
        ],
        width,
    )


def _layers_table(columns: Columns, width: int) -> str:
    largest_s = max([*columns["old_s"], *columns["new_s"]])
    bounds = [
        _arrow(*pair) for pair in zip(columns["old_bound"], columns["new_bound"], strict=True)
    ]
    only_energy = [
        bool(text) and set(text.split(";")) <= set(ENERGIES) for text in columns["differs"]
    ]
    statuses = [
        "energy only" if only else status
        for only, status in zip(only_energy, columns["status"], strict=True)
    ]
    named = [
        Column("layer", columns["name"], left=True, least=NAME_LEAST),
        Column("", statuses, left=True),
        Column("op", columns["op"], 5, left=True),
    ]
    if all(only_energy):
        return table([*named, *_energy_columns(columns, 0)], width)
    moved = [[value or 0 for value in columns[f"{which}_ddr_bytes"]] for which in ("old", "new")]
    largest_bytes = max(map(max, moved))
    return table(
        [
            *named,
            scaled("old", columns["old_s"], TIME_UNITS, largest_s),
            scaled("new", columns["new_s"], TIME_UNITS, largest_s),
            scaled("change", columns["change_s"], TIME_UNITS, largest_s),
            Column("", [_percent(share) for share in columns["change"]]),
            Column("bound", bounds, 2, left=True),
            *(_energy_columns(columns, 3) if any(only_energy) else []),
            replace(scaled("old DDR", moved[0], BYTE_UNITS, largest_bytes), keep=4),
            replace(scaled("new DDR", moved[1], BYTE_UNITS, largest_bytes), keep=4),
            Column(
                "differs", [text.replace(";", ", ") for text in columns["differs"]], 9, left=True
            ),
        ],
        width,
    )


def _energy_columns(columns: Columns, keep: int) -> list[Column]:
    """The energies of the layers, and by how much they changed."""
    old, new = (
        [value or 0.0 for value in columns[f"{which}_energy_j"]] for which in ("old", "new")
    )
    largest = max([*old, *new])
    shares = [_percent(_share(*pair)) for pair in zip(old, new, strict=True)]
    return [
        replace(scaled("old energy", old, ENERGY_UNITS, largest), keep=keep),
        replace(scaled("new energy", new, ENERGY_UNITS, largest), keep=keep),
        Column("", shares, keep),
    ]


def _arrow(old: str | None, new: str | None) -> str:
    if old == new or old is None or new is None:
        return new or old or ""
    return f"{old} -> {new}"
