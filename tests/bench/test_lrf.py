"""Claims from results that were made up, and the whole study at its smallest scale, as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from PIL import Image

from helpers.tiny import write_sphere_scene
from latentfields import LrfStudyConfig
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.lrf import image_baseline, same_quality_bytes
from latentfields.bench.scales import Scale
from latentfields.bench.trainings import require_same_encoder
from latentfields.cli.main import main
from latentfields.errors import InputError
from latentfields.fields.config import GaussiansConfig
from latentfields.rendering.config import SplattingConfig

LRF = LrfStudyConfig()
IMAGE = ["image/8 upsampled", "image/8 enlarged"]


@pytest.fixture(scope="module")
def command(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All but the folder."""
    photos = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.linear_gradient("L").rotate(90 * number).convert("RGB").save(photos / f"{number}.png")
    options = [
        "--base",
        str(plain_folder),
        "--seeds",
        "1",
        "--field",
        "triplane",
        "--training-photos",
        str(photos),
    ]
    baselines = ["--baselines", "feature-3dgs", "mip-splatting"]
    return ["bench", "lrf", "--scale", "tiny", *options, *baselines, "--out"]


@pytest.fixture(scope="module")
def finished(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "lrf"
    main([*command, str(folder)])
    return folder


def test_every_method_is_measured_with_all_and_with_few_views(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results["autoencoders"]) == ["base", "encoder", "decoder", "both"]
    methods: dict[int | None, list[str]] = {views: [] for views in (None, 3)}
    for fit in results["fits"]:
        methods[fit["training_views"]] += fit["methods"]
        assert fit["bytes"] > 100_000
        assert min(fit["seconds"], fit["rendering_milliseconds"]) > 0
        assert all(8 < scores["psnr"] < 40 for scores in fit["methods"].values())
    assert methods[None] == ["base", "decoder", "encoder", "both", *IMAGE, "image/1", "feature-3dgs"]
    assert methods[3] == ["base", "decoder", "encoder", "both", *IMAGE, "feature-3dgs"]
    reconstruction = results["reconstruction"]
    assert all(25 < reconstruction[role][0]["psnr"] < 40 for role in results["autoencoders"])
    assert len(results["claims"]) == 11


def test_both_stages_are_trained_on_the_photographs(finished: Path, command: list[str]) -> None:
    photos = [command[command.index("--training-photos") + 1]]
    for folder in ("encoder/training", "decoder", "both"):
        assert json.loads((finished / "training" / folder / "config.json").read_text())["photos"] == photos


def test_stages_share_their_encoders(finished: Path, plain_folder: Path) -> None:
    autoencoders = json.loads((finished / "results.json").read_text())["autoencoders"]
    require_same_encoder("decoder", autoencoders["decoder"], str(plain_folder))
    require_same_encoder("both", autoencoders["both"], autoencoders["encoder"])
    with pytest.raises(InputError, match=r"both: '.*' has another encoder than '.*plain'"):
        require_same_encoder("both", autoencoders["both"], str(plain_folder))


@pytest.mark.parametrize("scale", get_args(Scale))
def test_gaussians_of_the_study_are_splatted_as_the_papers_are(scale: Scale) -> None:
    fit = LrfStudyConfig(scale=scale).fit(0)
    assert fit.sampling == SplattingConfig(blur=0.3)
    assert isinstance(fit.field, GaussiansConfig)
    assert fit.field.low_resolution_share == 0
    assert not isinstance(LrfStudyConfig(scale=scale, field="kplanes").fit(0).sampling, SplattingConfig)


def test_a_decoder_may_have_learned_with_more_blocks_than_the_encoder_knows(tmp_path: Path) -> None:
    plain, large = str(tmp_path / "plain"), str(tmp_path / "large")
    load_autoencoder("igae-f4").save(tmp_path / "plain")
    load_autoencoder("igae-f4").grown(blocks=(7,), name="large").save(tmp_path / "large")
    require_same_encoder("decoder", large, plain)
    with pytest.raises(InputError, match="has another encoder than 'igae-f4'"):
        require_same_encoder("decoder", "base-f4", "igae-f4")
    with pytest.raises(InputError, match="has another encoder than 'base'"):
        require_same_encoder("decoder", "base-f2", "base")


def test_the_page_shows_every_method(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image") == 1 + 8 + 1 + 7
    assert "both (LRF)" in page
    assert "colours and latents (Feature-3DGS-like)" in page
    assert not list((finished / "fits").glob("*"))


def test_run_again_it_reads_its_cells(
    finished: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "results.json").read_bytes()
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    main([*command, str(finished)])
    assert (finished / "results.json").read_bytes() == before
    assert "| both (LRF) |" in capsys.readouterr().out


@pytest.fixture
def problem(command: list[str], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says of unusable arguments."""

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main([*command, *arguments])
        assert stop.value.code == 2
        return capsys.readouterr().err

    return said


def test_bad_input_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path,
    finished: Path,
    scene_folder: Path,
    autoencoder_folder: Path,
    plain_folder: Path,
    problem: Callable[..., str],
) -> None:
    out = str(tmp_path / "bench")
    encoder = str(finished / "training" / "encoder" / "training" / "autoencoder")
    single = write_sphere_scene(tmp_path / "single", views=4)
    (single / "transforms_test.json").unlink()
    assert problem(out, "--seeds", "0") == "error: --seeds: is 0; expected 1 to 1000\n"
    assert "images of 32x32; expected 128 or more" in problem(out, "--scenes", str(scene_folder))
    assert "single" in problem(out, "--scenes", str(single))
    assert "no scenes here" in problem(out, "--scenes", str(tmp_path / "nowhere"))
    assert "no scenes here" in problem(out, "--training-scenes", str(tmp_path / "nowhere"))
    assert "nowhere: no photographs here" in problem(out, "--training-photos", str(tmp_path / "nowhere"))
    both = ("--scenes", str(scene_folder), "--training-scenes", str(scene_folder))
    assert "is among --training-scenes" in problem(out, *both)
    assert "given without --encoder" in problem(out, "--both", encoder)
    assert f"has another encoder than '{plain_folder}'" in problem(out, "--decoder", encoder)
    assert "have factors [4, 8]" in problem(out, "--encoder", str(autoencoder_folder))
    assert not Path(out).exists()


def test_other_settings_need_another_folder(finished: Path, problem: Callable[..., str]) -> None:
    message = problem(str(finished), "--field", "kplanes")
    assert "holds a run with other settings (field: 'triplane' there, 'kplanes' now)" in message


PSNR = {"base": 20.6, "encoder": 21.2, "decoder": 21.7, "both": 22.4}
GMSD = {"base": 0.30, "encoder": 0.28, "decoder": 0.27, "both": 0.25}
FEW_PSNR = {"base": 13.1, "encoder": 13.5, "decoder": 14.0, "both": 15.5}
LOW = {"psnr": 21.8, "ms_gmsd": 0.33, "few": 13.7}
RECONSTRUCTION = {"base": 24.6, "encoder": 24.5, "decoder": 24.6, "both": 24.4}
SIZES = {"ours": 1e6, "image/1": 20e6, "image/2": 12e6}
SEEDS = (0, 1)


def scores(psnr: float, ms_gmsd: float, seed: int) -> dict[str, float]:
    return {"psnr": psnr + 0.5 * seed, "ssim": 0.7, "ms_gmsd": ms_gmsd}


def fit(seed: int, views: int | None, methods: dict[str, Any], *, size: int, **labels: Any) -> dict[str, Any]:
    return {
        "scene": "vases",
        "seed": seed,
        "training_views": views,
        "methods": methods,
        "bytes": size,
        "seconds": 9.0,
        "memory": None,
        "rendering_milliseconds": 4.0,
        **labels,
    }


def fits(values: dict[str, dict[str, float]], views: int | None) -> list[dict[str, Any]]:
    psnr = values["psnr"] if views is None else values["few_psnr"]
    found = []
    for seed in SEEDS:
        for encoder, roles in (("base", ("base", "decoder")), ("encoder", ("encoder", "both"))):
            methods = {role: scores(psnr[role], values["ms_gmsd"][role], seed) for role in roles}
            size = int(values["sizes"]["ours"])
            found.append(fit(seed, views, methods, size=size, encoder=encoder, decoding_milliseconds=3.0))
        image = values["image"]
        low = scores(image["psnr"] if views is None else image["few"], image["ms_gmsd"], seed)
        methods = {"image/8 upsampled": low, "image/8 enlarged": scores(14.0, 0.4, seed)}
        found.append(fit(seed, views, methods, size=5_000_000, divisor=8))
        if views is None:
            for divisor, quality in ((2, 22.3), (1, 26.2)):
                name = f"image/{divisor}"
                size = int(values["sizes"][name])
                found.append(fit(seed, views, {name: scores(quality, 0.2, seed)}, size=size, divisor=divisor))
    return found


def results(**changes: dict[str, float]) -> dict[str, Any]:
    """What the benchmark would measure if everything were about as in the paper, but for the changes."""
    defaults: dict[str, dict[str, float]] = {
        "psnr": PSNR,
        "ms_gmsd": GMSD,
        "few_psnr": FEW_PSNR,
        "image": LOW,
        "sizes": SIZES,
        "reconstruction": RECONSTRUCTION,
    }
    values = {name: default | changes.get(name, {}) for name, default in defaults.items()}
    return {
        "field": "gaussians",
        "factor": 8,
        "autoencoders": {role: role for role in PSNR},
        "notes": [],
        "fits": [*fits(values, None), *fits(values, 3)],
        "reconstruction": {
            role: [{"scene": "vases", "psnr": psnr, "ssim": 0.9, "ms_gmsd": 0.03}]
            for role, psnr in values["reconstruction"].items()
        },
    }


def failing(**changes: dict[str, float]) -> list[int]:
    return [
        number for number, claim in enumerate(LRF.claims(LRF.rows(results(**changes)))) if not claim.holds
    ]


def test_everything_holds_when_the_numbers_are_the_papers() -> None:
    assert failing() == []
    measured = {
        claim.statement: (claim.measured, claim.required) for claim in LRF.claims(LRF.rows(results()))
    }
    assert measured["Both together help most (against the better one alone)"] == ("+0.70 ± 0.00 dB", "> 0 dB")
    assert measured["Reconstruction is kept (test views, against the plain VAE)"] == (
        "-0.20 dB",
        ">= -0.30 dB",
    )
    assert measured["A scene is small (share of an image-space field of the same PSNR)"][0] == "0.05 ± 0.00"


@pytest.mark.parametrize(
    ("changes", "fails"),
    [
        ({"psnr": {"encoder": 20.5}}, [0]),
        ({"psnr": {"decoder": 20.5}}, [1]),
        ({"psnr": {"decoder": 22.5}}, [2]),
        ({"psnr": {"base": 22.45, "encoder": 22.5, "decoder": 22.5}}, [2, 3]),
        ({"image": {"psnr": 22.6}}, [4, 10]),
        ({"ms_gmsd": {"base": 0.24}}, [5]),
        ({"image": {"ms_gmsd": 0.2}}, [6]),
        ({"few_psnr": {"base": 15.6}}, [7]),
        ({"image": {"few": 15.6}}, [8]),
        ({"reconstruction": {"both": 24.29}}, [9]),
        ({"sizes": {"ours": 2_100_000}}, [10]),
    ],
)
def test_each_claim_fails_by_its_own_number(changes: dict[str, dict[str, float]], fails: list[int]) -> None:
    assert failing(**changes) == fails


def baseline(measure: str, *, kind: str = "all views", **changes: dict[str, float]) -> list[float]:
    return image_baseline(LRF.rows(results(**changes))[kind], measure)


def test_the_better_way_to_enlarge_is_the_baseline() -> None:
    assert baseline("psnr") == [21.8, 22.3]
    assert baseline("psnr", image={"psnr": 13.0}) == [14.0, 14.5]
    assert baseline("ms_gmsd") == [0.33, 0.33]
    assert baseline("psnr", kind="few views") == [14.0, 14.5]


def test_storage_is_compared_with_the_smallest_field_as_good() -> None:
    def pairs(**changes: dict[str, float]) -> list[tuple[float, float]]:
        return same_quality_bytes(LRF.rows(results(**changes))["costs"])

    assert pairs() == [(1_000_000, 20_000_000)] * 2
    assert pairs(psnr={"both": 22.3}) == [(1_000_000, 12_000_000)] * 2
    assert pairs(psnr={"both": 21.8}) == [(1_000_000, 5_000_000)] * 2
    assert pairs(psnr={"both": 40.0}) == [(1_000_000, 20_000_000)] * 2


def test_table_1s_other_baselines_are_rows_and_enter_no_claim() -> None:
    """Better than everything, they would turn claims if they counted as images of the latents' resolution."""
    measured, more = results(), []
    for seed in SEEDS:
        filtered = {"Mip-Splatting/8 enlarged": scores(30.0, 0.01, seed)}
        both = {"feature-3dgs": scores(29.0, 0.01, seed)}
        for views in (None, 3):
            more.append(fit(seed, views, filtered, size=10, divisor=8, baseline="mip-splatting"))
            more.append(fit(seed, views, both, size=10, encoder="base", baseline="feature-3dgs"))
    rows = LRF.rows({**measured, "fits": [*measured["fits"], *more]})
    assert LRF.claims(rows) == LRF.claims(LRF.rows(measured))
    named = {table.title: table for table in LRF.all_tables(rows)}
    novel = {row[0]: row[1] for row in named["Decoded novel views"].rows}
    assert novel["colours and latents (Feature-3DGS-like)"].startswith("29.25")
    assert novel["Mip-Splatting/8 enlarged"].startswith("30.25")
    costs = [row[0] for row in named["What a scene costs"].rows]
    assert "image/8, filtered" in costs
    assert "colours and latents of plain VAE" in costs


def test_gaussians_alone_are_filtered() -> None:
    def baselines(**options: Any) -> dict[str, Any]:
        study = LrfStudyConfig(**{"baselines": ("feature-3dgs", "mip-splatting"), **options})
        found = study.comparisons(0, 3, 8, dict.fromkeys(study.roles, "base"))
        return {name: options for name, (labels, options) in found.items() if "baseline" in labels}

    gaussians = baselines()
    assert list(gaussians) == ["colors-and-latents", "filtered-8"]
    assert {work["config"].sampling.kind for work in gaussians.values()} == {"mip-splatting"}
    both = gaussians["colors-and-latents"]["config"]
    assert (both.space, both.geometry_from_latents, both.statistics) == ("both", 1.0, "scene")
    assert gaussians["filtered-8"]["divisor"] == 8
    assert list(baselines(field="kplanes")) == ["colors-and-latents"]
    assert list(baselines(baselines=("mip-splatting",))) == ["filtered-8"]


def test_tables_have_a_row_for_every_method() -> None:
    tables = LRF.all_tables(LRF.rows(results()))
    named = {table.title: table for table in tables}
    novel = named["Decoded novel views"]
    assert novel.columns == ("method", "PSNR, dB", "SSIM", "MS-GMSD")
    assert [row[0] for row in novel.rows] == [
        "image/8 upsampled",
        "image/8 enlarged",
        "image/2",
        "image/1",
        "plain VAE",
        "encoder only (stage I)",
        "decoder only (stage III)",
        "both (LRF)",
    ]
    assert novel.rows[-1][1:] == ("22.65 ± 0.35", "0.700 ± 0.000", "0.2500 ± 0.0000")
    assert len(named["Decoded novel views of fits to 3 views"].rows) == 6
    assert named["Test views through the autoencoder alone"].rows[-1][1] == "24.40"
    costs = named["What a scene costs"]
    assert costs.rows[0] == ("latents of plain VAE", "9.0", "-", "1.00", "4.0", "3.0")
    assert costs.rows[-1] == ("image/1", "9.0", "-", "20.00", "4.0", "-")
