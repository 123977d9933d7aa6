"""C++ bodies of the compositing kernels for CUDA: one logical thread does a pixel."""

from __future__ import annotations

from latentfields.rendering.splatting.constants import compositing_constants

TILE = 8
"""Pixels per side of a tile, all of which go through one list of Gaussians."""

SETUP = f"""
    constexpr int size = {TILE};
    const int column = index % width, row = index / width;
    const int tile = row / size * ((width + size - 1) / size) + column / size;
    float passing = 1.0f;
"""

LOOP = """
    for (int k = starts[tile]; k < starts[tile + 1]; ++k) {
        const int g = members[k];
        const float xx = conics[3 * g], xy = conics[3 * g + 1], yy = conics[3 * g + 2], opacity = opacities[g];
        const float dx = column + 0.5f - means[2 * g], dy = row + 0.5f - means[2 * g + 1];
        const float raw = opacity * wp::exp(-(0.5f * (xx * dx * dx + yy * dy * dy) + xy * dx * dy));
        const float alpha = wp::min(raw, cap);
        if (!(alpha >= cut)) continue;
        // All that follows is darker still: this pixel is done.
        const float behind = passing * (1.0f - alpha);
        if (behind <= least) break;
        const float weight = alpha * passing;
        const float* value = &values[(long long)g * channels];
"""
"""Front to back through the tile's Gaussians, as `composite_reference` does."""

NEXT = """
        passing = behind;
    }
"""

BEGIN_FORWARD = "float sum[channels] = {};"

PAIR_FORWARD = "for (int c = 0; c < channels; ++c) sum[c] += weight * value[c];"

END_FORWARD = """
    for (int c = 0; c < channels; ++c) summed[c * height * width + index] = sum[c];
    transmittance[index] = passing;
"""

BEGIN_BACKWARD = """
    // What is seen behind the current Gaussian, times the image's gradient: at first everything.
    float gradient[channels], suffix = transmittance[index] * d_transmittance[index];
    for (int c = 0; c < channels; ++c) {
        gradient[c] = d_summed[c * height * width + index];
        suffix += gradient[c] * summed[c * height * width + index];
    }
"""

PAIR_BACKWARD = """
        float along = 0.0f;
        for (int c = 0; c < channels; ++c) {
            along += gradient[c] * value[c];
            wp::atomic_add(&d_values[(long long)g * channels + c], weight * gradient[c]);
        }
        suffix -= weight * along;
        // A capped alpha has no slope. Otherwise: more alpha shows more of this Gaussian and less of what is behind.
        if (raw < cap) {
            const float d_alpha = passing * along - suffix / (1.0f - alpha), d_exponent = -alpha * d_alpha;
            wp::atomic_add(&d_means[2 * g], -d_exponent * (xx * dx + xy * dy));
            wp::atomic_add(&d_means[2 * g + 1], -d_exponent * (xy * dx + yy * dy));
            wp::atomic_add(&d_conics[3 * g], 0.5f * d_exponent * dx * dx);
            wp::atomic_add(&d_conics[3 * g + 1], d_exponent * dx * dy);
            wp::atomic_add(&d_conics[3 * g + 2], 0.5f * d_exponent * dy * dy);
            wp::atomic_add(&d_opacities[g], alpha / opacity * d_alpha);
        }
"""


def threads(*, width: int, height: int) -> int:
    """The number of logical threads of an image: one per pixel."""
    return width * height


def forward_body(channels: int) -> str:
    """Writes the sums of values of so many channels, and the transmittance."""
    return compositing_constants(channels) + SETUP + BEGIN_FORWARD + LOOP + PAIR_FORWARD + NEXT + END_FORWARD


def backward_body(channels: int) -> str:
    """Adds to the gradients of the Gaussians; front to back again, like that for the CPU."""
    return compositing_constants(channels) + SETUP + BEGIN_BACKWARD + LOOP + PAIR_BACKWARD + NEXT
