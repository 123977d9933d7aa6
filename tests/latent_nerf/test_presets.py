"""Presets are complete, reload from JSON, and say what Table 16 says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest
import torch

from latentfields import preset
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import (
    RECIPES,
    FieldName,
    GaussiansConfig,
    InstantNgpConfig,
    KPlanesConfig,
    TensorfConfig,
)
from latentfields.fields.densification import (
    DensificationName,
    GradientDensificationConfig,
    McmcDensificationConfig,
)
from latentfields.fields.registry import new_field
from latentfields.latent_nerf.config import FitConfig, Space, StageConfig
from latentfields.latent_nerf.optimizers import schedule_factor
from latentfields.latent_nerf.presets import PresetName
from latentfields.rendering.config import (
    GridSamplingConfig,
    MipSplattingConfig,
    ProposalSamplingConfig,
    SamplerName,
    SamplingConfig,
    SplattingConfig,
)

FIELDS = get_args(FieldName)
RAY_FIELDS = [name for name in FIELDS if name != "gaussians"]


@pytest.mark.parametrize("name", get_args(PresetName))
@pytest.mark.parametrize("field", FIELDS)
def test_presets_are_in_range_and_reload(field: FieldName, name: PresetName) -> None:
    config = preset(field, name)
    config.check()
    assert config.field.kind == field
    text = json.dumps(to_json(config))
    assert json.loads(text)["field"]["kind"] == field
    assert from_json(FitConfig, json.loads(text), source=Path("config.json")) == config


def test_presets_are_what_they_were() -> None:
    """By the lines of presets.json, which say preset, field, space and densification."""
    text = (Path(__file__).parents[1] / "stored" / "presets.json").read_text()
    stored: dict[str, Any] = json.loads(text)
    made = {
        "/".join((name, field, space, *([densification] if densification else []))): to_json(
            preset(field, name, space=space, densification=densification)
        )
        for name in get_args(PresetName)
        for field in FIELDS
        for space in get_args(Space)
        for densification in (None, *(get_args(DensificationName) if field == "gaussians" else ()))
    }
    assert made == stored


SOURCES = (
    "IG-AE",
    "LRF",
    "Nerfstudio 1.1.5",
    "kplanes_nerfstudio cc5867b",
    "latent-nerfstudio 8045112",
    "NeRF (Mildenhall et al. 2020)",
    "TensoRF (Chen et al. 2022)",
    "Instant-NGP (Mueller et al. 2022)",
    "3DGS (Kerbl et al. 2023)",
    "this package",
)


def flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The numbers and texts of a configuration by their paths."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        found |= flat(item, f"{prefix}{name}.") if isinstance(item, dict) else {prefix + name: item}
    return found


ALONE: tuple[Space, ...] = ("latent", "rgb")
"""Spaces of the papers; presets of `both` are made of theirs."""


def test_every_value_of_the_paper_has_a_source() -> None:
    """paper_sources.json: every value of every field, in RGB space those that are others, and where it is from."""
    text = (Path(__file__).parents[1] / "stored" / "paper_sources.json").read_text()
    stored: dict[str, dict[str, dict[str, Any]]] = json.loads(text)
    made = {}
    for field in FIELDS:
        latent, rgb = (flat(to_json(preset(field, "paper", space=space))) for space in ALONE)
        made[f"{field}/latent"] = latent
        made[f"{field}/rgb"] = {name: value for name, value in rgb.items() if value != latent[name]}
    values = {
        name: {path: entry["value"] for path, entry in entries.items()} for name, entries in stored.items()
    }
    assert values == made
    for entries in stored.values():
        for path, entry in entries.items():
            assert entry.keys() == {"value", "source"}, path
            assert entry["source"].startswith(SOURCES), (path, entry["source"])


def test_every_field_has_every_preset() -> None:
    assert set(RECIPES) == set(FIELDS)
    for field, recipes in RECIPES.items():
        assert set(recipes) == set(get_args(PresetName))
        assert {recipe.field.kind for recipe in recipes.values()} == {field}


def test_small_spaces_differ_in_the_space_and_at_most_in_regularisation() -> None:
    for field in FIELDS:
        latent, rgb = preset(field), preset(field, space="rgb")
        assert rgb.space == "rgb"
        assert replace(rgb, space="latent", field=latent.field) == latent
        differences = {k for k, value in vars(rgb.field).items() if value != getattr(latent.field, k)}
        assert differences == ({"tv_weight"} if field == "kplanes" else set())


@pytest.mark.parametrize("field", FIELDS)
def test_the_papers_fields_in_rgb_space_are_trained_as_their_authors_do(field: FieldName) -> None:
    latent, rgb = preset(field, "paper"), preset(field, "paper", space="rgb")
    # Table 16's factors make up for latents; there is no decoder to align.
    assert (rgb.supervision, rgb.alignment.steps) == (StageConfig(30_000, 1.0), 0)
    assert rgb.batch_rays == (1024 if field == "vanilla" else 4096)
    differences = {k for k, value in vars(rgb.field).items() if value != getattr(latent.field, k)}
    assert differences == ({"upsample_at"} if field == "tensorf" else set())
    assert (
        replace(
            rgb,
            space="latent",
            field=latent.field,
            supervision=latent.supervision,
            alignment=latent.alignment,
            batch_rays=latent.batch_rays,
        )
        == latent
    )


def test_the_papers_tensorf_is_upsampled_after_the_same_steps_in_both_spaces() -> None:
    for space in ALONE:
        config = preset("tensorf", "paper", space=space)
        assert isinstance(config.field, TensorfConfig)
        moments = [config.supervision.steps * share for share in config.field.upsample_at]
        assert moments == pytest.approx([2000, 3000, 4000, 5500, 7000])


@pytest.mark.parametrize(
    ("field", "peak", "end"),
    [
        ("vanilla", 5e-4, 1.0),
        ("instant-ngp", 1e-2, 0.01**0.15),
        ("tensorf", 2e-2, 0.1),
        ("kplanes", 1e-2, 0.05),
    ],
)
def test_the_papers_learning_rates_in_rgb_space(field: FieldName, peak: float, end: float) -> None:
    config = preset(field, "paper", space="rgb")
    assert not isinstance(config.field, GaussiansConfig)
    model = new_field(config.field, channels=3, head="sigmoid")
    factor = config.supervision.learning_rate_factor
    rates = [group["lr"] for group in model.parameter_groups(learning_rate_factor=factor)]
    assert max(cast(float, rate) for rate in rates) == peak
    steps = config.supervision.steps
    assert schedule_factor(config.field.optimizer, progress=1.0, steps=steps) == pytest.approx(end)


@pytest.mark.parametrize("sampler", [name for name in get_args(SamplerName) if "splatting" not in name])
def test_every_sampler_of_rays_can_be_chosen(sampler: SamplerName) -> None:
    config = preset("kplanes", "paper", sampler=sampler)
    assert config.sampling.kind == sampler
    assert replace(config, sampling=preset("kplanes", "paper").sampling) == preset("kplanes", "paper")


@pytest.mark.parametrize(
    ("field", "xi_supervision", "xi_alignment"),
    [("vanilla", 0.1, 1), ("instant-ngp", 0.001, 0.1), ("tensorf", 0.01, 0.1), ("kplanes", 0.1, 0.1)],
)
def test_table_16(field: FieldName, xi_supervision: float, xi_alignment: float) -> None:
    config = preset(field, "paper")
    assert (config.supervision.steps, config.alignment.steps) == (10_000, 15_000)
    assert config.supervision.learning_rate_factor == xi_supervision
    assert config.alignment.learning_rate_factor == xi_alignment
    assert (config.batch_images, config.decoder_learning_rate) == (4, 1e-4)
    assert config.decoder_final_learning_rate ** (1 / 15_000) == pytest.approx(0.9996)
    assert config.subpixels == 1
    assert config.alignment_objective == "rgb"
    assert preset(field).alignment_objective == "regularised"


@pytest.mark.parametrize("field", RAY_FIELDS)
def test_every_small_field_has_any_number_of_channels(field: FieldName) -> None:
    torch.manual_seed(0)
    points = 2 * torch.rand(7, 3) - 1
    directions = torch.nn.functional.normalize(torch.randn(7, 3), dim=-1)
    for channels in (1, 5):
        config = preset(field).field
        assert not isinstance(config, GaussiansConfig)
        model = new_field(config, channels=channels, head="linear")
        density, features = model(points, directions)
        assert (density.shape, features.shape) == ((7,), (7, channels))
        torch.testing.assert_close(model.density(points), density)


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"kind": "voxels"}, "field.kind"),
        ({"kind": None}, "field.kind"),
        ({"planes": 3}, "field.planes"),
        ({"resolution": "many"}, "field.resolution"),
    ],
)
def test_a_damaged_field_in_config_json_is_named(change: dict[str, Any], option: str) -> None:
    value = to_json(preset("kplanes"))
    value["field"] |= change
    with pytest.raises(InputError, match=f"config.json: .*'{option}'"):
        from_json(FitConfig, value, source=Path("config.json"))


@pytest.mark.parametrize("name", get_args(PresetName))
@pytest.mark.parametrize("densification", get_args(DensificationName))
def test_every_densification_can_be_chosen_for_gaussians(
    name: PresetName, densification: DensificationName
) -> None:
    config = preset("gaussians", name, densification=densification)
    config.check()
    assert isinstance(config.field, GaussiansConfig)
    assert config.field.densification.kind == densification
    assert from_json(FitConfig, to_json(config), source=Path("config.json")) == config


def test_gaussians_are_filtered_where_they_are_seen_at_two_resolutions() -> None:
    """The variances of both filters add up to that of 3DGS, as in the paper of Mip-Splatting."""
    filtered = MipSplattingConfig()
    assert (filtered.blur, filtered.smoothing, filtered.antialiased) == (0.1, 0.2, True)
    assert filtered.blur + filtered.smoothing == pytest.approx(SplattingConfig().blur)
    for name in get_args(PresetName):
        assert preset("gaussians", name, space="both").sampling == filtered
        assert preset("gaussians", name, space="both", sampler="splatting").sampling == SplattingConfig()
        assert preset("gaussians", name, sampler="mip-splatting").sampling == filtered


@pytest.mark.parametrize(("name", "blur"), [("small", 0.03), ("paper", 0.3)])
def test_gaussians_are_blurred_as_in_3dgs_by_the_preset_of_the_paper_alone(
    name: PresetName, blur: float
) -> None:
    for space in ALONE:
        assert preset("gaussians", name, space=space).sampling == SplattingConfig(blur=blur)
        # To name what it has is no change.
        assert preset("gaussians", name, space=space, sampler="splatting") == preset(
            "gaussians", name, space=space
        )


def test_gaussians_alone_are_densified_and_splatted() -> None:
    with pytest.raises(InputError, match="densification: is mcmc for the field kplanes"):
        preset("kplanes", densification="mcmc")
    cases: tuple[tuple[FieldName, SamplerName, SamplingConfig], ...] = (
        ("gaussians", "grid", GridSamplingConfig()),
        ("kplanes", "splatting", SplattingConfig()),
        ("kplanes", "mip-splatting", MipSplattingConfig()),
    )
    for field, sampler, sampling in cases:
        with pytest.raises(
            ArgumentError, match=rf"^sampler: is {sampler} for the field {field}; expected spl"
        ):
            preset(field, sampler=sampler)
        with pytest.raises(
            ArgumentError, match=rf"^sampling: is {sampler} for the field {field}; expected spl"
        ):
            replace(preset(field), sampling=sampling).check()


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"degree": 4}, "field.degree"),
        ({"initial_opacity": 1.0}, "field.initial_opacity"),
        ({"structure_weight": 1.5}, "field.structure_weight"),
        ({"initial": 0}, "field.initial"),
        ({"densification": GradientDensificationConfig(start=0.5, end=0.4)}, "field.densification.end"),
        ({"densification": McmcDensificationConfig(growth=-0.1)}, "field.densification.growth"),
    ],
)
def test_numbers_of_gaussians_are_checked(change: dict[str, Any], option: str) -> None:
    config = preset("gaussians")
    with pytest.raises(InputError, match=f"^{option}: "):
        replace(config, field=replace(config.field, **change)).check()


def test_numbers_of_every_field_and_sampler_are_checked() -> None:
    config = preset("kplanes", "paper")
    assert isinstance(config.field, KPlanesConfig)
    assert isinstance(config.sampling, ProposalSamplingConfig)
    bad = {
        "field.scales": replace(config, field=replace(config.field, scales=(1, 0))),
        "field.optimizer.warmup_steps": replace(
            config, field=replace(config.field, optimizer=replace(config.field.optimizer, warmup_steps=-1))
        ),
        "sampling.resolutions": replace(config, sampling=replace(config.sampling, resolutions=(1, 8))),
        "sampling.proposal_samples": replace(
            config, sampling=replace(config.sampling, proposal_samples=(8,))
        ),
        "sampling.interlevel_weight": replace(
            config, sampling=replace(config.sampling, interlevel_weight=float("nan"))
        ),
        "field.upsample_at": replace(config, field=TensorfConfig(upsample_at=(0.4, 0.2))),
        "field.finest": replace(config, field=InstantNgpConfig(coarsest=16, finest=8)),
    }
    for option, changed in bad.items():
        with pytest.raises(InputError, match=f"^{option}: "):
            changed.check()
    # A shift may have either sign.
    replace(config, field=TensorfConfig(density_shift=-7.0)).check()
