"""C++ bodies of the compositing kernels for the CPU: one logical thread does a tile of 4 x 4 pixels.

Its pixels are the sixteen lanes of vectors, which warp's own language does not have.
"""

from __future__ import annotations

import math

from latentfields.rendering.splatting.constants import compositing_constants

TILE = 4
"""Pixels per side of a tile: as many pixels as lanes, and few, because Gaussians cover few pixels of latents."""

FARTHEST_EXPONENT = 5.6
"""Exponents above are taken for this: alpha, at most exp(-5.6) = 1 / 270, is under its cut of 1 / 255 there."""
NEAREST_EXPONENT = -1.0
"""Exponents below are taken for this. They are not negative but for rounding; what counts is that the polynomial below
is never far outside of where it holds."""
MIDDLE_EXPONENT = FARTHEST_EXPONENT / 2
"""Where the polynomial for exp(-exponent) is best."""

EXPONENTIAL = f"""
    constexpr float farthest = {FARTHEST_EXPONENT}f, nearest = {NEAREST_EXPONENT}f, middle = {MIDDLE_EXPONENT}f;
    constexpr float eighth = 0.125f, exp_of_minus_middle = {math.exp(-MIDDLE_EXPONENT):.10g}f;
"""
"""exp(-t), with vector operations alone: exp(middle - t) exp(-middle), the first being exp((middle - t) / 8) to the
eighth power, three squarings of it. |middle - t| / 8 is at most 0.35 for t from 0 to 5.6: there, seven terms of the
exponential series are good to 2e-6 of the value, far below what alpha's cut drops."""

SETUP = """
    typedef float lanes __attribute__((ext_vector_type(16)));
    typedef int mask __attribute__((ext_vector_type(16)));
    // Places of the sixteen pixels in their tile, row by row, from its middle.
    const lanes across = {-1.5f, -0.5f, 0.5f, 1.5f, -1.5f, -0.5f, 0.5f, 1.5f,
                          -1.5f, -0.5f, 0.5f, 1.5f, -1.5f, -0.5f, 0.5f, 1.5f};
    const lanes down = {-1.5f, -1.5f, -1.5f, -1.5f, -0.5f, -0.5f, -0.5f, -0.5f,
                        0.5f, 0.5f, 0.5f, 0.5f, 1.5f, 1.5f, 1.5f, 1.5f};
    const int columns = (width + 3) / 4, left = 4 * (index % columns), top = 4 * (index / columns);
    const lanes x = across + (left + 2.0f), y = down + (top + 2.0f);
    mask alive = (x < (lanes)width) & (y < (lanes)height);
    lanes passing = 1.0f;
"""

LOOP = """
    for (int k = starts[index]; k < starts[index + 1]; ++k) {
        const int g = members[k];
        const float xx = conics[3 * g], xy = conics[3 * g + 1], yy = conics[3 * g + 2], opacity = opacities[g];
        const lanes dx = x - means[2 * g], dy = y - means[2 * g + 1];
        const lanes exponent = 0.5f * (xx * dx * dx + yy * dy * dy) + xy * dx * dy;
        const lanes bounded = __builtin_elementwise_min(
            __builtin_elementwise_max(exponent, (lanes)nearest), (lanes)farthest);
        // The series of exp(e), by Horner's rule, then its eighth power.
        const lanes e = eighth * middle - eighth * bounded;
        lanes shape = 1.0f + e * (1.0f + e * (1 / 2.0f + e * (1 / 6.0f + e * (1 / 24.0f
            + e * (1 / 120.0f + e * (1 / 720.0f))))));
        shape *= shape;
        shape *= shape;
        shape *= exp_of_minus_middle * shape;
        const lanes raw = opacity * shape, alpha = __builtin_elementwise_min(raw, (lanes)cap);
        mask hit = alive & (alpha >= (lanes)cut);
        // Lists are those of whole tiles: many a Gaussian touches a tile's box, but none of its pixels.
        if (!__builtin_reduce_or(hit)) continue;
        const lanes behind = passing * (1.0f - alpha);
        // A pixel whose light would end here is done, and this Gaussian is not in it.
        alive &= ~(hit & (behind <= (lanes)least));
        hit &= alive;
        const lanes weight = hit ? alpha * passing : (lanes)0.0f;
"""
"""Front to back through the tile's Gaussians, as `composite_reference` does."""

NEXT = """
        passing = hit ? behind : passing;
        if (!__builtin_reduce_or(alive)) break;
    }
"""

BEGIN_FORWARD = "lanes sum[channels] = {};"

PAIR_FORWARD = "for (int c = 0; c < channels; ++c) sum[c] += weight * values[(long long)g * channels + c];"

END_FORWARD = """
    // Tiles at the right and lower border reach past the image.
    for (int i = 0; i < 16; ++i) {
        if (left + i % 4 >= width || top + i / 4 >= height) continue;
        const int pixel = (top + i / 4) * width + left + i % 4;
        for (int c = 0; c < channels; ++c) summed[c * height * width + pixel] = sum[c][i];
        transmittance[pixel] = passing[i];
    }
"""

BEGIN_BACKWARD = """
    typedef float unaligned __attribute__((ext_vector_type(16), aligned(4)));
    typedef float eight __attribute__((ext_vector_type(8)));
    // The image's gradient twice: one vector of pixels per channel, and one vector of channels per pixel, as many as
    // fill whole vectors. The suffix is what is seen behind the current Gaussian times that gradient, at first all.
    constexpr int blocks = channels / 16;
    lanes by_channel[channels] = {}, by_pixel[16 * blocks + 1] = {}, suffix = 0.0f;
    eight powers[16];
    for (int i = 0; i < 16; ++i) {
        const float u = across[i], v = down[i];
        powers[i] = (eight){1.0f, u, v, u * u, u * v, v * v, 0.0f, 0.0f};
        if (left + i % 4 >= width || top + i / 4 >= height) continue;
        const int pixel = (top + i / 4) * width + left + i % 4;
        suffix[i] = transmittance[pixel] * d_transmittance[pixel];
        for (int c = 0; c < channels; ++c) {
            const float gradient = d_summed[c * height * width + pixel];
            by_channel[c][i] = gradient;
            if (c < 16 * blocks) by_pixel[16 * (c / 16) + i][c % 16] = gradient;
            suffix[i] += gradient * summed[c * height * width + pixel];
        }
    }
"""

PAIR_BACKWARD = """
        const float* value = &values[(long long)g * channels];
        float* d_value = &d_values[(long long)g * channels];
        // What the gradient says of this Gaussian's values, in every pixel.
        lanes along = 0.0f;
        for (int c = 0; c < channels; ++c) along += by_channel[c] * value[c];
        suffix -= weight * along;
        // Gradients of values: sums over the pixels, sixteen channels at a time.
        for (int b = 0; b < blocks; ++b) {
            unaligned* target = (unaligned*)(d_value + 16 * b);
            lanes total = *target;
            for (int i = 0; i < 16; ++i) total += weight[i] * by_pixel[16 * b + i];
            *target = total;
        }
        // The channels that are left, one at a time, added up lane by lane.
        for (int c = 16 * blocks; c < channels; ++c) {
            const lanes part = weight * by_channel[c];
            const eight half = part.lo + part.hi;
            const auto quarter = half.lo + half.hi;
            d_value[c] += (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
        }
        // More alpha shows more of this Gaussian and less of all that is behind; a capped alpha has no slope.
        const lanes d_alpha = passing * along - suffix / (1.0f - alpha);
        const lanes d_exponent = (hit & (raw < (lanes)cap)) ? -alpha * d_alpha : (lanes)0.0f;
        eight moments = 0.0f;
        for (int i = 0; i < 16; ++i) moments += d_exponent[i] * powers[i];
        // (dx, dy) = (u, v) + a pixel's place in the tile: their moments from those of the places.
        const float u = left + 2.0f - means[2 * g], v = top + 2.0f - means[2 * g + 1];
        const float d_u = u * moments[0] + moments[1], d_v = v * moments[0] + moments[2];
        d_means[2 * g] -= xx * d_u + xy * d_v;
        d_means[2 * g + 1] -= xy * d_u + yy * d_v;
        d_conics[3 * g] += 0.5f * (u * (d_u + moments[1]) + moments[3]);
        d_conics[3 * g + 1] += u * d_v + v * moments[1] + moments[4];
        d_conics[3 * g + 2] += 0.5f * (v * (d_v + moments[2]) + moments[5]);
        d_opacities[g] -= moments[0] / opacity;
"""
"""The exponent's gradient is summed over the lanes against the powers of their places in the tile, (u, v) from its
middle: one vector of sums, from which those against the powers of (dx, dy) follow. Values' gradients are summed in
vectors of sixteen channels, lane by lane; what is left of the channels, one at a time over the lanes."""


def threads(*, width: int, height: int) -> int:
    """The number of logical threads of an image: one per tile."""
    return -(-width // TILE) * -(-height // TILE)


def forward_body(channels: int) -> str:
    """Writes the sums of values of so many channels, and the transmittance."""
    return (
        compositing_constants(channels)
        + EXPONENTIAL
        + SETUP
        + BEGIN_FORWARD
        + LOOP
        + PAIR_FORWARD
        + NEXT
        + END_FORWARD
    )


def backward_body(channels: int) -> str:
    """Adds to the gradients of the Gaussians.

    Front to back again, so that nothing is kept per pair: what lies behind is the whole less what came before.
    """
    return (
        compositing_constants(channels) + EXPONENTIAL + SETUP + BEGIN_BACKWARD + LOOP + PAIR_BACKWARD + NEXT
    )
