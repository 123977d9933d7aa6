"""Train a prior by several processes of a Ray cluster: torchrun's work, where machines are Ray's to give.

    ray job submit --working-dir . -- python examples/06_train_on_ray.py data runs/prior --processes 8 --gpus 1

Every process is an actor with a GPU of its own, which has the environment that torchrun would have given it. All of
them see the same folders. `finetune_3d` and `fit_collection` are trained in the same way.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path

import ray

import latentfields
from latentfields.priors.config import PRESETS, PriorTrainingConfig


class Process:
    """One of the processes that train together."""

    def meeting_point(self) -> tuple[str, int]:
        """Return address and port where the others find this process."""
        with socket.socket() as free:
            free.bind(("", 0))
            return ray.util.get_node_ip_address(), free.getsockname()[1]

    def train(
        self,
        rank: int,
        count: int,
        meeting_point: tuple[str, int],
        scenes: Path,
        out: Path,
        training: PriorTrainingConfig,
    ) -> str:
        """Train with the others; the first one writes."""
        address, port = meeting_point
        # Of the GPUs an actor sees its own alone, which is number 0 there.
        place = {
            "RANK": rank,
            "WORLD_SIZE": count,
            "LOCAL_RANK": 0,
            "MASTER_ADDR": address,
            "MASTER_PORT": port,
        }
        os.environ.update({name: str(value) for name, value in place.items()})
        latentfields.train_prior(scenes, out=out, training=training)
        return socket.gethostname()


def train_on_ray(
    scenes: Path, out: Path, training: PriorTrainingConfig, *, processes: int, gpus: float
) -> list[str]:
    """Train a prior by so many processes; return the names of their machines."""
    ray.init(ignore_reinit_error=True)
    actors = [ray.remote(num_cpus=1, num_gpus=gpus)(Process).remote() for _ in range(processes)]
    meeting_point = ray.get(actors[0].meeting_point.remote())
    work = [
        actor.train.remote(rank, processes, meeting_point, scenes.resolve(), out.resolve(), training)
        for rank, actor in enumerate(actors)
    ]
    # The first that fails ends the others, which would wait for it.
    waiting, machines = list(work), {}
    while waiting:
        (done, *_), waiting = ray.wait(waiting)
        machines[done] = ray.get(done)
    return [machines[one] for one in work]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a prior on a Ray cluster.")
    parser.add_argument("scenes", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--gpus", type=float, default=0.0, help="of each process")
    given = parser.parse_args()
    print(
        *train_on_ray(
            given.scenes, given.out, PRESETS[given.preset], processes=given.processes, gpus=given.gpus
        )
    )
