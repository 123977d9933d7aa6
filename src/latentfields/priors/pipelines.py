"""Text-conditioned priors: pipelines of diffusers such as Stable Diffusion 1.5, 2.1, XL and 3, by Hub id or folder.

Their latents are the autoencoder's raw ones, shifted and scaled: as normalised latents they are what the network
denoises. Shape suffixes: B views, L tokens, D channels of an embedding, C latent channels, h, w latent size, T levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.load import load_autoencoder
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.priors.config import Parameterisation
from latentfields.priors.network import require_diffusers
from latentfields.priors.schedule import NoiseSchedule, predicted_noise

NETWORKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "StableDiffusionPipeline": ("unet", "UNet2DConditionModel"),
        "StableDiffusionXLPipeline": ("unet", "UNet2DConditionModel"),
        "StableDiffusion3Pipeline": ("transformer", "SD3Transformer2DModel"),
    }
)
"""Part and class of the denoising network of every kind of pipeline that is known."""
INDEX_FILE = "model_index.json"


@dataclass(frozen=True)
class TextCondition:
    """The texts of B views, encoded."""

    embeddings: Tensor
    """(B, L, D) of the tokens."""
    pooled: Tensor | None = None
    """(B, P) of the whole text, where the network wants it (XL, 3)."""

    def __getitem__(self, index: Tensor | slice) -> TextCondition:
        """The texts of the selected views."""
        return TextCondition(self.embeddings[index], None if self.pooled is None else self.pooled[index])

    def to(self, device: torch.device) -> TextCondition:
        """The same on another device."""
        return TextCondition(*(None if part is None else part.to(device) for part in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, entry.name) for entry in fields(self))


class PipelineDenoiser:
    """The network of a pipeline and its levels of noise; a `Denoiser` of normalised latents."""

    def __init__(self, network: nn.Module, scheduler: Mapping[str, Any], *, source: str) -> None:
        """`scheduler` is the configuration of its scheduler, whose class is under "_class_name".

        Raises InputError, about `source`, for predictions that are not known.
        """
        self.network = network.requires_grad_(False).eval()
        self.kind, self.schedule, self.times = levels(scheduler, source=source)
        config: Any = network.config
        self._wants_sizes = getattr(config, "addition_embed_type", None) == "text_time"

    @torch.no_grad()
    def noise(self, noisy: Tensor, times: Tensor, given: TextCondition) -> Tensor:
        """The noise, (B, C, h, w), in noisy latents (B, C, h, w) at levels (B,) int64. No gradient flows through."""
        alpha, sigma = self.schedule.to(noisy.device).at(times)
        dtype = next(self.network.parameters()).dtype
        told = self.times.to(noisy.device)[times]
        embeddings = given.embeddings.to(dtype)
        if self.kind == "flow":
            pooled = None if given.pooled is None else given.pooled.to(dtype)
            out = self.network(
                noisy.to(dtype), timestep=told, encoder_hidden_states=embeddings, pooled_projections=pooled
            )
        else:
            added = self._sizes(noisy, given) if self._wants_sizes else None
            out = self.network(
                noisy.to(dtype), told, encoder_hidden_states=embeddings, added_cond_kwargs=added
            )
        prediction = out.sample.float()
        return predicted_noise(self.kind, prediction, noisy, alpha=alpha, sigma=sigma)

    def _sizes(self, noisy: Tensor, given: TextCondition) -> dict[str, Tensor]:
        """What XL is told beside the text: pictures of its own size, not cropped."""
        assert given.pooled is not None
        config: Any = self.network.config
        height, width = (8 * side for side in noisy.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=noisy.device, dtype=torch.float32)
        assert config.addition_embed_type == "text_time"
        return {
            "text_embeds": given.pooled.to(next(self.network.parameters()).dtype),
            "time_ids": sizes.expand(len(noisy), 6),
        }


def levels(config: Mapping[str, Any], *, source: str) -> tuple[Parameterisation, NoiseSchedule, Tensor]:
    """Kind of prediction, levels of noise, and what the network is told of each (T,), by a scheduler's configuration.

    Raises InputError, about `source`, for a kind that is not known.
    """
    require_diffusers()
    import diffusers

    count = int(config.get("num_train_timesteps", 1000))
    if str(config.get("_class_name", "")).startswith("FlowMatch"):
        shift = float(config.get("shift", 1.0))
        even = torch.arange(1, count + 1, dtype=torch.float64) / count
        sigmas = shift * even / (1 + (shift - 1) * even)
        # At pure noise nothing is left to divide by.
        sigmas = sigmas.clamp(max=1 - 1e-3)
        return "flow", NoiseSchedule.flow(sigmas), (sigmas * count).float()
    kinds: dict[str, Parameterisation] = {"epsilon": "epsilon", "v_prediction": "v"}
    stated = config.get("prediction_type", "epsilon")
    if stated not in kinds:
        raise InputError(source, f"field 'prediction_type' is '{stated}'; expected {' or '.join(kinds)}")
    scheduler: Any = diffusers.DDPMScheduler
    schedule = NoiseSchedule.variance_preserving(scheduler.from_config(dict(config)).alphas_cumprod)
    return kinds[stated], schedule, torch.arange(len(schedule))


@dataclass(frozen=True, eq=False)
class TextPrior:
    """A pipeline's network, its autoencoder, and what encodes texts."""

    name: str
    denoiser: PipelineDenoiser
    autoencoder: Autoencoder
    """On the CPU; its normalised latents are those that the network denoises."""
    side: int
    """Latents along each side of the pictures that it was trained on."""

    def encoded(self, texts: Sequence[str]) -> TextCondition:
        """Texts (B) as the network wants them, on the CPU; the text encoders are loaded, used and dropped.

        Raises InputError when the pipeline has no text encoder, or transformers is not installed.
        """
        return encode_texts(self.name, texts)


def is_pipeline(name: str | Path) -> bool:
    """True for the folder of a pipeline of diffusers, and for what looks like a Hub id and is no folder."""
    path = Path(name)
    return (path / INDEX_FILE).is_file() or (
        not path.exists() and str(name).count("/") == 1 and not path.is_absolute()
    )


def load_text_prior(name: str, *, device: torch.device) -> TextPrior:
    """The pipeline in a folder or of a Hub id; its network is on `device`, in half precision on a GPU.

    Raises InputError when it cannot be had, or is of a kind that is not known.
    """
    require_diffusers()
    import diffusers

    index = _index(name)
    kind = str(index.get("_class_name"))
    if kind not in NETWORKS:
        raise InputError(name, f"field '_class_name' is '{kind}'; expected one of {', '.join(NETWORKS)}")
    part, class_name = NETWORKS[kind]
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    try:
        network = getattr(diffusers, class_name).from_pretrained(
            name, subfolder=part, torch_dtype=dtype, use_safetensors=True, low_cpu_mem_usage=False
        )
        scheduler_class: Any = diffusers.DDPMScheduler
        scheduler = scheduler_class.load_config(name, subfolder="scheduler")
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(name, f"cannot be loaded as a pipeline of diffusers ({reason})") from None
    denoiser = PipelineDenoiser(network.to(device), dict(scheduler), source=name)
    autoencoder = load_autoencoder(name)
    channels = int(network.config.in_channels)
    if channels != autoencoder.channels:
        raise InputError(
            name,
            f"its network denoises {channels} channels and its autoencoder has {autoencoder.channels}; "
            "expected as many",
        )
    autoencoder.set_statistics(_scaling(autoencoder))
    return TextPrior(name, denoiser, autoencoder, int(network.config.sample_size))


def _scaling(autoencoder: Autoencoder) -> LatentStatistics:
    """The pipeline's shift and scale of raw latents as statistics: normalised, they are what the network knows."""
    model: Any = autoencoder.codec
    config = model.model.config
    shift, scale = float(config.get("shift_factor") or 0.0), float(config.get("scaling_factor") or 1.0)
    return LatentStatistics((shift,) * autoencoder.channels, (1 / scale,) * autoencoder.channels)


def _index(name: str) -> dict[str, Any]:
    import diffusers

    path = Path(name) / INDEX_FILE
    if path.is_file():
        index = read_json(path)
        return index if isinstance(index, dict) else {}
    try:
        return dict(diffusers.DiffusionPipeline.load_config(name))
    except Exception as error:  # Whatever the Hub's client raises, by version.
        reason = " ".join(str(error).split())[:200]
        raise InputError(name, f"cannot be had as a pipeline of diffusers ({reason})") from None


def encode_texts(name: str, texts: Sequence[str]) -> TextCondition:
    """As `TextPrior.encoded`, for the pipeline in a folder or of a Hub id."""
    import diffusers

    index = _index(name)
    if not any(part.startswith("text_encoder") and value and value[0] for part, value in index.items()):
        raise ArgumentError("prompt", f"is of no use for {name}, which has no text encoder")
    try:
        import transformers  # noqa: F401
    except ImportError:
        raise ArgumentError(
            "prompt", "needs the package transformers; pip install 'latentfields[diffusion]'"
        ) from None
    part = NETWORKS[str(index["_class_name"])][0]
    pipeline: Any = diffusers.DiffusionPipeline
    loaded = pipeline.from_pretrained(name, **{part: None, "vae": None})
    wanted = {
        "prompt": [*texts],
        "device": "cpu",
        "num_images_per_prompt": 1,
        "do_classifier_free_guidance": False,
    }
    if index["_class_name"] == "StableDiffusion3Pipeline":
        wanted |= {"prompt_2": None, "prompt_3": None}
    with torch.no_grad():
        found = loaded.encode_prompt(**wanted)
    pooled = found[2] if len(found) == 4 else None
    return TextCondition(found[0].float(), None if pooled is None else pooled.float())
