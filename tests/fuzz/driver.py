"""Cases in processes of their own, so that what a case does to its process is seen and does no harm.

Inputs that fail are kept, but not those that end their process: `--kind KIND --start CASE --count 1` makes them again.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType

from fuzz.mutate import mutated
from latentfields.errors import InputError

SECONDS = 20.0
"""For one case, on a busy machine; good inputs take milliseconds."""
MEMORY = 2**30
"""Bytes that a case may take beyond what the process had before."""
WORKING = 3 * 2**30
"""Bytes of address space beyond it: what a case asks for in vain is caught before the machine has to give it."""


IMPORT_SECONDS = 180.0
"""Until a process has its imports and has read what is good, on a busy machine."""
READY = "ready"
READ, REFUSED = "read", "refused"
"""The good verdicts; every other one says what is wrong."""


@dataclass
class Tally:
    """The outcome of all cases of one kind."""

    read: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    """One line for each."""
    seconds: float = 0.0

    def add(self, case: str, verdict: str) -> None:
        """Count a verdict."""
        if verdict == READ:
            self.read += 1
        elif verdict == REFUSED:
            self.refused += 1
        else:
            self.failures.append(f"{case}: {verdict}")


class _Hang(BaseException):
    """The time for a case is over; no `except Exception` holds it up."""


def fuzz(kind: str, *, count: int, seed: int, start: int = 0, out: Path) -> Tally:
    """Read `count` damaged inputs of a kind, from case `start` on; those that fail are kept in OUT/KIND-CASE."""
    tally, began = Tally(), time.monotonic()
    case, end = start, start + count
    while case < end:
        for verdict in _verdicts(kind, range(case, end), seed, out):
            tally.add(f"{kind} {case}", verdict)
            case += 1
    tally.seconds = time.monotonic() - began
    return tally


def _verdicts(kind: str, cases: range, seed: int, out: Path) -> Iterator[str]:
    """The verdicts of a process on cases, until it ends: the last one may be that a case ended it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(kind, cases, seed, out, theirs))
    child.start()
    theirs.close()
    try:
        if not ours.poll(IMPORT_SECONDS) or ours.recv() != READY:
            raise RuntimeError(f"{kind}: its process does not start")
        for _ in cases:
            if not ours.poll(2 * SECONDS):
                yield "hangs where no alarm is heard"
                return
            try:
                yield ours.recv()
            except EOFError:
                child.join()
                yield f"ends the process (exit status {child.exitcode})"
                return
    finally:
        child.kill()
        child.join()
        ours.close()


def by_cause(failures: list[str]) -> Counter[str]:
    """How often each cause is among failures."""
    return Counter(line.split(": ", 1)[1] for line in failures)


def _work(kind: str, cases: range, seed: int, out: Path, answers: Connection) -> None:
    """Read cases in this process, its memory limited, and send a verdict for each."""
    import torch

    from latentfields.process import end_with_parent

    end_with_parent()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    verdicts = verdicts_here(kind, cases, seed=seed, out=out)
    answers.send(next(verdicts))
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + WORKING, resource.RLIM_INFINITY))
    for verdict in verdicts:
        answers.send(verdict)


def verdicts_here(kind: str, cases: range, *, seed: int, out: Path) -> Iterator[str]:
    """`READY` once a good input was read in this process, and the verdict on each case; alarms are taken."""
    from fuzz.kinds import KINDS

    subject = KINDS[kind]
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary) / "input"
        folder.mkdir()
        with _silence():
            subject.write(folder)
            subject.read(folder)  # What is imported late is imported now.
        files = {
            file: file.read_bytes()
            for pattern in subject.damaged
            for file in sorted(folder.rglob(pattern))
            if file.is_file()
        }
        assert files, f"{kind} has no file to damage"
        before = signal.signal(signal.SIGALRM, _ring)
        try:
            yield READY
            for case in cases:
                yield _of_case(
                    f"{kind}-{case}",
                    case_of(files, Random(f"{seed} {kind} {case}")),
                    subject.read,
                    folder,
                    out,
                )
                for file, data in files.items():
                    file.write_bytes(data)
        finally:
            signal.signal(signal.SIGALRM, before)


def _of_case(
    name: str, changed: Mapping[Path, bytes], read: Callable[[Path], object], folder: Path, out: Path
) -> str:
    """The verdict on an input with some of its files changed, which is kept in `out` if it fails."""
    for file, data in changed.items():
        file.write_bytes(data)
    with _silence():
        verdict = _verdict(read, folder)
    if verdict in (READ, REFUSED):
        return verdict
    shutil.copytree(folder, out / name, dirs_exist_ok=True)
    (out / f"{name}.txt").write_text(verdict)
    return verdict.splitlines()[0]


@contextmanager
def _silence() -> Iterator[None]:
    """Progress bars and warnings of a thousand cases tell nothing."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def case_of(files: Mapping[Path, bytes], random: Random) -> dict[Path, bytes]:
    """What is damaged in a case: one of the files, now and then two; or one that is gone, written as nothing."""
    chosen = random.sample([*files], k=min(len(files), 2 if random.random() < 0.1 else 1))
    return {file: mutated(file.name, files[file], random) for file in chosen}


def _verdict(read: Callable[[Path], object], folder: Path) -> str:
    """ "read", "refused", or what is wrong, with a traceback from the second line on."""
    before = _resident()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        read(folder)
        verdict = READ
    except InputError as error:
        verdict = _of_refusal(error)
    except _Hang:
        verdict = f"takes more than {SECONDS:.0f} s\n{traceback.format_exc()}"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in place if "latentfields" in frame.filename] or list(place)
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
        said = " ".join(str(error).split())[:100]
        verdict = f"{type(error).__name__} at {where} ({said})\n{traceback.format_exc()}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    used = _peak() - before
    if used > MEMORY:
        verdict = f"takes {used / 2**30:.1f} GiB of memory\n{verdict}"
    return verdict


def _of_refusal(error: InputError) -> str:
    """ "refused", unless the message is not one line that can be printed, or hides that memory ran out."""
    message = str(error)
    if not message.isprintable() or len(message) > 2000:
        return f"InputError that is no line of text\n{message!r}\n{traceback.format_exc()}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"MemoryError, reported as something else\n{traceback.format_exc()}"
        cause = cause.__cause__ or cause.__context__
    return REFUSED


def _ring(number: int, frame: FrameType | None) -> None:
    raise _Hang


def _resident() -> int:
    """Bytes of memory that this process has now, from where its peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _address_space() -> int:
    return _status("VmSize")


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _memory_folder() -> str | None:
    """A file system in memory, where there is one: a case writes a file and puts it back."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
