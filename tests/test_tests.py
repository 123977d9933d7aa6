"""The tests mirror the package: whoever knows a module knows where its tests are."""

from pathlib import Path

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "src" / "latentfields"

CROSS_CUTTING = {
    "bench/test_stored_tables.py": "tables from the stored cells of every benchmark",
    "cli/test_user_commands.py": "processes, as a user starts them",
    "docs/test_claims.py": "scores that documents state",
    "docs/test_documents.py": "what documents claim",
    "docs/test_pages.py": "what documents show is run",
    "examples/test_minimal.py": "an example, not of the package",
    "examples/test_own_parts.py": "examples, not of the package",
    "examples/test_train_on_ray.py": "an example, not of the package",
    "fields/test_every_representation.py": "what every field has to do",
    "fuzz/test_short_run.py": "damaged files of every kind",
    "fused_planes/test_two_processes.py": "torchrun, through the whole training",
    "igae/test_two_processes.py": "torchrun, through the whole training",
    "integrations/nerfstudio/test_documented_method.py": "a page's example, in Nerfstudio",
    "integrations/nerfstudio/test_latent_training.py": "Nerfstudio's trainer, through both stages",
    "kill/test_kill_and_resume.py": "processes that are killed",
    "latent_nerf/test_every_field.py": "every field, through a whole fit",
    "latent_nerf/test_ignored_pixels.py": "what masks ignore, through whole fits",
    "latent_nerf/test_precision.py": "the decoder in bfloat16, through a whole fit",
    "latent_nerf/test_resume.py": "every kind of fit dies and goes on",
    "latent_nerf/test_unbounded.py": "every field in a scene without bounds, through a whole fit",
    "priors/test_two_processes.py": "torchrun, through the whole training",
    "rendering/kernels/test_compilation.py": "all kernels, for GPUs that are not there",
    "scenes/test_bad_scenes.py": "whatever is wrong with any format",
    "scenes/test_every_layout.py": "every layout of scenes, by every command",
    "test_first_script.py": "what a newcomer writes in Python",
    "test_golden_presets.py": "presets of every training and scales of every study",
    "test_gpu_benchmark.py": "a benchmark, not of the package",
    "test_package.py": "the package as a whole",
    "test_packaged_weights.py": "the promises of model cards",
    "test_room_benchmark.py": "a benchmark, not of the package",
    "test_simulated_device.py": "every training on a device that is not there",
    "test_stored_files.py": "what the first version wrote still loads",
    "test_tests.py": "these tests",
    "test_vae_benchmark.py": "a benchmark, not of the package",
    "training/test_divergence.py": "every training that diverges",
    "viewer/test_browser.py": "the viewer in a real browser",
}
"""Tests of no module of their own, and what they are about."""


def has_module(test: Path) -> bool:
    place = PACKAGE / test.relative_to(TESTS).with_name(test.stem.removeprefix("test_"))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_every_file_is_at_the_place_of_its_module() -> None:
    homeless = {
        test.relative_to(TESTS).as_posix() for test in TESTS.rglob("test_*.py") if not has_module(test)
    }
    assert homeless == set(CROSS_CUTTING)
