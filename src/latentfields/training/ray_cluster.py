"""Jobs on a Ray cluster, one that exists or one of this machine: the engine `RayCluster`.

Machines of a cluster share the folders that jobs read and write, under the same paths, and have this package. What
happens to a job there is known by its machine, Ray; whether it is tried again is decided here, as everywhere
(`jobs.run_jobs`): Ray itself retries nothing.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from latentfields.config.checks import Checked, Range, require_choice
from latentfields.errors import ArgumentError, InputError
from latentfields.process import SECONDS_TO_SAVE
from latentfields.training.workers import Call, Ended, JobError, Lost, Workers, answer, prepare, received

_OURS = "LATENTFIELDS_"
"""How the names of the environment variables begin that jobs have as this process has them."""

_KNOCK_SECONDS = 10.0


@dataclass(frozen=True)
class RayCluster(Checked):
    """A Ray cluster: every job takes `threads` processor cores and, where the cluster has GPUs, one of these.

    Jobs run in the folder that this process works in, which all machines have, as all others that are named by jobs.
    Needs the extra `cluster`.
    """

    address: str | None = None
    """As in `ray.init`: auto, HOST:PORT or ray://HOST:PORT; None: that in the environment variable RAY_ADDRESS, or
    a new cluster of this machine alone, which ends with the jobs."""
    threads: int = 1
    """Threads inside tensor operations, and processor cores that are kept free for them."""
    gpus: Annotated[float | None, Range(low=0)] = None
    """GPUs of each job, a share of one where several jobs share it; None: one where the cluster has any."""

    def require_device(self, name: str) -> None:
        """Raise ArgumentError for a device with a number: a job sees the GPU that the cluster gives it."""
        require_choice("device", name, ("auto", "cpu", "cuda"))

    @contextmanager
    def opened(self) -> Iterator[Workers]:
        """Connect, and disconnect at the end; a connection that there is already is used, and kept.

        Raises InputError where Ray is not installed, and ArgumentError when there is no cluster at the address.
        """
        self.check()
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            self._connect(ray)
        try:
            workers = _RayWorkers(ray, self)
            try:
                yield workers
            except BaseException:
                workers.stop()
                raise
        finally:
            if ours:
                ray.shutdown()

    def _connect(self, ray: Any) -> None:
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        try:
            _knock(address)
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **options)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            problem = " ".join(str(error).split())[:200]
            raise ArgumentError("address", f"is {address}, where no cluster can be had ({problem})") from None


def _knock(address: str) -> None:
    """Raise OSError, or ValueError for a port that is no number, where nobody listens at HOST:PORT.

    Ray would try for minutes.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_SECONDS).close()


def _ray() -> Any:
    """The library. Raises InputError, with what to do, where it is not installed."""
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise InputError(
            "ray", "is not installed; a cluster needs pip install 'latentfields[cluster]'"
        ) from None


class _RayWorkers:
    def __init__(self, ray: Any, engine: RayCluster) -> None:
        self._ray = ray
        gpus = engine.gpus
        if gpus is None:
            gpus = 1.0 if ray.cluster_resources().get("GPU", 0) else 0.0
        # Workers are kept for further jobs, so that each imports what it needs once.
        self._task = ray.remote(num_cpus=engine.threads, num_gpus=gpus, max_retries=0, max_calls=0)(_do)
        ours = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
        level = logging.getLogger("latentfields").getEffectiveLevel()
        self._surroundings = _Surroundings(Path.cwd(), ours, engine.threads, level)
        self._running: dict[Any, int] = {}

    def has_room(self) -> bool:
        """Always: the cluster keeps what it has no room for yet, and may grow by it."""
        return True

    def start(self, number: int, call: Call) -> None:
        self._running[self._task.remote(call, self._surroundings)] = number

    def wait(self) -> list[Ended]:
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._ended(reference, self._running.pop(reference)) for reference in ready]

    def _ended(self, reference: Any, number: int) -> Ended:
        ray = self._ray
        try:
            return received(number, ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            # What jobs raise is an answer; this was raised around it, such as by a package that is not there.
            return Ended(number, error=JobError(_line_of(error, -1)))
        except ray.exceptions.RayError as error:
            return Ended(number, error=Lost(f"its process or its machine is gone ({_line_of(error, 0)})"))

    def stop(self) -> None:
        """Ask running jobs to save their state and to stop, and wait for them; others never begin."""
        for reference in self._running:
            self._ray.cancel(reference, force=False)
        self._ray.wait(list(self._running), num_returns=len(self._running), timeout=SECONDS_TO_SAVE)


def _line_of(error: Exception, number: int) -> str:
    """A line of what an exception says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[number] if lines else type(error).__name__


@dataclass(frozen=True)
class _Surroundings:
    """What jobs find everywhere as the process has it that started them."""

    folder: Path
    """That relative paths begin at."""
    environment: Mapping[str, str]
    threads: int
    level: int


def _do(call: Call, surroundings: _Surroundings) -> bytes:
    """Do a job on whichever machine this is."""
    os.environ.update(surroundings.environment)
    prepare(threads=surroundings.threads, level=surroundings.level)
    shared = surroundings.folder.is_dir()
    log = surroundings.folder / call.log if shared and call.log is not None else None
    return answer(Call(_in_folder, (surroundings.folder, call), log))


def _in_folder(work: tuple[Path, Call]) -> Any:
    """Call in a folder. Raises InputError where this machine does not have it."""
    folder, call = work
    try:
        os.chdir(folder)
    except OSError as error:
        here = socket.gethostname()
        raise InputError(
            folder, f"is not on {here} ({error.strerror}); machines of a cluster share it"
        ) from None
    return call.function(call.argument)
