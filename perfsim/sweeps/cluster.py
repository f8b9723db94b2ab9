"""The partitions of a sweep on other processes and machines, through Dask (the extra `cluster`; docs/cluster.md).

    this process ── the sweep, once ──▶ scheduler ──▶ worker: Study.partition(number)
          ▲                                              │
          └───────── the rows, in whichever order ───────┘

Workers need perfsim and nothing else of this machine, neither its files nor its disk: the rows come back to this
process, which writes them as those that it computes itself. Never more is under way than keeps the workers busy, and
rows stay where they were made until this process takes them, so its memory does not grow with the number of workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import pickle
import re
import tempfile
import time
import traceback
import uuid
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim import __version__
from perfsim.errors import ClusterError, InvalidValueError, MissingExtraError, PerfsimError
from perfsim.sweeps.interrupts import no_interrupts

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

_OPTION = "--cluster"
_CONNECT_S = 5.0  # how long a scheduler may take to answer
_PER_THREAD = 2  # partitions under way for each thread of a worker: one computed, one waiting or on its way here
_RECOUNT_S = 1.0  # between two looks at how many workers there are
_NEVER = "1000 days"
_KEPT = "what is finished is kept, and --resume goes on"
_MOST_PROCESSES = 1024
_MOST_TOLD = 1000  # characters of what a worker says
# Dask gives each of them a level.
_LOGGERS = ("distributed", "distributed.client", "tornado.application")
_PROBED = 1 << 12  # points by which a worker shows that it computes the same numbers
_ADDRESS = re.compile(r"(?:tcp|tls)://(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+):(?P<port>\d{1,5})")


def check_cluster(address: str) -> None:
    """Raise where `address` is neither ``local:N`` nor ``tcp://HOST:PORT`` (or ``tls://``), or Dask is missing."""
    kind, _, rest = address.partition(":")
    if kind == "local":
        right = rest.isascii() and rest.isdecimal() and 1 <= int(rest[:9]) <= _MOST_PROCESSES
        expected = f"local:N with N from 1 to {_MOST_PROCESSES}"
    else:
        match = _ADDRESS.fullmatch(address)
        right = match is not None and 1 <= int(match["port"]) < 2**16
        expected = "local:N, or a scheduler's address such as tcp://scheduler:8786"
    if not right:
        raise InvalidValueError("", found=f"'{address}'", expected=expected).at(file=_OPTION)
    _distributed()


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError(
            "a cluster needs Dask's distributed: pip install 'perfsim[cluster]'"
        ) from None
    return distributed


@contextlib.contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """The workers of a scheduler, or those of ``local:N``: so many processes of one thread each, while it is open.

    Raises what `check_cluster` does, and ClusterError where no scheduler answers within 5 s.
    """
    check_cluster(address)
    distributed = _distributed()
    # What Dask has to say of workers that come and go is no error of the sweep, and what is one is raised.
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as opened:
        place: Any = address
        if address.startswith("local:"):
            place = opened.enter_context(_local_cluster(int(address.partition(":")[2])))
        else:
            _check_answers(address)
        # Rows come through the scheduler, which knows at once that a worker is gone: a client that asks workers itself
        # tries for 30 s to reach it.
        client = opened.enter_context(
            distributed.Client(place, direct_to_workers=False, set_as_default=False)
        )
        yield Cluster(client, address)


def _check_answers(address: str) -> None:
    """Raise ClusterError where no scheduler answers; Dask's client itself may wait for ever, or take any bytes."""
    core, security = _distributed().core, _distributed().Security()

    async def who() -> str:
        arguments = security.get_connection_args("client")
        async with core.rpc(address, timeout=_CONNECT_S - 1, connection_args=arguments) as remote:
            return str((await remote.identity())["type"])

    try:
        kind = asyncio.run(asyncio.wait_for(who(), _CONNECT_S))
        told = f"a {kind.lower()} answers, no scheduler"
    except Exception as error:  # what is no scheduler may cause any
        kind, told = "", f"no scheduler answers ({_reason(error)})"
    if kind != "Scheduler":
        raise ClusterError(told).at(file=f"{_OPTION} {address}")


def _reason(error: BaseException) -> str:
    """The fact at the bottom of an error of a connection."""
    if isinstance(error, MemoryError):  # the first bytes of another protocol, read as a length
        return "what answers there speaks another protocol"
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "strerror", None) or str(error) or f"waited {_CONNECT_S:g} s"


@contextlib.contextmanager
def _local_cluster(processes: int) -> Iterator[Any]:
    distributed = _distributed()
    with (
        tempfile.TemporaryDirectory(prefix="perfsim-cluster-") as folder,
        # So long after the end of a worker Dask looks whether there is another, and else never starts one again; it may
        # look in the second that a start takes.
        distributed.dask.config.set(
            {"temporary-directory": folder, "distributed.deploy.lost-worker-timeout": _NEVER}
        ),
    ):
        with no_interrupts():
            cluster = distributed.LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False},
                memory_limit=0,  # as without a cluster: nothing is ended for the memory that it takes
                silence_logs=logging.CRITICAL,
            )
        with cluster:
            yield cluster


class Cluster:
    """Workers that compute partitions."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._threads, self._counted_s = 0, -_RECOUNT_S

    @property
    def threads(self) -> int:
        """How many partitions are computed at the same time, about now."""
        now = time.monotonic()
        if now - self._counted_s >= _RECOUNT_S:
            self._counted_s, self._threads = now, sum(self._client.nthreads().values())
        return self._threads

    def compute(self, study: Study, numbers: Iterable[int]) -> Iterator[tuple[int, Columns]]:
        """The rows of partitions with their numbers, as they are finished.

        Raises ClusterError where the scheduler is lost, workers cannot run the sweep or do not live through a
        partition; and what `Study.partition` does, for the first partition that fails.
        """
        try:
            yield from self._computed(_packed(study), iter(numbers))
        except OSError as error:  # of the connection; nothing here reads or writes a file
            raise self._lost(error) from None

    def _computed(self, sweep: bytes, numbers: Iterator[int]) -> Iterator[tuple[int, Columns]]:
        token = uuid.uuid4().hex
        submit = self._client.submit
        # A task, not data that is scattered: where the workers that hold it are gone, it is run again.
        sent = submit(_same, sweep, key=f"perfsim-sweep-{token}", pure=False)
        finished = _distributed().as_completed(loop=self._client.loop)
        under_way: dict[Any, int] = {}
        failed: dict[int, PerfsimError] = {}
        while True:
            while not failed and len(under_way) < max(_PER_THREAD * self.threads, 1):
                number = next(numbers, None)
                if number is None:
                    break
                key = f"perfsim-partition-{token}-{number}"
                future = submit(_partition, sent, number, key=key, pure=False)
                under_way[future] = number
                finished.add(future)
            # After a failure only those before it are waited for, so that the first one is told, as without a cluster.
            if not any(number < min(failed, default=number + 1) for number in under_way.values()):
                break
            future = next(finished)
            number = under_way.pop(future)
            try:
                found = future.result()
            except Exception as error:  # of Dask, which may be any
                found = self._told(number, error)
            finally:
                future.release()
            if isinstance(found, str):
                found = self._failed(number, found)
            if isinstance(found, PerfsimError):
                failed[number] = found
            else:
                yield number, found
        if failed:
            raise failed[min(failed)]

    def _told(self, number: int, error: Exception) -> ClusterError:
        """What ended a partition where it was not computed, in our words."""
        distributed = _distributed()
        if isinstance(error, distributed.scheduler.KilledWorker):
            ended = error.allowed_failures + 1
            told = f"each worker that had partition {number} ended ({ended} of {ended})"
            return self._error(f"{told}; {_KEPT}: is their memory too small?")
        if isinstance(error, distributed.client.FutureCancelledError | OSError):
            return self._lost(error)
        if isinstance(error, ImportError | AttributeError):
            needed = f"perfsim {__version__} on every worker"
            return self._error(f"the workers cannot run this sweep: {error}", needed)
        return self._failed(number, _described(error))

    def _failed(self, number: int, told: str) -> ClusterError:
        return self._error(f"partition {number} failed on a worker, which said: {told}; {_KEPT}")

    def _lost(self, error: BaseException) -> ClusterError:
        kind = type(error).__name__
        return self._error(f"the connection to the scheduler was lost ({kind}); {_KEPT}")

    def _error(self, what: str, expected: str | None = None) -> ClusterError:
        return ClusterError(what, expected=expected).at(file=f"{_OPTION} {self._address}")


def _packed(study: Study) -> bytes:
    """A study as it is sent: what tells whether it arrived as it is here, and itself with its networks."""
    body = pickle.dumps(study.with_networks())
    return zlib.compress(pickle.dumps((__version__, np.__version__, _probe(study), body)))


def _probe(study: Study) -> str:
    """What is the same wherever the rows of a study are: what it states, and the bits of its first points."""
    digest = hashlib.sha256(study.fingerprint().encode())
    for values in study.space.points(0, min(study.space.count, _PROBED)).values():
        digest.update(values.tobytes())
    return digest.hexdigest()


# What follows runs on the workers.


def _same(sweep: bytes) -> bytes:
    return sweep


def _partition(sweep: bytes, number: int) -> Columns | PerfsimError | str:
    """The rows of a partition; or the error that it ended with, where that is one of ours; or what another one said.

    An error is returned, not raised. What is raised Dask sends with its causes, and sends a text of it where one of
    them cannot be pickled; it cuts what is long, ends the worker after a SystemExit, and lets the client wait for ever
    after what is no Exception.
    """
    try:
        with _LOADING:
            study = _unpacked(sweep)
        return study.partition(number)
    except BaseException as error:
        if not isinstance(error, PerfsimError) or type(error).__module__ != PerfsimError.__module__:
            return _described(error)
        alone = type(error)(*error.args)
        vars(alone).update(vars(error))
        return alone


def _described(error: BaseException) -> str:
    """What an error says and where it was raised, in one line."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    return text[:_MOST_TOLD] + place


_LOADING = Lock()  # the threads of a worker share a study, and the plans that it finds


@lru_cache(maxsize=4)
def _unpacked(sweep: bytes) -> Study:
    """The study that was sent; raises ClusterError where this worker would compute other numbers."""
    version, numpy_version, probe, body = pickle.loads(zlib.decompress(sweep))
    if version != __version__:
        raise ClusterError(
            "a worker has another version", found=f"perfsim {__version__}", expected=version
        ).at(file=_OPTION)
    try:
        study: Study = pickle.loads(body)
    except (ImportError, AttributeError) as error:
        raise ClusterError(
            f"a worker cannot read the sweep: {error}", expected="the packages that are here"
        ).at(file=_OPTION) from None
    if _probe(study) != probe:
        raise ClusterError(
            "a worker computes other numbers than this machine",
            found=f"numpy {np.__version__}",
            expected=f"numpy {numpy_version} on the same kind of processor",
        ).at(file=_OPTION)
    return study
