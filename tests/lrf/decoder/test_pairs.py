"""Latent-image pairs: which views are training and which novel, and crops that show the same part of both."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers.tiny import TINY_FIT
from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.errors import InputError
from latentfields.lrf.decoder.pairs import Pairs, fit_latent_field, novel_views, write_pairs
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors, save_tensors

FACTOR = 4


def numbered_views(path: Path, *, scene: int, views: int, novel: int, height: int, width: int) -> Path:
    """Pairs whose latents and pixels say where they are: scene, view, row and column of their latent."""
    place = torch.meshgrid(torch.arange(views), torch.arange(height), torch.arange(width), indexing="ij")
    latents = torch.stack([place[0] + 10 * scene, place[1], place[2]], dim=1)
    pixels = latents.repeat_interleave(FACTOR, dim=2).repeat_interleave(FACTOR, dim=3)
    tensors = {
        "rendered": latents.half(),
        "encoded": latents.half() + 0.5,
        "images": pixels.to(torch.uint8),
        "novel": torch.arange(views) >= views - novel,
    }
    save_tensors(path, tensors, {})
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    first = numbered_views(tmp_path / "a.safetensors", scene=0, views=5, novel=2, height=6, width=9)
    second = numbered_views(tmp_path / "b.safetensors", scene=1, views=4, novel=1, height=7, width=5)
    return Pairs([first, second], factor=FACTOR, crop=16)


def test_views_are_told_apart(pairs: Pairs) -> None:
    assert pairs.training == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert pairs.novel == [(0, 3), (0, 4), (1, 3)]


def test_crops_of_latents_and_images_show_the_same_part(pairs: Pairs) -> None:
    batch = pairs.batch(training=5, novel=7, generator=torch.Generator().manual_seed(0))
    assert batch.rendered.shape == (12, 3, 4, 4)
    assert batch.images.shape == (12, 3, 16, 16)
    grown = batch.rendered.repeat_interleave(FACTOR, dim=2).repeat_interleave(FACTOR, dim=3)
    torch.testing.assert_close(255 * batch.images, grown)
    torch.testing.assert_close(batch.encoded, batch.rendered + 0.5)


def test_batches_hold_training_views_first_and_reach_every_view_and_corner(pairs: Pairs) -> None:
    seen: dict[bool, set[tuple[int, int]]] = {True: set(), False: set()}
    corners = set()
    generator = torch.Generator().manual_seed(1)
    for _ in range(60):
        batch = pairs.batch(training=2, novel=3, generator=generator)
        for number, latent in enumerate(batch.rendered):
            scene, view = divmod(int(latent[0, 0, 0]), 10)
            seen[number < 2].add((scene, view))
            corners.add((scene, int(latent[1, 0, 0]), int(latent[2, 0, 0])))
    assert seen[True] == set(pairs.training)
    assert seen[False] == set(pairs.novel)
    assert {(0, 2, 5), (1, 3, 1), (0, 0, 0)} <= corners
    assert all(top <= (3 if scene else 2) for scene, top, _ in corners)


def test_crops_shrink_to_the_smallest_view(tmp_path: Path) -> None:
    path = numbered_views(tmp_path / "a.safetensors", scene=0, views=2, novel=1, height=6, width=3)
    assert Pairs([path], factor=FACTOR, crop=64).cells == 3


def test_whole_views_are_read_as_they_are(pairs: Pairs) -> None:
    (batch,) = pairs.whole([(1, 3)])
    assert batch.rendered.shape == (1, 3, 7, 5)
    assert float(batch.rendered[0, 0, 0, 0]) == 13
    assert batch.images.shape == (1, 3, 28, 20)


def test_novel_views_are_those_that_the_fit_does_not_see(scene: Scene) -> None:
    splits = {"train": torch.tensor([0, 4]), "val": torch.tensor([7]), "test": torch.tensor([2, 9])}
    assert novel_views(replace(scene, splits=splits)).tolist() == [7, 2, 9]
    with pytest.raises(InputError, match="no views in the splits val and test"):
        novel_views(replace(scene, splits={"train": torch.tensor([0, 4])}))


def test_pairs_are_what_the_field_renders(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    config = replace(TINY_FIT.with_steps(supervision=12, alignment=0), subpixels=1)
    run = fit_latent_field(scene, autoencoder, out=tmp_path / "fit", config=config, device="cpu")
    write_pairs(tmp_path / "pairs.safetensors", run, scene, autoencoder)
    tensors, _ = load_tensors(tmp_path / "pairs.safetensors")
    order = torch.cat([scene.indices("train"), scene.indices("test")])
    assert tensors["novel"].tolist() == [False] * 12 + [True] * 3
    for number in (0, 11, 14):
        index = order[number : number + 1]
        image = scene.images(index)
        decoded, _ = run.model.render(scene.cameras[index])
        rendered = tensors["rendered"][number : number + 1].float()
        torch.testing.assert_close(autoencoder.decode_batches(rendered), decoded, atol=4e-3, rtol=0)
        encoded = autoencoder.encode_batches(image)[0]
        torch.testing.assert_close(tensors["encoded"][number].float(), encoded, atol=4e-3, rtol=1e-3)
        torch.testing.assert_close(tensors["images"][number] / 255, image[0], atol=0.51 / 255, rtol=0)


def test_latents_decode_alike_in_either_unit(scene: Scene, autoencoder: Autoencoder) -> None:
    other = autoencoder.clone()
    other.set_statistics(
        LatentStatistics(tuple(0.1 * c for c in range(8)), tuple(0.5 + 0.1 * c for c in range(8)))
    )
    latents = torch.randn(2, 8, 3, 4, generator=torch.Generator().manual_seed(0))
    moved = other.normalized(autoencoder.raw(latents))
    assert (moved - latents).abs().max() > 0.1
    torch.testing.assert_close(other.decode(moved), autoencoder.decode(latents))


def test_fields_are_fitted_in_the_unit_of_their_scene(
    scene: Scene, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    far_off = autoencoder.clone()
    far_off.set_statistics(LatentStatistics((3.0,) * 8, (20.0,) * 8))
    config = replace(TINY_FIT.with_steps(supervision=1, alignment=0), subpixels=1)
    run = fit_latent_field(scene, far_off, out=tmp_path / "fit", config=config, device="cpu")
    assert run.model.autoencoder is not None
    latents = run.model.autoencoder.encode_batches(scene.images(scene.indices("train")))
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std(dim=(0, 2, 3)), torch.ones(8), atol=1e-3, rtol=0)
    assert far_off.statistics == LatentStatistics((3.0,) * 8, (20.0,) * 8)
