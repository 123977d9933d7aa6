"""Text-conditioned priors: pipelines of diffusers, Stable Diffusion 1.5, 2.1, XL and 3 and FLUX.1, by Hub id or folder.

Their latents are the autoencoder's raw ones, shifted and scaled: as normalised latents they are what the network
denoises. Shape suffixes: B views, L tokens, D and P channels of embeddings, C latent channels, h, w latent size,
S = h/2 w/2 patches of latents, T levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
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

INDEX_FILE = "model_index.json"


@dataclass(frozen=True)
class TextCondition:
    """The texts of B views, encoded."""

    embeddings: Tensor
    """(B, L, D) of the tokens."""
    pooled: Tensor | None = None
    """(B, P) of the whole text, where the network wants it (XL, 3, FLUX)."""

    def __getitem__(self, index: Tensor | slice) -> TextCondition:
        """The texts of the selected views."""
        return TextCondition(self.embeddings[index], None if self.pooled is None else self.pooled[index])

    def to(self, where: torch.device | torch.dtype) -> TextCondition:
        """The same on another device, or in another precision."""
        return TextCondition(*(None if part is None else part.to(where) for part in self._parts()))  # type: ignore[arg-type]

    def _parts(self) -> tuple[Tensor | None, ...]:
        return tuple(getattr(self, entry.name) for entry in fields(self))


def _asked_unet(network: Any, noisy: Tensor, told: Tensor, given: TextCondition) -> Tensor:
    """As `Network.ask`, of Stable Diffusion 1.5, 2.1 and XL."""
    added = None
    if getattr(network.config, "addition_embed_type", None) == "text_time":
        # XL is told sizes beside the text: pictures of its own size, not cropped.
        height, width = (8 * side for side in noisy.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=noisy.device, dtype=torch.float32)
        added = {"text_embeds": _pooled(given), "time_ids": sizes.expand(len(noisy), 6)}
    out = network(noisy, told, encoder_hidden_states=given.embeddings, added_cond_kwargs=added)
    return torch.as_tensor(out.sample)


def _asked_sd3(network: Any, noisy: Tensor, told: Tensor, given: TextCondition) -> Tensor:
    """As `Network.ask`, of Stable Diffusion 3."""
    out = network(
        noisy, timestep=told, encoder_hidden_states=given.embeddings, pooled_projections=_pooled(given)
    )
    return torch.as_tensor(out.sample)


def _asked_flux(network: Any, noisy: Tensor, told: Tensor, given: TextCondition) -> Tensor:
    """As `Network.ask`, of FLUX.1, which sees packed latents and where each of them is, and times as shares of 1.

    Where guidance was distilled into the network (FLUX.1-dev), it is told the scale 1, with which none is added: the
    scale of our own guidance keeps its one meaning.
    """
    height, width = (side // 2 for side in noisy.shape[2:])
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([torch.zeros_like(rows), rows, columns], dim=-1).view(-1, 3)
    out = network(
        packed(noisy),
        timestep=told / 1000,
        guidance=torch.ones_like(told) if network.config.guidance_embeds else None,
        encoder_hidden_states=given.embeddings,
        pooled_projections=_pooled(given),
        txt_ids=torch.zeros(given.embeddings.shape[1], 3, device=noisy.device),
        img_ids=places.to(noisy.device, torch.float32),
    )
    return unpacked(torch.as_tensor(out.sample), height=2 * height, width=2 * width)


def _pooled(given: TextCondition) -> Tensor:
    assert given.pooled is not None
    return given.pooled


def packed(latents: Tensor) -> Tensor:
    """Return the 2x2 patches, (B, S, 4C), of latents (B, C, h, w) of even sides, row by row."""
    return nn.functional.pixel_unshuffle(latents, 2).flatten(2).mT


def unpacked(patches: Tensor, *, height: int, width: int) -> Tensor:
    """Return the latents, (B, C, height, width), of patches (B, S, 4C): the inverse of `packed`."""
    return nn.functional.pixel_shuffle(patches.mT.unflatten(2, (height // 2, width // 2)), 2)


@dataclass(frozen=True)
class Network:
    """The denoising network of a kind of pipeline."""

    part: str
    """Its folder."""
    class_name: str
    ask: Callable[[Any, Tensor, Tensor, TextCondition], Tensor]
    """What it predicts, (B, C, h, w): of itself, noisy latents (B, C, h, w), what it is told of their levels (B,), and
    texts; floating point numbers are of its own precision."""
    packing: int = 1
    """Latents along each side of the patches whose latents go in as channels."""
    half: torch.dtype = torch.float16
    """Its precision on a GPU."""
    text_options: Mapping[str, Any] = field(default_factory=lambda: _UNGUIDED)
    """What the pipeline's `encode_prompt` is told beside the texts."""


_UNGUIDED: Mapping[str, Any] = MappingProxyType({"do_classifier_free_guidance": False})
_UNET = Network("unet", "UNet2DConditionModel", _asked_unet)
NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "StableDiffusionPipeline": _UNET,
        "StableDiffusionXLPipeline": _UNET,
        "StableDiffusion3Pipeline": Network(
            "transformer",
            "SD3Transformer2DModel",
            _asked_sd3,
            text_options={**_UNGUIDED, "prompt_2": None, "prompt_3": None},
        ),
        # Published in bfloat16: its activations can leave the range of float16.
        "FluxPipeline": Network(
            "transformer",
            "FluxTransformer2DModel",
            _asked_flux,
            packing=2,
            half=torch.bfloat16,
            text_options={"prompt_2": None},
        ),
    }
)
"""The network of every kind of pipeline that is known."""
DEFAULT_SIDE = 128
"""Latents along each side of training pictures where the network does not say it: those of FLUX."""


class PipelineDenoiser:
    """The network of a pipeline and its levels of noise; a `Denoiser` of normalised latents."""

    def __init__(self, network: nn.Module, scheduler: Mapping[str, Any], *, source: str) -> None:
        """`network` is of a class in `NETWORKS`; `scheduler` is the configuration of its scheduler, with "_class_name".

        Raises InputError, about `source`, for predictions that are not known.
        """
        self.network = network.requires_grad_(False).eval()
        self.kind, self.schedule, self.times = levels(scheduler, source=source)
        name = type(network).__name__
        known = next(known for known in NETWORKS.values() if known.class_name == name)
        config: Any = network.config
        self._ask = known.ask
        self.patch = known.packing * int(config.get("patch_size") or 1)
        """Sides of latents have to be multiples of it."""

    @torch.no_grad()
    def noise(self, noisy: Tensor, times: Tensor, given: TextCondition) -> Tensor:
        """The noise, (B, C, h, w), in noisy latents (B, C, h, w) at levels (B,) int64. No gradient flows through.

        Raises ArgumentError for sides that are no multiples of `patch`.
        """
        height, width = noisy.shape[2:]
        if height % self.patch or width % self.patch:
            raise ArgumentError(
                "noisy",
                f"has {height}x{width} latents; expected multiples of {self.patch}, the network's patches",
            )
        alpha, sigma = self.schedule.to(noisy.device).at(times)
        told = self.times.to(noisy.device)[times]
        dtype = next(self.network.parameters()).dtype
        prediction = self._ask(self.network, noisy.to(dtype), told, given.to(dtype)).float()
        return predicted_noise(self.kind, prediction, noisy, alpha=alpha, sigma=sigma)


def levels(config: Mapping[str, Any], *, source: str) -> tuple[Parameterisation, NoiseSchedule, Tensor]:
    """Kind of prediction, levels of noise, and what the network is told of each (T,), by a scheduler's configuration.

    Raises InputError, about `source`, for a kind that is not known.
    """
    require_diffusers()
    import diffusers

    count = int(config.get("num_train_timesteps", 1000))
    if str(config.get("_class_name", "")).startswith("FlowMatch"):
        shift = _shift(config)
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


def _shift(config: Mapping[str, Any]) -> float:
    """How many times greater sigma/alpha is than at even levels, by the configuration of a flow's scheduler.

    Where it depends on the size of pictures (FLUX.1-dev), it is that of the largest, which networks were trained on.
    """
    if not config.get("use_dynamic_shifting", False):
        return float(config.get("shift", 1.0))
    shift = float(config.get("max_shift", 1.15))
    return shift if config.get("time_shift_type") == "linear" else math.exp(shift)


@dataclass(frozen=True, eq=False)
class TextPrior:
    """A pipeline's network, its autoencoder, and what encodes texts."""

    name: str
    denoiser: PipelineDenoiser
    autoencoder: Autoencoder
    """On the CPU; its normalised latents are those that the network denoises."""
    side: int
    """Latents along each side of the pictures that it was trained on."""

    @property
    def step(self) -> int:
        """Sides of pictures have to be multiples of it, in pixels."""
        return self.autoencoder.factor * self.denoiser.patch

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
    known = NETWORKS[kind]
    dtype = known.half if device.type == "cuda" else torch.float32
    try:
        network = getattr(diffusers, known.class_name).from_pretrained(
            name, subfolder=known.part, torch_dtype=dtype, use_safetensors=True, low_cpu_mem_usage=False
        )
        scheduler_class: Any = diffusers.DDPMScheduler
        scheduler = scheduler_class.load_config(name, subfolder="scheduler")
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(name, f"cannot be loaded as a pipeline of diffusers ({reason})") from None
    denoiser = PipelineDenoiser(network.to(device), dict(scheduler), source=name)
    autoencoder = load_autoencoder(name)
    channels = int(network.config.in_channels) // known.packing**2
    if channels != autoencoder.channels:
        raise InputError(
            name,
            f"its network denoises {channels} channels and its autoencoder has {autoencoder.channels}; "
            "expected as many",
        )
    autoencoder.set_statistics(_scaling(autoencoder))
    return TextPrior(name, denoiser, autoencoder, int(network.config.get("sample_size", DEFAULT_SIDE)))


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
    kind = str(index["_class_name"])
    pipeline: Any = diffusers.DiffusionPipeline
    loaded = pipeline.from_pretrained(name, **{NETWORKS[kind].part: None, "vae": None})
    options = NETWORKS[kind].text_options
    with torch.no_grad():
        found = loaded.encode_prompt(prompt=[*texts], device="cpu", num_images_per_prompt=1, **options)
    # Embeddings and pooled ones, with those of no text between them; FLUX knows none, and adds tokens' places.
    pooled = {2: None, 3: 1, 4: 2}[len(found)]
    return TextCondition(found[0].float(), None if pooled is None else found[pooled].float())
