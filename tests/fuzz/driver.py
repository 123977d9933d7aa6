"""Cases in processes that are forked with everything imported, and replaced after some hundreds of cases.

What a case does to its process is seen and does no harm: a process that ends, hangs, or reads the good input otherwise
than before is a failure. Inputs that fail are kept, but not those that end their process: `--kind KIND --start CASE
--count 1` makes them again.
"""

from __future__ import annotations

import contextlib
import gc
import io
import multiprocessing
import os
import re
import resource
import shutil
import signal
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType

from fuzz.kinds import KINDS, Kind
from fuzz.mutate import mutated
from fuzz.trees import Tree
from latentfields.errors import InputError

SECONDS = 20.0
"""Of the processor for one case; good inputs take milliseconds."""
PATIENCE = 240.0
"""Seconds that may pass for one case, on a busy machine."""
MEMORY = 2**30
"""Bytes that a case may take beyond what the process had before."""
WORKING, AMPLE = 3 * 2**30, 12 * 2**30
"""Bytes of address space beyond it: what a case asks for in vain is caught before the machine has to give it. Who gets
no more than the first is asked again with the second: libraries ask for what they do not use, and what counts is what
is used."""
BATCH = 500
"""Cases of one process."""
TREES = 0.1
"""Share of the cases in which files are damaged as a whole: gone, links, folders, exchanged."""
SPARE_FILES, SPARE_THREADS = 3, 1
"""Files that may be open, and threads that may run, after a batch and did not before: caches of libraries, and the
thread of progress bars."""

READ, REFUSED = "read", "refused"
"""The good verdicts; every other one says what is wrong."""


@dataclass(frozen=True)
class Case:
    """What came of a damaged input."""

    name: str
    verdict: str
    """`READ`, `REFUSED`, or what is wrong, in the first line."""
    seconds: float = 0.0
    """Of the processor."""
    memory: int = 0
    """Bytes beyond what the process had before."""
    refusal: str = ""
    """The message of a refusal, without what differs from input to input."""


@dataclass
class Tally:
    """The outcome of all cases of one kind."""

    read: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)
    """One line for each."""
    seconds: float = 0.0
    """Of the processor, of all cases."""
    slowest: float = 0.0
    slowest_case: str = ""
    memory: int = 0
    """The most that a case took."""
    memory_case: str = ""
    refusals: set[str] = field(default_factory=set)
    """Messages, without what differs from input to input."""

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.read + self.refused + len(self.failures)

    def add(self, case: Case) -> None:
        """Count a case."""
        self.seconds += case.seconds
        if case.seconds > self.slowest:
            self.slowest, self.slowest_case = case.seconds, case.name
        if case.memory > self.memory:
            self.memory, self.memory_case = case.memory, case.name
        if case.verdict == READ:
            self.read += 1
        elif case.verdict == REFUSED:
            self.refused += 1
            self.refusals.add(case.refusal)
        else:
            self.failures.append(f"{case.name}: {case.verdict}")


class _Hang(BaseException):
    """The time for a case is over; no `except Exception` holds it up."""


class Originals:
    """Good inputs of kinds, each written once, by a process of its own."""

    def __init__(self, folder: Path) -> None:
        """They are kept in `folder`."""
        self.folder = folder

    def of(self, kind: str) -> Path:
        """The folder with the good input of a kind."""
        folder = self.folder / kind
        if not folder.exists():
            child = multiprocessing.get_context("fork").Process(target=_write, args=(kind, folder))
            child.start()
            child.join()
            if child.exitcode:
                raise RuntimeError(f"{kind}: the good input cannot be written")
        return folder


def _write(kind: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    with _silence():
        KINDS[kind].write(folder)


def fuzz(kind: str, cases: range, *, seed: int, out: Path, originals: Originals) -> Iterator[Case]:
    """Read damaged inputs of a kind, in a process for every batch; those that fail are kept in OUT/KIND-CASE."""
    original, case, work = originals.of(kind), cases.start, originals.folder / "work"
    while case < cases.stop:
        for done in _batch(kind, range(case, min(case + BATCH, cases.stop)), seed, out, original, work):
            yield done
            case += 1
        shutil.rmtree(work)


def by_cause(failures: list[str]) -> Counter[str]:
    """How often each cause is among failures."""
    return Counter(line.split(": ", 1)[1] for line in failures)


def _batch(kind: str, cases: range, seed: int, out: Path, original: Path, work: Path) -> Iterator[Case]:
    """The cases of a process, until it ends: the last one may be that a case ended it."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(kind, cases, seed, out, original, work, theirs))
    child.start()
    theirs.close()
    try:
        for case in cases:
            try:
                if not ours.poll(PATIENCE):
                    yield Case(f"{kind} {case}", "hangs where no alarm is heard")
                    return
                yield ours.recv()
            except EOFError:
                child.join()
                yield Case(f"{kind} {case}", f"ends the process (exit status {child.exitcode})")
                return
    finally:
        child.kill()
        child.join()
        ours.close()


def _work(
    kind: str, cases: range, seed: int, out: Path, original: Path, work: Path, answers: Connection
) -> None:
    """Read cases in this process, its memory limited, and send each."""
    from latentfields.process import end_with_parent

    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with _limited(WORKING):
        for case in cases_here(kind, cases, seed=seed, out=out, original=original, work=work):
            answers.send(case)
    os._exit(0)  # Nothing that was imported before the fork is wound up twice.


def cases_here(
    kind: str, cases: range, *, seed: int, out: Path, original: Path, work: Path
) -> Iterator[Case]:
    """The cases, read in this process; alarms are taken. The good input is read before them and after them.

    `work`, where there is nothing yet, is where damaged inputs lie.
    """
    subject = KINDS[kind]
    with warnings.catch_warnings(), _alarms():
        warnings.simplefilter("ignore")
        folder = work / "input"
        tree = Tree.copied(original, folder)
        damaged = [path for path in tree.files if any(path.match(pattern) for pattern in subject.damaged)]
        assert damaged, f"{kind} has no file to damage"
        _read_good(kind, folder)
        before = (_open_files(), threading.active_count())
        if subject.writes:
            tree.restore()
        for number, case in enumerate(cases):
            done = _of_case(f"{kind} {case}", subject, tree, damaged, Random(f"{seed} {kind} {case}"), out)
            if number == len(cases) - 1:
                done = _checked(done, kind, tree, before)
            yield done


def _read_good(kind: str, folder: Path) -> None:
    with _silence():
        KINDS[kind].read(folder)


def _checked(last: Case, kind: str, tree: Tree, before: tuple[int, int]) -> Case:
    """The last case of a batch, or that one of the batch left something behind."""
    if last.verdict not in (READ, REFUSED):
        return last
    try:
        _read_good(kind, tree.folder)
    except Exception as error:
        return Case(
            last.name, f"the good input is refused after the batch ({' '.join(str(error).split())[:100]})"
        )
    gc.collect()
    files, threads = _open_files(), threading.active_count()
    if files > before[0] + SPARE_FILES or threads > before[1] + SPARE_THREADS:
        return Case(last.name, f"files or threads stay ({before[0]} to {files}, {before[1]} to {threads})")
    return last


def _of_case(name: str, subject: Kind, tree: Tree, damaged: list[Path], random: Random, out: Path) -> Case:
    """The verdict on an input that is damaged for it, kept in `out` if it fails, and put back."""
    as_a_whole = random.random() < TREES
    if as_a_whole:
        changed = []
        tree.damage(damaged, random)
    else:
        changed = random.sample(damaged, k=min(len(damaged), 2 if random.random() < 0.1 else 1))
        for file in changed:
            file.write_bytes(mutated(file.name, tree.files[file], random))
    with _silence():
        case = _read(name, subject.read, tree.folder)
        if case.verdict.startswith("MemoryError"):
            with _limited(AMPLE):
                case = _read(name, subject.read, tree.folder)
    if case.verdict not in (READ, REFUSED):
        kept = out / name.replace(" ", "-")
        out.mkdir(parents=True, exist_ok=True)
        tree.keep(kept)
        kept.with_name(f"{kept.name}.txt").write_text(case.verdict)
        case = Case(name, case.verdict.splitlines()[0], case.seconds, case.memory)
    if as_a_whole or subject.writes:
        tree.restore()
    else:
        for file in changed:
            file.write_bytes(tree.files[file])
        if not tree.is_whole():
            tree.restore()
            return Case(name, "reading changes the folder", case.seconds, case.memory)
    return case


@contextmanager
def _limited(room: int) -> Iterator[None]:
    """Let this process have so many bytes of address space beyond what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_status("VmSize") + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def _silence() -> Iterator[None]:
    """Progress bars and warnings of a thousand cases tell nothing."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _read(name: str, read: Callable[[Path], object], folder: Path) -> Case:
    """The case, whose verdict has a traceback from the second line on where it is none of the good ones."""
    before, began, refusal = _resident(), time.process_time(), ""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE / 2)
    try:
        read(folder)
        verdict = READ
    except InputError as error:
        verdict = _of_refusal(error)
        refusal = _NUMBERS.sub("#", error.problem)[:60]
    except OSError as error:
        # The command line says what the system says of a file that is named, and exits with 2, too.
        refusal = str(error.strerror)
        verdict = REFUSED if error.filename is not None and error.errno else _of_defect(error)
    except _Hang:
        verdict = f"takes more than {SECONDS:.0f} s\n{traceback.format_exc()}"
    except BaseException as error:
        verdict = _of_defect(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds, used = time.process_time() - began, max(_status("VmHWM") - before, 0)
    if used > MEMORY:
        verdict = f"takes {used / 2**30:.1f} GiB of memory\n{verdict}"
    return Case(name, verdict, seconds, used, refusal)


def _of_defect(error: BaseException) -> str:
    """What was raised and where, in one line, and its traceback."""
    place = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in place if "latentfields" in frame.filename] or list(place)
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}"
    said = " ".join(str(error).split())[:100]
    return f"{type(error).__name__} at {where} ({said})\n{traceback.format_exc()}"


_NUMBERS = re.compile(r"'[^']*'|[-+.\w]*\d[-+.\w]*")


def _of_refusal(error: InputError) -> str:
    """ "refused", unless the message is not one line that can be printed, or hides that memory ran out."""
    message = str(error)
    if not message.isprintable() or len(message) > 2500:
        return f"InputError that is no line of text\n{message!r}\n{traceback.format_exc()}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"MemoryError, reported as something else\n{traceback.format_exc()}"
        cause = cause.__cause__ or cause.__context__
    return REFUSED


@contextmanager
def _alarms() -> Iterator[None]:
    kinds = (signal.SIGALRM, signal.SIGPROF)
    before = [signal.signal(kind, _ring) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)


def _ring(number: int, frame: FrameType | None) -> None:
    raise _Hang


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def _resident() -> int:
    """Bytes of memory that this process has now, from where its peak is counted anew."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    with open("/proc/self/status", "rb") as file:
        text = file.read()
    begin = text.index(f"\n{name}:".encode()) + len(name) + 2
    return int(text[begin : text.index(b"kB", begin)]) * 1024
