import inspect
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import latentfields
from latentfields.errors import InputError
from latentfields.process import tune_allocator


def test_every_public_name_is_there() -> None:
    for name in latentfields.__all__:
        assert getattr(latentfields, name) is not None
    assert latentfields.fit.__module__ == "latentfields.latent_nerf.fit"


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="module 'latentfields' has no attribute 'fitt'"):
        _ = latentfields.fitt


@pytest.mark.slow
def test_public_names_are_imported_when_they_are_used() -> None:
    program = (
        "import sys, latentfields\n"
        "assert 'torch' not in sys.modules\n"
        "latentfields.FitConfig()\n"
        "assert 'torch' not in sys.modules\n"
        "latentfields.Cameras\n"
        "assert 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_input_error_is_one_line_and_survives_a_process_boundary() -> None:
    error = InputError(Path("scene") / "transforms.json", "field 'fl_x' is 0; expected more")
    assert str(error) == f"{Path('scene/transforms.json')}: field 'fl_x' is 0; expected more"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert isinstance(again, InputError)
    assert (again.source, again.problem, str(again)) == (error.source, error.problem, str(error))


def test_memory_tuning_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")
    assert not tune_allocator()


TRAININGS = ("train_autoencoder", "finetune_3d", "finetune_encoder", "align_decoder", "fit", "correspond")
SCORES = ("evaluate_run", "score_autoencoder", "evaluate_autoencoder")
NAMED = {
    "scene",
    "scenes",
    "photos",
    "correspondences",
    "held_out",
    "codec_photos",
    "autoencoder",
    "name",
    "run",
}
"""Arguments that are folders, or names of autoencoders."""


@pytest.mark.parametrize("name", [*TRAININGS, *SCORES])
def test_what_is_computed_is_called_from_python_with_typed_arguments(name: str) -> None:
    assert name in latentfields.__all__
    signature = inspect.signature(getattr(latentfields, name), eval_str=True)
    empty = inspect.Parameter.empty
    assert signature.return_annotation is not empty
    for parameter in signature.parameters.values():
        assert parameter.annotation is not empty, parameter
        hint = typing.get_args(parameter.annotation) or (parameter.annotation,)
        if parameter.name in NAMED:
            if (name, parameter.name) == ("evaluate_run", "scene"):  # In memory; `scene_folder` names it.
                continue
            assert {str, Path} <= set(hint), parameter
        if parameter.name == "command":
            assert parameter.default is None
    if name in TRAININGS:
        assert {str, Path} <= set(typing.get_args(signature.parameters["out"].annotation))
