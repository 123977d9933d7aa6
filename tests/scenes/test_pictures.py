from dataclasses import replace

import pytest
import torch

from latentfields.scenes.scene import Scene


@pytest.mark.parametrize("opaque", [True, False])
def test_pixels_are_those_of_the_images(scene: Scene, opaque: bool) -> None:
    seen = replace(scene, alpha=None if opaque else scene.alpha, background=(0.2, 0.5, 0.9))
    assert opaque or seen.alpha is not None
    views = torch.tensor([3, 1, 2])
    pictures, images = seen.pictures(views), seen.images(views)
    picture, row, column = (torch.randint(n, (200,)) for n in (3, *seen.size))
    assert torch.equal(pictures.colors(picture, row, column), images[picture, :, row, column])
    assert torch.equal(pictures.images(torch.tensor([2, 0])), images[[2, 0]])
    assert [len(batch) for batch in pictures.batches(2)] == [2, 1]
    assert torch.equal(torch.cat(list(pictures.batches(2))), images)


def test_pictures_are_bytes_of_the_scene_itself(scene: Scene) -> None:
    pictures = scene.pictures(scene.indices("train"))
    assert pictures.pixels.dtype == torch.uint8
    assert pictures.pixels.data_ptr() == scene.pixels.data_ptr()
    assert pictures.to(torch.device("cpu")) is pictures


def test_other_devices_get_what_they_need_alone(scene: Scene) -> None:
    pictures = scene.pictures(torch.tensor([5, 2])).to(torch.device("meta"))
    assert len(pictures.pixels) == len(pictures) == 2
    assert pictures.views.device.type == pictures.background.device.type == "meta"
