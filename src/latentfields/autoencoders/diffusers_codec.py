"""Adapter for the autoencoders of the diffusers library, an extra (`pip install latentfields[diffusers]`)."""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.errors import InputError
from latentfields.files import naming
from latentfields.training.checkpoint import bounded_by, load_metadata

_WEIGHTS = re.compile(
    r"diffusion_pytorch_model(?:-\d+-of-\d+)?(?:\.(?!safetensors)(?P<first>\w+))?(?:-\d+-of-\d+)?\.safetensors"
    r"(?:\.index(?:\.(?!json)(?P<second>\w+))?\.json)?"
)
"""Files of weights, and of what lists them where they are several, with their variant."""

_PROBE = 64
"""Side of the image, in pixels, that tells channels and factor."""

_MAX_SIZE = 4096
"""Of the settings of a network: published ones have 1024 channels or pixels."""
_MAX_OF = {"blocks": 100, "layers": 100, "upsampling": 16}
"""Of those with such a word in their name: published ones have less than ten blocks a level, each twice as large."""
SUPPORTED_CLASSES = ("AutoencoderKL", "AutoencoderTiny")


class DiffusersCodec(nn.Module):
    """An `AutoencoderKL` or `AutoencoderTiny`: both work on images in [-1, 1], ours are in [0, 1].

    Latents are the raw output of the encoder: no scaling factor, since `Autoencoder` normalises by channel. The model
    computes in float32 and whole images: half precision overflows in some, and tiles leave seams in latents.
    """

    def __init__(self, model: Any, *, source: str = "model") -> None:
        """`model` is an instance of one of `SUPPORTED_CLASSES`; its precision, tiling and slicing are set back.

        Raises InputError, about `source`, when it is for images of other than 3 channels, or does not encode one.
        """
        super().__init__()
        for field in ("in_channels", "out_channels"):
            count = model.config.get(field, 3)
            if count != 3:
                raise InputError(
                    source, f"field '{field}' is {count}; expected 3: an autoencoder of RGB images"
                )
        self.model = model.float()
        for name in ("disable_tiling", "disable_slicing"):
            getattr(self.model, name, lambda: None)()
        try:
            with torch.no_grad():
                probe = self.encode(torch.zeros(1, 3, _PROBE, _PROBE, device=model.device))[0]
        except (RuntimeError, ValueError, TypeError) as error:
            raise _unusable(source, error) from None
        self._channels, self._factor = probe.shape[1], _PROBE // probe.shape[2]

    @property
    def channels(self) -> int:
        """Latent channels, found by encoding a probe image."""
        return self._channels

    @property
    def factor(self) -> int:
        """Pixels per latent along one side, found by encoding a probe image."""
        return self._factor

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Posterior mean and log-variance (None for AutoencoderTiny) of images (B, 3, H, W) in [0, 1]."""
        out = self.model.encode(images * 2 - 1)
        if hasattr(out, "latent_dist"):
            return out.latent_dist.mean, out.latent_dist.logvar
        return out.latents, None

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), nominally in [0, 1], of raw latents."""
        images: Tensor = self.model.decode(latents).sample / 2 + 0.5
        return images

    def encoder_module(self) -> nn.Module:
        """The encoder with its `quant_conv`, where there is one."""
        return self._with("encoder", "quant_conv")

    def decoder_module(self) -> nn.Module:
        """The decoder with its `post_quant_conv`, where there is one."""
        return self._with("decoder", "post_quant_conv")

    def _with(self, *names: str) -> nn.Module:
        parts = [getattr(self.model, name, None) for name in names]
        return nn.ModuleList([part for part in parts if part is not None])

    def save(self, folder: Path) -> None:
        """Write the model as diffusers does: `config.json` and safetensors. Each file appears whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{os.getpid()}.tmp"
        try:
            with naming(folder, instead_of=part):
                self.model.save_pretrained(part, safe_serialization=True)
                # The configuration last: with it, the folder is an autoencoder's.
                for file in sorted(part.iterdir(), key=lambda file: file.suffix == ".json"):
                    os.replace(file, folder / file.name)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def load_diffusers(name_or_folder: str) -> tuple[DiffusersCodec, dict[str, Any]]:
    """Load a diffusers autoencoder, and its configuration, from a folder or by its Hub id.

    Hub ids are looked for in the local cache, too, and only there when the Hub does not answer. Of a whole pipeline
    the part `vae` is taken. Raises InputError when diffusers is not installed, the class is not supported or the
    files cannot be had.
    """
    try:
        import diffusers
    except ImportError:
        raise InputError(
            name_or_folder,
            "needs the diffusers library; install it with: pip install 'latentfields[diffusers]'",
        ) from None
    local = Path(name_or_folder).is_dir() or not _hub_answers()
    with _quiet(diffusers.utils.logging):
        config, subfolder = _find_config(name_or_folder, local)
        class_name = config.get("_class_name")
        if class_name not in SUPPORTED_CLASSES:
            raise InputError(
                name_or_folder,
                f"field '_class_name' is '{class_name}'; expected one of {', '.join(SUPPORTED_CLASSES)}",
            )
        _require_plausible(name_or_folder, config)
        problem: Exception | None = None
        for variant in _variants(name_or_folder, subfolder):
            try:
                for file in _weights(name_or_folder, subfolder).get(variant, ()):
                    # diffusers reads a damaged one whole as text, to tell why, and it can claim any length.
                    if file.suffix == ".safetensors":
                        load_metadata(file)
                with _bounded(name_or_folder, subfolder):
                    model = getattr(diffusers, class_name).from_pretrained(
                        name_or_folder,
                        subfolder=subfolder,
                        variant=variant,
                        local_files_only=local,
                        use_safetensors=True,
                        low_cpu_mem_usage=False,
                    )
            except MemoryError:
                raise
            except Exception as error:  # Its classes raise whatever an odd setting leads to.
                # The first tells what is expected; others are looked for in its place.
                problem = problem or error
            else:
                return DiffusersCodec(model.eval(), source=name_or_folder), config
    assert problem is not None
    raise _unusable(name_or_folder, problem) from None


def _bounded(name_or_folder: str, subfolder: str | None) -> AbstractContextManager[None]:
    """Refuse networks far larger than their files, which those in the Hub's cache are not."""
    folder = Path(name_or_folder, subfolder or "")
    if not folder.is_dir():
        return nullcontext()
    # Half precision is made float32.
    return bounded_by(2 * sum(file.stat().st_size for file in folder.glob("*.safetensors")), folder)


def _variants(name_or_folder: str, subfolder: str | None) -> list[str | None]:
    """The variants of the weights to look for in turn: those without a name, then such as fp16 alone."""
    if not Path(name_or_folder, subfolder or "").is_dir():
        return [None, "fp16"]
    found = _weights(name_or_folder, subfolder)
    named: list[str | None] = [*sorted(variant for variant in found if variant)]
    return [None] if None in found or not named else named


def _weights(name_or_folder: str, subfolder: str | None) -> dict[str | None, list[Path]]:
    """The files of weights in a folder that is there, and what lists them, by variant."""
    found: dict[str | None, list[Path]] = {}
    for file in sorted(Path(name_or_folder, subfolder or "").glob("*.safetensors*")):
        if match := _WEIGHTS.fullmatch(file.name):
            found.setdefault(match["first"] or match["second"], []).append(file)
    return found


def _require_plausible(name: str, config: Mapping[str, Any]) -> None:
    """Raise InputError for sizes that no autoencoder has: to build such a network would take all time or memory."""
    for field, value in config.items():
        largest = next((limit for word, limit in _MAX_OF.items() if word in field), _MAX_SIZE)
        for number in value if isinstance(value, list | tuple) else (value,):
            if isinstance(number, int | float) and not -_MAX_SIZE <= number <= largest:
                raise InputError(name, f"field '{field}' is {value}; expected numbers up to {largest}")


def _find_config(name_or_folder: str, local: bool) -> tuple[dict[str, Any], str | None]:
    """The configuration, and the subfolder that it is in."""
    from diffusers import AutoencoderKL

    problem: Exception = ValueError("no configuration")
    for subfolder in (None, "vae"):
        try:
            # Any class reads the configuration of any other.
            config = AutoencoderKL.load_config(name_or_folder, subfolder=subfolder, local_files_only=local)
        except (OSError, ValueError) as error:
            problem = error if subfolder is None else problem
        else:
            return dict(config), subfolder
    if local and not Path(name_or_folder).is_dir():
        raise InputError(name_or_folder, "is not in the local cache, and the Hub does not answer")
    raise _unusable(name_or_folder, problem)


def _hub_answers() -> bool:
    """One quick request: the library itself would try for minutes, file by file."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=5)
    except Exception:  # The session is one of requests or of httpx, by version.
        return False
    return True


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep the library's advice about optional packages off the screen."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)


def _unusable(name: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(name, f"cannot be loaded as a diffusers autoencoder ({reason})")
