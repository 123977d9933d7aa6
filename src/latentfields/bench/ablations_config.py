"""What `latentfields bench ablations` compares. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ablations:
    """The plain autoencoder, its 3D-aware version, and what each part of that training is worth (IG-AE Table 2)."""

    base: str
    """Name or folder of the plain autoencoder, which the others are trained from."""
    igae: str | None
    """Its 3D-aware version; None trains it."""
    no_3d: str | None
    """Trained as long without L_3D; None trains it."""
    no_preservation: str | None
    """Trained without L_ae; None trains it."""
    training_scenes: tuple[Path, ...]
    """Scenes to train on; the scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...]
    """Photographs to train on; likewise."""
    test_photos: tuple[Path, ...]
    """Photographs that nothing was trained on, to be reconstructed."""
    test_pattern: str
    """Names of those that count."""

    def given(self) -> dict[str, str | None]:
        """Autoencoders by their roles."""
        return {
            "base": self.base,
            "igae": self.igae,
            "no-3d": self.no_3d,
            "no-preservation": self.no_preservation,
        }
