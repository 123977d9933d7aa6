"""From a stock ray model, which renders colours, to one that renders latents.

Nothing here knows a method: the places in which Nerfstudio's models mean three channels in [0, 1] are modules of a few
kinds, and those are found and exchanged wherever a model has put them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nerfstudio.field_components.field_heads import RGBFieldHead
from nerfstudio.field_components.mlp import MLP
from nerfstudio.model_components.renderers import RGBRenderer
from torch import nn
from torchmetrics.image import PeakSignalNoiseRatio, lpip

from latentfields.errors import InputError
from latentfields.integrations.nerfstudio.renderer import LatentRenderer
from latentfields.measures.metrics import LATENT_RANGE


def adapt_ray_model(model: nn.Module, *, channels: int, renderer: LatentRenderer) -> None:
    """Let a stock ray model render C = `channels` unbounded values per ray, in place.

    - Colour heads (`RGBFieldHead`, or an `MLP` with three outputs and a sigmoid) get C linear outputs.
    - Every `RGBRenderer` becomes `renderer`: background in latent space, no clamp, no fourth channel taken for alpha.
    - The training PSNR has the range of latents.

    New weights come from torch's global generator. Raises InputError when the model has no such head or renderer.
    """
    heads = _replace(model, _is_color_head, lambda head: _latent_head(head, channels))
    renderers = _replace(model, lambda module: isinstance(module, RGBRenderer), lambda _: renderer)
    for count, kind in ((heads, "colour head"), (renderers, "RGBRenderer")):
        if not count:
            raise InputError(
                type(model).__name__, f"has no {kind}; expected a ray model of Nerfstudio's kind"
            )
    _replace(
        model,
        lambda module: isinstance(module, PeakSignalNoiseRatio),
        lambda _: PeakSignalNoiseRatio(data_range=LATENT_RANGE),
    )


@contextmanager
def without_perceptual_network() -> Iterator[None]:
    """Construct stock models in here: they would download an image classifier for a metric of three channels."""
    original = lpip.LearnedPerceptualImagePatchSimilarity
    lpip.LearnedPerceptualImagePatchSimilarity = _NoMetric
    try:
        yield
    finally:
        lpip.LearnedPerceptualImagePatchSimilarity = original


class _NoMetric(nn.Module):
    """Takes the arguments of any metric and measures nothing."""

    def __init__(self, **_: Any) -> None:
        super().__init__()


def _is_color_head(module: nn.Module) -> bool:
    if isinstance(module, RGBFieldHead):
        return True
    return isinstance(module, MLP) and module.out_dim == 3 and isinstance(module.out_activation, nn.Sigmoid)


def _latent_head(head: Any, channels: int) -> nn.Module:
    """A linear head with C outputs that takes what `head` takes."""
    if isinstance(head, RGBFieldHead):
        linear: nn.Module = RGBFieldHead(activation=None)
        linear.out_dim = channels  # type: ignore[assignment]
        linear.set_in_dim(head.in_dim)  # type: ignore[operator]
        return linear
    mlp: nn.Module = MLP(
        in_dim=head.in_dim,
        num_layers=head.num_layers,
        layer_width=head.layer_width,
        out_dim=channels,
        skip_connections=head.skip_connections,
        activation=head.activation,
        out_activation=None,
        implementation="torch" if head.tcnn_encoding is None else "tcnn",
    )
    return mlp


def _replace(
    model: nn.Module, chosen: Callable[[nn.Module], bool], replacement: Callable[[nn.Module], nn.Module]
) -> int:
    """Exchange every chosen submodule; returns how many there were."""
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if chosen(child)
    ]
    for parent, name, child in found:
        setattr(parent, name, replacement(child))
    return len(found)
