"""Presets are complete, reload from JSON, and say what Table 16 says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

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
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.presets import PresetName
from latentfields.rendering.config import (
    GridSamplingConfig,
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


def test_every_field_has_every_preset() -> None:
    assert set(RECIPES) == set(FIELDS)
    for field, recipes in RECIPES.items():
        assert set(recipes) == set(get_args(PresetName))
        assert {recipe.field.kind for recipe in recipes.values()} == {field}


@pytest.mark.parametrize("name", get_args(PresetName))
def test_spaces_differ_in_the_space_and_at_most_in_regularisation(name: PresetName) -> None:
    for field in FIELDS:
        latent, rgb = preset(field, name), preset(field, name, space="rgb")
        assert rgb.space == "rgb"
        assert replace(rgb, space="latent", field=latent.field) == latent
        differences = {k for k, value in vars(rgb.field).items() if value != getattr(latent.field, k)}
        assert differences == ({"tv_weight"} if (field, name) == ("kplanes", "small") else set())


@pytest.mark.parametrize("sampler", [name for name in get_args(SamplerName) if name != "splatting"])
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


def test_gaussians_alone_are_densified_and_splatted() -> None:
    with pytest.raises(InputError, match="densification: is mcmc for the field kplanes"):
        preset("kplanes", densification="mcmc")
    cases: tuple[tuple[FieldName, SamplerName, SamplingConfig], ...] = (
        ("gaussians", "grid", GridSamplingConfig()),
        ("kplanes", "splatting", SplattingConfig()),
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
