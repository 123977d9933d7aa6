"""The camera path of films."""

import torch

from helpers.tiny import sphere_cameras
from latentfields.cameras import Cameras, look_at
from latentfields.latent_nerf.render import ORBIT_DISTANCE, orbit
from latentfields.scenes.selection import evenly_spread


def looks_at_origin(cameras: Cameras) -> bool:
    towards = -torch.nn.functional.normalize(cameras.centers, dim=-1)
    return torch.allclose(cameras.forward, towards, atol=1e-5)


def test_around_an_object_the_orbit_is_a_circle_above_it() -> None:
    around = sphere_cameras(40)
    path = orbit(around, frames=12)
    assert len(path) == 12
    assert looks_at_origin(path)
    distance = path.centers.norm(dim=-1)
    torch.testing.assert_close(distance, torch.full((12,), 3.0 * ORBIT_DISTANCE), atol=1e-3, rtol=0)
    assert (path.centers[:, 2] > 0.3).all()
    # Opposite frames stand on opposite sides.
    assert (path.centers[0, :2] + path.centers[6, :2]).norm() < 0.3


def test_in_front_of_a_scene_the_path_stays_among_the_cameras() -> None:
    eye = torch.tensor([[x, y, 4.0] for x in (-0.5, 0.0, 0.5) for y in (-0.3, 0.0, 0.3)])
    pose = look_at(eye, torch.zeros(3), torch.tensor([0.0, 1.0, 0.0]))
    front = Cameras(pose, torch.full((9, 2), 40.0), torch.full((9, 2), 16.0), 32, 32)
    path = orbit(front, frames=8)
    assert looks_at_origin(path)
    assert (path.centers - eye.mean(0)).norm(dim=-1).max() < 0.7
    assert path.centers.std(0).max() > 0.1


def test_views_are_spread_evenly() -> None:
    assert evenly_spread(torch.arange(10), 4).tolist() == [0, 3, 6, 9]
    assert evenly_spread(torch.arange(3), 4).tolist() == [0, 1, 2]
