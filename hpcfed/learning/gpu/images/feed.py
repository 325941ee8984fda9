"""Images that stay on the device, and the batches that are shown of them.

T time bins, B batch, S images, K classes. The host sends the numbers of a batch's samples and where
its words begin; all else is there already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning import image_augment
from hpcfed.learning.feed import encoder_of, step_ids
from hpcfed.learning.gpu.images import pixels as gpu_pixels
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.teaching import taught
from hpcfed.samples.encoders import DIRECT, POISSON, SIGNED_POISSON, limits_of
from hpcfed.samples.images import ImageSet

I64 = NDArray[np.int64]

_TILE = 512
_KINDS = {
    DIRECT: gpu_pixels.DIRECT,
    POISSON: gpu_pixels.POISSON,
    SIGNED_POISSON: gpu_pixels.SIGNED_POISSON,
}


@dataclass(frozen=True)
class Batch:
    """What the kernel is told of B images, int64 on the device.

    Attributes:
        ids: (B,) numbers of samples.
        streams: (B, 5) addresses of the words of each.
        firsts: (B,) the first of its words.
        changes: (5,) address of the words of augmentation.
        first_change: (1,) the batch's first of those.
    """

    ids: Tensor
    streams: Tensor
    firsts: Tensor
    changes: Tensor
    first_change: Tensor


@dataclass(frozen=True)
class Resident:
    """Images on the device.

    Attributes:
        images: as they lie on the host.
        pixels: (S, C, H, W) uint8.
        labels: (S,) int64.
        teacher: (S, K) float32 a teacher's logits; (0, 0) without one.
        signals: type of what is shown.
    """

    experiment: Experiment
    images: ImageSet
    pixels: Tensor
    labels: Tensor
    teacher: Tensor
    signals: torch.dtype

    @classmethod
    def of(
        cls, experiment: Experiment, images: ImageSet, device: torch.device, signals: torch.dtype
    ) -> Resident:
        """Copy images to the device."""
        pixels, labels, teacher = (
            torch.tensor(np.ascontiguousarray(array), device=device)  # files are mapped read-only
            for array in (images.pixels, images.labels, taught(experiment, images))
        )
        return cls(experiment, images, pixels, labels, teacher, signals)

    def steps(self, client: Client, round_index: int) -> Iterator[tuple[I64, Batch]]:
        """Yield the ids (B,) and the batch, on the host, of each of a client's local steps."""
        seed, who = self.experiment.seed, (round_index, client.index)
        stream = Stream(seed, Purpose.ENCODING, *who).address.astype(np.int64)
        changes = Stream(seed, Purpose.AUGMENTATION, *who).address.astype(np.int64)
        place, changed = 0, 0
        for ids in step_ids(self.experiment, client, round_index):
            firsts = place + self._words * np.arange(len(ids))
            streams = np.broadcast_to(stream, (len(ids), 5))
            arrays = (ids, streams, firsts, changes, np.array([changed]))
            yield ids, _batch(*arrays)
            place, changed = place + self._words * len(ids), changed + 3 * len(ids)

    def batch(self, ids: I64) -> Tensor:
        """Return the input (T, B, C, H, W) of samples ``ids`` (B,) as evaluation sees it."""
        seed = self.experiment.seed
        streams = np.stack([Stream(seed, Purpose.ENCODING, one).address for one in ids.tolist()])
        none = np.zeros(5, np.int64), np.zeros(1, np.int64)
        told = _batch(ids, streams.astype(np.int64), np.zeros_like(ids), *none)
        there = Batch(*(getattr(told, name).to(self.pixels.device) for name in BATCH))
        launch, shown = self.launch(there, learn=False)
        launch.run()
        return shown

    def launch(self, batch: Batch, learn: bool) -> tuple[Launch, Tensor]:
        """Return what shows a batch, augmented if it is learned, and where it will stand."""
        data, (channels, height, width) = self.experiment.data, self.pixels.shape[1:]
        number, size = len(batch.ids), channels * height * width
        shown = torch.empty(
            (data.num_bins, number, height, width, channels),
            dtype=self.signals,
            device=self.pixels.device,
        )
        launch = Launch(
            gpu_pixels.show,
            (-(-size // _TILE), number),
            (
                shown, self.pixels, batch.ids, batch.streams, batch.firsts, self._limits,
                batch.changes, batch.first_change, data.num_bins, height, width, channels,
                data.crop_padding or 0,
            ),
            {
                "KIND": _KINDS[self._kind].value,
                "AUGMENTED": learn and image_augment.is_augmented(data),
                "FLIPPED": bool(data.flip), "TILE": _TILE,
            },
            warps=4,
        )  # fmt: skip
        return launch, shown.movedim(-1, 2)

    @property
    def _kind(self) -> str:
        kind = encoder_of(self.experiment)
        assert kind is not None  # spiking networks have one
        return kind

    @property
    def _words(self) -> int:
        """Words of one image."""
        return self.experiment.data.num_bins * prod(self.pixels.shape[1:])

    @cached_property
    def _limits(self) -> Tensor:
        kind = POISSON if self._kind == DIRECT else self._kind
        return torch.from_numpy(limits_of(kind).astype(np.int64)).to(self.pixels.device)


BATCH = ("ids", "streams", "firsts", "changes", "first_change")


def _batch(ids: I64, streams: I64, firsts: I64, changes: I64, first_change: I64) -> Batch:
    arrays = (ids, streams, firsts, changes, first_change)
    return Batch(*map(torch.tensor, arrays))  # copies: some are read-only
