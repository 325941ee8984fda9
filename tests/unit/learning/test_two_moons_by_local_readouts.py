"""Two moons as the paper learns them: full precision best, Bayes surer of what it says than signs.

Means over five seeds are 99.8, 96.2 and 90.0 %, here over three; the committee's loss is 0.65, its
Brier score 0.54 times that of straight-through gradients.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.runfile import read_record

JOB = """
[data]
dataset = "two-moons"
duration = 0.1
num_bins = 100
validation_fraction = 0.0
[partition]
kind = "iid"
num_clients = 1
[model]
hidden = [64, 64]
tau_mem = 0.01
tau_syn = 0.006
[rule.local]
burn_in = 10
[client]
epochs = 20
batch_size = 40
optimizer = "sgd"
[server]
rounds = 1
[evaluation]
answers = false
"""
BAYES = (
    "rule.kind=bayes",
    "rule.bayes.noise=bin",
    "client.learning_rate=20",
    "evaluation.draws=10",
)
RULES = {
    "full": ("rule.kind=local", "client.learning_rate=0.1"),
    "signs": ("rule.kind=straight-through", "client.learning_rate=50"),
    "bayes": BAYES,
}


@pytest.fixture(scope="module")
def means(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """Return test figures by rule, means over three seeds."""
    found = {}
    for name, sets in RULES.items():
        columns = [trained(tmp_path_factory.mktemp("run") / "a", seed, sets) for seed in range(3)]
        found[name] = {key: float(np.mean([c[key] for c in columns])) for key in columns[0]}
    return found


def trained(out: Path, seed: int, sets: tuple[str, ...]) -> dict[str, float]:
    experiment = parse_experiment(JOB, [f"seed={seed}", f"data.generated.seed={seed}", *sets])
    run(Request(lambda: experiment, out))
    rounds = read_record(out).log.rounds
    return {name: float(rounds[f"test_{name}"][-1]) for name in ("accuracy", "loss", "brier_score")}


def test_full_precision_is_nearly_perfect(means: dict[str, dict[str, float]]) -> None:
    assert means["full"]["accuracy"] >= 0.98


def test_binary_weights_lose_some_and_bayes_less(means: dict[str, dict[str, float]]) -> None:
    assert 0.86 <= means["signs"]["accuracy"] < means["bayes"]["accuracy"]
    assert 0.93 <= means["bayes"]["accuracy"] < means["full"]["accuracy"]


def test_a_committee_is_better_calibrated_than_signs(means: dict[str, dict[str, float]]) -> None:
    assert means["bayes"]["loss"] <= 0.9 * means["signs"]["loss"]
    assert means["bayes"]["brier_score"] <= 0.8 * means["signs"]["brier_score"]
