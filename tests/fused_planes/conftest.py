from pathlib import Path

import pytest

from helpers.autoencoders import small_autoencoder
from helpers.collections_data import COLLECTION
from helpers.igae_data import write_scenes
from latentfields.fused_planes.collection import Collection
from latentfields.fused_planes.fit import fit_collection


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four `scenes`, mug-0 to mug-3, and the autoencoder `base`."""
    folder = tmp_path_factory.mktemp("collections")
    write_scenes(folder / "scenes", count=4)
    small_autoencoder().save(folder / "base")
    return folder


def first_three(data: Path) -> list[Path]:
    return [data / "scenes" / f"mug-{number}" for number in range(3)]


@pytest.fixture(scope="session")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of three objects; not to be changed."""
    out = tmp_path_factory.mktemp("fitted") / "mugs"
    fit_collection(first_three(data), autoencoder=data / "base", out=out, training=COLLECTION, device="cpu")
    return out


@pytest.fixture
def collection(fitted: Path) -> Collection:
    return Collection.open(fitted, device="cpu")
