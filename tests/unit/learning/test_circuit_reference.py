"""Probabilistic units against the published code's steps, with its hidden spikes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # what a JSON file holds

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose

from hpcfed.config import Experiment
from hpcfed.learning.circuit import plan
from hpcfed.learning.circuit.kernels import rest
from hpcfed.learning.circuit.learn import learn
from hpcfed.learning.circuit.memory import to_parameters, to_places
from hpcfed.learning.circuit.steps import pending_rate, settle, wake
from hpcfed.learning.circuit.tables import Circuit, Learning, Workspace, make_sums, make_work
from hpcfed.learning.circuit.units import add_up_credited, answer, sense
from hpcfed.learning.constants import RealType
from hpcfed.samples.samples import Shape

BINS = 6
SILENT = 7  # a label of no output


@numba.njit
def potentials(circuit, learning, t, work):  # type: ignore[no-untyped-def]
    if t == 0:
        rest(circuit, work)
    sense(circuit, t, work)
    wake(circuit, learning, t, work)
    add_up_credited(circuit, learning, t, work)


@numba.njit
def answered(circuit, label, t, work):  # type: ignore[no-untyped-def]
    answer(circuit, label, t, work)


@numba.njit
def learned(circuit, learning, t, work, sums):  # type: ignore[no-untyped-def]
    learn(circuit, learning, t, work, sums)


@numba.njit
def ended(circuit, learning, work):  # type: ignore[no-untyped-def]
    settle(circuit, learning, work)


@dataclass
class Published:
    """Units of the published code, about to take its steps."""

    file: dict[str, Any]
    circuit: Circuit
    learning: Learning
    work: Workspace

    @property
    def values(self) -> int:
        """C."""
        return self.circuit.values

    def begin(self) -> None:
        """Take its first weights: (unit, value, line, basis) there, (basis, row, line) here."""
        rows, bases = self.circuit.units * self.values, self.circuit.table.shape[1]
        kernel = np.reshape(self.file["ff0"], (rows, -1, bases))
        seen = len(self.circuit.bases) // bases
        assert np.all(kernel[:, seen:] == 0)  # a circuit's outputs are seen by nobody
        parts = kernel[:, :seen].transpose(2, 0, 1), self.file["fb0"], self.file["bias0"]
        flat = np.concatenate([np.ravel(part) for part in parts])
        to_places(self.circuit, flat.astype(self.work.weights.dtype), self.work.weights)

    def enter(self) -> None:
        """Let its input enter."""
        found = np.array(self.file.get("input_value", self.file.get("input")), np.int64)
        bins, inputs = np.nonzero(found)
        lines = inputs * self.values + found[bins, inputs] - 1
        self.work.events.lines[: len(lines)] = lines
        self.work.events.bounds[:] = np.searchsorted(bins, np.arange(BINS + 1))

    def spike(self, t: int, step: dict[str, Any]) -> None:
        """Let the units do what they did: words that stand for the recorded spikes."""
        units, hidden = self.circuit.units, self.circuit.hidden
        target = self.file.get("target_value", self.file.get("target"))[t][0]
        label = 0 if target else SILENT
        answered(self.circuit, label, t, self.work)  # for the probabilities
        spikes = np.reshape(step["spikes"], (units, self.values))
        for unit in range(hidden):
            below = self.work.probabilities[unit, 1:] @ (np.cumsum(spikes[unit]) == 0)
            word = below * 2**32 + 1 if spikes[unit].any() else 2**32 - 1
            self.work.words[unit] = np.uint32(word)
        answered(self.circuit, label, t, self.work)
        was = np.where(spikes.any(1), spikes.argmax(1) + 1, 0)
        assert self.work.history[t % len(self.circuit.table)].tolist() == was.tolist()

    def weights(self, t: int) -> np.ndarray:
        """Return the parameters after bin ``t``, without what outputs' are credited with."""
        weights, first = self.work.weights.copy(), self.circuit.first_output
        places = weights.reshape(-1, self.circuit.rows)
        traces = self.work.traces.eligibility.reshape(places.shape)
        powers, seen = self.learning.powers, self.work.seen
        for synapse in np.flatnonzero(seen >= 0):
            left = powers[t - seen[synapse]] * traces[synapse, first:]
            places[synapse, first:] -= pending(self.learning, t + 1) * left
        return to_parameters(self.circuit, weights)


@numba.njit
def pending(learning, t):  # type: ignore[no-untyped-def]
    return pending_rate(learning, t)


def published(place: Path, name: str, key: str, dtype: RealType) -> Published:
    """Return a world of shared/reference_rules."""
    file = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))[key]
    is_glm = name == "glm_neuron"
    table: dict[str, object] = {
        "hidden": file["n_hidden"],
        "width": file["mu"],
        "kappa": file["kappa"],
        "beta": file["beta"],
        "gamma": file["gamma"],
        "silence": 1 - file["r"] if is_glm else file["r"],
        "feedback": True,
        "lateral": is_glm and file["n_hidden"] > 0,
    }
    settings = Experiment.model_validate(
        {
            "data": {"num_bins": BINS, "duration": 0.006},
            "client": {"optimizer": "sgd", "learning_rate": file["lr"]},
            "rule": {"kind": "glm" if is_glm else "wta", "circuit": table},
        }
    )
    circuit = plan.circuit(settings, Shape((file["n_in"],), file["n_out"]), dtype)
    work = make_work(circuit, plan.smooths_signal(settings), BINS * file["n_in"], dtype)
    world = Published(file, circuit, plan.learning(settings, 0, dtype), work)
    world.begin()
    world.enter()
    return world


def assert_near(ours: Any, theirs: Any, dtype: RealType) -> None:
    assert_allclose(ours, np.ravel(theirs), rtol=0, atol=1e-5 if dtype == np.float32 else 1e-6)


@pytest.fixture
def place(test_data: Path) -> Path:
    """Return the folder of reference values."""
    return test_data.parent / "reference_rules"


@pytest.mark.parametrize("width", [0.5, 1.0, 1.5])
def test_bases_are_the_published_ones(place: Path, width: float) -> None:
    file = json.loads((place / "glm_neuron.json").read_text(encoding="utf-8"))
    table = file["basis_T10_K8"][f"mu={width}"]
    assert_allclose(plan.raised_cosines(10, 8, width), table, atol=1e-7)


@pytest.mark.parametrize("width", [0.5, 1.5])
def test_the_basis_of_feedback_is_the_published_one(place: Path, width: float) -> None:
    file = json.loads((place / "glm_neuron.json").read_text(encoding="utf-8"))
    table = file[f"basis_T10_K1_mu{width}"]
    assert_allclose(plan.raised_cosines(10, 1, width), table, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("glm_neuron", "visible_only_2in_1out"),
        ("glm_neuron", "hidden_2in_2hid_1out"),
        ("wta_circuit", "traces_kept_apart"),
    ],
)
def test_steps_are_the_published_ones(place: Path, name: str, key: str, dtype: RealType) -> None:
    world = published(place, name, key, dtype)
    circuit, work, file = world.circuit, world.work, world.file
    sums, units, values = make_sums(8), circuit.units, circuit.values
    for t, step in enumerate(file["steps"]):
        potentials(circuit, world.learning, t, work)
        assert_near(work.potential[circuit.places], step["potential"], dtype)
        world.spike(t, step)
        assert_near(work.errors[circuit.places], step["grad_bias"], dtype)
        learned(circuit, world.learning, t, work, sums)
        signal = step["learning_signal"] if name == "glm_neuron" else step["reward"]
        assert_near(work.signal[0], signal, dtype)
        tail = world.weights(t)[-2 * units * values :]
        assert_near(tail, [*np.ravel(step["fb_after"]), *np.ravel(step["bias_after"])], dtype)
    ended(circuit, world.learning, work)
    after = file["ff_after"] if "ff_after" in file else file["steps"][-1]["ff_after"]
    kernel = np.reshape(after, (units * values, -1, 8)).transpose(2, 0, 1)
    seen = len(circuit.bases) // 8
    ours = to_parameters(circuit, work.weights)[: -2 * units * values]
    assert_near(ours, kernel[:, :, :seen], dtype)
