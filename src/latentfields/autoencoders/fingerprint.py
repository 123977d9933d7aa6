"""Hashes that tell the latent space of one autoencoder from that of another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import torch

from latentfields.autoencoders.autoencoder import Autoencoder


def weights_hash(autoencoder: Autoencoder) -> str:
    """SHA-256 of the weights, whatever latents are normalised with."""
    digest = hashlib.sha256()
    for name, tensor in sorted(autoencoder.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def space_hash(autoencoder: Autoencoder) -> str:
    """SHA-256 of the weights and of the statistics that latents are normalised with, as far as six digits tell."""
    statistics = {
        name: [f"{value:.6g}" for value in values] for name, values in asdict(autoencoder.statistics).items()
    }
    return hashlib.sha256((weights_hash(autoencoder) + json.dumps(statistics)).encode()).hexdigest()
