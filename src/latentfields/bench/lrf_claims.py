"""The claims of LRF as numbers with bounds, from the results of `latentfields bench lrf`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentfields.bench.claims import Claim
from latentfields.bench.lrf_config import FEW
from latentfields.bench.summary import Spread, gains

RECONSTRUCTION_LOSS = 0.3
"""dB of reconstruction that both stages may cost; in Table 4 it is up to 1.34."""
STORAGE = 0.1
"""Share of the storage of an image-space field of the same quality."""


def claims(results: Mapping[str, Any]) -> list[Claim]:
    """All claims, judged by means over scenes and seeds. Gains are paired: same scene, same seed."""
    return [*_stages(results), *_baselines(results), *_few_shot(results), *_price(results)]


def values(results: Mapping[str, Any], method: str, measure: str, *, views: int | None = None) -> list[float]:
    """A measure of one method, fit by fit, of the fits to so many training views (None: all)."""
    return [
        fit["methods"][method][measure]
        for fit in results["fits"]
        if fit["training_views"] == views and method in fit["methods"]
    ]


def image_baseline(results: Mapping[str, Any], measure: str, *, views: int | None = None) -> list[float]:
    """The baseline at the latents' resolution, fit by fit: the better of rendering large and interpolating."""
    name = f"image/{results['factor']}"
    best = max if measure in ("psnr", "ssim") else min
    ways = [values(results, f"{name} {way}", measure, views=views) for way in ("upsampled", "enlarged")]
    return [best(pair) for pair in zip(*ways, strict=True)]


def same_quality_bytes(results: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Bytes of LRF's scene, and of the smallest image-space field of at least its PSNR, for every scene and seed.

    Where no image-space field is as good, the best one stands for it: one of that quality would hardly be smaller.
    """
    pairs = []
    whole = [fit for fit in results["fits"] if fit["training_views"] is None]
    for ours in (fit for fit in whole if "both" in fit["methods"]):
        wanted = ours["methods"]["both"]["psnr"]
        ladder = [
            (max(scores["psnr"] for scores in fit["methods"].values()), fit["bytes"])
            for fit in whole
            if "divisor" in fit and (fit["scene"], fit["seed"]) == (ours["scene"], ours["seed"])
        ]
        enough = [size for psnr, size in ladder if psnr >= wanted]
        pairs.append((ours["bytes"], min(enough) if enough else max(ladder)[1]))
    return pairs


def _stages(results: Mapping[str, Any]) -> list[Claim]:
    psnr = {role: values(results, role, "psnr") for role in results["autoencoders"]}
    alone = [max(pair) for pair in zip(psnr["encoder"], psnr["decoder"], strict=True)]
    return [
        _above("Stage I helps (encoder only, against the plain VAE)", gains(psnr["encoder"], psnr["base"])),
        _above("Stage III helps (decoder only, against the plain VAE)", gains(psnr["decoder"], psnr["base"])),
        _above("Both together help most (against the better one alone)", gains(psnr["both"], alone)),
    ]


def _baselines(results: Mapping[str, Any]) -> list[Claim]:
    found = []
    plain = "LRF is better than latents of the plain VAE"
    image = "LRF is better than images of the latents' resolution"
    for measure, unit in (("psnr", " dB"), ("ms_gmsd", "")):
        ours = values(results, "both", measure)
        for statement, other in (
            (plain, values(results, "base", measure)),
            (image, image_baseline(results, measure)),
        ):
            name = f"{statement} ({'PSNR' if measure == 'psnr' else 'MS-GMSD, lower is better'})"
            differences = gains(ours, other) if measure == "psnr" else gains(other, ours)
            found.append(_above(name, differences, unit=unit))
    return found


def _few_shot(results: Mapping[str, Any]) -> list[Claim]:
    ours = values(results, "both", "psnr", views=FEW)
    return [
        _above(
            f"With {FEW} views, LRF is better than latents of the plain VAE (PSNR)",
            gains(ours, values(results, "base", "psnr", views=FEW)),
        ),
        _above(
            f"With {FEW} views, LRF is better than images of the latents' resolution (PSNR)",
            gains(ours, image_baseline(results, "psnr", views=FEW)),
        ),
    ]


def _price(results: Mapping[str, Any]) -> list[Claim]:
    before, after = (
        [scene["psnr"] for scene in results["reconstruction"][role]] for role in ("base", "both")
    )
    kept = Spread.of(gains(after, before))
    share = Spread.of([ours / theirs for ours, theirs in same_quality_bytes(results)])
    return [
        Claim(
            "Reconstruction is kept (test views, against the plain VAE)",
            f">= {-RECONSTRUCTION_LOSS:+.2f} dB",
            _text(kept, " dB"),
            kept.mean >= -RECONSTRUCTION_LOSS,
        ),
        Claim(
            "A scene is small (share of an image-space field of the same PSNR)",
            f"<= {STORAGE:.2f}",
            str(share),
            share.mean <= STORAGE,
        ),
    ]


def _above(statement: str, differences: Sequence[float], *, unit: str = " dB") -> Claim:
    spread = Spread.of(differences)
    return Claim(statement, f"> 0{unit}", _text(spread, unit), spread.mean > 0)


def _text(spread: Spread, unit: str) -> str:
    digits = 2 if unit else 4
    deviation = f" ± {spread.deviation:.{digits}f}" if spread.count > 1 else ""
    return f"{spread.mean:+.{digits}f}{deviation}{unit}"
