"""The numbers of splatting that twins and kernels share, those of 3DGS where it has them (Kerbl et al. 2023)."""

from __future__ import annotations

ALPHA_CUT = 1 / 255
"""A Gaussian contributes nothing to a pixel where its alpha is less: it would not change a picture of 8 bits."""

ALPHA_CAP = 0.99
"""Largest alpha: what lies behind a Gaussian keeps a gradient, and backward passes divide by 1 - alpha."""

LEAST_TRANSMITTANCE = 1e-4
"""A Gaussian that would leave no more of the light, and all behind it, are left out."""

FRUSTUM_MARGIN = 0.3
"""How far outside the image, in halves of its size, centres still have their own Jacobian: farther out, where the
linearisation fails, they get that of the margin (the factor of 1.3 of Kerbl et al. 2023's implementation)."""

WIDEST = 1e8
"""Standard deviation, in pixels, beyond which a Gaussian is not drawn: its square's square has no float32."""

LEAST_COMPENSATION = 1e-6
"""Where the factor for antialiasing ends, whose slope would grow without bound."""

LEAST_LENGTH = 1e-6
"""Of a quaternion, so that the gradient of its normalisation is bounded."""


def compositing_constants(channels: int) -> str:
    """C++ that the bodies of all compositing kernels begin with."""
    return f"""
    constexpr int channels = {channels};
    constexpr float cap = {ALPHA_CAP}f, cut = {ALPHA_CUT}f, least = {LEAST_TRANSMITTANCE}f;
"""
