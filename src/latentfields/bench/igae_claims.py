"""The claims of IG-AE as numbers with bounds, from the results of `latentfields bench igae`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from latentfields.bench.claims import Claim
from latentfields.bench.summary import Spread, gains

NVS_GAIN = 1.5
"""dB that latent NeRFs gain in the space of an IG-AE (Table 1's mean)."""
LATENT_GAIN = 6.0
"""dB between rendered and encoded latents; Table 11 has about 9."""
PRESERVATION_LOSS = 0.5
"""dB of reconstruction that 3D-consistency may cost."""
SEVERAL = 3.0
"""What "several dB" means."""
CLEARLY = 0.75
"""Share of the plain autoencoder's inconsistency that a clearly better score stays below."""


def claims(results: Mapping[str, Any]) -> list[Claim]:
    """All claims that can be judged by the autoencoders and photographs in the results."""
    found = []
    known = results["autoencoders"]
    if "igae" in known:
        found += [*_novel_views(results), *_score(results)]
    if "igae" in known and "no-3d" in known:
        found += _both_parts(results)
    if "igae" in known and "no-preservation" in known and results["photos"]:
        lost = _photo_psnr(results, "igae") - _photo_psnr(results, "no-preservation")
        found.append(_at_least("Without preservation, photographs are lost", [lost], SEVERAL))
    return found


def values(results: Mapping[str, Any], role: str, measure: str, *, family: str | None = None) -> list[float]:
    """A measure of one autoencoder's fits, object by object, of all families or of one."""
    return [
        fit[measure]
        for fit in results["fits"]
        if fit["autoencoder"] == role and family in (None, fit["family"])
    ]


def families(results: Mapping[str, Any]) -> list[str]:
    """Families of objects, in order."""
    return list(dict.fromkeys(fit["family"] for fit in results["fits"]))


def _gains(
    results: Mapping[str, Any], role: str, over: str, measure: str, family: str | None = None
) -> list[float]:
    return gains(values(results, role, measure, family=family), values(results, over, measure, family=family))


def _novel_views(results: Mapping[str, Any]) -> list[Claim]:
    by_family = {
        family: Spread.of(_gains(results, "igae", "base", "psnr", family)).mean
        for family in families(results)
    }
    worst = min(by_family, key=by_family.__getitem__)
    aligned = gains(values(results, "igae", "psnr"), values(results, "igae", "supervision_psnr"))
    return [
        _at_least(
            "Latent NeRFs gain by 3D-consistency (decoded test PSNR)",
            _gains(results, "igae", "base", "psnr"),
            NVS_GAIN,
        ),
        Claim(
            "They gain on every family",
            "> 0 dB",
            f"{by_family[worst]:+.2f} dB ({worst})",
            by_family[worst] > 0,
        ),
        _at_least(
            "Latents are 3D-consistent (rendered against encoded)",
            _gains(results, "igae", "base", "supervision_latent_psnr"),
            LATENT_GAIN,
        ),
        _at_least("RGB Alignment matters (after it, against before)", aligned, 0.0),
    ]


def _both_parts(results: Mapping[str, Any]) -> list[Claim]:
    found = [
        _at_least(
            "Without L_3D, novel views are lost (decoded test PSNR)",
            _gains(results, "igae", "no-3d", "psnr"),
            NVS_GAIN,
        ),
        _at_least(
            "Objects never seen are preserved, against training without L_3D",
            _gains(results, "igae", "no-3d", "autoencoder_psnr"),
            -PRESERVATION_LOSS,
        ),
    ]
    if results["photos"]:
        kept = _photo_psnr(results, "igae") - _photo_psnr(results, "no-3d")
        found.append(
            _at_least("Photographs are preserved, against training without L_3D", [kept], -PRESERVATION_LOSS)
        )
    return found


def _score(results: Mapping[str, Any]) -> list[Claim]:
    scores = {role: score["latents"]["inconsistency"] for role, score in results["score"].items()}
    latent = {role: Spread.of(values(results, role, "supervision_latent_psnr")).mean for role in scores}
    ratio = scores["igae"] / scores["base"]
    agreeing = [(scores[a] < scores[b]) == (latent[a] > latent[b]) for a, b in combinations(scores, 2)]
    return [
        Claim(
            "The 3D-awareness score tells them apart (inconsistency, share of the plain one)",
            f"<= {CLEARLY:.2f}",
            f"{ratio:.2f}",
            ratio <= CLEARLY,
        ),
        Claim(
            "The score orders autoencoders as latent novel views do",
            "all pairs",
            f"{sum(agreeing)} of {len(agreeing)} pairs",
            all(agreeing),
        ),
    ]


def _photo_psnr(results: Mapping[str, Any], role: str) -> float:
    return float(results["photos"][role]["psnr"])


def _at_least(statement: str, measured: Sequence[float], bound: float) -> Claim:
    spread = Spread.of(measured)
    text = f"{spread.mean:+.2f}" + (f" ± {spread.deviation:.2f}" if spread.count > 1 else "")
    return Claim(statement, f">= {bound:+.2f} dB", f"{text} dB", spread.mean >= bound)
