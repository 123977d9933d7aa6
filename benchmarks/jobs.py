"""What the job layer costs: jobs that wait, as fits of so many seconds, by processes and by nodes of this machine.

    python -m benchmarks.jobs --seconds 30
    python -m benchmarks.jobs --scenes data/mugs

Jobs wait instead of computing, so that what is left is the time to start processes and to go from one job to the next.
With the extra `cluster`, Ray's local cluster of one node and of two, too. With `--scenes`, a fleet fits these scenes on
one node and on two: work, which cores that are busy otherwise are slow with.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from latentfields.training.jobs import Job, run_jobs
from latentfields.training.ray_cluster import RayCluster
from latentfields.training.workers import Engine, LocalWorkers

JOBS = 4
"""Of every worker."""
STEPS = {"supervision": 160, "alignment": 240}
"""Of the fits of scenes: less than a minute each."""


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


def measure_fits(name: str, engine: Engine, scenes: Path) -> float:
    """Fit scenes, print how long that takes and how long half of them take, and return the former."""
    from latentfields.latent_nerf.fleet import fit_fleet
    from latentfields.latent_nerf.presets import preset

    config = preset("kplanes").with_steps(**STEPS)
    with tempfile.TemporaryDirectory() as out:
        began = time.time()
        fits = fit_fleet(scenes, "base", out=out, config=config, device="cpu", engine=engine).fits
        total = time.time() - began
        ends = sorted((Path(fit.run) / "metrics.json").stat().st_mtime - began for fit in fits)
    half, training = ends[(len(ends) - 1) // 2], fmean(fit.seconds for fit in fits)
    print(
        f"{name}: {len(fits)} fits in {total:.1f} s, half of them in {half:.1f} s; {training:.1f} s of training each"
    )
    return total


def clusters() -> Iterator[tuple[int, RayCluster]]:
    """Ray's local cluster of one node, then of two, with one processor core each."""
    if importlib.util.find_spec("ray") is None:
        print("Ray is not installed: pip install 'latentfields[cluster]'")
        return
    # Ray's own choice is 15: whatever else the machine does would come first.
    os.environ.setdefault("RAY_worker_niceness", "0")
    cluster = importlib.import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1}
    )
    for nodes in (1, 2):
        if nodes > 1:
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield nodes, RayCluster(cluster.address)
    cluster.shutdown()


def main() -> None:
    """Measure everything that is here."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--scenes", type=Path)
    options = parser.parse_args()
    if options.scenes is not None:
        totals = [measure_fits(f"Ray, {n} nodes", engine, options.scenes) for n, engine in clusters()]
        if totals:
            print(f"two nodes are {totals[0] / totals[1]:.2f} times as fast as one")
        return
    for workers in (1, 2):
        measure(
            f"local, {workers} processes", LocalWorkers(workers), workers=workers, seconds=options.seconds
        )
    for nodes, engine in clusters():
        measure(f"Ray, {nodes} nodes", engine, workers=nodes, seconds=options.seconds)


if __name__ == "__main__":
    main()
