"""The analytic run, only read by the tests."""

import pytest

from helpers.analytic_run import analytic_run
from latentfields.latent_nerf.run import Run


@pytest.fixture(scope="session")
def sphere_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return analytic_run(tmp_path_factory.mktemp("analytic"))
