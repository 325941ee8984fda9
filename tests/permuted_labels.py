"""The embedded sets with the training labels in random order: there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpcfed.config import DataConfig
from hpcfed.datasets import Loaded
from hpcfed.datasets import load as load_data

SEED = 0


def load(config: DataConfig) -> tuple[Loaded, Loaded | None]:
    """Return training and test events for ``data.dataset``; the test labels stay true."""
    return permuted(config, "spoken-digits")


def load_images(config: DataConfig) -> tuple[Loaded, Loaded | None]:
    """Return the same of the handwritten digits."""
    return permuted(config, "digits")


def permuted(config: DataConfig, name: str) -> tuple[Loaded, Loaded | None]:
    """Return the training samples of a set with other labels, and its test samples."""
    data = load_data(config.model_copy(update={"dataset": name}))
    order = np.random.default_rng(SEED).permutation(data.train.num_samples)
    return replace(data.train, labels=data.train.labels[order]), data.test
