"""Which photographs are matched with which."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from latentfields.structure_from_motion.engine import SEED

_WORDS = 1024
_SAMPLES_A_WORD = 40
"""Descriptors that a word of the vocabulary is made from; FAISS wants 39."""
_FEWEST_WORDS = 8
_EMBEDDING = 64
"""Bits that tell descriptors of one word apart; COLMAP's index has no other number for SIFT."""
_ITERATIONS = 10


def all_pairs(colmap: Any, database: Any) -> list[tuple[int, int]]:
    """Return every pair of the images of an open database."""
    pairing = colmap.ExhaustivePairGenerator(colmap.ExhaustivePairingOptions(), database)
    return _unique(pairing.all_pairs())


def sequential_pairs(
    colmap: Any, database: Any, *, overlap: int, loops: int, vocabulary: Path | None = None
) -> list[tuple[int, int]]:
    """Return pairs of images that follow each other by name, and of images that look alike, to close loops.

    Each image is paired with `overlap` that follow it, with those 2, 4, 8, ..., 2^overlap places on, and with the
    `loops` that look most like it. These are found by COLMAP's index of visual words. Its published vocabulary trees
    are trained on photographs of the internet; without the file of one, `vocabulary`, the words are made from the
    features of these images themselves. The database has to hold features.
    """
    pairs: list[tuple[int, int]] = []
    for quadratic in (False, True):
        pairing = colmap.SequentialPairingOptions(
            overlap=overlap, quadratic_overlap=quadratic, num_threads=1, loop_detection=False
        )
        pairs += colmap.SequentialPairGenerator(pairing, database).all_pairs()
    if loops:
        identifiers = sorted(image.image_id for image in database.read_all_images())
        place = {identifier: position for position, identifier in enumerate(identifiers)}
        alike = _similar_pairs(colmap, database, count=overlap + loops, vocabulary=vocabulary)
        # Those that follow each other look alike, too.
        pairs += [(a, b) for a, b in alike if abs(place[a] - place[b]) > overlap]
    return _unique(pairs)


def _similar_pairs(
    colmap: Any, database: Any, *, count: int, vocabulary: Path | None
) -> list[tuple[int, int]]:
    """Every image with the `count` that look most like it, by the words of a file or by those of the images."""
    if vocabulary is not None:
        return _pairs_by_words(colmap, database, vocabulary, count=count)
    identifiers = sorted(image.image_id for image in database.read_all_images())
    descriptors = _sampled(database, identifiers, count=_WORDS * _SAMPLES_A_WORD)
    words = len(descriptors) // _SAMPLES_A_WORD
    if words < _FEWEST_WORDS:
        return []
    sample = colmap.FeatureDescriptorsFloat()
    sample.type, sample.data = colmap.FeatureExtractorType.SIFT, descriptors
    building = colmap.VisualIndex.BuildOptions()
    building.num_visual_words, building.num_iterations, building.num_rounds = words, _ITERATIONS, 1
    building.num_threads = 1
    index = colmap.VisualIndex.create(descriptors.shape[1], _EMBEDDING)
    with _silenced():
        # FAISS prints that it would like more words to cluster.
        index.build(building, sample)
    with tempfile.TemporaryDirectory(prefix="latentfields-") as folder:
        file = Path(folder) / "words.bin"
        index.write(file)
        return _pairs_by_words(colmap, database, file, count=count)


def _pairs_by_words(colmap: Any, database: Any, words: Path, *, count: int) -> list[tuple[int, int]]:
    pairing = colmap.VocabTreePairingOptions(num_images=count, num_threads=1, vocab_tree_path=words)
    pairs: list[tuple[int, int]] = colmap.VocabTreePairGenerator(pairing, database).all_pairs()
    return pairs


def _sampled(database: Any, identifiers: list[int], *, count: int) -> Any:
    """(S, D) float32: at most about `count` descriptors, evenly from all images."""
    share = -(-count // len(identifiers))
    random = np.random.default_rng(SEED)
    parts = []
    for identifier in identifiers:
        data = np.asarray(database.read_descriptors(identifier).data)
        parts.append(data[np.sort(random.permutation(len(data))[:share])])
    return np.concatenate(parts).astype(np.float32)


@contextmanager
def _silenced() -> Iterator[None]:
    """Let libraries print nothing on stderr for the time of a `with` block."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _unique(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every pair once, the smaller number first, in the order in which they first appear."""
    return list(dict.fromkeys((min(a, b), max(a, b)) for a, b in pairs if a != b))
