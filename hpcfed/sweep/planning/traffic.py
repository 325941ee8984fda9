"""What runs send, in bytes, from their configuration: no run is needed for it.

A participant sends the values that its mask leaves and what names them, whichever way takes fewest
bytes, and receives the whole model; hpcfed show says the same of a run that is over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hpcfed import datasets
from hpcfed.clients.participation import arrival_losses, drop_probabilities
from hpcfed.config import DataConfig, Experiment
from hpcfed.federation.job import Job, build_job
from hpcfed.federation.uplink.cost import uplink_cost
from hpcfed.records.log import uplink_bytes
from hpcfed.sweep.planning.checks import grouped
from hpcfed.sweep.planning.planned_run import PlannedRun

_SHAPING = ("data", "partition", "model", "rule")  # of clients and of what they train
_ITEM_BYTES = 4  # float32, as the model travels


@dataclass(frozen=True)
class Traffic:
    """Bytes of a run: up, as the cheapest coding has it, and down."""

    up: float
    down: float


def traffic(
    runs: Sequence[PlannedRun], load_data: Callable[[DataConfig], datasets.Data]
) -> dict[str, Traffic]:
    """Return what each run sends, by digest. Raises InputError for what cannot be run here."""
    found: dict[str, Traffic] = {}
    for alike in grouped(runs, _SHAPING):
        job = build_job(alike[0].experiment, 1, 0, load_data)
        found |= {run.digest: _of(run.experiment, job) for run in alike}
    return found


def participants(experiment: Experiment, num_clients: int) -> float:
    """Return how many clients are expected to take part in a round."""
    config = experiment.participation
    losses = arrival_losses(config, drop_probabilities(config.drop_probability, num_clients))
    return float((1 - losses).sum())


def _of(experiment: Experiment, job: Job) -> Traffic:
    uplink = replace(job.uplink, config=experiment.uplink)
    num_values = round(uplink.selection.expected) + uplink.num_whole
    cost = uplink_cost(uplink, num_values, 1)
    a_message = uplink_bytes({f"uplink_bytes_{way}": value for way, value in vars(cost).items()})
    num_messages = experiment.server.rounds * participants(experiment, job.population.num_clients)
    return Traffic(num_messages * float(a_message), num_messages * uplink.size * _ITEM_BYTES)
