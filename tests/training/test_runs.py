import json
from pathlib import Path
from typing import Any

import pytest

from latentfields.errors import InputError
from latentfields.training.runs import CONFIG_FILE, claim_run

CONFIG: dict[str, Any] = {"scene": "chair", "fit": {"steps": 10, "rates": (0.1, 0.2)}}


def test_a_new_folder_is_claimed_and_claimed_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "chair"
    claim_run(folder, CONFIG)
    assert json.loads((folder / CONFIG_FILE).read_text()) == {
        "scene": "chair",
        "fit": {"steps": 10, "rates": [0.1, 0.2]},
    }
    (folder / "log.jsonl").write_text("")
    claim_run(folder, CONFIG)


def test_an_empty_folder_can_be_claimed(tmp_path: Path) -> None:
    claim_run(tmp_path, CONFIG)
    assert (tmp_path / CONFIG_FILE).is_file()


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        ({**CONFIG, "scene": "table"}, "scene: 'chair' there, 'table' now"),
        ({**CONFIG, "fit": {"steps": 11, "rates": [0.1, 0.2]}}, "fit.steps: 10 there, 11 now"),
        (
            {**CONFIG, "fit": {"steps": 10, "rates": [0.1]}},
            r"fit.rates: \[0.1, 0.2\] there, \[0.1\] now",
        ),
        ({**CONFIG, "seed": 1}, "seed: None there, 1 now"),
        ({"scene": "chair"}, "fit: .* there, None now"),
        ({**CONFIG, "fit": None}, "fit: .* there, None now"),
    ],
)
def test_other_settings_need_another_folder(tmp_path: Path, config: dict[str, Any], difference: str) -> None:
    claim_run(tmp_path / "run", CONFIG)
    before = (tmp_path / "run" / CONFIG_FILE).read_bytes()
    with pytest.raises(InputError, match=rf"run: holds a run with other settings \({difference}\)") as caught:
        claim_run(tmp_path / "run", config)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / CONFIG_FILE).read_bytes() == before


def test_folders_with_something_else_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("x")
    with pytest.raises(InputError, match="exists and is not a run"):
        claim_run(tmp_path, CONFIG)
    with pytest.raises(InputError, match="exists and is not a run"):
        claim_run(tmp_path / "photo.png", CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_damaged_configuration_is_reported(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("{")
    with pytest.raises(InputError, match=r"config\.json: malformed JSON"):
        claim_run(tmp_path, CONFIG)
