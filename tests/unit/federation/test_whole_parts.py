"""Parts that are sent whole, and statistics: a mask, a code and a server optimiser on a head."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation import server
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.cost import uplink_cost
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.networks.layout import Layout, Part

MASKED, WHOLE, STATISTIC = 16, 3, 2
PARTS = Layout(
    (
        Part("kernel", (4, 4)),
        Part("bias", (WHOLE,), "zeros", masked=False),
        Part("mean", (STATISTIC,), "zeros", trained=False, masked=False),
    )
)
SPARSE = ("uplink.mask=random-k", "uplink.mask_probability=0.75")


def world(*overrides: str, num_clients: int = 2) -> Uplink:
    experiment = parse_experiment("", overrides)
    ones = np.ones(num_clients, np.int64)
    weighting = averaging(experiment, ones, np.zeros(num_clients), PARTS)
    return Uplink(experiment.uplink, weighting, experiment.seed, PARTS)


def update(client: int) -> np.ndarray:
    return np.random.default_rng(client).normal(size=PARTS.size).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "sign"])
@pytest.mark.parametrize("mask", ["none", "bernoulli", "random-k", "top-k"])
def test_whole_parts_arrive_bit_for_bit_whatever_mask_and_type(mask: str, dtype: str) -> None:
    probability = 0.0 if mask == "none" else 0.5
    uplink = world(
        f"uplink.mask={mask}", f"uplink.mask_probability={probability}", f"uplink.dtype={dtype}"
    )
    message, chosen = uplink.message(update(0), 3, 1)
    entries, values = uplink.received(message, 3, 1)
    assert np.arange(MASKED)[entries].tolist() == np.arange(MASKED)[chosen].tolist()
    assert values[-WHOLE - STATISTIC :].tobytes() == update(0)[MASKED:].tobytes()
    head = uplink.code.decode(uplink.code.encode(update(0)[:MASKED][chosen]))
    assert values[: -WHOLE - STATISTIC].tobytes() == head.tobytes()


@pytest.mark.parametrize("average", ["participants", "received"])
def test_sums_and_averages_are_those_of_each_entry(average: str) -> None:
    uplink = world(*SPARSE, f"server.average={average}", "server.client_weights=uniform")
    totals, expected, count = uplink.totals(), np.zeros(PARTS.size), np.zeros(PARTS.size)
    for client in range(2):
        message, _ = uplink.message(update(client), 0, client)
        entries, values = uplink.received(message, 0, client)
        uplink.add(totals, entries, values, client)
        sent = [*np.arange(MASKED)[entries], *range(MASKED, PARTS.size)]
        expected[sent] += update(client)[sent]
        count[sent] += 1
    assert count[MASKED:].tolist() == [2] * (WHOLE + STATISTIC)
    divisor = np.maximum(count, 1) if average == "received" else 2
    mean = uplink.averaging.mean(totals, np.arange(2))
    np.testing.assert_allclose(mean, expected / divisor, rtol=0, atol=1e-12)


def test_only_the_head_is_divided_by_the_probability_of_arrival() -> None:
    uplink = world(*SPARSE, "server.rescale=true")
    totals = uplink.totals()
    for client in range(2):
        message, entries = uplink.message(update(client), 0, client)
        uplink.add(totals, entries, uplink.values(message), client)
    mean = uplink.averaging.mean(totals, np.arange(2))
    whole = (update(0)[MASKED:].astype(np.float64) + update(1)[MASKED:]) / 2
    np.testing.assert_allclose(mean[MASKED:], whole, rtol=0, atol=1e-12)
    plain = world(*SPARSE).averaging.mean(totals, np.arange(2))
    np.testing.assert_allclose(mean[:MASKED], 4 * plain[:MASKED], rtol=1e-12)


def test_error_feedback_keeps_nothing_of_what_is_sent_whole() -> None:
    uplink = world(*SPARSE, "uplink.dtype=int8", "uplink.error_feedback=true")
    message, entries = uplink.message(update(0), 0, 0)
    left = uplink.left(update(0), entries, uplink.values(message))
    assert left[MASKED:].tolist() == [0.0] * (WHOLE + STATISTIC)
    assert left[:MASKED].any()


def test_bytes_count_the_head_by_its_code_and_the_rest_as_float32() -> None:
    uplink = world(*SPARSE, "uplink.dtype=int8")
    message, _ = uplink.message(update(0), 0, 0)
    assert message.size == 4 + 4 + 4 * (WHOLE + STATISTIC)
    assert uplink.expected_message_bytes() == message.size
    cost = uplink_cost(uplink, 2 * (4 + WHOLE + STATISTIC), 2)
    assert cost.seed == 2 * (message.size + 8)
    assert cost.bitmask == 2 * (message.size + MASKED / 8)
    assert cost.coordinates == 2 * (message.size + 4 * 4)


@pytest.mark.parametrize("optimizer", ["plain", "momentum", "adam"])
def test_statistics_take_the_mean_whatever_the_server_optimiser(optimizer: str) -> None:
    sets = [f"server.optimizer={optimizer}", "server.learning_rate=0.5"]
    config = parse_experiment("", sets).server
    state = server.first_state(np.ones(PARTS.size, np.float32), config, PARTS.num_trained)
    mean = np.linspace(1, 2, PARTS.size)
    stepped = server.step(server.step(state, mean, config), mean, config)
    np.testing.assert_allclose(stepped.params[-STATISTIC:], 1 + 2 * mean[-STATISTIC:], rtol=1e-6)
    few = server.first_state(np.ones(PARTS.num_trained, np.float32), config, PARTS.num_trained)
    alone = server.step(few, mean[: PARTS.num_trained], config)
    again = server.step(alone, mean[: PARTS.num_trained], config)
    assert stepped.params[: PARTS.num_trained].tobytes() == again.params.tobytes()


def test_an_average_over_all_clients_has_no_meaning_for_statistics() -> None:
    with pytest.raises(InputError, match="statistics of this network"):
        world("server.average=all")
