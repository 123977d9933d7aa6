import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from latentfields.scenes.objects.textures import REPEATED, TextureAtlas, linear_to_srgb, srgb_to_linear


def texture_of(*rows: list[int]) -> NDArray[np.uint8]:
    rgb = np.array(rows, np.uint8)
    return np.concatenate(
        [np.repeat(rgb[..., None], 3, axis=2), np.full((*rgb.shape, 1), 255, np.uint8)], axis=2
    )


def sample(
    textures: list[NDArray[np.uint8]], index: int, uv: list[list[float]], level: float
) -> NDArray[np.float32]:
    count = len(uv)
    return TextureAtlas(textures, [REPEATED] * len(textures)).sample(
        np.full(count, index, np.int32), np.asarray(uv, np.float32), np.full(count, level, np.float32)
    )


def test_every_byte_survives_the_trip_through_linear_light() -> None:
    bytes_in = np.arange(256)
    np.testing.assert_array_equal(np.rint(linear_to_srgb(srgb_to_linear(bytes_in / 255)) * 255), bytes_in)


def test_texel_centres_are_exact_and_rows_run_downwards() -> None:
    texture = texture_of([0, 50], [100, 255])
    uv = [[0.25, 0.75], [0.75, 0.75], [0.25, 0.25], [0.75, 0.25]]
    expected = srgb_to_linear(np.array([0, 50, 100, 255]) / 255)
    np.testing.assert_allclose(sample([texture], 0, uv, 0)[:, 0], expected, atol=1e-6)


def test_between_centres_linear_light_is_interpolated_and_the_texture_repeats() -> None:
    texture = texture_of([0, 255])
    values = sample([texture], 0, [[0.5, 0.5], [0.4, 0.5], [0.0, 0.5], [1.0, 0.5], [-7.6, 3.5]], 0)[:, 0]
    np.testing.assert_allclose(values, [0.5, 0.3, 0.5, 0.5, 0.3], atol=1e-5)


def test_the_coarsest_level_is_the_mean_light() -> None:
    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (16, 8, 4)).astype(np.uint8)
    mean = sample([texture], 0, [[0.3, 0.6]], 99)[0]
    expected = srgb_to_linear(texture[..., :3] / 255).mean(axis=(0, 1))
    np.testing.assert_allclose(mean[:3], expected, atol=0.01)
    np.testing.assert_allclose(mean[3], texture[..., 3].mean() / 255, atol=0.01)


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    st.floats(-2, 9, allow_nan=False),
    st.floats(-3, 3, width=32),
)
def test_textures_do_not_leak_into_each_other(sizes: list[tuple[int, int]], level: float, u: float) -> None:
    textures = [np.full((height, width, 4), 20 + 50 * k, np.uint8) for k, (height, width) in enumerate(sizes)]
    for index in range(len(textures)):
        found = sample(textures, index, [[u, -u]], level)[0]
        expected = srgb_to_linear(np.array([(20 + 50 * index) / 255]))[0]
        np.testing.assert_allclose(found[:3], expected, atol=2e-3)


def test_undefined_levels_mean_the_finest() -> None:
    texture = texture_of([0, 255], [255, 0])
    for level in (np.nan, -np.inf):
        assert sample([texture], 0, [[0.75, 0.75]], level)[0, 0] == 1
