"""Pipelines of diffusers with a few random weights, built from configurations: no download.

They have text encoders where a test asks for them, which needs transformers.
"""

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
KINDS = (
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "StableDiffusion3Pipeline",
    "FluxPipeline",
)
FLOWS = KINDS[2:]
FLUX_SCALING, FLUX_SHIFT = 0.3611, 0.1159
"""Of the latents of FLUX.1."""


def tiny_network(kind: str, *, distilled: bool = True) -> Any:
    """The denoiser of a kind of pipeline; pooled texts have 16 channels. FLUX may know distilled guidance."""
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
        if kind == "FluxPipeline":
            return library.FluxTransformer2DModel(
                in_channels=4 * 4,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=8,
                num_attention_heads=2,
                joint_attention_dim=WIDTH,
                pooled_projection_dim=16,
                axes_dims_rope=(2, 2, 4),
                guidance_embeds=distilled,
            )
        return library.UNet2DConditionModel(**(_UNET | (_XL if kind == "StableDiffusionXLPipeline" else {})))


def scheduler_config(kind: str, *, prediction: str = "epsilon") -> dict[str, Any]:
    """As pipelines store it."""
    library: Any = diffusers
    if kind in FLOWS:
        # FLUX.1-dev's shift depends on the size of pictures, and the shift of its configuration does not count.
        flow = library.FlowMatchEulerDiscreteScheduler(
            shift=3.0, use_dynamic_shifting=kind == "FluxPipeline", base_shift=0.5, max_shift=1.15
        )
        return dict(flow.config) | {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    scheduler = library.DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        clip_sample=False,
        steps_offset=1,
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


def write_pipeline(
    folder: Path, kind: str = KINDS[0], *, prediction: str = "epsilon", texts: bool = False
) -> Path:
    """A pipeline's folder: network, scheduler and autoencoder, and text encoders with `texts`."""
    part = "transformer" if kind in FLOWS else "unet"
    tiny_network(kind).save_pretrained(folder / part)
    vae = tiny_vae(scaling=FLUX_SCALING, shift=FLUX_SHIFT) if kind == "FluxPipeline" else tiny_vae()
    vae.save_pretrained(folder / "vae")
    write_json(folder / "scheduler" / "scheduler_config.json", scheduler_config(kind, prediction=prediction))
    parts: dict[str, Any] = {"_class_name": kind, "text_encoder": [None, None]}
    if texts:
        parts |= _write_text_encoders(folder, kind)
        parts["scheduler"] = ["diffusers", scheduler_config(kind)["_class_name"]]
        if kind == "StableDiffusionPipeline":
            parts |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    write_json(folder / "model_index.json", parts)
    return folder


_ENCODERS = {
    "StableDiffusionPipeline": ("CLIPTextModel",),
    "StableDiffusionXLPipeline": ("CLIPTextModel", "CLIPTextModelWithProjection"),
    "StableDiffusion3Pipeline": ("CLIPTextModelWithProjection",) * 2 + ("T5EncoderModel",),
    "FluxPipeline": ("CLIPTextModel", "T5EncoderModel"),
}
_WORDS = {"<pad>": 0, "<|endoftext|>": 1, "<unk>": 2, "<|startoftext|>": 3, "a": 4, "vase": 5, "bowl": 6}


def _write_text_encoders(folder: Path, kind: str) -> dict[str, list[str]]:
    """Text encoders and tokenizers of a few words; their entries of the index."""
    import tokenizers
    import transformers

    classes: Any = transformers
    entries: dict[str, list[str]] = {}
    for number, name in enumerate(_ENCODERS[kind], start=1):
        # CLIP's two embeddings of XL and 3 are put side by side.
        clips = sum(one.startswith("CLIP") for one in _ENCODERS[kind])
        sizes = {"vocab_size": len(_WORDS), "bos_token_id": 3, "eos_token_id": 1, "pad_token_id": 0}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number)
            if name == "T5EncoderModel":
                config = classes.T5Config(**sizes, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
            else:
                width = 16 if kind == "FluxPipeline" else WIDTH // clips
                config = classes.CLIPTextConfig(
                    **sizes,
                    hidden_size=width,
                    intermediate_size=16,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    projection_dim=16 if kind == "StableDiffusionXLPipeline" else 8,
                    max_position_embeddings=77,
                )
            model = getattr(classes, name)(config)
        suffix = "" if number == 1 else f"_{number}"
        model.save_pretrained(folder / f"text_encoder{suffix}")
        words = tokenizers.Tokenizer(tokenizers.models.WordLevel(_WORDS, unk_token="<unk>"))
        words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        tokenizer = classes.PreTrainedTokenizerFast(
            tokenizer_object=words,
            model_max_length=77,
            bos_token="<|startoftext|>",
            eos_token="<|endoftext|>",
            pad_token="<pad>",
            unk_token="<unk>",
        )
        tokenizer.save_pretrained(folder / f"tokenizer{suffix}")
        entries[f"text_encoder{suffix}"] = ["transformers", name]
        entries[f"tokenizer{suffix}"] = ["transformers", "PreTrainedTokenizerFast"]
    return entries
