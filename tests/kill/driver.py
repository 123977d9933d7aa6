"""Commands that are killed, started again, and have to end as if nothing had happened.

Every command runs in a process forked from this one, which has everything imported and has computed nothing. It is
killed by SIGKILL: at a random moment of the processor's time; right before a random one of its changes to the folder,
such as the renaming of what was just written; or a moment after one, so that it is in the middle of writing.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import latentfields
from kill.trainings import Training

PATIENCE = 900.0
"""Seconds that one process may take, on a busy machine."""
SOON = 0.004
"""Seconds within which a process is killed that has just begun to change a file."""

How = Literal["moment", "change", "soon after a change"]
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink")
"""What Python says that is about to be done to a file, beside opening it to write."""


@dataclass(frozen=True)
class Stop:
    """When a process is killed."""

    how: How
    moment: float = 0.0
    """Seconds of the processor's time after which it is killed."""
    change: int = 0
    """The number of the change to its folder right before which, or soon after which, it is killed."""


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    killed: bool
    status: int
    said: str
    """What it wrote to its standard error, at the end."""
    first_change: float
    """Seconds of the processor's time until its first change to its folder."""
    seconds: float
    """Seconds of the processor's time in all."""
    changes: int
    """To its folder."""
    modules: tuple[str, ...] = ()
    """All that it had imported at its end."""


@dataclass
class Outcome:
    """What came of the kills of one training."""

    kills: dict[str, int] = field(default_factory=dict)
    """By what they were timed."""
    while_saving: int = 0
    """Kills that left a file half-written beside the one it was to become."""
    runs: int = 0
    """Runs that were killed, resumed and compared."""
    files: int = 0
    """That are compared, of every run."""
    differences: tuple[str, ...] = ()
    """Files that are not as in the run that nobody killed, and errors of processes that were started again."""

    @property
    def total(self) -> int:
        """All kills."""
        return sum(self.kills.values())


def warm_up() -> None:
    """Import the whole package: processes that are forked then start at once."""
    import torch
    import torch._dynamo  # the first step of an optimiser does

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(latentfields.__path__, "latentfields."):
        if "nerfstudio" not in module.name and not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


def import_too(names: Sequence[str]) -> bool:
    """Import what a process imported only as it needed it; return whether there was something."""
    missing = [name for name in names if name not in sys.modules and not name.endswith("__main__")]
    for name in missing:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    return bool(missing)


def kill(training: Training, folder: Path, *, count: int, seed: int) -> Outcome:
    """Kill a training `count` times in an empty folder.

    A run is killed and started again until it ends, or until all kills are done. Its results are then compared with
    those of a run that nobody killed.
    """
    training.prepare(folder)
    # Once to import the rest, if something is left, and once to measure.
    for _ in range(2):
        shutil.rmtree(folder / "whole", ignore_errors=True)
        whole = _run(training.arguments(folder, folder / "whole"), folder / "whole", None)
        if whole.status or whole.killed:
            raise RuntimeError(f"{training.name} fails without being killed: {whole.said}")
        if not import_too(whole.modules):
            break
    expected = training.results(folder / "whole")
    chance, outcome = random.Random(f"{seed} {training.name}"), Outcome(files=len(expected))
    while outcome.total < count and not outcome.differences:
        out = folder / f"run-{outcome.runs}"
        arguments, alive = training.arguments(folder, out), True
        while alive and outcome.total < count:
            stop = _drawn(chance, whole)
            ended = _run(arguments, out, stop)
            alive = ended.killed
            if alive:
                outcome.kills[stop.how] = outcome.kills.get(stop.how, 0) + 1
                outcome.while_saving += any(out.rglob(".*.tmp"))
            elif ended.status:
                outcome.differences = (f"{out.name}: after {outcome.total} kills: {ended.said}",)
                return outcome
        if alive and (ended := _run(arguments, out, None)).status:
            outcome.differences = (f"{out.name}: after {outcome.total} kills: {ended.said}",)
            return outcome
        outcome.runs += 1
        found = training.results(out)
        outcome.differences = tuple(
            f"{out.name}: {name} differs"
            for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)
        )
    return outcome


def _drawn(chance: random.Random, whole: Ended) -> Stop:
    """A random time for a kill, between the first change to the folder and the end of a run that nobody killed."""
    how: How = chance.choice(("moment", "change", "soon after a change"))
    if how == "moment":
        return Stop(how, moment=chance.uniform(whole.first_change, whole.seconds))
    return Stop(how, change=chance.randint(1, whole.changes))


def _run(arguments: Sequence[str], out: Path, stop: Stop | None) -> Ended:
    """Run a command of `latentfields` in a process of its own, until it ends or is killed."""
    errors = out.parent / f"{out.name}.err"
    _report(errors).unlink(missing_ok=True)
    told, tell = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _command(arguments, out, stop, errors, tell)
    os.close(tell)
    try:
        if stop is not None and stop.how == "moment":
            _kill_at(pid, stop.moment)
        elif stop is not None and stop.how == "soon after a change" and os.read(told, 1):
            time.sleep(random.uniform(0, SOON))
            os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        pid = 0
    finally:
        os.close(told)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    lines = _report(errors).read_text().split() if _report(errors).exists() else ["0", "0"]
    said = errors.read_text(errors="replace")[-2000:]
    code = 0 if killed else os.waitstatus_to_exitcode(status)
    if not killed and code and not said.strip():
        said = f"exit status {code}"
    seconds = usage.ru_utime + usage.ru_stime
    return Ended(killed, code, said, float(lines[1]), seconds, int(lines[0]), tuple(lines[2:]))


def _report(errors: Path) -> Path:
    """The file in which a process that was not killed says what it did."""
    return errors.with_suffix(".did")


def _kill_at(pid: int, moment: float) -> None:
    """Kill a process after so many seconds of its processor's time, if it has not ended by then."""
    clock = (~pid << 3) | 2  # As clock_getcpuclockid(3) makes it.
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        left = moment - time.clock_gettime(clock)
        if left <= 0:
            break
        time.sleep(min(left, 0.05))
    os.kill(pid, signal.SIGKILL)


def _command(arguments: Sequence[str], out: Path, stop: Stop | None, errors: Path, tell: int) -> None:
    """Be the process: run the command, tell the number of changes and the time of the first, and end."""
    code = 1
    try:
        os.setsid()
        output = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        watch = _Watch(str(out.resolve()), stop, tell)
        sys.addaudithook(watch)
        code = _main(arguments)
        _report(errors).write_text(f"{watch.changes} {watch.first} {' '.join(sys.modules)}")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(arguments: Sequence[str]) -> int:
    from latentfields.cli.main import main

    try:
        main(list(arguments))
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return 0


class _Watch:
    """Counts changes to a folder, and kills the process before the one where it is to stop, or tells that it begins."""

    def __init__(self, folder: str, stop: Stop | None, tell: int) -> None:
        self.folder, self.stop, self.tell = folder, stop, tell
        self.changes, self.first = 0, 0.0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """As `sys.addaudithook` has it."""
        if event == "open":
            path, _, flags = arguments
            writing = (
                bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
            )
            if not writing or not isinstance(path, str | os.PathLike):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        if not isinstance(path, str | os.PathLike) or not str(path).startswith(self.folder):
            return
        self.changes += 1
        self.first = self.first or time.process_time()
        if self.stop is None or self.changes != self.stop.change:
            return
        if self.stop.how == "change":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.stop.how == "soon after a change":
            os.write(self.tell, b".")
