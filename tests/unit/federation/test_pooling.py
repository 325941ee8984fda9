"""Pooled variances are those of all values together; parts that stay with clients are not sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation.pooling import second_moments, variances
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.layout import Layout, Part

MEAN = Part("mean", (3,), "zeros", trained=False, masked=False)
VARIANCE = Part("variance", (3,), "ones", trained=False, masked=False, spread_of="mean")
LAYOUT = Layout((Part("kernel", (2, 2)), MEAN, VARIANCE))
PLAIN = Layout((Part("kernel", (2, 2)), MEAN, Part("variance", (3,), "ones", False, False)))


def clients() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(k, 1 + k, (500, 3)) for k in range(4)]


def statistics(values: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(4), values.mean(0), values.var(0)]).astype(np.float32)


def merged(layout: Layout, params: np.ndarray) -> np.ndarray:
    updates: Iterator[LocalUpdate] = (
        LocalUpdate(statistics(values) - params, 0.0, 0.0) for values in clients()
    )
    sent = [np.asarray(update.delta) for update in second_moments(updates, layout, params)]
    mean = np.mean(np.stack(sent).astype(np.float64), axis=0)
    found: np.ndarray = params + variances(mean, layout, params)
    return found


def test_pooled_variances_are_those_of_all_values() -> None:
    params = np.array([0, 0, 0, 0, 0.5, -1, 2, 1, 2, 3], np.float32)
    together = statistics(np.concatenate(clients()))
    np.testing.assert_allclose(merged(LAYOUT, params), together, rtol=1e-5, atol=1e-6)


def test_averaged_variances_leave_out_that_between_clients() -> None:
    params = np.array([0, 0, 0, 0, 0.5, -1, 2, 1, 2, 3], np.float32)
    averaged = np.mean([statistics(values) for values in clients()], axis=0)
    np.testing.assert_allclose(merged(PLAIN, params), averaged, rtol=1e-5, atol=1e-6)


def test_a_variance_without_its_means_is_refused() -> None:
    with pytest.raises(InputError, match="spread of mean"):
        Layout((Part("kernel", (2, 2)), VARIANCE))


def test_what_is_sent_comes_before_what_stays() -> None:
    stays = Part("scale", (3,), "ones", masked=False, shared=False)
    assert Layout((Part("kernel", (2, 2)), stays)).num_shared == 4
    with pytest.raises(InputError, match="out of order"):
        Layout((stays, MEAN))
    with pytest.raises(InputError, match="a mask is for what is sent"):
        Layout((Part("kernel", (2, 2), shared=False),))


def test_a_client_keeps_its_own_parts_behind_all_else() -> None:
    memory = Memory(residual=1, own=1, local=2)
    memory.keep(4, np.ones(1, np.float32), np.zeros(1, np.float32), np.array([5, 6], np.float32))
    assert memory.of_parts(4).tolist() == [5, 6]  # type: ignore[union-attr]
    assert memory.of_rule(4).tolist() == [0]  # type: ignore[union-attr]
    assert memory.of_parts(3) is None
    with pytest.raises(InputError, match="stay with the client"):
        memory.keep(4, np.ones(1, np.float32), np.zeros(1, np.float32))
