"""Which decoder a run needs: a packaged one that all scenes share, by its name and fingerprint, instead of a copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.autoencoders.autoencoder import Autoencoder, LatentStatistics
from latentfields.autoencoders.fingerprint import weights_hash
from latentfields.autoencoders.load import load_autoencoder, packaged_autoencoders
from latentfields.errors import InputError
from latentfields.latent_nerf.config import FitConfig


@dataclass(frozen=True)
class SharedDecoder:
    """A packaged autoencoder whose decoder a run did not move, so that it is the same for all scenes.

    Only packaged ones are named like this: they are wherever the package is.
    """

    autoencoder: str
    """Name of the packaged autoencoder."""
    weights: str
    """SHA-256 of its weights."""
    statistics: LatentStatistics
    """What the run normalises latents with: the autoencoder's own statistics, or those of the run's scene."""

    @classmethod
    def of(cls, autoencoder: Autoencoder, config: FitConfig) -> SharedDecoder | None:
        """What a run by `config` needs; None where the decoder moved, or is of no packaged autoencoder.

        `autoencoder` is the one before any alignment, with the run's statistics.
        """
        if config.moves_decoder or autoencoder.name not in packaged_autoencoders():
            return None
        weights = weights_hash(autoencoder)
        # In memory it may have been changed since it was loaded by that name.
        if weights != weights_hash(load_autoencoder(autoencoder.name)):
            return None
        return cls(autoencoder.name, weights, autoencoder.statistics)

    def load(self, source: Path) -> Autoencoder:
        """The autoencoder, with the run's statistics.

        It may have another name by now. Raises InputError, naming `source`, the file or folder of the run, when this
        version of the package has no such autoencoder, or one with other weights.
        """
        needed = f"needs the decoder of the packaged autoencoder '{self.autoencoder}'"
        packaged = packaged_autoencoders()
        # Under its own name first: weights that were replaced may be there under another one.
        names = sorted(packaged, key=lambda name: name != self.autoencoder)
        found = (known for known in map(load_autoencoder, names) if weights_hash(known) == self.weights)
        autoencoder = next(found, None)
        if autoencoder is None and self.autoencoder not in packaged:
            raise InputError(source, f"{needed}, which this version of the package does not have")
        if autoencoder is None:
            raise InputError(
                source, f"{needed} as it was then; that of this version of the package has other weights"
            )
        sizes = {len(self.statistics.mean), len(self.statistics.std)}
        if sizes != {autoencoder.channels} or min(self.statistics.std) <= 0:
            raise InputError(
                source, f"its statistics of latents are not those of the {autoencoder.channels} channels"
            )
        autoencoder.set_statistics(self.statistics)
        return autoencoder
