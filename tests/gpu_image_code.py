"""The launches of the GPU engine for images, at the sizes of S-VGG9 and two images at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

SETTINGS: tuple[dict[str, dict[str, object]], ...] = (
    {},
    {
        "data": {"crop_padding": 4, "flip": True},
        "client": {"precision": "bf16", "potentials": "bfloat16", "clip_norm": 1.0},
    },
    {
        "data": {"encoder": "direct"},
        "model": {
            "norm": "group",
            "surrogate": "superspike",
            "reset": "zero",
            "reset_gradient": "full",
            "fire_first": True,
        },
        "client": {"optimizer": "adam", "momentum": None, "proximal": 0.1},
    },
    {"model": {"norm": "none", "reset": "none"}, "data": {"encoder": "poisson"}},
)
LAYERS = ((20, 2, 32, 32, 64), (20, 2, 1024), (1, 1, 1, 1, 1))  # Triton has other code for a 1


def image_launches() -> Iterator[object]:
    """Yield what steps of several networks start; nothing of it is run."""
    for tables in SETTINGS:
        yield from _launches(tables)


def _launches(tables: dict[str, dict[str, object]]) -> Iterator[object]:
    import numpy as np
    import torch
    from tiny_images import images, settings

    from hpcfed.learning.gpu.images.feed import Batch, Resident
    from hpcfed.learning.gpu.images.kernels import LayerKernels
    from hpcfed.learning.gpu.images.step import Buffers, optimiser_launches
    from hpcfed.networks.network import build_network
    from hpcfed.samples.samples import shape_of

    experiment, here, some = settings("gpu", **tables), torch.device("cpu"), images(2)
    smallest = images(1, (1, 1, 1))
    by_sample = experiment.model.norm == "group"
    found: list[object] = []
    kernels = dataclasses.replace(LayerKernels.of(experiment), start=found.append)
    for shape in LAYERS:
        x = torch.zeros(shape, dtype=kernels.signals).movedim(-1, 2)
        gain = torch.ones(shape[0], shape[1] if by_sample else 1, shape[-1])
        if experiment.model.norm != "none":
            kernels.moments(x, min(2, shape[-1]) if by_sample else 0)
        _, _, potentials = kernels.fire(x, gain, gain)
        returned, *_ = kernels.fire_back(potentials, gain, gain, x)
        kernels.add_inflow(returned, (potentials, gain, gain), gain, gain)
    yield from found
    for shown in (some, smallest):
        resident, number = Resident.of(experiment, shown, here, kernels.signals), len(shown.pixels)
        sizes = (number,), (number, 5), (number,), (5,), (1,)
        batch = Batch(*(torch.zeros(size, dtype=torch.int64) for size in sizes))
        yield from (resident.launch(batch, learn)[0] for learn in (True, False))
    layers = build_network(experiment, shape_of(some))
    buffers = Buffers.of(layers, np.zeros((len(layers.layers), 2), np.int64), here)
    yield from optimiser_launches(experiment.client, buffers)
