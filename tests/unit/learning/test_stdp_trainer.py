"""Networks that learn by the timing of spikes: what a client sends, and what is said of samples."""

from __future__ import annotations

from typing import Any  # settings of any type

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.model import TrainedModel
from hpcfed.learning.rule import rule_of
from hpcfed.learning.stdp import plan
from hpcfed.learning.stdp.training import StdpTrainer
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

BINS, NEURONS = 60, 6
STDP = ("rule.kind=stdp", "client.optimizer=sgd")
IMAGES = ("data.dataset=digits", "data.num_bins=100", "data.duration=0.1")
BLOCKS = (
    *(*STDP, "rule.stdp.blocks=2", "server.average=received"),
    *("uplink.mask=groups", "uplink.groups=1"),
)


def experiment(epochs: int = 2, **stdp: Any) -> Experiment:
    """Return an experiment of a millisecond a bin whose neurons spike soon."""
    settings = {"neurons": NEURONS, "norm": 8.0, "inhibition": 60.0, "intensity": 400.0}
    tables: dict[str, Any] = {
        "data": {"dataset": "digits", "duration": BINS / 1000, "num_bins": BINS},
        "rule": {"kind": "stdp", "stdp": settings | stdp},
        "client": {"optimizer": "sgd", "learning_rate": 0.01, "epochs": epochs},
        "seed": 3,
    }
    if "blocks" in stdp:
        tables |= {"uplink": {"mask": "groups", "groups": 1}, "server": {"average": "received"}}
    return Experiment.model_validate(tables)


def images(count: int = 12) -> ImageSet:
    """Return images of which each class lights one half, with noise."""
    random, labels = np.random.default_rng(0), np.arange(count) % 3
    pixels = random.integers(0, 60, (count, 1, 4, 6)).astype(np.uint8)
    for number, label in enumerate(labels):
        pixels[number, 0, :, 2 * label : 2 * label + 2] = 255
    return ImageSet(pixels, labels, np.zeros(count, int), ("a", "b", "c"), ("all",))


def update(told: Experiment, client: int = 0, ids: range = range(12)) -> LocalUpdate:
    trainer = StdpTrainer(told, shape_of(images()))
    params = plan.initial(told, trainer.layout)
    (found,) = trainer.train(params, images(), [Client(client, np.array(ids))], 4)
    return found


def parts(told: Experiment, params: np.ndarray) -> dict[str, np.ndarray]:
    return dict(StdpTrainer(told, shape_of(images())).layout.split(params))


def trained(told: Experiment) -> np.ndarray:
    layout = StdpTrainer(told, shape_of(images())).layout
    return np.asarray(plan.initial(told, layout) + update(told).delta)


def test_a_client_sends_how_neurons_responded_to_each_class() -> None:
    found = update(experiment())
    sent = parts(experiment(), found.delta)
    assert sent["shown"].tolist() == [[8, 8, 8]]  # two passes over four of each
    assert sent["responses"].sum() > 24
    fired = found.hidden_rate * 24 * BINS * NEURONS
    assert sent["responses"].sum() == pytest.approx(fired)
    assert np.isnan(found.loss)
    assert found.activity is not None
    assert found.activity[:, 0].tolist() == [24, 24]


def test_weights_onto_each_neuron_keep_their_sum() -> None:
    weights = parts(experiment(), trained(experiment()))["weights"]
    assert weights.min() >= 0
    assert weights.max() <= 1
    np.testing.assert_allclose(weights.sum(axis=1), 8, rtol=1e-5)


def test_a_block_learns_as_if_there_were_no_other() -> None:
    whole = experiment(blocks=2)
    delta = update(whole, client=3).delta
    sent = parts(whole, delta)
    assert not sent["weights"][:3].any()
    assert not sent["theta"][:3].any()
    assert not sent["responses"][:3].any()
    assert sent["shown"].tolist() == [[0, 0, 0], [8, 8, 8]]
    assert sent["responses"][3:].any()

    alone, start = experiment(neurons=3), StdpTrainer(experiment(), shape_of(images()))
    params = parts(experiment(), plan.initial(experiment(), start.layout))
    trainer = StdpTrainer(alone, shape_of(images()))
    own = np.zeros(trainer.layout.size, np.float32)
    trainer.layout.split(own)["weights"][:] = params["weights"][3:]
    (found,) = trainer.train(own, images(), [Client(3, np.arange(12))], 4)
    expected = trainer.layout.split(found.delta)
    assert_array_equal(sent["weights"][3:], expected["weights"])
    assert_array_equal(sent["responses"][3:], expected["responses"])


def test_thresholds_of_blocks_are_brought_to_one_level() -> None:
    theta = np.array([40.0, 42.0, 51.0, 53.0])
    assert plan.level(theta, 2).tolist() == [45.5, 47.5, 45.5, 47.5]
    assert plan.level(theta, 1) is theta


def test_the_block_that_was_trained_is_the_one_that_is_wanted() -> None:
    for client in range(4):
        wanted = update(experiment(blocks=2), client=client).importance
        assert wanted is not None
        assert wanted.tolist() == [[1, 0], [0, 1]][client % 2]


def test_threads_change_nothing() -> None:
    settings = experiment()
    many = settings.model_copy(update={"client": settings.client.model_copy(update={"threads": 3})})
    clients = [Client(number, np.arange(number, 12, 3)) for number in range(3)]
    found = []
    for told in (settings, many):
        trainer = StdpTrainer(told, shape_of(images()))
        params = plan.initial(told, trainer.layout)
        found.append([one.delta for one in trainer.train(params, images(), clients, 0)])
    assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("prediction", ["all", "proportion", "counts"])
def test_halves_of_images_are_told_apart(prediction: str) -> None:
    told = experiment(epochs=12, prediction=prediction)
    trainer = StdpTrainer(told, shape_of(images()))
    result = trainer.evaluate(trained(told), images(), np.arange(12))
    assert (result.predictions == images().labels).all()
    assert result.neurons is not None
    assert_array_equal(result.neurons.reshape(2, NEURONS).sum(axis=1), result.spikes)
    assert (result.logits is not None) == (prediction == "counts")
    assert np.isfinite(result.losses).all() == (prediction == "counts")


def test_the_batch_changes_no_answer() -> None:
    told = experiment(prediction="counts")
    trainer, params = StdpTrainer(told, shape_of(images())), trained(told)
    whole = trainer.evaluate(params, images(), np.arange(12))
    halves = [trainer.evaluate(params, images(), ids) for ids in np.split(np.arange(12), 2)]
    assert_array_equal(whole.losses, np.concatenate([half.losses for half in halves]))
    assert_array_equal(whole.entering, sum(half.entering for half in halves))
    rasters = trainer.hidden_spikes(params, images(), np.arange(12))
    assert [raster.shape for raster in rasters] == [(12, BINS, NEURONS)] * 2
    assert_array_equal(whole.spikes, [raster.sum() for raster in rasters])


def test_before_it_has_learned_it_says_the_first_class() -> None:
    trainer = StdpTrainer(experiment(), shape_of(images()))
    params = plan.initial(experiment(), trainer.layout)
    result = trainer.evaluate(params, images(), np.arange(12))
    assert not result.predictions.any()


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        ((*STDP, *IMAGES, "data.encoder=poisson"), "leave data.encoder out"),
        ((*STDP, "data.dataset=digits"), "more than one spike in a bin"),
        ((*STDP, "rule.stdp.intensity=9.0"), "intensity is for images"),
        ((*STDP, *IMAGES, "data.flip=true"), "does not change samples"),
        (("rule.kind=stdp",), "no gradient"),
        ((*STDP, "client.clip_norm=1.0"), "leave client.clip_norm out"),
        ((*STDP, "client.engine=event"), "uses no engine"),
        ((*STDP, "client.rate_upper=0.5"), "no rate penalties"),
        ((*STDP, "data.dataset=regression"), "learns classes"),
        ((*STDP, "rule.stdp.blocks=3"), "not 3 equal blocks"),
        ((*BLOCKS[:-2],), "mask"),
        ((*BLOCKS, "partition.kind=iid", "partition.num_clients=1"), "that nobody trains"),
        ((*BLOCKS[:-3], *BLOCKS[-2:]), "divide a block of neurons"),
        ((*STDP, "server.client_weights=spikes"), 'average = "received"'),
        (("server.client_weights=spikes", "server.average=received"), "is for rule.kind"),
        ((*STDP, "rule.stdp.inhibitory.threshold=-50.0"), "not above rest and reset"),
    ],
)
def test_what_has_no_meaning_is_refused(sets: tuple[str, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_experiment("", list(sets))


def test_other_data_are_refused() -> None:
    class Points:
        labels = np.zeros(1, int)
        shape = (2,)

    with pytest.raises(InputError, match="expected an EventSet or an ImageSet"):
        plan.evaluated_inputs(experiment(), Points(), np.zeros(1, int))  # type: ignore[arg-type]


def test_silence_has_a_limit_for_each_population() -> None:
    told = parse_experiment("", [*STDP, "stop.silent.alpha=[5, 1]"])
    trainer = rule_of(told).trainer(told, shape_of(images()), "cpu")
    assert plan.network(told, shape_of(images())).limits[:, 0].tolist() == [5, 1]
    assert [layer.name for layer in trainer.layers] == ["excitatory", "inhibitory"]
    with pytest.raises(InputError, match="has 3 numbers, and there are 2 hidden layers"):
        plan.network(
            parse_experiment("", [*STDP, "stop.silent.alpha=[5, 1, 1]"]), shape_of(images())
        )


def test_a_loaded_model_says_classes_and_logits_where_it_has_them() -> None:
    for prediction in ("all", "counts"):
        told = experiment(prediction=prediction)
        layout = StdpTrainer(told, shape_of(images())).layout
        model = TrainedModel(told, layout, trained(told))
        assert model.predict(images()).shape == (12,)
        if prediction == "counts":
            assert model.logits(images()).shape == (12, 3)
        else:
            with pytest.raises(InputError, match="says classes alone"):
                model.logits(images())
