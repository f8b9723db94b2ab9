"""The rows of a sweep on disk: partition by partition, whole or not at all, so that a killed sweep can go on.

While a sweep is under way its finished partitions lie beside the output, in the folder ``OUTPUT.parts``. The name of
each holds its number and the checksum of its bytes, and it gets that name when it is complete; so what a kill or a
crash has torn is told from what is whole, and done again. The output is written at the same time, in that folder, and
moves to its place when it is complete, or when the sweep is interrupted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, OutputError
from perfsim.sweeps.writers import WRITERS, Writer

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

_STATE = "sweep.json"

# Gives the rows of partitions with their numbers, in any order.
Compute: TypeAlias = "Callable[[Study, Iterable[int]], Iterator[tuple[int, Columns]]]"


class Store:
    """The finished partitions of one sweep.

    output: the file that the sweep writes. resume: whether finished partitions of an earlier start are kept.

    Raises OutputError where there is something that would be overwritten, and InvalidValueError where an unfinished
    sweep of other parameters lies there.
    """

    def __init__(self, output: Path, fingerprint: str, *, resume: bool) -> None:
        self.folder = output.with_name(output.name + ".parts")
        state = self.folder / _STATE
        if not resume and self.folder.exists():
            raise OutputError(
                f"an unfinished sweep lies in '{self.folder}': --resume goes on with it"
            ).at(file=str(output))
        if output.exists() and not self.folder.exists():
            raise OutputError(
                "is finished, there is nothing to resume" if resume else "exists already"
            ).at(file=str(output))
        if not state.exists():
            self.folder.mkdir(exist_ok=True)
            pending = self.folder / f"{_STATE}.pending"
            pending.write_text(json.dumps({"fingerprint": fingerprint}))
            pending.replace(state)
        if json.loads(state.read_text())["fingerprint"] != fingerprint:
            raise InvalidValueError(
                f"the unfinished sweep in '{self.folder}' has other parameters",
                expected="the same command, or another output",
            ).at(file="--resume")
        self._found = self._whole_parts()

    def _whole_parts(self) -> dict[int, Path]:
        """The partitions whose bytes are those that their names say; all else in the folder is removed."""
        found: dict[int, Path] = {}
        for path in sorted(self.folder.iterdir()):
            number, _, digest = path.name.partition("-")
            if path.name == _STATE:
                continue
            if number.isdecimal() and digest == _checksum(path):
                found[int(number)] = path
            else:
                path.unlink()
        return found

    def __contains__(self, number: int) -> bool:
        return number in self._found

    def numbers(self) -> list[int]:
        """The finished partitions, in order."""
        return sorted(self._found)

    def load(self, number: int) -> Columns:
        """The rows of a finished partition."""
        with self._found[number].open("rb") as file:
            names = json.loads(file.readline())
            return {name: np.load(file, allow_pickle=False) for name in names}

    def save(self, number: int, columns: Columns) -> None:
        """Keep the rows of a partition; raises OSError."""
        pending = self.folder / "pending"
        with pending.open("wb") as file:
            hashed = _Hashed(file)
            hashed.write(json.dumps(list(columns)).encode() + b"\n")
            for values in columns.values():
                np.lib.format.write_array(hashed, np.ascontiguousarray(values), allow_pickle=False)
        self._found[number] = pending.replace(self.folder / f"{number:06}-{hashed.digest()}")

    def clear(self) -> None:
        """Remove what is not complete: on a full disk it takes the room that is needed to go on."""
        for path in (self.folder / "pending", self.folder / "output"):
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder)


class _Hashed:
    """A file that takes the checksum of what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        return self._file.write(data)

    def digest(self) -> str:
        return self._hash.hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def in_order(study: Study, numbers: Iterable[int]) -> Iterator[tuple[int, Columns]]:
    """Computes partitions here, one after the other; raises what `Study.partition` does."""
    for number in numbers:
        yield number, study.partition(number)


def run_study(
    study: Study,
    output: str,
    *,
    compute: Compute = in_order,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _rows: None,
) -> int:
    """Write the rows of all partitions to `output`, its format by its suffix; returns how many rows there are.

    compute: gives the partitions that are not there yet; what is written does not depend on their order.
    resume: whether to go on with an unfinished sweep. progress: told at the start and after each partition how many
    points are done and how many rows are written.

    While one partition is computed the one before is written. An interrupt (KeyboardInterrupt) leaves a complete file
    of the partitions that were finished, up to the first that was not, and all that were for `resume`.

    Raises OutputError where something cannot be written, and what `compute` does.
    """
    path = Path(output)
    kept = ""
    try:
        store = Store(path, study.fingerprint(), resume=resume)
        try:
            rows = _write_all(study, path, store, compute, progress)
        except OSError:
            store.clear()
            kept = "; what is finished is kept, and --resume goes on"
            raise
        store.remove()
    except OSError as error:
        what = f"cannot be written: {error.strerror or error}{kept}"
        raise OutputError(what).at(file=output) from None
    return rows


def _write_all(
    study: Study,
    path: Path,
    store: Store,
    compute: Compute,
    progress: Callable[[int, int], None],
) -> int:
    size = study.partition_size

    def points(number: int) -> int:
        return min(size, study.count - number * size)

    kept = store.numbers()
    done = sum(points(number) for number in kept)
    with _Output(study, path, store) as writing:
        try:
            progress(done, 0)
            for number in kept:
                writing.add(number, None)
                progress(done, writing.rows)
            missing = [number for number in range(study.partitions) if number not in store]
            for number, columns in compute(study, missing):
                writing.add(number, columns)
                done += points(number)
                progress(done, writing.rows)
        except KeyboardInterrupt:
            writing.stop()
            writing.finish()
            raise
        writing.finish()
    return writing.rows


class _Output:
    """Writes partitions in order, beside the thread that computes or receives others."""

    def __init__(self, study: Study, output: Path, store: Store) -> None:
        self._store, self._output, self._path = store, output, store.folder / "output"
        self._open = WRITERS[output.suffix.lower()]
        self._categories = study.categories
        self._writer: Writer | None = None
        self._pool = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None
        self._next = 0  # the partition that the file goes on with
        self._stopping = False
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def add(self, number: int, columns: Columns | None) -> None:
        """Keep a partition, which the store has where no columns are given, and write what is next."""
        self._wait()
        self._last = self._pool.submit(self._write, number, columns)

    def _write(self, number: int, columns: Columns | None) -> None:
        if columns is not None:
            self._store.save(number, columns)
        if number == self._next:
            self._append(self._store.load(number) if columns is None else columns)
        while columns is not None and self._next in self._store and not self._stopping:
            self._append(self._store.load(self._next))  # it came before its turn

    def _append(self, columns: Columns) -> None:
        if self._writer is None:
            self._writer = self._open(self._path, columns, self._categories)
        self._writer.add(columns)
        self.rows += len(next(iter(columns.values())))
        self._next += 1

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()  # an interrupt may come while it waits: then it is waited for again
            self._last = None

    def stop(self) -> None:
        """Write nothing more than what is being written."""
        self._stopping = True

    def finish(self) -> None:
        """Complete the file and move it to its place."""
        self._wait()
        if self._writer is not None:
            self._writer.close()
            self._path.replace(self._output)
