from pathlib import Path

import pytest

from helpers.autoencoders import small_autoencoder
from helpers.igae_data import write_scenes
from helpers.photo_files import write_photos
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.make import correspond


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `scenes`, `correspondences` of another, `photos` and the autoencoder `base`."""
    folder = tmp_path_factory.mktemp("igae")
    write_scenes(folder / "scenes")
    write_scenes(folder / "seen-often", count=1, views=24)
    few = CorrespondenceConfig(min_points=3)
    correspond([folder / "seen-often"], out=folder / "correspondences", options=few)
    write_photos(folder / "photos")
    small_autoencoder().save(folder / "base")
    return folder


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what is prepared of the data is kept, as `cache_scenes` and `cache_photos` find it again."""
    return tmp_path_factory.mktemp("igae-cache")
