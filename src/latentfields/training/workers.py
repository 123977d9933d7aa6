"""Where jobs run: in this process, in processes of this machine, or on a cluster (`ray_cluster`).

An engine opens workers, each with one slot for one job at a time; the slot has a device and threads of its own. What
ends a worker's process is known of the one job that it did: the job is lost, not the others. Free of heavy imports.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from latentfields.config.checks import Checked
from latentfields.errors import ArgumentError
from latentfields.process import SECONDS_TO_SAVE, choose_device, end_with_parent, set_threads, tune_allocator

_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
_ONE_EACH = ("auto", "cuda")
"""Devices without a number: of several processes, each has another one."""
_START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How processes begin. Forked children would share the state of this process's threads: they are those of one that has
done nothing but import PyTorch, which takes seconds that way only once; elsewhere each starts from nothing."""
_IMPORTED: Sequence[str] = ("torch", "torch._dynamo")
"""Modules that it has imported: PyTorch, and what any optimizer imports."""
_LONGEST_FOLDER = 60
"""Characters of the folder of temporary files, at most, where that one's socket has a path that the system takes."""


@dataclass(frozen=True)
class Call:
    """A function and what it is called with, for whichever process is free."""

    function: Callable[[Any], Any]
    """Of a module, so that other processes can import it."""
    argument: Any
    log: Path | None = None
    """File that another process adds to what it prints meanwhile; None: it prints where this one does."""


@dataclass(frozen=True)
class Ended:
    """What became of a call."""

    number: int
    """By which it was started."""
    result: Any = None
    error: Exception | None = None
    """What it raised, or `Lost`; None when it returned."""


class Lost(Exception):
    """The process that did a job, or its machine, is gone, or was asked to stop; nothing is wrong with the job."""


class Workers(Protocol):
    """Processes that take calls."""

    def has_room(self) -> bool:
        """True when another call may be started."""
        ...

    def start(self, number: int, call: Call) -> None:
        """Begin a call, known by its number from then on."""
        ...

    def wait(self) -> list[Ended]:
        """Wait for calls that were started; at least one has ended then."""
        ...


class Engine(Protocol):
    """Makes workers."""

    def require_device(self, name: str) -> None:
        """Raise ArgumentError when jobs there cannot compute on the device of that name."""
        ...

    def opened(self) -> AbstractContextManager[Workers]:
        """Workers for the duration of the context.

        When that is left by an exception, running calls are asked to save their state and to stop.
        """
        ...


@dataclass(frozen=True)
class Inline:
    """This process, one job after the other."""

    def require_device(self, name: str) -> None:
        """Raise ArgumentError when there is no such device."""
        choose_device(name)

    @contextmanager
    def opened(self) -> Iterator[Workers]:
        """Return what does every job when it is waited for."""
        yield _Inline()


class _Inline:
    def __init__(self) -> None:
        self._next: tuple[int, Call] | None = None

    def has_room(self) -> bool:
        return self._next is None

    def start(self, number: int, call: Call) -> None:
        self._next = number, call

    def wait(self) -> list[Ended]:
        from latentfields.training.loop import Interrupted

        assert self._next is not None
        (number, call), self._next = self._next, None
        try:
            return [Ended(number, call.function(call.argument))]
        except Interrupted:
            raise
        except Exception as error:
            return [Ended(number, error=error)]


@dataclass(frozen=True)
class LocalWorkers(Checked):
    """Processes of this machine, each of which does one job at a time.

    Each uses `threads` threads inside tensor operations and, for a `device` of no number, sees one GPU, in turn where
    there are fewer, so that the device "auto" is another one in each. One that dies takes its job with it; another
    takes its place. They end with this process, however that ends; a training that is stopped so saves its state.
    """

    processes: int = 1
    """Jobs at the same time."""
    threads: int = 1
    """Threads inside tensor operations."""
    device: str = "auto"
    """What jobs are told to compute on."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment variables that are different there."""

    def require_device(self, name: str) -> None:
        """Raise ArgumentError when there is no such device, or jobs see another one by that name."""
        choose_device(name)
        if name != self.device and name != "cpu" and self.device in _ONE_EACH and name not in _ONE_EACH:
            raise ArgumentError("device", f"is '{name}', for processes with the device {self.device}")

    @contextmanager
    def opened(self) -> Iterator[Workers]:
        """Start a process when it is first needed, and end all of them."""
        self.check()
        workers = _LocalWorkers(self)
        try:
            yield workers
        except BaseException:
            workers.stop()
            raise
        finally:
            workers.close()


@dataclass(frozen=True)
class _Slot:
    """Settings of one process."""

    environment: Mapping[str, str]
    """All of its environment variables."""
    threads: int
    level: int
    """Of the package's messages."""


class _Process:
    """One worker, and the call that it does."""

    def __init__(self, slot: _Slot) -> None:
        method = _START_METHOD if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "spawn"
        context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            context.set_forkserver_preload([*_IMPORTED])
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, slot))
        self.process.start()
        # With the only other end in the worker, its death is an end of file here.
        theirs.close()
        self.number: int | None = None

    def start(self, number: int, call: Call) -> None:
        # What cannot be sent is the caller's mistake; a worker that is gone already is noticed by waiting for it.
        message = pickle.dumps(call)
        self.number = number
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send_bytes(message)

    def ended(self) -> Ended:
        """The end of the call, once there is something to receive."""
        number, self.number = self.number, None
        assert number is not None
        try:
            return received(number, self.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            self.process.join()
            return Ended(number, error=Lost(f"its process {_end_of(self.process.exitcode)}"))


class _LocalWorkers:
    def __init__(self, engine: LocalWorkers) -> None:
        devices = visible_devices() if engine.device in _ONE_EACH else ()
        level = logging.getLogger("latentfields").getEffectiveLevel()
        seen = [{_VISIBLE_DEVICES: device} for device in devices] or [{}]
        self._slots = [
            _Slot({**os.environ, **seen[index % len(seen)], **engine.environment}, engine.threads, level)
            for index in range(engine.processes)
        ]
        self._processes: list[_Process | None] = [None] * engine.processes

    @property
    def _busy(self) -> list[_Process]:
        return [process for process in self._processes if process is not None and process.number is not None]

    def has_room(self) -> bool:
        return len(self._busy) < len(self._slots)

    def start(self, number: int, call: Call) -> None:
        index, process = next(
            (index, process)
            for index, process in enumerate(self._processes)
            if process is None or process.number is None
        )
        if process is None or not process.process.is_alive():
            process = self._processes[index] = _Process(self._slots[index])
        process.start(number, call)

    def wait(self) -> list[Ended]:
        busy = self._busy
        ready = wait([process.connection for process in busy])
        return [process.ended() for process in busy if process.connection in ready]

    def stop(self) -> None:
        """Ask running jobs to save their state and to stop."""
        for process in self._busy:
            process.process.terminate()

    def close(self) -> None:
        """End all processes; those that do not in the time that saving may take are killed."""
        there = [process for process in self._processes if process is not None]
        for process in there:
            process.connection.close()
        try:
            for process in there:
                process.process.join(SECONDS_TO_SAVE)
        finally:
            for process in there:
                if process.process.is_alive():
                    process.process.kill()
                    process.process.join()


def call_alone(function: Callable[[Any], Any], argument: Any, *, environment: Mapping[str, str]) -> Any:
    """Call in a new process, with other environment variables, that ends then. Raises what the function does."""
    with LocalWorkers(environment=environment).opened() as workers:
        workers.start(0, Call(function, argument))
        (ended,) = workers.wait()
    if ended.error is not None:
        raise ended.error
    return ended.result


def visible_devices() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get(_VISIBLE_DEVICES)
    return tuple(map(str, range(count))) if named is None else tuple(named.split(",")[:count])


class JobError(Exception):
    """What a job raised, in words, where the exception itself cannot be sent from one process to another."""


class RemoteTraceback(Exception):
    """Where in another process an exception was raised; the cause of that exception."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def answer(call: Call) -> bytes:
    """Do a call here, and return what became of it in the form in which it is sent to who wants to know."""
    from latentfields.training.loop import Interrupted

    try:
        with _printing_to(call.log):
            message: tuple[Any, Exception | None, str] = (call.function(call.argument), None, "")
    except Interrupted as error:
        message = (None, Lost(f"it was asked to stop ({error})"), "")
    except Exception as error:
        message = (None, _portable(error), "".join(traceback.format_exception(error)))
    try:
        return pickle.dumps(message)
    except Exception as error:
        return pickle.dumps((None, JobError(f"its result cannot be sent to another process: {error}"), ""))


def received(number: int, message: bytes) -> Ended:
    """What `answer` returned, of the call of that number."""
    result, error, where = pickle.loads(message)  # noqa: S301 - of a process that this one started
    if error is not None and where:
        error.__cause__ = RemoteTraceback(where)
    return Ended(number, result, error)


def _portable(error: Exception) -> Exception:
    """The exception, or what it says where it does not survive being sent."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was made here
    except Exception:
        return JobError(f"{type(error).__name__}: {error}")
    return error


def _serve(connection: Connection, slot: _Slot) -> None:
    """Do calls until there are no more."""
    # A terminal's Ctrl-C is for the parent, which asks its workers to stop once, and waits until they have saved.
    if hasattr(os, "setpgrp"):
        os.setpgrp()
    # Devices and kernels are chosen when they are first used, which nothing has done here yet. What it was forked from
    # may be older than variables of the parent.
    os.environ.clear()
    os.environ.update(slot.environment)
    end_with_parent()
    prepare(threads=slot.threads, level=slot.level)
    while True:
        try:
            call = pickle.loads(connection.recv_bytes())  # noqa: S301 - of the parent
        except EOFError:
            return
        message = answer(call)
        with suppress(BrokenPipeError):  # The parent has enough.
            connection.send_bytes(message)


def prepare(*, threads: int, level: int) -> None:
    """Settings of a process that does jobs: memory, threads, messages of the package from `level` on."""
    tune_allocator()
    set_threads(threads)
    logger = logging.getLogger("latentfields")
    logger.setLevel(level)
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stderr))


@contextmanager
def _printing_to(log: Path | None) -> Iterator[None]:
    """Let everything that this process prints, its libraries too, be added to a file; None changes nothing."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    streams = (sys.stdout, sys.stderr)
    kept = [os.dup(number) for number in (1, 2)]
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        for stream, number in zip(streams, (1, 2), strict=True):
            stream.flush()
            os.dup2(file, number)
        yield
    finally:
        for stream, number, before in zip(streams, (1, 2), kept, strict=True):
            stream.flush()
            os.dup2(before, number)
        for number in (file, *kept):
            os.close(number)


def _end_of(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"


def usual_processes(device: str) -> int:
    """Jobs that this machine does at the same time on a device when nobody says how many.

    They are as many as GPUs, where `device` has no number; one on one GPU; and otherwise as many as processor cores.
    """
    if device in _ONE_EACH and (devices := visible_devices()):
        return len(devices)
    if device.startswith("cuda:"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
