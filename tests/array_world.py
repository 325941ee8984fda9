"""A few spikes as arrays: three classes, four speakers, five channels; a run takes milliseconds."""

from __future__ import annotations

import numpy as np

import hpcfed

CLASSES, SPEAKERS = ("left", "right", "still"), ("anna", "ben", "cleo", "dora")
CHANNELS = 5
SETTINGS: dict[str, object] = {
    "data.duration": 0.1,
    "data.num_bins": 10,
    "data.validation_fraction": 0.2,
    "model.hidden": [6],
    "model.init_scale": 6.0,
    "client.engine": "norse",
    "client.batch_size": 4,
    "server.rounds": 2,
}


def rows(size: int, seed: int) -> dict[str, list]:
    """Return times (s, float16) and units of so many samples, with their classes and speakers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(size) % len(CLASSES)
    times = [rng.uniform(0, 0.1, 12).astype(np.float16) for _ in labels]
    units = [(rng.integers(0, 3, 12) + k).astype(np.uint16) for k in labels]
    speakers = (np.arange(size) // 3) % len(SPEAKERS)
    return {"times": times, "units": units, "labels": list(labels), "speakers": list(speakers)}


def samples(size: int, seed: int) -> hpcfed.SpikeTimes:
    """Return them as a user makes them."""
    found = rows(size, seed)
    return hpcfed.events(
        found["times"], found["units"], found["labels"], found["speakers"],
        class_names=CLASSES, group_names=SPEAKERS, num_channels=CHANNELS,
    )  # fmt: skip


def pair() -> tuple[hpcfed.SpikeTimes, hpcfed.SpikeTimes]:
    """Return samples for training and test."""
    return samples(36, 0), samples(12, 1)
