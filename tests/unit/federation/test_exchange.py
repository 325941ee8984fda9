"""Values in the place of updates: what they become, and what has no meaning beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.federation import exchange
from hpcfed.federation.exchange import Arrived
from hpcfed.federation.uplink.exact import Totals
from hpcfed.learning.rule import Exchange
from tests.mpi.ways import toy_runs

PARAMS = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
MEAN = np.array([0.5, 0.5, 0.5, 0.25])


def arrived(weights: list[int] | None = None) -> Arrived:
    entries = None if weights is None else np.array(weights)
    return Arrived(MEAN, 3, Totals(np.zeros(4, np.int64), entries))


def test_an_update_is_stepped_along_as_it_is() -> None:
    assert exchange.direction(Exchange(), arrived(), PARAMS, 4) is MEAN


def test_a_value_is_put_in_the_parameters_place() -> None:
    change = exchange.direction(Exchange(sends="value"), arrived(), PARAMS, 4)
    assert (PARAMS + change).tolist() == MEAN.tolist()


def test_what_nobody_sent_stays() -> None:
    change = exchange.direction(Exchange(sends="value"), arrived([2, 0, 1, 0]), PARAMS, 4)
    assert (PARAMS + change).tolist() == [0.5, 2.0, 0.5, 4.0]


def test_the_rule_makes_the_value_of_the_mean_the_number_of_clients_and_what_they_had() -> None:
    times = Exchange(sends="value", value=lambda mean, count, received: mean * count + received)
    change = exchange.direction(times, arrived(), PARAMS, 4)
    assert (PARAMS + change).tolist() == (np.array([1.5, 1.5, 1.5, 0.75]) + PARAMS).tolist()


def test_parts_that_are_sent_whole_are_updates() -> None:
    change = exchange.direction(Exchange(sends="value"), arrived(), PARAMS, 2)
    assert (PARAMS + change).tolist() == [0.5, 0.5, 3.5, 4.25]


MASKED = ("uplink.mask=bernoulli", "uplink.mask_probability=0.5")


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (["server.average=all"], "average"),
        (MASKED, "not sent for 0"),
        (["uplink.error_feedback=true"], "error_feedback"),
        (["server.rescale=true"], "rescale"),
    ],
)
def test_what_has_no_meaning_beside_values_is_refused_with_a_reason(
    sets: list[str], words: str
) -> None:
    experiment = parse_experiment("", sets)
    exchange.check(Exchange(), experiment)
    with pytest.raises(InputError, match=words):
        exchange.check(Exchange(sends="value"), experiment)


@pytest.mark.mpi
def test_a_run_whose_clients_send_values_ends_at_their_mean(tmp_path: Path) -> None:
    sets = ("rule.kind=tests.toy_world:VALUES", "server.client_weights=uniform",
            "server.rounds=2", "participation.drop_probability=0.0")  # fmt: skip
    whole, masked = toy_runs(1, tmp_path, sets, (*sets, *MASKED, "server.average=received"))
    assert set(whole.params) == {3.0}
    assert 0 <= masked.params.min() < masked.params.max() <= 6
