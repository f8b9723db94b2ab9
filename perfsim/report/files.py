"""Writing result files: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from perfsim.errors import OutputError, nearest_name
from perfsim.report.sheet import Sheet, csv_text, json_text, parquet_bytes

if TYPE_CHECKING:
    from perfsim.result import Result

WRITERS: dict[str, Callable[[Sheet], bytes]] = {
    ".csv": lambda sheet: csv_text(sheet).encode(),
    ".json": lambda sheet: json_text(sheet).encode(),
    ".parquet": parquet_bytes,
}
PAGE_SUFFIXES = (".html", ".htm")


def check_outputs(
    outputs: Sequence[str], inputs: Iterable[Path] = (), *, suffixes: Iterable[str] = WRITERS
) -> None:
    """Raise OutputError for a file that could not be written, before any work is done.

    inputs: files that are read, which an output must not overwrite.
    suffixes: of the formats that there are.
    """
    known = list(suffixes)
    sources = [path.resolve() for path in inputs]
    for output in outputs:
        path = Path(output)
        if suffix_of(path, known) is None:
            raise OutputError(
                "",
                found=f"the suffix '{path.suffix}'",
                expected=f"one of {', '.join(known)}" if len(known) > 1 else known[0],
                nearest=nearest_name(path.suffix, known),
            ).at(file=output)
        try:
            if path.is_dir():
                raise OutputError("is a directory, not a file").at(file=output)
            if not path.parent.is_dir():
                raise OutputError(f"the folder '{path.parent}' does not exist").at(file=output)
        except OSError as error:
            raise _failed(output, error) from None
        if path.resolve() in sources:
            raise OutputError("would overwrite the input of this run").at(file=output)
        if not os.access(path.parent, os.W_OK):
            raise OutputError(f"the folder '{path.parent}' cannot be written to").at(file=output)


def suffix_of(path: Path, known: Iterable[str]) -> str | None:
    """Which of the `known` suffixes, such as ".csv" or ".json.gz", the file has; None for none of them."""
    name = path.name.lower()
    return next((each for each in known if name.endswith(each) and len(name) > len(each)), None)


def write(result: Result, *files: str) -> None:
    """Write the per-layer table of `result` to each file, its format by its suffix.

    >>> write(result, "layers.csv", "layers.parquet")

    All are written whole or not at all; raises OutputError.
    """
    from perfsim.report.run import run_sheet

    check_outputs(files)
    write_files(run_sheet(result), files)


def write_files(sheet: Sheet, outputs: Sequence[str]) -> None:
    """Write `sheet` to every output, its format by its suffix; raises OutputError."""
    write_whole([(output, partial(_write_sheet, sheet, output)) for output in outputs])


def _write_sheet(sheet: Sheet, output: str, file: BinaryIO) -> None:
    file.write(WRITERS[Path(output).suffix.lower()](sheet))


def write_whole(parts: Sequence[tuple[str, Callable[[BinaryIO], object]]]) -> None:
    """Let each function write the file that it stands beside; raises OutputError.

    All are written beside their places first and then renamed, so that a failure leaves nothing half-written.
    """
    pending: list[tuple[str, str]] = []
    try:
        for output, fill in parts:
            path = Path(output).resolve()  # a link stays one
            handle, name = tempfile.mkstemp(prefix=".perfsim-", dir=path.parent)
            pending.append((name, output))
            with os.fdopen(handle, "wb") as file:
                fill(file)
            Path(name).chmod(_usual_mode())
        for name, output in pending:
            Path(name).replace(Path(output).resolve())
    except OSError as error:
        raise _failed(output, error) from None
    finally:
        for name, _ in pending:
            with contextlib.suppress(OSError):
                Path(name).unlink()


def _usual_mode() -> int:
    """The permissions that a file made in the usual way would have."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _failed(output: str, error: OSError) -> OutputError:
    return OutputError(f"cannot be written: {error.strerror or error}").at(file=output)
