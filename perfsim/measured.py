"""The networks and layers that the rows of files of measurements are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from perfsim.errors import InputError, InvalidValueError, UnknownNameError
from perfsim.frontends import load_network
from perfsim.measurements import NEEDED, WITH, Measurement, origin_of, read_measurements
from perfsim.program import lower, position_of

if TYPE_CHECKING:
    from perfsim.network.graph import Network
    from perfsim.program import Program

CONVOLUTIONS = ("conv", "depthwise_conv", "conv_transpose")


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of files of measurements with what they are of; each network is there once.

    Attributes:
        files: the measurements.
        measurements: their rows.
        networks: what must be simulated.
        runs: for each row which of the networks.
        positions: for each row the position of its layer, then those of layers whose work is in the same time; none
            for the whole network.
        warnings: what was doubtful about the networks.
    """

    files: Sequence[str]
    measurements: Sequence[Measurement]
    networks: Sequence[Network]
    runs: Sequence[int]
    positions: Sequence[tuple[int, ...]]
    warnings: Sequence[str]

    @property
    def names(self) -> list[str | None]:
        """The network's own name of the layer that each row is of; None for a whole network."""
        return [
            lower(self.networks[run]).layers[positions[0]].name if positions else None
            for run, positions in zip(self.runs, self.positions, strict=True)
        ]

    @property
    def file(self) -> str:
        """The files in words."""
        return ", ".join(self.files)


Files: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]]


def read_measured(files: Files) -> Measured:
    """The rows of one CSV file or several; raises InputError with file, line and column for what is wrong with one."""
    paths = [Path(file) for file in ([files] if isinstance(files, str | PathLike) else files)]
    if not paths:
        raise InvalidValueError("", found="no file", expected="a file of measurements")
    measurements = read_measurements(paths)
    networks: dict[object, Network] = {}
    positions: list[tuple[int, ...]] = []
    for row in measurements:
        try:
            if row.run not in networks:
                networks[row.run] = load_network(row.network, **dict[str, Any](row.settings))
            positions.append(_positions(row, lower(networks[row.run])))
        except InputError as error:
            raise at_row(error, row) from None
    order = {run: number for number, run in enumerate(networks)}
    return Measured(
        tuple(map(str, paths)),
        measurements,
        list(networks.values()),
        [order[row.run] for row in measurements],
        positions,
        tuple(dict.fromkeys(text for network in networks.values() for text in network.warnings)),
    )


def _positions(row: Measurement, program: Program) -> tuple[int, ...]:
    """The positions of the layers that are in a row's time, its own first; none for the whole network."""
    if row.convolution is not None:
        found = [_convolution(row.convolution, program)]
    elif row.layer:
        found = [_layer(program, row.layer, "layer")]
    else:
        return ()
    for name in row.with_layers:
        position = _layer(program, name, WITH)
        if position in found:
            raise InvalidValueError(
                f"the layer '{name}' is in this row already", expected="each layer once"
            ).at(where=WITH)
        found.append(position)
    return tuple(found)


def _convolution(number: int, program: Program) -> int:
    layers = enumerate(program.layers)
    convolutions = [position for position, layer in layers if layer.op in CONVOLUTIONS]
    if number > len(convolutions):
        raise UnknownNameError(
            "",
            found=f"convolution {number}",
            expected=f"one of the {len(convolutions)} of '{program.name}', counted from 1",
        ).at(where="convolution")
    return convolutions[number - 1]


def _layer(program: Program, name: str, column: str) -> int:
    try:
        return position_of(program, name)
    except InputError as error:
        raise error.at(where=column) from None


def at_row(error: InputError, row: Measurement) -> InputError:
    """`error`, which came up for a row, as one that says where the row stands."""
    for column in NEEDED:
        if error.file == origin_of(row.file, row.line, column):
            key = f"{column}: {error.where}" if error.where not in (None, column) else column
            error.file, error.line, error.where = row.file, row.line, key
            return error
    if error.file is None:
        return error.at(file=row.file, line=row.line)
    return type(error)(str(error)).at(file=row.file, line=row.line, where="network")
