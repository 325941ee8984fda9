"""A few random images, and a small network of leaky neurons for them."""

from __future__ import annotations

import numpy as np

from hpcfed.config import Experiment
from hpcfed.samples.images import ImageSet

TABLES: dict[str, dict[str, object]] = {
    "data": {"dataset": "digits", "num_bins": 4, "duration": 0.04},
    "model": {
        "hidden": ["6c3", "p2", "5c3s2", 9],
        "neuron": "leaky",
        "norm": "bntt",
        "surrogate": "triangle",
        "surrogate_slope": 1.0,
        "surrogate_scale": 0.3,
        "readout": "current",
        "init": "xavier",
        "init_scale": 2.0,
    },
    "client": {
        "batch_size": 4,
        "epochs": 2,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
    },
}


def settings(engine: str, **tables: dict[str, object]) -> Experiment:
    """Return an experiment on images with an engine; keys that are None are left out."""
    whole = {name: TABLES[name] | tables.get(name, {}) for name in TABLES}
    whole["client"] = {"engine": engine} | whole["client"]
    kept = {
        name: {key: value for key, value in table.items() if value is not None}
        for name, table in whole.items()
    }
    return Experiment.model_validate({"seed": 5} | kept)


def images(number: int, shape: tuple[int, int, int] = (3, 6, 5), classes: int = 3) -> ImageSet:
    """Return random images of random classes."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (number, *shape), np.uint8)
    pixels.setflags(write=False)  # as those of a file that is mapped
    return ImageSet(
        pixels=pixels,
        labels=rng.integers(0, classes, number),
        groups=np.zeros(number, np.int64),
        class_names=tuple(map(str, range(classes))),
        group_names=("all",),
    )
