"""What do binary weights cost the event engine, beside real ones?

    python benchmarks/binary_weights.py [--pairs 40] [--clients 4]

The network of jobs/quickstart.toml trains the same clients with real weights and with binary ones,
straight-through and Bayesian, one after the other in one process, on one core. Scales are chosen so
that hidden neurons spike alike in all: the cost follows the spikes. Prints medians, hidden rates,
and the ratios of each pair with the range of the middle half; exits 1 if a median of ratios lies
above 1.3, or a rate below that of real weights. The targets are those of temperature 1, the
default; others take a logarithm and two exponentials a weight.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hpcfed import datasets
from hpcfed.clients.population import Client
from hpcfed.config.file import read_experiment
from hpcfed.learning.rule import rule_of
from hpcfed.networks.layout import initial_params
from hpcfed.samples.samples import shape_of

JOB = Path(__file__).parent.parent / "jobs" / "quickstart.toml"
PLAIN = ("uplink.mask=none", "uplink.mask_probability=0", "server.rescale=false",
         "client.threads=1", "client.engine=event")  # fmt: skip
WARM = "rule.bayes.temperature=0.5"
CONTENDERS = {  # scales at which hidden neurons spike a little more than with real weights
    "real": (),
    "straight-through": ("rule.kind=straight-through", "rule.binary.scale=3.2"),
    "bayes": ("rule.kind=bayes", "rule.binary.scale=4.2"),
    "bayes, tau = 0.5": ("rule.kind=bayes", "rule.binary.scale=4.0", WARM),
}
MOST = 1.3
JUDGED = ("straight-through", "bayes")


def main() -> int:
    """Measure and print; 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    made = {name: contender(sets, asked.clients) for name, sets in CONTENDERS.items()}
    rates = {name: one()[1] for name, one in made.items()}  # compiles, too
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(asked.pairs):
        for name, one in made.items():
            seconds[name].append(one()[0])
    missed = False
    for name, times in seconds.items():
        ratios = np.array(times) / np.array(seconds["real"])
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        fails = name in JUDGED and (middle > MOST or rates[name] < rates["real"])
        missed |= fails
        print(
            f"{name:18} {1e3 * np.median(times):7.2f} ms, hidden rate {rates[name]:.3f}, "
            f"{middle:.3f} times real [{low:.3f}, {high:.3f}]{' MISSED' if fails else ''}"
        )
    return int(missed)


def contender(sets: tuple[str, ...], num_clients: int) -> Callable[[], tuple[float, float]]:
    """Return a function that trains clients for a round: its seconds, and the hidden rate."""
    experiment = read_experiment(JOB, [*PLAIN, *sets])
    data = datasets.load(experiment.data)
    rule = rule_of(experiment)
    trainer = rule.trainer(experiment, shape_of(data.train), "cpu")
    if rule.initial is None:
        params = initial_params(experiment.model, trainer.layout, experiment.seed)
    else:
        params = rule.initial(experiment, trainer.layout)
    parts = np.array_split(data.train_ids, 12)[:num_clients]
    clients = [Client(number, ids) for number, ids in enumerate(parts)]

    def once() -> tuple[float, float]:
        begin = time.perf_counter()
        updates = list(trainer.train(params, data.train, clients, 0))
        return time.perf_counter() - begin, float(np.mean([u.hidden_rate for u in updates]))

    return once


if __name__ == "__main__":
    sys.exit(main())
