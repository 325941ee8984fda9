"""Networks of any shape agree with the plain twin; batches cover every sample."""

from __future__ import annotations

import numpy as np
from engine_comparison import assert_engine_agrees
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import ClientConfig, Experiment
from hpcfed.learning.batches import batches

MODELS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["snn", "snn", "snn", "ann"]),
        "hidden": st.lists(st.integers(1, 6), min_size=1, max_size=3),
        "recurrent": st.booleans(),
        "neuron": st.sampled_from(["lif", "alif", "if"]),
        "tau_mem": st.floats(0.01, 0.1),
        "tau_syn": st.floats(0.01, 0.1),
        "tau_adapt": st.floats(0.01, 0.3),
        "threshold": st.floats(0.2, 2.0),
        "beta": st.floats(0.0, 1.0),
        "surrogate": st.sampled_from(["superspike", "triangle", "tanh", "circ"]),
        "surrogate_slope": st.floats(0.5, 20.0),
        "reset_gradient": st.sampled_from(["detached", "full"]),
        "readout": st.sampled_from(["mean", "last", "max"]),
    }
)


@settings(max_examples=40)
@given(
    model=MODELS,
    num_bins=st.integers(1, 12),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**16),
)
def test_any_network_has_the_twins_spikes_loss_and_gradients(
    model: dict[str, object], num_bins: int, shape: tuple[int, int, int], seed: int
) -> None:
    experiment = Experiment.model_validate(
        {
            "data": {"duration": num_bins / 100, "num_bins": num_bins},
            "model": model,
            "client": {"rate_lower": 0.1, "rate_upper": 0.4},
        }
    )
    channels, classes, batch = shape
    assert_engine_agrees(experiment, channels, classes, seed=seed, batch=batch)


@given(
    num_samples=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    epochs=st.integers(1, 4),
    seed=st.integers(0, 2**64 - 1),
)
def test_every_epoch_covers_each_sample_once(
    num_samples: int, batch_size: int, epochs: int, seed: int
) -> None:
    client = ClientConfig.model_validate({"batch_size": batch_size, "epochs": epochs})
    samples = np.arange(num_samples) * 3
    order = np.concatenate(list(batches(client, samples, Stream(seed, Purpose.BATCH_ORDER, 1, 2))))
    for one_pass in order.reshape(epochs, num_samples):
        assert sorted(one_pass.tolist()) == samples.tolist()
