"""Images as samples: their shape, what is refused, and what a network is fed."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.clients.population import Client
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.feed import feed
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Shape, shape_of

NAMES = ("no", "yes")


def images(count: int = 4, **changes: object) -> ImageSet:
    pixels = np.arange(count * 2 * 3 * 5).reshape(count, 2, 3, 5) % 256
    fields = {
        "pixels": pixels.astype(np.uint8),
        "labels": np.arange(count) % 2,
        "groups": np.zeros(count, np.int64),
        "class_names": NAMES,
        "group_names": ("somebody",),
    }
    return ImageSet(**{**fields, **changes})


def test_images_have_the_shape_of_one_of_them() -> None:
    found = images()
    assert (found.num_samples, found.shape) == (4, (2, 3, 5))
    assert shape_of(found) == Shape((2, 3, 5), 2)
    assert shape_of(found).num_inputs == 30
    assert np.isnan(found.input_rate(np.arange(4)))
    assert found.examples(np.array([1])).tobytes() == found.pixels[1].tobytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": np.zeros((4, 3, 5), np.uint8)}, "shape"),
        ({"pixels": np.zeros((4, 2, 3, 5))}, "uint8"),
        ({"labels": np.zeros(3, np.int64)}, "labels of shape"),
        ({"labels": np.array([0, 1, 2, 0])}, "labels from 0 to 2"),
        ({"groups": np.array([0, 0, -1, 0])}, "groups from -1"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        images(**changes)


def test_a_network_without_time_is_fed_pixels_from_minus_1_to_1_in_the_seeds_order() -> None:
    experiment = parse_experiment("", ["client.batch_size=3", "model.kind=ann"])
    pixels = feed(experiment, images())
    steps = list(pixels.steps(Client(0, np.arange(4)), round_index=2))
    assert [len(ids) for ids, _ in steps] == [3, 1]
    assert sorted(np.concatenate([ids for ids, _ in steps])) == [0, 1, 2, 3]
    for ids, batch in steps:
        assert batch.dtype == np.float32
        np.testing.assert_allclose(batch, images().pixels[ids] / 127.5 - 1, atol=1e-6)
        np.testing.assert_array_equal(batch, pixels.batch(ids))


def test_samples_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(InputError, match="EventSet or an ImageSet"):
        feed(parse_experiment(""), object())


def test_an_engine_for_events_refuses_images_and_says_which_takes_them() -> None:
    trainer = make_trainer(parse_experiment("", ["client.engine=event"]), shape_of(images()))
    with pytest.raises(InputError, match="norse"):
        trainer.evaluate(np.zeros(trainer.layout.size, np.float32), images(), np.arange(2))
