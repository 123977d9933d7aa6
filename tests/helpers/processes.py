"""Two processes that train together: started by torchrun, or, sooner, with PyTorch loaded and told the same."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from helpers.commands import PROCESSES
from helpers.distributed_child import run

CHILD = Path(__file__).parent / "distributed_child.py"


def run_under_torchrun(training: str, data: Path, out: Path) -> None:
    """Run a training of `distributed_child` by two processes of torchrun."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, str(CHILD), training, str(data), str(out)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def run_two_processes(training: str, data: Path, out: Path) -> None:
    """Run a training of `distributed_child` by two processes that are told what torchrun tells."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = [
        PROCESSES.Process(target=_run_as, args=(rank, port, training, data, out)) for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(170)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0, 0]


def _run_as(rank: int, port: int, training: str, data: Path, out: Path) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    run(training, data, out)
