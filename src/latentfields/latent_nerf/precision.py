"""Arithmetic of the decoder during RGB Alignment."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from latentfields.latent_nerf.config import DecoderPrecision


def uses_bfloat16(precision: DecoderPrecision, device: torch.device) -> bool:
    """Whether the decoder computes in bfloat16 on `device`; "auto" where that is faster there."""
    return precision == "bfloat16" or (precision == "auto" and has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for products in bfloat16. Emulated ones would be slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # PyTorch tells only in newer versions; older ones keep to float32.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
