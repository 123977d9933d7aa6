"""`latentfields bench autoencoders` at its smallest scale, and the autoencoders that it trains."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latentfields.bench.autoencoders import ARCHITECTURES
from latentfields.cli.main import main

COMMAND = [
    "bench",
    "autoencoders",
    "--scale",
    "tiny",
    "--seeds",
    "1",
    "--fields",
    "triplane",
    "--families",
    "vases",
]


def test_the_factors_keep_equally_many_values() -> None:
    assert [config.factor for config in ARCHITECTURES.values()] == [4, 8, 16]
    for config in ARCHITECTURES.values():
        config.check()
        assert 3 * config.factor**2 == 12 * config.channels


@pytest.mark.slow
def test_three_factors_are_trained_and_fitted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    thin = {
        name: replace(kind, widths=(16,) * len(kind.widths), blocks=(1,) * len(kind.blocks))
        for name, kind in ARCHITECTURES.items()
    }
    monkeypatch.setattr("latentfields.bench.autoencoders.ARCHITECTURES", thin)
    out = tmp_path / "out"
    main([*COMMAND, "--out", str(out)])
    assert len(capsys.readouterr().out.split("\n\n")[1].splitlines()) == 2 + 3
    main([*COMMAND, "--out", str(out), "--json"])
    fits = json.loads(capsys.readouterr().out)
    found = [(fit["space"], fit["factor"], fit["channels"]) for fit in fits]
    assert found == [("f4", 4, 4), ("f8", 8, 16), ("f16", 16, 64)]
    for fit in fits:
        assert fit["autoencoder_psnr"] > fit["psnr"] > 8
    assert (out / "autoencoders.html").is_file()


@pytest.mark.slow
def test_named_autoencoders_are_compared_without_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*COMMAND, "--out", str(tmp_path / "out"), "--spaces", "base"])
    assert "| triplane | base | 8 | 16 |" in capsys.readouterr().out
    assert not (tmp_path / "out" / "autoencoders").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--spaces", "base", "rgb"], "--spaces: has rgb, which is no autoencoder"),
        (["--scale", "small"], "--spaces: name autoencoders, or give --training-scenes and"),
        (["--spaces", "igea"], "igea: no such autoencoder"),
        (["--families", "hat"], "--families: names hat"),
        (["--training-scenes", "nosuch", "--training-photos", "nosuch"], "nosuch: no photographs here"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*COMMAND, "--out", str(tmp_path / "out"), *options])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()
