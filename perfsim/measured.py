"""The networks and layers that the rows of a file of measurements are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim.errors import InputError, UnknownNameError
from perfsim.frontends import load_network
from perfsim.measurements import NEEDED, Measurement, origin_of, read_measurements
from perfsim.program import lower, position_of

if TYPE_CHECKING:
    from perfsim.network.graph import Network
    from perfsim.program import Program

CONVOLUTIONS = ("conv", "depthwise_conv", "conv_transpose")


@dataclass(frozen=True, eq=False)
class Measured:
    """The rows of a file of measurements with what they are of; each network is there once.

    Attributes:
        file: the measurements.
        measurements: its rows.
        networks: what must be simulated.
        runs: for each row which of the networks.
        positions: for each row the position of its layer; None for the whole network.
        warnings: what was doubtful about the networks.
    """

    file: str
    measurements: Sequence[Measurement]
    networks: Sequence[Network]
    runs: Sequence[int]
    positions: Sequence[int | None]
    warnings: Sequence[str]

    @property
    def names(self) -> list[str | None]:
        """The network's own name of the layer that each row is of; None for a whole network."""
        return [
            None if position is None else lower(self.networks[run]).layers[position].name
            for run, position in zip(self.runs, self.positions, strict=True)
        ]


def read_measured(file: str | PathLike[str]) -> Measured:
    """The rows of the CSV file `file`; raises InputError with file, line and column for what is wrong with one."""
    name = str(file)
    measurements = read_measurements(Path(file))
    networks: dict[object, Network] = {}
    positions: list[int | None] = []
    for row in measurements:
        try:
            if row.run not in networks:
                networks[row.run] = load_network(row.network, **dict[str, Any](row.settings))
            positions.append(_position(row, lower(networks[row.run])))
        except InputError as error:
            raise at_row(error, name, row) from None
    order = list(networks)
    return Measured(
        name,
        measurements,
        list(networks.values()),
        [order.index(row.run) for row in measurements],
        positions,
        tuple(dict.fromkeys(text for network in networks.values() for text in network.warnings)),
    )


def _position(row: Measurement, program: Program) -> int | None:
    """The position of the layer that a row is of, or None for the whole network."""
    if row.convolution is not None:
        layers = enumerate(program.layers)
        convolutions = [position for position, layer in layers if layer.op in CONVOLUTIONS]
        if row.convolution > len(convolutions):
            raise UnknownNameError(
                "",
                found=f"convolution {row.convolution}",
                expected=f"one of the {len(convolutions)} of '{program.name}', counted from 1",
            ).at(where="convolution")
        return convolutions[row.convolution - 1]
    try:
        return position_of(program, row.layer) if row.layer else None
    except InputError as error:
        raise error.at(where="layer") from None


def at_row(error: InputError, file: str, row: Measurement) -> InputError:
    """`error`, which came up for a row, as one that says where the row stands."""
    for column in NEEDED:
        if error.file == origin_of(file, row.line, column):
            key = f"{column}: {error.where}" if error.where not in (None, column) else column
            error.file, error.line, error.where = file, row.line, key
            return error
    if error.file is None:
        return error.at(file=file, line=row.line)
    return type(error)(str(error)).at(file=file, line=row.line, where="network")
