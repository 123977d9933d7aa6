"""The 3D smoothing filter of Mip-Splatting (Yu et al. 2024): no Gaussian is finer than what any training view shows.

A pinhole camera of focal length f, in pixels, takes samples at a distance d that are d / f apart. What is finer than
the samples of every view is not in the pictures: it comes about by chance, and shows when the scene is looked at from
nearer. The filter widens every Gaussian by its finest view's interval, and lowers its opacity by as much as that
makes it larger. The 2D Mip filter, its counterpart on the image plane, is `projection.project` with `antialiased`.

Shape suffixes: N Gaussians.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.devices import like
from latentfields.rendering.splatting.gaussians import Gaussians


@torch.no_grad()
def sampling_rates(means: Tensor, cameras: Cameras, *, near: float) -> Tensor:
    """Maximal sampling frequencies (N,) of points (N, 3), per unit length: max over cameras n of 1_n f_n / d_n.

    1_n is one where the camera sees the point: within its image, and not nearer than `near` along the viewing axis,
    which is how d_n is measured. f_n is the larger focal length. Points that no camera sees get the smallest rate of
    those that are seen; all get zero where none is. `cameras` are on the points' device.
    """
    rates = means.new_zeros(len(means))
    size = like([cameras.width, cameras.height], means)
    # One camera at a time: there may be a million points.
    for index in range(len(cameras)):
        camera = cameras[index : index + 1]
        positions, depth = (values[0] for values in camera.project(means))
        seen = (depth >= near) & ((positions >= 0) & (positions <= size)).all(dim=-1)
        rate = camera.focal.max() / depth.clamp(min=near)
        rates = torch.where(seen, torch.maximum(rates, rate), rates)
    known = rates > 0
    smallest = torch.where(known, rates, torch.inf).amin() if len(rates) else rates.new_zeros(())
    return torch.where(known, rates, torch.where(smallest.isfinite(), smallest, torch.zeros_like(smallest)))


def filter_variances(rates: Tensor, *, smoothing: float) -> Tensor:
    """Variances (N,) of the low-pass filters of Gaussians with sampling `rates` (N,): s / rate^2, with s = `smoothing`.

    Zero, which is no filter, where the rate is.
    """
    return torch.where(rates > 0, smoothing / rates.square().clamp(min=torch.finfo(rates.dtype).tiny), 0)


def smoothed(gaussians: Gaussians, variances: Tensor) -> Gaussians:
    """Convolve every Gaussian with an isotropic one of `variances` (N,), as much of it as there was before.

    A covariance Sigma becomes Sigma + v I, and an opacity is multiplied by sqrt(|Sigma| / |Sigma + v I|). As Sigma + v
    I has the principal axes of Sigma, only scales change.
    """
    scales = (gaussians.scales.square() + variances[:, None]).sqrt()
    return Gaussians(
        means=gaussians.means,
        rotations=gaussians.rotations,
        scales=scales,
        opacities=gaussians.opacities * (gaussians.scales / scales).prod(dim=-1),
    )
