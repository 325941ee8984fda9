"""Where kinds of samples meet networks: samples become a network's input, step by step.

T time bins, B batch. The engines that work on events themselves do not come here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning import image_augment
from hpcfed.learning.augment import augment, draw_steps, is_augmented
from hpcfed.learning.batches import batches
from hpcfed.samples.encoders import DIRECT, SIGNED_POISSON, encode, scaled
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]


class Feed(Protocol):
    """What a trainer asks of samples of one kind."""

    def steps(self, client: Client, round_index: int) -> Iterator[tuple[I64, F32]]:
        """Yield the ids (B,) and the input, (T, B, *shape) or (B, *shape), of each local step."""
        ...

    def batch(self, ids: I64) -> F32:
        """Return the input of samples ``ids`` (B,) as evaluation sees it: never augmented."""
        ...


def feed(experiment: Experiment, samples: Samples) -> Feed:
    """Return the feed that suits ``samples``. Raises InputError where there is none."""
    if isinstance(samples, EventSet):
        return DenseEvents(experiment, samples)
    if isinstance(samples, ImageSet):
        kind = encoder_of(experiment)
        return Pixels(experiment, samples) if kind is None else Encoded(experiment, samples, kind)
    raise InputError(
        f"data of type {type(samples).__name__}: expected an EventSet or an ImageSet "
        "(hpcfed.EventSet, hpcfed.ImageSet)"
    )


def encoder_of(experiment: Experiment) -> str | None:
    """Return how images are shown over time; None: they are shown as they are."""
    if experiment.data.encoder is None and experiment.model.kind == "snn":
        return SIGNED_POISSON
    return experiment.data.encoder


def step_ids(experiment: Experiment, client: Client, round_index: int) -> list[I64]:
    """Return the ids (B,) of each of a client's local steps in a round."""
    order = Stream(experiment.seed, Purpose.BATCH_ORDER, round_index, client.index)
    return list(batches(experiment.client, client.samples, order))


@dataclass(frozen=True)
class DenseEvents:
    """Events as dense float32 tensors (T, B, *shape), augmented where they are trained on."""

    experiment: Experiment
    events: EventSet

    def steps(self, client: Client, round_index: int) -> Iterator[tuple[I64, F32]]:
        """Yield the ids (B,) and the augmented input (T, B, *shape) of each step."""
        experiment, events = self.experiment, self.events
        steps = step_ids(experiment, client, round_index)
        if not is_augmented(experiment.data):
            for ids in steps:
                yield ids, self.batch(ids)
            return
        noise = Stream(experiment.seed, Purpose.AUGMENTATION, round_index, client.index)
        drawn = draw_steps(steps, events, experiment.data, noise)
        for ids, changes in zip(steps, drawn, strict=True):
            shape = (events.num_bins, len(ids), events.num_channels)
            rows, bins, channels, values = augment(events.batch_events(ids), shape, changes)
            dense = np.zeros(shape, np.float32)
            dense[bins, rows, channels] = values
            yield ids, self._shaped(dense)

    def batch(self, ids: I64) -> F32:
        """Return (T, B, *shape)."""
        return self._shaped(self.events.dense(ids))

    def _shaped(self, dense: F32) -> F32:
        """Return (T, B, C) with the rows and columns of a sensor."""
        return dense.reshape(*dense.shape[:2], *self.events.shape)


def training_pixels(
    experiment: Experiment, images: ImageSet, client: Client, round_index: int
) -> Iterator[tuple[I64, U8]]:
    """Yield the ids (B,) and the pixels (B, C, H, W), augmented, of each step of a client."""
    words, place = Stream(experiment.seed, Purpose.AUGMENTATION, round_index, client.index), 0
    for ids in step_ids(experiment, client, round_index):
        pixels = images.pixels[ids]
        if image_augment.is_augmented(experiment.data):
            count = image_augment.WORDS * len(ids)
            drawn = words.words(count, place).reshape(-1, image_augment.WORDS)
            pixels, place = image_augment.augmented(pixels, experiment.data, drawn), place + count
        yield ids, pixels


@dataclass(frozen=True)
class Pixels:
    """Images as float32 from -1 to 1, (B, C, H, W), without time."""

    experiment: Experiment
    images: ImageSet

    def steps(self, client: Client, round_index: int) -> Iterator[tuple[I64, F32]]:
        """Yield the ids (B,) and the pixels (B, C, H, W) of each step."""
        for ids, pixels in training_pixels(self.experiment, self.images, client, round_index):
            yield ids, scaled(pixels)

    def batch(self, ids: I64) -> F32:
        """Return (B, C, H, W)."""
        return scaled(self.images.pixels[ids])


@dataclass(frozen=True)
class Encoded:
    """Images over time, (T, B, C, H, W), by an encoder.

    Words of training follow from round, client and the sample's place in the round, so that each
    pass draws anew; those of evaluation from the sample alone, so that no batch changes them.
    """

    experiment: Experiment
    images: ImageSet
    kind: str

    def steps(self, client: Client, round_index: int) -> Iterator[tuple[I64, F32]]:
        """Yield the ids (B,) and the input of each step."""
        words = CompiledStream(self.experiment.seed, Purpose.ENCODING, round_index, client.index)
        place = 0
        for ids, pixels in training_pixels(self.experiment, self.images, client, round_index):
            shape = self._shape(len(ids))
            drawn = self._drawn(words, shape, place)
            place += drawn.size
            yield ids, self._over_time(pixels, drawn.reshape(shape))

    def batch(self, ids: I64) -> F32:
        """Return the input of samples ``ids`` (B,)."""
        one = self._shape(1)
        drawn = [
            self._drawn(CompiledStream(self.experiment.seed, Purpose.ENCODING, sample), one, 0)
            for sample in ids.tolist()
        ]
        words = np.concatenate(drawn).reshape(self._shape(len(ids)))
        return self._over_time(self.images.pixels[ids], words)

    def _shape(self, batch: int) -> tuple[int, ...]:
        return batch, self.experiment.data.num_bins, *self.images.shape

    def _drawn(self, words: CompiledStream, shape: tuple[int, ...], place: int) -> U32:
        if self.kind == DIRECT:
            return np.broadcast_to(np.uint32(0), prod(shape))
        return words.words(prod(shape), place)

    def _over_time(self, pixels: U8, words: U32) -> F32:
        encoded = encode(self.kind, pixels, words)
        return np.ascontiguousarray(np.swapaxes(encoded, 0, 1))
