"""What the job layer costs: jobs that wait, as fits of so many seconds, by processes and by nodes of this machine.

    python -m benchmarks.jobs --seconds 30

Jobs wait instead of computing, since processes of one machine share its cores: what is left is the time to start
processes and to go from one job to the next. With the extra `cluster`, Ray's local cluster of one node and of two.
"""

from __future__ import annotations

import argparse
import importlib.util
import time

from latentfields.training.jobs import Job, run_jobs
from latentfields.training.ray_cluster import RayCluster
from latentfields.training.workers import Engine, LocalWorkers

JOBS = 4
"""Of every worker."""


def pause(seconds: float) -> None:
    """Import what a fit needs, and wait."""
    importlib.import_module("latentfields.latent_nerf.fleet")
    time.sleep(seconds)


def measure(name: str, engine: Engine, *, workers: int, seconds: float) -> None:
    """Print how long jobs take, and how much of that is not theirs."""
    began, ends = time.perf_counter(), list[float]()
    jobs = [Job(str(number), pause, seconds) for number in range(JOBS * workers)]
    run_jobs(jobs, engine=engine, label=None, done=lambda job, _: ends.append(time.perf_counter() - began))
    total = time.perf_counter() - began
    between = [later - earlier - seconds for earlier, later in zip(ends, ends[workers:], strict=False)]
    others = total - JOBS * seconds - sum(between) / workers
    step = sum(between) / len(between)
    print(
        f"{name}: {len(jobs)} jobs in {total:.1f} s; start and end {others:.1f} s, between jobs {step:.3f} s"
    )


def main() -> None:
    """Measure everything that is here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0)
    seconds = parser.parse_args().seconds
    for workers in (1, 2):
        measure(f"local, {workers} processes", LocalWorkers(workers), workers=workers, seconds=seconds)
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: pip install 'latentfields[cluster]'")
        return
    cluster = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    for nodes in (1, 2):
        if nodes > 1:
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        measure(f"Ray, {nodes} nodes", RayCluster(cluster.address), workers=nodes, seconds=seconds)
    cluster.shutdown()


if __name__ == "__main__":
    main()
