import numpy as np
import pytest
from numpy.typing import NDArray

from latentfields.errors import InputError
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.meshes import Material, Mesh
from latentfields.scenes.objects.object_scenes import framed, object_cameras
from latentfields.scenes.objects.rendering import MeshRenderer
from latentfields.scenes.procedural import EVALUATION_FAMILIES, FAMILIES, TRAIN_FAMILIES, generate_object
from latentfields.scenes.procedural.curves import smooth_curve
from latentfields.scenes.procedural.palettes import oklch
from latentfields.scenes.procedural.shapes import ellipsoid, lathe, rounded_box, sweep

OPTIONS = RenderConfig(views=2, size=64)
WHITE = Material()


def rendered(mesh: Mesh, seed: int = 0) -> NDArray[np.uint8]:
    cameras = object_cameras(OPTIONS, seed=seed)
    return np.stack(
        [view.rgba for view in MeshRenderer(framed(mesh, options=OPTIONS)).render(cameras, samples=1)]
    )


def volume(mesh: Mesh) -> float:
    """Signed volume; the sign depends on the winding."""
    corner = mesh.vertices[mesh.faces].astype(np.float64)
    return float(np.einsum("fc,fc->f", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum()) / 6


def test_families_are_split() -> None:
    assert set(TRAIN_FAMILIES) | set(EVALUATION_FAMILIES) == set(FAMILIES)
    assert not set(TRAIN_FAMILIES) & set(EVALUATION_FAMILIES)
    assert set(EVALUATION_FAMILIES) == {"vases", "hats", "bags"}
    assert len(FAMILIES) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_objects_are_repeatable_colourful_and_all_different(family: str) -> None:
    meshes = [generate_object(family, seed) for seed in (0, 0, 1, 2)]
    first, again, *others = [rendered(mesh) for mesh in meshes]
    assert first.tobytes() == again.tobytes()
    for other in others:
        assert np.abs(first.astype(int) - other.astype(int)).mean() > 3
    for mesh, views in zip(meshes[1:], (first, *others), strict=True):
        assert len(mesh.faces) <= 40_000
        assert np.isfinite(mesh.vertices).all()
        for view in views:
            seen = view[view[..., 3] == 255][:, :3]
            assert len(seen) > 0.04 * view[..., 3].size
            # More than shading of one colour: some channel varies, and not in proportion to the others.
            assert seen.std(axis=0).max() > 12


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vases", "hats", "bags"])
def test_many_seeds_work(family: str) -> None:
    sizes = {len(generate_object(family, seed).faces) for seed in range(100, 115)}
    assert len(sizes) > 3


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match=r"sofas: unknown family .* expected one of animals, bags"):
        generate_object("sofas", 0)
    with pytest.raises(InputError, match="seed: is -1; expected at least 0"):
        generate_object("vases", -1)


def test_shapes_enclose_their_volume() -> None:
    tube = sweep(np.linspace([0, 0, 0], [0, 0, 4], 5), 0.5, material=WHITE, segments=96)
    # A cylinder and two caps, half ellipsoids of height 0.8 r.
    expected = np.pi * 0.25 * 4 + 4 / 3 * np.pi * 0.25 * 0.4
    assert abs(volume(tube)) == pytest.approx(expected, rel=0.03)
    assert abs(volume(ellipsoid((1, 2, 3), material=WHITE, segments=96))) == pytest.approx(
        8 * np.pi, rel=0.01
    )
    cone = lathe([[0, 0], [1, 0], [1, 0], [0, 2]], material=WHITE, segments=128)
    assert abs(volume(cone)) == pytest.approx(2 / 3 * np.pi, rel=0.01)


def test_smooth_normals_of_a_sphere_point_outwards() -> None:
    ball = ellipsoid((1, 1, 1), material=WHITE, segments=96)
    agreement = np.abs((ball.normals * ball.vertices).sum(axis=1))
    assert agreement.min() > 0.99


def test_rounded_box_keeps_its_size_and_shows_the_texture_on_every_side() -> None:
    box = rounded_box((1.0, 2.0, 3.0), radius=0.2, material=WHITE)
    np.testing.assert_allclose(np.abs(box.vertices).max(axis=0), [0.5, 1.0, 1.5], atol=1e-6)
    corner = np.abs(box.vertices).astype(np.float64) - [0.3, 0.8, 1.3]
    assert np.linalg.norm(np.clip(corner, 0, None), axis=1).max() == pytest.approx(0.2, abs=1e-6)
    assert box.uv.min() == pytest.approx(0, abs=1e-6)
    assert box.uv.max() == pytest.approx(1, abs=1e-6)


def test_splines_pass_through_their_control_points() -> None:
    control = np.array([[0.0, 1.0], [2.0, 0.0], [3.0, 5.0], [4.0, 4.0]])
    np.testing.assert_allclose(smooth_curve(control, 31)[::10], control, atol=1e-12)


def test_colours_are_shown_as_near_as_the_gamut_allows() -> None:
    np.testing.assert_allclose(oklch(1.0, 0.0, 0.0), [1, 1, 1], atol=1e-3)
    np.testing.assert_allclose(oklch(0.628, 0.2577, 29.23), [1, 0, 0], atol=0.02)
    for hue in range(0, 360, 30):
        color = oklch(0.7, 0.4, hue)
        assert 0 <= color.min() <= color.max() <= 1
