"""Local training: steps by hand, torch's optimisers, and bits that depend on nothing else."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
import warnings
from typing import Any  # what a recording stand-in passes on

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_events import from_dense, patterns

from hpcfed.base.parallel import in_order
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import ClientConfig, Experiment
from hpcfed.errors import InputError
from hpcfed.learning import augment as augmentation
from hpcfed.learning.autograd import optimisers
from hpcfed.learning.batches import batches
from hpcfed.learning.engines import make_trainer, resolve_engine
from hpcfed.learning.model import TrainedModel
from hpcfed.learning.trainer import LocalUpdate, Trainer
from hpcfed.networks.layout import Layout, initial_params
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape
from tests.places import GOLDEN

LOSSES = GOLDEN / "local_training.json"


class LinearNetwork:
    """Logits are the summed input times a matrix: its training step fits on paper."""

    def __init__(self, num_channels: int, num_classes: int) -> None:
        self.layout = Layout.of({"linear": (num_classes, num_channels)})

    def forward(
        self, weights: dict[str, torch.Tensor], events: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits (B, K) and no spikes."""
        return events.sum(0) @ weights["linear"].t(), []


def make_linear(settings: Experiment, num_channels: int, num_classes: int) -> LinearNetwork:
    return LinearNetwork(num_channels, num_classes)


def experiment(num_bins: int = 15, **tables: dict[str, object]) -> Experiment:
    """Return an experiment of a small network that spikes from the start."""
    model = {"hidden": [12], "tau_mem": 0.02, "tau_syn": 0.02, "init_scale": 4.0}
    return Experiment.model_validate(
        {
            "data": {"duration": num_bins / 100, "num_bins": num_bins} | tables.get("data", {}),
            "model": model | tables.get("model", {}),
            "client": {"batch_size": 4, "learning_rate": 0.01} | tables.get("client", {}),
            "seed": 3,
        }
    )


def linear(**client: object) -> Experiment:
    """Return an experiment of the linear network with one bin and plain SGD, rate 0.1."""
    settings = {"optimizer": "sgd", "learning_rate": 0.1, **client}
    return experiment(1, model={"kind": f"{__name__}:make_linear"}, client=settings)


def one_sample() -> EventSet:
    """Return one sample of class 0 with events in channels 0 and 2 of three."""
    return from_dense(np.array([[[1, 0, 1]]]), [0], num_classes=2)


def trainer_for(settings: Experiment, events: EventSet) -> Trainer:
    return make_trainer(settings, Shape((events.num_channels,), len(events.class_names)))


def trained(
    settings: Experiment, events: EventSet, params: np.ndarray, round_index: int = 0
) -> LocalUpdate:
    """Return the update of one client that owns all samples."""
    client = Client(5, np.arange(events.num_samples))
    (update,) = trainer_for(settings, events).train(params, events, [client], round_index)
    return update


def start(settings: Experiment, events: EventSet) -> np.ndarray:
    return initial_params(settings.model, trainer_for(settings, events).layout, settings.seed)


# --- steps by hand --------------------------------------------------------------------------------


def test_sgd_step_is_the_one_computed_by_hand() -> None:
    """With zero weights both classes have probability 1/2: the gradient is -+1/2 per input."""
    update = trained(linear(), one_sample(), np.zeros(6, np.float32))
    assert_allclose(update.delta, [0.05, 0, 0.05, -0.05, 0, -0.05], rtol=1e-6)
    assert update.delta.dtype == np.float32
    assert update.loss == pytest.approx(np.log(2), rel=1e-6)
    assert np.isnan(update.hidden_rate)


def softmax_steps(num_steps: int, mu: float, decay: float, clip: float) -> np.ndarray:
    """Return the change of the linear network's weights after SGD steps written out."""
    received = np.array([[0.5, 0, -0.5], [0.2, 0, 0.1]])
    weights, x = received.copy(), np.array([1.0, 0, 1.0])
    for _ in range(num_steps):
        p = np.exp(weights @ x) / np.exp(weights @ x).sum()
        gradient = np.outer(p - [1, 0], x) + mu * (weights - received)
        norm = np.linalg.norm(gradient)
        if clip and norm > clip:
            gradient *= clip / norm
        weights = weights - 0.1 * (gradient + decay * weights)
    return (weights - received).ravel()


@pytest.mark.parametrize(
    ("mu", "decay", "clip"), [(0, 0, 0), (3.0, 0, 0), (0, 0.5, 0), (0, 0, 0.3), (3.0, 0.5, 0.3)]
)
def test_proximal_decay_and_clipping_follow_their_formulas(
    mu: float, decay: float, clip: float
) -> None:
    settings = linear(steps=5, proximal=mu, weight_decay=decay, clip_norm=clip)
    params = np.array([0.5, 0, -0.5, 0.2, 0, 0.1], np.float32)
    delta = trained(settings, one_sample(), params).delta
    assert_allclose(delta, softmax_steps(5, mu, decay, clip), rtol=2e-5, atol=1e-7)


def test_proximal_term_pulls_towards_the_received_parameters() -> None:
    events = patterns(24)
    free, held = (
        experiment(client={"epochs": 3, "optimizer": "sgd", "proximal": mu}) for mu in (0.0, 20.0)
    )
    params = start(free, events)
    far, near = (np.linalg.norm(trained(e, events, params).delta) for e in (free, held))
    assert near < 0.9 * far


def test_clipping_bounds_the_whole_gradient() -> None:
    settings = linear(clip_norm=0.2)
    delta = trained(settings, one_sample(), np.zeros(6, np.float32)).delta
    assert np.linalg.norm(delta) == pytest.approx(0.1 * 0.2, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.1},
        {"optimizer": "adam"},
        {"optimizer": "adam", "weight_decay": 0.1},
    ],
    ids=str,
)
def test_optimisers_give_torchs_bits(settings: dict[str, object]) -> None:
    client = ClientConfig.model_validate(settings)
    generator = torch.Generator().manual_seed(0)
    params = torch.randn(50, generator=generator)
    theirs = params.clone().requires_grad_()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[client.optimizer]
    extra = {"momentum": client.momentum} if client.optimizer == "sgd" else {}
    oracle = kind([theirs], lr=0.05, weight_decay=client.weight_decay, foreach=False, **extra)
    state = optimisers.fresh_state(params)
    for _ in range(7):
        gradient = torch.randn(50, generator=generator)
        theirs.grad = gradient.clone()
        oracle.step()
        state = optimisers.step(client, 0.05, params, gradient, state)
    assert torch.equal(params, theirs.detach())


def test_learning_rate_of_the_round_is_used() -> None:
    settings = linear(schedule="linear", schedule_rounds=10, schedule_factor=0.5)
    params = np.zeros(6, np.float32)
    first, later = (trained(settings, one_sample(), params, r).delta for r in (0, 10))
    assert_allclose(later, first / 2, rtol=1e-6)


def test_hidden_rate_counts_spikes_per_neuron_and_bin() -> None:
    """IF, weight 2, input in 3 of 4 bins: a spike in 3 of 4 bins, for each of two neurons."""
    events = from_dense(np.array([[[1], [1], [0], [1]]]), [0], num_classes=2)
    settings = experiment(4, model={"neuron": "if", "hidden": [2]}, client={"batch_size": 1})
    params = np.array([2, 2, 0, 0, 0, 0], np.float32)
    assert trained(settings, events, params).hidden_rate == 0.75
    trainer = trainer_for(settings, events)
    (spikes,) = trainer.hidden_spikes(params, events, np.array([0]))
    assert spikes.dtype == np.bool_
    assert spikes.shape == (1, 4, 2)
    assert spikes[0, :, 0].tolist() == [True, True, False, True]
    assert trainer.evaluate(params, events, np.array([0])).spikes.tolist() == [6]


def test_reported_loss_weights_each_step_by_its_samples() -> None:
    """With a rate of almost zero each step's loss is that of the fixed network."""
    events = patterns(6)
    settings = experiment(client={"optimizer": "sgd", "learning_rate": 1e-12})
    params = start(settings, events)
    expected = trainer_for(settings, events).evaluate(params, events, np.arange(6)).losses.mean()
    assert trained(settings, events, params).loss == pytest.approx(expected, rel=1e-6)


def test_twenty_steps_give_the_golden_losses() -> None:
    """One SGD step a round on a recurrent network, augmented, with every penalty switched on.

    After a change that is meant to move the numbers, write the printed list to the file and say so
    in the changelog under "results affected".
    """
    settings = experiment(
        data={"time_jitter": 0.01, "channel_jitter": 1, "drop": 0.1},
        model={"hidden": [16], "recurrent": True, "neuron": "alif", "readout": "max"},
        client={
            "steps": 1,
            "batch_size": 8,
            "optimizer": "sgd",
            "learning_rate": 2.0,
            "clip_norm": 0.5,
            "weight_decay": 1e-3,
            "rate_lower": 0.1,
            "rate_upper": 0.3,
        },
    )
    events = patterns(32)
    params, losses = start(settings, events), []
    for round_index in range(20):
        update = trained(settings, events, params, round_index)
        params = params + update.delta
        losses.append(update.loss)
    print(json.dumps(losses))
    assert losses[-1] < 0.8 * losses[0]
    assert_allclose(losses, json.loads(LOSSES.read_text()), rtol=1e-5)


# --- which samples, in which order ----------------------------------------------------------------


def sizes(num_samples: int, **client: object) -> list[int]:
    settings = ClientConfig.model_validate({"batch_size": 4, **client})
    stream = Stream(0, Purpose.BATCH_ORDER)
    return [len(batch) for batch in batches(settings, np.arange(num_samples), stream)]


def test_epochs_keep_the_last_short_batch() -> None:
    assert sizes(10, epochs=2) == [4, 4, 2, 4, 4, 2]
    assert sizes(3, epochs=2) == [3, 3]


def test_steps_go_on_through_as_many_passes_as_needed() -> None:
    assert sizes(10, steps=7) == [4, 4, 2, 4, 4, 2, 4]
    assert sizes(10, steps=1) == [4]


def test_a_short_last_batch_may_be_left_out_but_never_the_only_one() -> None:
    assert sizes(11, epochs=2, drop_last=True) == [4, 4, 4, 4]
    assert sizes(8, epochs=1, drop_last=True) == [4, 4]
    assert sizes(3, epochs=2, drop_last=True) == [3, 3]


def test_each_pass_is_a_new_permutation_of_the_clients_samples() -> None:
    samples = np.array([3, 1, 4, 15, 9, 2])
    settings = ClientConfig.model_validate({"batch_size": 6, "epochs": 3})
    orders = [b.tolist() for b in batches(settings, samples, Stream(0, Purpose.BATCH_ORDER))]
    assert all(sorted(order) == sorted(samples.tolist()) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


def test_six_steps_are_two_epochs_of_three() -> None:
    events = patterns(10)
    by_steps, by_epochs = experiment(client={"steps": 6}), experiment(client={"epochs": 2})
    params = start(by_steps, events)
    first, second = (trained(e, events, params) for e in (by_steps, by_epochs))
    assert first.delta.tobytes() == second.delta.tobytes()


def test_client_without_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="without training samples"):
        sizes(0)


# --- the same bits --------------------------------------------------------------------------------


def clients_of(events: EventSet, count: int) -> list[Client]:
    parts = np.array_split(np.arange(events.num_samples), count)
    return [Client(index, part) for index, part in enumerate(parts)]


def test_bits_do_not_depend_on_threads_order_or_grouping() -> None:
    events = patterns(40)
    tables = {"data": {"drop": 0.1}, "model": {"recurrent": True}}
    settings = experiment(**tables, client={"epochs": 2})
    params, clients = start(settings, events), clients_of(events, 7)
    alone = {
        client.index: trained_bits(settings, events, params, [client])[0] for client in clients
    }
    assert len(set(alone.values())) == 7
    for threads, order in itertools.product([1, 2, 5], [clients, clients[::-1]]):
        settings = experiment(**tables, client={"epochs": 2, "threads": threads})
        together = trained_bits(settings, events, params, order)
        assert together == [alone[client.index] for client in order]


def trained_bits(
    settings: Experiment, events: EventSet, params: np.ndarray, clients: list[Client]
) -> list[tuple[bytes, float, float]]:
    updates = trainer_for(settings, events).train(params, events, clients, round_index=2)
    return [(u.delta.tobytes(), u.loss, u.hidden_rate) for u in updates]


def test_round_client_and_seed_each_change_the_update() -> None:
    events = patterns(16)
    settings = experiment()
    params, samples = start(settings, events), np.arange(16)
    other_seed = Experiment.model_validate({**settings.model_dump(), "seed": 4})
    seen = {
        trained(settings, events, params, 0).delta.tobytes(),
        trained(settings, events, params, 1).delta.tobytes(),
        trained(other_seed, events, params, 0).delta.tobytes(),
    }
    trainer = trainer_for(settings, events)
    seen |= {u.delta.tobytes() for u in trainer.train(params, events, [Client(6, samples)], 0)}
    assert len(seen) == 4


def test_training_leaves_its_arguments_as_they_were() -> None:
    events = patterns(8)
    settings = experiment()
    params = start(settings, events)
    before = params.copy()
    params.flags.writeable = False
    trained(settings, events, params)
    np.testing.assert_array_equal(params, before)


def test_augmentation_touches_training_only() -> None:
    events = patterns(8)
    plain, noisy = experiment(), experiment(data={"drop": 0.5})
    params = start(plain, events)
    assert trained(plain, events, params).loss != trained(noisy, events, params).loss
    losses = [
        trainer_for(e, events).evaluate(params, events, np.arange(8)).losses for e in (plain, noisy)
    ]
    np.testing.assert_array_equal(*losses)


def test_batches_of_a_round_never_share_words_of_augmentation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    owned: list[range] = []

    def recording(size: int, num_events: int, *rest: Any) -> augmentation.Changes:
        owned.append(range(rest[-1], rest[-1] + augmentation.num_words(size, num_events)))
        return original(size, num_events, *rest)

    original = augmentation.draw
    monkeypatch.setattr(augmentation, "draw", recording)
    events = patterns(10)
    settings = experiment(data={"drop": 0.1}, client={"epochs": 2})
    trained(settings, events, start(settings, events))
    words = list(itertools.chain(*owned))
    assert len(owned) == 6
    assert words == list(range(len(words)))


def test_non_finite_loss_passes_through_without_a_word() -> None:
    events = patterns(8)
    settings = experiment()
    params = start(settings, events) * np.float32(np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        update = trained(settings, events, params)
    assert not np.isfinite(update.delta).all()


def test_training_learns_every_kind_of_network() -> None:
    events = patterns(40)
    kinds = [
        {"neuron": "lif"},
        {"neuron": "alif", "recurrent": True},
        {"neuron": "if", "init_scale": 1.0, "readout": "max"},
        {"kind": "ann"},
        {"kind": "ann", "recurrent": True, "readout": "max", "init_scale": 1.0},
    ]
    for model in kinds:
        settings = experiment(model=model, client={"epochs": 15, "learning_rate": 0.02})
        params = start(settings, events)
        params = params + trained(settings, events, params).delta
        result = trainer_for(settings, events).evaluate(params, events, np.arange(40))
        assert np.mean(result.predictions == events.labels) > 0.9, model
        assert result.losses.dtype == np.float64
        assert result.spikes.any() == (model.get("kind") != "ann")


# --- threads, engines, trained models -------------------------------------------------------------


def test_in_order_keeps_the_order_and_looks_ahead_only_so_far() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            begun.append(item)
        time.sleep(0.002 * (5 - item % 5))
        return item * item

    results = in_order(work, range(40), threads=3)
    first = [next(results) for _ in range(4)]
    time.sleep(0.05)
    assert len(begun) <= 4 + 2 * 3
    assert first + list(results) == [item * item for item in range(40)]


def test_in_order_raises_the_first_exception_and_stops_early() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return 1 // (item - 3)

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, range(100), threads=2))
    assert len(begun) <= 3 + 2 * 2 + 1


def test_auto_is_the_event_engine_for_what_it_has_and_norse_for_the_rest() -> None:
    assert resolve_engine(experiment()) == "event"
    for model in ({"kind": "ann"}, {"kind": "my.module:network"}, {"surrogate": "circ"}):
        assert resolve_engine(experiment(model=model)) == "norse"
        with pytest.raises(InputError, match=r"client\.engine = .event. has no model"):
            resolve_engine(experiment(model=model, client={"engine": "event"}))


def test_torch_is_not_imported_before_a_trainer_is_made() -> None:
    modules = "hpcfed.learning.engines, hpcfed.learning.model"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_event_engine_needs_no_torch() -> None:
    code = """
import sys
sys.modules["torch"] = None
sys.path.insert(0, "tests")
from tiny_events import patterns
import numpy as np
from hpcfed.config import Experiment
from hpcfed.learning.engines import device_of_rank, make_trainer
from hpcfed.clients.population import Client
events = patterns(8)
settings = Experiment.model_validate(
    {"model": {"hidden": [4], "tau_syn": 0.02}, "data": {"duration": 0.15, "num_bins": 15}}
)
from hpcfed.samples.samples import shape_of
trainer = make_trainer(settings, shape_of(events))
params = np.ones(trainer.layout.size, np.float32)
list(trainer.train(params, events, [Client(0, np.arange(8))], 0))
trainer.evaluate(params, events, np.arange(8))
print(device_of_rank(settings, 0))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ended.stdout == "cpu\n"


def test_trained_model_predicts_what_its_trainer_does() -> None:
    events = patterns(150)
    settings = experiment()
    trainer = trainer_for(settings, events)
    params = start(settings, events)
    model = TrainedModel(settings, trainer.layout, params)
    direct = trainer.evaluate(params, events, np.arange(100, 150))
    np.testing.assert_array_equal(model.predict(events, np.arange(100, 150)), direct.predictions)
    whole = model.evaluate(events)
    assert whole.accuracy == np.mean(whole.predictions == events.labels)
    assert whole.loss == pytest.approx(
        np.mean([trainer.evaluate(params, events, np.array([s])).losses[0] for s in range(150)])
    )
    assert model.weights()["readout"].shape == (4, 12)


def test_trained_model_refuses_events_of_another_shape() -> None:
    events = patterns(4)
    settings = experiment()
    model = TrainedModel(settings, trainer_for(settings, events).layout, start(settings, events))
    with pytest.raises(InputError, match="20 bins over"):
        model.predict(patterns(4, num_bins=20))
    with pytest.raises(InputError, match="30 inputs"):
        model.predict(patterns(4, num_channels=30))
    with pytest.raises(InputError, match="no samples"):
        model.predict(events, np.array([], np.int64))
