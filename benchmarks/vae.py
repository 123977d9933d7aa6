"""`python -m benchmarks.vae [NETWORK ...]`: what `autoencoder finetune-3d` takes with an `AutoencoderKL`, computed.

A NETWORK is a name or the config.json of one; by default all that have names: `sd`, that of Stable Diffusion 1, 2 and
XL, which have one network with other weights, `flux`, that of FLUX.1, and `ostris`, a smaller one of 16 channels. Its
layers run on tensors that have shapes and no values; every tensor that the backward pass would keep is counted once,
and so is the arithmetic. Not in it: work space of the libraries, latent scenes (a few hundred MiB) and fragments of
the allocator. Hours are of encoder and decoder alone, at a speed that is assumed. Nothing of it was measured on a
GPU.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

STABLE_DIFFUSION: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "norm_num_groups": 32,
    "sample_size": 512,
}
NETWORKS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "sd": STABLE_DIFFUSION,
        "flux": STABLE_DIFFUSION
        | {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False},
        "ostris": STABLE_DIFFUSION | {"latent_channels": 16, "block_out_channels": (128, 128, 256, 512)},
    }
)
"""What their config.json says of their sizes."""
BYTES_PER_PARAMETER = 16
"""Weight, gradient and two moments of Adam, float32."""
BACKWARD = 3
"""Arithmetic of forward and backward pass, in that of the forward pass."""


@dataclass(frozen=True)
class Cost:
    """The cost of one picture."""

    parameters: int
    encode_bytes: int
    """Kept for the backward pass."""
    decode_bytes: int
    encode_flops: int
    """Of the forward pass."""
    decode_flops: int


@dataclass(frozen=True)
class Training:
    """The numbers of a training, as `finetune-3d` has them."""

    views: int = 12
    """Scene views in a batch: encoded once, and decoded twice, as rendered and as encoded."""
    photos: int = 3
    """Photographs in a batch, encoded and decoded once."""
    accumulation: int = 1
    average: bool = True

    def gibibytes(self, cost: Cost) -> float:
        """Memory of the joint phase."""
        views, photos = (math.ceil(count / self.accumulation) for count in (self.views, self.photos))
        kept = (views + photos) * cost.encode_bytes + (2 * views + photos) * cost.decode_bytes
        weights = (BYTES_PER_PARAMETER + 4 * self.average) * cost.parameters
        return (kept + weights) / 2**30

    def flops(self, cost: Cost) -> float:
        """Arithmetic of a step."""
        encoded, decoded = self.views + self.photos, 2 * self.views + self.photos
        return BACKWARD * (encoded * cost.encode_flops + decoded * cost.decode_flops)


def cost_of(config: dict[str, Any], *, size: int, bfloat16: bool) -> Cost:
    """What one picture of `size` pixels costs."""
    kind: Any = importlib.import_module("diffusers").AutoencoderKL

    with FakeTensorMode():
        model: Any = kind.from_config(config) if "_class_name" in config else kind(**config)
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        count = sum(parameter.numel() for parameter in model.parameters())
        latents: Tensor

        def encode() -> Tensor:
            mean: Tensor = model.encode(torch.rand(1, 3, size, size)).latent_dist.mean
            return mean

        latents, encode_bytes, encode_flops = _counted(encode, weights, bfloat16)
        given = latents.detach().clone().requires_grad_()
        _, decode_bytes, decode_flops = _counted(lambda: model.decode(given).sample, weights, bfloat16)
    return Cost(count, encode_bytes, decode_bytes, encode_flops, decode_flops)


def _counted(function: Any, weights: set[int], bfloat16: bool) -> tuple[Tensor, int, int]:
    """What a function returns, the bytes that its backward pass keeps beside the `weights`, and its arithmetic."""
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        alive.append(tensor)  # So that no storage takes the place of one that is gone.
        return tensor

    counter = FlopCounterMode(display=False)
    with (
        counter,
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16),
    ):
        result: Tensor = function()
    total = sum(size for storage, size in kept.items() if storage not in weights)
    return result, total, counter.get_total_flops()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vae", description=__doc__)
    parser.add_argument("networks", nargs="*", help=f"{', '.join(NETWORKS)}, or the config.json of another")
    parser.add_argument("--steps", type=int, default=5000, help="steps of the joint phase")
    parser.add_argument(
        "--tflops", type=float, default=50.0, help="assumed speed, in 1e12 operations a second"
    )
    arguments = parser.parse_args()
    print(
        f"{'network':8}  {'million':>7}  {'pixels':>6}  {'in':8}  {'accumulation':>12}  {'GiB':>6}  {'hours':>6}"
    )
    for network in arguments.networks or NETWORKS:
        config = NETWORKS[network] if network in NETWORKS else json.loads(Path(network).read_text())
        for size in (128, 256, 512):
            for name in ("float32", "bfloat16"):
                cost = cost_of(config, size=size, bfloat16=name == "bfloat16")
                hours = arguments.steps * Training().flops(cost) / (1e12 * arguments.tflops) / 3600
                for accumulation in (1, 4, 12):
                    memory = Training(accumulation=accumulation).gibibytes(cost)
                    print(
                        f"{network:8}  {cost.parameters / 1e6:7.1f}  {size:6d}  {name:8}  {accumulation:12d}  "
                        f"{memory:6.1f}  {hours:6.1f}"
                    )


if __name__ == "__main__":
    main()
