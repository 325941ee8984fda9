"""The embedded digits with the training labels in random order: there is nothing to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hpcfed.config import DataConfig
from hpcfed.datasets import load as load_data
from hpcfed.samples.events import EventSet

SEED = 0


def load(config: DataConfig) -> tuple[EventSet, EventSet | None]:
    """Return training and test events for ``data.dataset``; the test labels stay true."""
    data = load_data(config.model_copy(update={"dataset": "spoken-digits"}))
    order = np.random.default_rng(SEED).permutation(data.train.num_samples)
    return replace(data.train, labels=data.train.labels[order]), data.test
