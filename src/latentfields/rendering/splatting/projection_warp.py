"""The warp kernels behind `project`, for the CPU and for CUDA. Imports warp: only for use where it is installed.

The bodies are C++, not warp's Python: compiled by warp all the same, small arrays stay in registers. One logical
thread projects a block of Gaussians; on CUDA a block is one Gaussian.
"""

from __future__ import annotations

import functools
from typing import Any

import warp as wp

from latentfields.rendering.splatting.constants import ALPHA_CUT, LEAST_COMPENSATION, LEAST_LENGTH, WIDEST

CONSTANTS = f"""
    constexpr float cut = {ALPHA_CUT}f, widest = {WIDEST}f;
    constexpr float least_length = {LEAST_LENGTH}f, least_compensation = {LEAST_COMPENSATION}f;
"""

SETUP = """
    // What `_view` packs, in its order.
    const float *axes = &view[0], *center = &view[9], *focal = &view[12], *principal = &view[14];
    const float *limits = &view[16], width = view[20], height = view[21], near_plane = view[22], blur = view[23];
    const bool antialiased = view[24] != 0.0f;
    for (int g = first; g < last; ++g) {
"""

PLACE = """        // The centre in the camera: right, down, forwards.
        float at[3];
        for (int i = 0; i < 3; ++i) {
            at[i] = 0.0f;
            for (int j = 0; j < 3; ++j) at[i] += axes[3 * i + j] * (means[3 * g + j] - center[j]);
        }
"""

STEPS = """        const float inverse = 1.0f / at[2], slope[2] = {at[0] * inverse, at[1] * inverse};
        // The rotation of the unit quaternion.
        float q[4], length = 0.0f;
        for (int i = 0; i < 4; ++i) length += rotations[4 * g + i] * rotations[4 * g + i];
        length = wp::max(sqrtf(length), least_length);
        for (int i = 0; i < 4; ++i) q[i] = rotations[4 * g + i] / length;
        const float w = q[0], x = q[1], y = q[2], z = q[3];
        const float rotation[3][3] = {
            {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
            {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
            {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
        // W R and W R S: the principal axes in the camera, of unit length and as long as the Gaussian is wide.
        float turned[3][3], local[3][3], root[2][3];
        for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 3; ++j) {
                turned[i][j] = 0.0f;
                for (int k = 0; k < 3; ++k) turned[i][j] += axes[3 * i + k] * rotation[k][j];
                local[i][j] = turned[i][j] * scales[3 * g + j];
            }
        // J W R S, whose product with its transpose is the covariance: J moves an axis sideways by its own way across
        // the image, less what coming nearer moves the centre. Bounded slopes keep J sane outside of the image.
        float bounded[2], zoom[2];
        for (int i = 0; i < 2; ++i) {
            bounded[i] = wp::min(wp::max(slope[i], limits[2 * i]), limits[2 * i + 1]);
            zoom[i] = focal[i] * inverse;
            for (int j = 0; j < 3; ++j) root[i][j] = zoom[i] * (local[i][j] - bounded[i] * local[2][j]);
        }
        // The covariance's entries and its determinant without the blur. As the squared cross product of the rows it
        // cannot cancel to less than zero, as xx yy - xy^2 does for Gaussians that are thin or seen from the side.
        float xx = 0.0f, xy = 0.0f, yy = 0.0f, normal[3], sharp = 0.0f;
        for (int j = 0; j < 3; ++j) {
            xx += root[0][j] * root[0][j];
            xy += root[0][j] * root[1][j];
            yy += root[1][j] * root[1][j];
            const int k = (j + 1) % 3, l = (j + 2) % 3;
            normal[j] = root[0][k] * root[1][l] - root[0][l] * root[1][k];
            sharp += normal[j] * normal[j];
        }
        // With the blur on the diagonal: all terms are positive again.
        const float determinant = sharp + blur * (xx + yy) + blur * blur;
        const float conic[3] = {(yy + blur) / determinant, -xy / determinant, (xx + blur) / determinant};
        // How much the blur spreads the Gaussian thinner; antialiasing takes that from its opacity.
        const float ratio = sharp / determinant;
        const float factor = antialiased ? wp::max(sqrtf(ratio), least_compensation) : 1.0f;
"""
"""The steps of `project_reference` for one Gaussian after the other."""

NOTHING = """
        // What is not drawn has radius 0, and no value that could spoil a sum.
        radii[g] = 0;
        depths[g] = 0.0f;
        out_opacities[g] = 0.0f;
        for (int i = 0; i < 2; ++i) means_2d[2 * g + i] = extents[2 * g + i] = 0.0f;
        for (int i = 0; i < 3; ++i) conics[3 * g + i] = 0.0f;
"""

WHERE = """
        depths[g] = at[2];
        if (!(at[2] >= near_plane)) continue;
"""

WRITE = """
        // Wider than this, and products of the entries would be infinite.
        bool drawn = true;
        for (int j = 0; j < 3; ++j) drawn = drawn && fabsf(root[0][j]) < widest && fabsf(root[1][j]) < widest;
        if (!drawn) continue;
        const float opacity = opacities[g] * factor;
        // From opacity exp(-d^2 / 2) = cut: where, in standard deviations, alpha falls to its cut.
        const float deviations = sqrtf(wp::max(2.0f * logf(opacity / cut), 0.0f));
        const float spread[2] = {deviations * sqrtf(xx + blur), deviations * sqrtf(yy + blur)};
        const float mean[2] = {focal[0] * slope[0] + principal[0], focal[1] * slope[1] + principal[1]};
        // The larger eigenvalue of the covariance is the variance along the ellipse's longer axis.
        const float middle = 0.5f * (xx + yy) + blur, half = 0.5f * (xx - yy);
        const float radius = ceilf(deviations * sqrtf(middle + sqrtf(half * half + xy * xy)));
        const bool seen = mean[0] + spread[0] > 0.0f && mean[0] - spread[0] < width
            && mean[1] + spread[1] > 0.0f && mean[1] - spread[1] < height;
        radii[g] = seen ? (int)radius : 0;
        out_opacities[g] = opacity;
        for (int i = 0; i < 2; ++i) {
            means_2d[2 * g + i] = mean[i];
            extents[2 * g + i] = spread[i];
        }
        for (int i = 0; i < 3; ++i) conics[3 * g + i] = conic[i];
    }
"""

SKIP = """
        // Depths are written for all Gaussians, the rest for those that are drawn.
        if (radii[g] == 0) {
            for (int j = 0; j < 3; ++j) d_means[3 * g + j] = d_depths[g] * axes[6 + j];
            continue;
        }
"""

GRADIENTS = """
        // Every entry of the conic is one of the covariance over the determinant.
        float d_determinant = 0.0f, d_sharp = 0.0f;
        for (int i = 0; i < 3; ++i) d_determinant -= d_conics[3 * g + i] * conic[i] / determinant;
        d_opacities[g] = d_out_opacities[g] * factor;
        // At its least the factor is a constant: no slope.
        if (antialiased && factor > least_compensation) {
            const float d_ratio = d_out_opacities[g] * opacities[g] * 0.5f / factor;
            d_sharp += d_ratio / determinant;
            d_determinant -= d_ratio * ratio / determinant;
        }
        d_sharp += d_determinant;
        // The entries of the covariance: through the conic, and through the blur's part of the determinant.
        const float d_xx = d_conics[3 * g + 2] / determinant + blur * d_determinant;
        const float d_xy = -d_conics[3 * g + 1] / determinant;
        const float d_yy = d_conics[3 * g] / determinant + blur * d_determinant;
        float d_slope[2] = {focal[0] * d_means_2d[2 * g], focal[1] * d_means_2d[2 * g + 1]};
        float d_bounded[2] = {0.0f, 0.0f}, d_at[3] = {0.0f, 0.0f, d_depths[g]}, d_rotation[3][3] = {};
        for (int j = 0; j < 3; ++j) {
            const int k = (j + 1) % 3, l = (j + 2) % 3;
            // Through the covariance, and through the cross product.
            const float d_root[2] = {
                2 * d_xx * root[0][j] + d_xy * root[1][j]
                    + 2 * d_sharp * (root[1][k] * normal[l] - root[1][l] * normal[k]),
                2 * d_yy * root[1][j] + d_xy * root[0][j]
                    + 2 * d_sharp * (normal[k] * root[0][l] - normal[l] * root[0][k])};
            // Through J, which the centre's slope and depth are in as well.
            float d_local[3] = {zoom[0] * d_root[0], zoom[1] * d_root[1], 0.0f}, d_scale = 0.0f;
            for (int i = 0; i < 2; ++i) {
                d_local[2] -= zoom[i] * bounded[i] * d_root[i];
                d_bounded[i] -= zoom[i] * d_root[i] * local[2][j];
                d_at[2] -= d_root[i] * root[i][j] * inverse;
            }
            // Through the product of W R with the scales.
            for (int i = 0; i < 3; ++i) {
                d_scale += d_local[i] * turned[i][j];
                for (int m = 0; m < 3; ++m) d_rotation[m][j] += axes[3 * i + m] * d_local[i] * scales[3 * g + j];
            }
            d_scales[3 * g + j] = d_scale;
        }
        // A slope that was moved to its bound has no gradient through J.
        for (int i = 0; i < 2; ++i) {
            if (bounded[i] == slope[i]) d_slope[i] += d_bounded[i];
            d_at[i] = d_slope[i] * inverse;
            d_at[2] -= d_slope[i] * slope[i] * inverse;
        }
        for (int j = 0; j < 3; ++j)
            d_means[3 * g + j] = d_at[0] * axes[j] + d_at[1] * axes[3 + j] + d_at[2] * axes[6 + j];
        // The quaternion's gradient: the rotation's antisymmetric part turns, the symmetric part is from the squares.
        const auto& d = d_rotation;
        const float turn_x = d[2][1] - d[1][2], turn_y = d[0][2] - d[2][0], turn_z = d[1][0] - d[0][1];
        const float sum_xy = d[0][1] + d[1][0], sum_xz = d[0][2] + d[2][0], sum_yz = d[1][2] + d[2][1];
        const float d_q[4] = {
            2 * (x * turn_x + y * turn_y + z * turn_z),
            2 * (w * turn_x + y * sum_xy + z * sum_xz - 2 * x * (d[1][1] + d[2][2])),
            2 * (w * turn_y + x * sum_xy + z * sum_yz - 2 * y * (d[0][0] + d[2][2])),
            2 * (w * turn_z + x * sum_xz + y * sum_yz - 2 * z * (d[0][0] + d[1][1]))};
        // Its length has no effect, so the part along it goes; too short a quaternion was divided by a constant.
        float along = 0.0f;
        if (length > least_length)
            for (int i = 0; i < 4; ++i) along += q[i] * d_q[i];
        for (int i = 0; i < 4; ++i) d_rotations[4 * g + i] = (d_q[i] - along * q[i]) / length;
    }
"""

FORWARD = CONSTANTS + SETUP + NOTHING + PLACE + WHERE + STEPS + WRITE
BACKWARD = CONSTANTS + SETUP + SKIP + PLACE + STEPS + GRADIENTS
"""Each step backwards, last first; d is short for the gradient of the rotation matrix."""


@functools.cache
def project_kernel() -> Any:
    """Writes what a `ProjectedGaussians` holds."""

    @wp.func_native(FORWARD)
    def body(
        means: wp.array[wp.float32],
        rotations: wp.array[wp.float32],
        scales: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        view: wp.array[wp.float32],
        means_2d: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        depths: wp.array[wp.float32],
        out_opacities: wp.array[wp.float32],
        extents: wp.array[wp.float32],
        radii: wp.array[wp.int32],
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        means: wp.array[wp.float32],
        rotations: wp.array[wp.float32],
        scales: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        view: wp.array[wp.float32],
        means_2d: wp.array[wp.float32],
        conics: wp.array[wp.float32],
        depths: wp.array[wp.float32],
        out_opacities: wp.array[wp.float32],
        extents: wp.array[wp.float32],
        radii: wp.array[wp.int32],
        count: int,
        block: int,
    ) -> None:
        first = wp.tid() * block
        body(
            means,
            rotations,
            scales,
            opacities,
            view,
            means_2d,
            conics,
            depths,
            out_opacities,
            extents,
            radii,
            first,
            wp.min(first + block, count),
        )

    return kernel


@functools.cache
def project_backward_kernel() -> Any:
    """Writes the gradients of the Gaussians that were drawn; the others' must be zero before."""

    @wp.func_native(BACKWARD)
    def body(
        means: wp.array[wp.float32],
        rotations: wp.array[wp.float32],
        scales: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        view: wp.array[wp.float32],
        radii: wp.array[wp.int32],
        d_means_2d: wp.array[wp.float32],
        d_conics: wp.array[wp.float32],
        d_depths: wp.array[wp.float32],
        d_out_opacities: wp.array[wp.float32],
        d_means: wp.array[wp.float32],
        d_rotations: wp.array[wp.float32],
        d_scales: wp.array[wp.float32],
        d_opacities: wp.array[wp.float32],
        first: int,
        last: int,
    ) -> None: ...

    @wp.kernel(enable_backward=False, module="unique")
    def kernel(
        means: wp.array[wp.float32],
        rotations: wp.array[wp.float32],
        scales: wp.array[wp.float32],
        opacities: wp.array[wp.float32],
        view: wp.array[wp.float32],
        radii: wp.array[wp.int32],
        d_means_2d: wp.array[wp.float32],
        d_conics: wp.array[wp.float32],
        d_depths: wp.array[wp.float32],
        d_out_opacities: wp.array[wp.float32],
        d_means: wp.array[wp.float32],
        d_rotations: wp.array[wp.float32],
        d_scales: wp.array[wp.float32],
        d_opacities: wp.array[wp.float32],
        count: int,
        block: int,
    ) -> None:
        first = wp.tid() * block
        body(
            means,
            rotations,
            scales,
            opacities,
            view,
            radii,
            d_means_2d,
            d_conics,
            d_depths,
            d_out_opacities,
            d_means,
            d_rotations,
            d_scales,
            d_opacities,
            first,
            wp.min(first + block, count),
        )

    return kernel
