"""Averages and server optimisers on two parameters, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.config import ServerConfig
from hpcfed.errors import InputError
from hpcfed.federation import server
from hpcfed.federation.server import ServerState
from hpcfed.federation.uplink.exact import Totals
from tests.federation_worlds import uplink

SAMPLES = (1, 3, 4)  # of clients 0, 1, 2; client 2 is absent below


def mean_of_two(*overrides: str, drop: float = 0.0) -> list[float]:
    """Return the mean when client 0 sends 8 at entry 0, and client 1 sends 16 and 32."""
    world = uplink(2, SAMPLES, *overrides, drop=drop)
    totals = world.totals()
    world.add(totals, np.array([0]), np.array([8.0], np.float32), 0)
    world.add(totals, slice(None), np.array([16.0, 32.0], np.float32), 1)
    return world.averaging.mean(totals, np.array([0, 1])).tolist()


def test_participants_divide_by_their_own_weight() -> None:
    assert mean_of_two("server.average=participants") == [(8 + 48) / 4, 96 / 4]


def test_all_divides_by_the_weight_of_absent_clients_too() -> None:
    assert mean_of_two("server.average=all") == [(8 + 48) / 8, 96 / 8]


def test_received_divides_each_entry_by_the_weight_that_arrived() -> None:
    assert mean_of_two("server.average=received") == [(8 + 48) / 4, 96 / 3]


def test_uniform_weights_count_each_client_once() -> None:
    uniform = "server.client_weights=uniform"
    assert mean_of_two(uniform) == [(8 + 16) / 2, 32 / 2]
    assert mean_of_two(uniform, "server.average=all") == [(8 + 16) / 3, 32 / 3]
    assert mean_of_two(uniform, "server.average=received") == [(8 + 16) / 2, 32 / 1]


BERNOULLI = ("uplink.mask=bernoulli", "uplink.mask_probability=0.75", "server.rescale=true")


def test_rescaling_divides_by_the_masks_probability_of_arrival() -> None:
    assert mean_of_two(*BERNOULLI) == [4 * 14, 4 * 24]


def test_rescaling_for_participants_leaves_participation_alone() -> None:
    assert mean_of_two(*BERNOULLI, drop=0.5) == [4 * 14, 4 * 24]


def test_rescaling_for_all_divides_by_participation_too() -> None:
    assert mean_of_two(*BERNOULLI, "server.average=all", drop=0.5) == [2 * 4 * 7, 2 * 4 * 12]


def test_rescaling_of_random_k_uses_the_fraction_that_is_really_kept() -> None:
    # 1 of 3 entries is kept where p = 0.6 (0.6 * 3 = 1.8 rounds to 2)
    random_k = ("uplink.mask=random-k", "uplink.mask_probability=0.6", "server.rescale=true")
    assert uplink(3, SAMPLES, *random_k).averaging.keep == 1 / 3


def test_each_client_is_rescaled_by_its_own_participation() -> None:
    averaging = uplink(
        2, SAMPLES, "server.rescale=true", "server.average=all", drop=(0.0, 0.5, 0.75)
    ).averaging
    assert averaging.factors.tolist() == [1.0, 2.0, 4.0]


def test_rescaling_a_mask_that_keeps_nothing_is_an_error() -> None:
    with pytest.raises(InputError, match="mask_probability"):
        uplink(10, SAMPLES, "uplink.mask=random-k", "uplink.mask_probability=0.97", BERNOULLI[2])


def test_an_entry_that_nobody_sent_does_not_move() -> None:
    world = uplink(2, SAMPLES, "server.average=received")
    totals = world.totals()
    world.add(totals, np.array([1]), np.array([5.0], np.float32), 2)
    assert world.averaging.mean(totals, np.array([2])).tolist() == [0.0, 5.0]


def test_the_mean_divides_once_in_double_precision() -> None:
    world = uplink(1, (1, 1, 1))
    totals = Totals.zeros(1, per_entry=False)
    for client in range(3):
        world.add(totals, slice(None), np.array([0.1], np.float32), client)
    assert world.averaging.mean(totals, np.arange(3))[0] == pytest.approx(
        float(np.float32(0.1)), rel=2.0**-48
    )


def steps(config: ServerConfig, *means: list[float]) -> ServerState:
    state = server.first_state(np.array([1.0, -1.0], np.float32), config, 2)
    for mean in means:
        state = server.step(state, np.array(mean), config)
    return state


def test_plain_adds_the_mean_times_the_learning_rate() -> None:
    state = steps(ServerConfig(learning_rate=0.5), [2.0, 4.0], [1.0, 0.0])
    assert state.params.dtype == np.float32
    assert state.params.tolist() == [1 + 1 + 0.5, -1 + 2]
    assert state.moments.shape == (0, 2)


def test_momentum_carries_a_part_of_the_last_direction() -> None:
    state = steps(ServerConfig(optimizer="momentum", momentum=0.5), [2.0, 4.0], [1.0, 0.0])
    assert state.moments.tolist() == [[0.5 * 2 + 1, 0.5 * 4 + 0]]
    assert state.params.tolist() == [1 + 2 + 2, -1 + 4 + 2]


def test_adam_follows_reddi_et_al() -> None:
    # m = 0.9 m + 0.1 D, v = 0.99 v + 0.01 D^2, W += eta m / (sqrt(v) + 1e-3); D = 2 then 0
    config = ServerConfig(optimizer="adam", learning_rate=0.1)
    first = steps(config, [2.0, 0.0])
    assert first.moments == pytest.approx(np.array([[0.2, 0.0], [0.04, 0.0]]))
    assert first.params == pytest.approx([1 + 0.1 * 0.2 / (0.2 + 1e-3), -1.0])
    second = steps(config, [2.0, 0.0], [0.0, 0.0])
    assert second.moments == pytest.approx(np.array([[0.18, 0.0], [0.0396, 0.0]]))
    moved = 0.1 * 0.18 / (np.sqrt(0.0396) + 1e-3)
    assert second.params == pytest.approx([first.params[0] + moved, -1.0])


def test_a_step_leaves_the_state_it_starts_from_alone() -> None:
    config = ServerConfig(optimizer="momentum")
    before = server.first_state(np.ones(2, np.float32), config, 2)
    server.step(before, np.ones(2), config)
    assert before.params.tolist() == [1, 1]
    assert before.moments.tolist() == [[0, 0]]
