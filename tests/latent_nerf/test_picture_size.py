"""Sizes of pictures and films: what is rendered finer, and what is enlarged."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.analytic_run import analytic_run, analytic_views
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.picture_size import PictureSize
from latentfields.latent_nerf.render import NamedViews, render_run, write_pictures
from latentfields.latent_nerf.run import Run


@pytest.fixture(scope="module")
def sphere(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return analytic_run(tmp_path_factory.mktemp("analytic"))


def film_size(file: Path) -> tuple[int, int]:
    with av.open(str(file)) as film:
        stream = film.streams.video[0]
        return stream.width, stream.height


def test_films_are_large_and_say_how(
    latent_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        film = render_run(Run.load(latent_run), out=tmp_path / "a.mp4", views="orbit", frames=2, fps=4)
    assert film_size(film) == (512, 512)
    assert caplog.messages == ["Pictures of 32x32 are enlarged to 512x512."]


def test_colours_are_rendered_finer_where_that_is_asked_for(sphere: Run) -> None:
    cameras = analytic_views().cameras[:1]
    asked = PictureSize.of(sphere.model, cameras, 96, film=True)
    assert (asked.cameras.width, asked.width, asked.height) == (96, 96, 96)
    assert float(asked.cameras.focal[0, 0]) == pytest.approx(3 * float(cameras.focal[0, 0]))
    default = PictureSize.of(sphere.model, cameras, None, film=True)
    assert (default.cameras.width, default.width) == (32, 512)
    still = PictureSize.of(sphere.model, cameras, None, film=False)
    assert (still.cameras.width, still.width) == (32, 32)
    # Smaller pictures are averages of what is rendered, not of fewer rays.
    small = PictureSize.of(sphere.model, cameras, 16, film=False)
    assert (small.cameras.width, small.width) == (32, 16)


def test_the_shape_stays_and_the_longer_side_counts(sphere: Run, tmp_path: Path) -> None:
    wide = replace(analytic_views().cameras[:1], width=40, height=20)
    size = PictureSize.of(sphere.model, wide, 100, film=False)
    assert (size.width, size.height) == (100, 50)
    assert size.fitted(np.zeros((20, 40, 3), np.uint8)).shape == (50, 100, 3)
    out = write_pictures(sphere, NamedViews(wide, ("a.png",)), out=tmp_path / "film.gif", size=80)
    assert out.read_bytes()[6:10] == (80).to_bytes(2, "little") + (40).to_bytes(2, "little")


@pytest.mark.parametrize("size", [0, 15, 9000])
def test_sizes_without_sense_are_named(sphere: Run, size: int) -> None:
    with pytest.raises(ArgumentError, match=f"size: is {size}; expected 16 to 8192"):
        PictureSize.of(sphere.model, analytic_views().cameras, size, film=True)
