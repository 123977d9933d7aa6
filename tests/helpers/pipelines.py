"""Pipelines of diffusers with a few random weights, built from configurations: no download, no text encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch

from latentfields.files import write_json

WIDTH, TOKENS = 32, 7
"""Channels and number of the tokens of a text."""

_UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "cross_attention_dim": WIDTH,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
}
_XL: dict[str, Any] = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 4,
    "projection_class_embeddings_input_dim": 16 + 6 * 4,
}
KINDS = ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline")


def tiny_network(kind: str) -> Any:
    """The denoiser of a kind of pipeline; pooled texts have 16 channels."""
    library: Any = diffusers
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "StableDiffusion3Pipeline":
            return library.SD3Transformer2DModel(
                sample_size=8,
                patch_size=2,
                in_channels=4,
                out_channels=4,
                num_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=WIDTH,
                caption_projection_dim=16,
                pooled_projection_dim=16,
                pos_embed_max_size=16,
            )
        return library.UNet2DConditionModel(**(_UNET | (_XL if kind == "StableDiffusionXLPipeline" else {})))


def scheduler_config(kind: str, *, prediction: str = "epsilon") -> dict[str, Any]:
    """As pipelines store it."""
    library: Any = diffusers
    if kind == "StableDiffusion3Pipeline":
        return dict(library.FlowMatchEulerDiscreteScheduler(shift=3.0).config) | {
            "_class_name": "FlowMatchEulerDiscreteScheduler"
        }
    scheduler = library.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=prediction
    )
    return dict(scheduler.config) | {"_class_name": "DDIMScheduler"}


def tiny_vae(*, scaling: float = 0.18215, shift: float | None = None) -> Any:
    """Factor 4, four channels."""
    library: Any = diffusers
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return library.AutoencoderKL(
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            scaling_factor=scaling,
            shift_factor=shift,
        )


def write_pipeline(folder: Path, kind: str = KINDS[0], *, prediction: str = "epsilon") -> Path:
    """A pipeline's folder: network, scheduler and autoencoder."""
    part = "transformer" if kind == "StableDiffusion3Pipeline" else "unet"
    tiny_network(kind).save_pretrained(folder / part)
    tiny_vae().save_pretrained(folder / "vae")
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config(kind, prediction=prediction))
    write_json(folder / "model_index.json", {"_class_name": kind, "text_encoder": [None, None]})
    return folder
