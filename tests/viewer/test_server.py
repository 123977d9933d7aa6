"""A fit that somebody looks at, without a browser: the same result, a server that comes and goes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields.errors import InputError
from latentfields.latent_nerf.fit import fit_folder
from latentfields.latent_nerf.run import MODEL_FILE, FitRunConfig
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.training.loop import Trainable
from latentfields.viewer.gate import TrainingGate
from latentfields.viewer.server import Address, Viewer, watched
from latentfields.viewer.source import open_source, training_source

LOCAL = Address("127.0.0.1", 0)


def config(scene_folder: Path, autoencoder_folder: Path) -> FitRunConfig:
    return FitRunConfig(scene_folder, str(autoencoder_folder), size=None, seconds=None, fit=TINY_FIT)


@contextmanager
def looked_at(trainer: LatentNerfTrainer) -> Iterator[Trainable]:
    """Somebody who renders a training view whenever it is possible."""
    gate = TrainingGate(trainer)
    (scene,) = training_source(trainer, gate, Path("unused")).scenes
    seen: list[torch.Tensor] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            with gate.rendering():
                seen.append(scene.render(scene.cameras[[0]])[0])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield gate
    finally:
        done.set()
        gate.finish()
        thread.join()
    assert gate.version == trainer.total_steps
    assert len(seen) > 5
    assert not torch.equal(seen[0], seen[-1])


@pytest.mark.slow
def test_a_fit_does_not_depend_on_who_looks(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = config(scene_folder, autoencoder_folder)
    fit_folder(wanted, out=tmp_path / "alone")
    fit_folder(wanted, out=tmp_path / "seen", watch=looked_at)
    fit_folder(
        wanted,
        out=tmp_path / "served",
        watch=lambda trainer: watched(trainer, folder=tmp_path / "served", address=LOCAL),
    )
    expected = (tmp_path / "alone" / MODEL_FILE).read_bytes()
    assert (tmp_path / "seen" / MODEL_FILE).read_bytes() == expected
    assert (tmp_path / "served" / MODEL_FILE).read_bytes() == expected
    out = capsys.readouterr().out
    assert out.startswith("http://127.0.0.1:")
    assert out.count("\n") == 1
    # The server is gone.
    port = int(out.split()[0].rsplit(":", 1)[1])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_viewer_takes_the_next_free_port(latent_run: Path) -> None:
    source = open_source(latent_run, scene=None, cache=None, device=torch.device("cpu"))
    first = Viewer(source, LOCAL)
    try:
        port = int(first.url.rsplit(":", 1)[1])
        second = Viewer(source, replace(LOCAL, port=port))
        try:
            assert second.url != first.url
        finally:
            second.stop()
    finally:
        first.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "viewer"]


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        (Address("127.0.0.1", 70_000), "port: is 70000; expected 0 to 65535"),
        (Address("192.0.2.1", 0), r"host: is '192\.0\.2\.1'; cannot listen there"),
    ],
)
def test_addresses_that_nobody_can_listen_at(latent_run: Path, address: Address, problem: str) -> None:
    source = open_source(latent_run, scene=None, cache=None, device=torch.device("cpu"))
    with pytest.raises(InputError, match=problem):
        Viewer(source, address)
