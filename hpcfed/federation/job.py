"""From an experiment to everything that stays fixed while it runs.

Every rank builds the same job from the same configuration and data: who owns which samples, the
network, the uplink. N clients, P parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcfed import datasets
from hpcfed.clients.depth import depths
from hpcfed.clients.memory import Memory
from hpcfed.clients.participation import (
    arrival_losses,
    drop_probabilities,
    on_time,
    participants,
    sampled,
)
from hpcfed.clients.partition import partition
from hpcfed.clients.population import Listed, Population
from hpcfed.config import DataConfig, Experiment
from hpcfed.errors import InputError
from hpcfed.federation import exchange
from hpcfed.federation.teacher import read_teacher
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.cohort import Cohort, assign
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.learning.depths import DEPTH_FIGURES
from hpcfed.learning.model import TrainedModel
from hpcfed.learning.rule import Exchange, Initial, rule_of
from hpcfed.learning.trainer import Trainer, memory_of, operations_of
from hpcfed.records.schema import Field
from hpcfed.samples.samples import shape_of

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MAX_PARAMETERS = 1 << 28  # a message stays below MPI 3.1's 2**31 bytes


@dataclass(frozen=True)
class Job:
    """What every rank knows and no round changes.

    Attributes:
        population: the N clients.
        figures: what the rule measures, as columns of the run file.
        initial: what gives the first parameters; None: ``model.init`` draws them.
        teacher: the network whose answers clients learn beside the labels; None without.
        drop: (N,) float64, q of each client.
        device: torch's name of this rank's device.
        owners: (N,) int64 rank that keeps a client's memory; None if clients have none.
    """

    experiment: Experiment
    data: datasets.Data
    population: Population
    trainer: Trainer
    exchange: Exchange
    figures: dict[str, Field]
    initial: Initial | None
    teacher: TrainedModel | None
    uplink: Uplink
    drop: F64
    owners: I64 | None
    device: str

    @property
    def num_samples(self) -> I64:
        """(N,) int64 training samples of each client."""
        return self.population.num_samples

    def cohort(self, round_index: int, num_ranks: int) -> Cohort:
        """Return who trains in a round, and on which rank."""
        config, seed = self.experiment.participation, self.experiment.seed
        num_clients = self.population.num_clients
        if config.clients_per_round is None:
            chosen = participants(self.drop, seed, round_index)
        else:
            chosen = sampled(config.clients_per_round, num_clients, seed, round_index)
        ids = on_time(chosen, config, num_clients, seed, round_index)
        ranks = (
            self.owners[ids]
            if self.owners is not None
            else assign(self._work(round_index)[ids], num_ranks)
        )
        return Cohort(round_index, ids, ranks, np.setdiff1d(chosen, ids))

    @property
    def memory(self) -> Memory:
        """Empty memories of this run's clients."""
        residual = self.uplink.size if self.experiment.uplink.error_feedback else 0
        layout = self.trainer.layout
        return Memory(residual, self.exchange.memory, layout.size - layout.num_shared)

    def depths(self, round_index: int) -> I64:
        """Return how often each client (N,) repeats the network's block; 0 without such."""
        model, seed = self.experiment.model, self.experiment.seed
        return depths(model, self.population.num_clients, seed, round_index)

    def _work(self, round_index: int) -> I64:
        """Return how long each client (N,) takes, in units of no meaning."""
        steps, batch = self.experiment.client.steps, self.experiment.client.batch_size
        passes = self.num_samples
        if steps is not None:
            passes = np.minimum(self.num_samples, batch) * steps
        return passes * costs(self.trainer, self.depths(round_index))


def build_job(
    experiment: Experiment,
    num_ranks: int,
    local_rank: int,
    load_data: Callable[[DataConfig], datasets.Data] = datasets.load,
) -> Job:
    """Load the data and build the job on rank ``local_rank`` of its host.

    Raises InputError for what does not fit together, as far as possible before the engine's
    libraries are imported.
    """
    data = load_data(experiment.data)
    events = data.train
    positions = partition(
        experiment.partition,
        events.labels[data.train_ids],
        events.groups[data.train_ids],
        experiment.seed,
    )
    population = Listed.of([data.train_ids[mine] for mine in positions])
    conditions = experiment.participation
    drop = drop_probabilities(conditions.drop_probability, population.num_clients)
    if (conditions.clients_per_round or 0) > population.num_clients:
        raise InputError(
            f"participation.clients_per_round = {conditions.clients_per_round}, but there are "
            f"{population.num_clients} clients"
        )
    teacher = read_teacher(experiment, data)
    rule = rule_of(experiment)
    exchange.check(rule.exchange, experiment)
    device = rule.device(experiment, local_rank)
    trainer = rule.trainer(experiment, shape_of(events), device)
    size = trainer.layout.size
    if size > MAX_PARAMETERS:
        raise InputError(
            f"the network has {size} parameters, at most {MAX_PARAMETERS} can be sent; "
            "shrink model.hidden"
        )
    num_samples = population.num_samples
    losses = arrival_losses(conditions, drop)
    weighting = averaging(experiment, num_samples, losses, trainer.layout)
    stays = trainer.layout.num_shared < trainer.layout.size
    exchanged = replace(rule.exchange, memory=rule.exchange.memory or memory_of(trainer))
    keeps = experiment.uplink.error_feedback or exchanged.memory or stays
    owners = None
    if keeps:  # for the whole run: drawn depths are equally many for all
        first = depths(experiment.model, population.num_clients, experiment.seed, 0)
        cost = 1 if experiment.model.repetition.drawn else costs(trainer, first)
        owners = assign(num_samples * cost, num_ranks)
    uplink = Uplink(experiment.uplink, weighting, experiment.seed, trainer.layout)
    uplink.rehearse()
    has_depth = experiment.model.is_repeated and hasattr(trainer, "at_depth")
    if experiment.model.repetition.curve and not has_depth:
        raise InputError(
            f'model.repeat.curve: what rule.kind = "{experiment.learning_rule.kind}" trains is not '
            "evaluated with other numbers of iterations; leave it out"
        )
    figures = rule.columns() | (DEPTH_FIGURES if has_depth else {})
    return Job(
        experiment, data, population, trainer, exchanged, figures, rule.initial, teacher,
        uplink, drop, owners, device,
    )  # fmt: skip


def costs(trainer: Trainer, depths: I64) -> I64:
    """Return how long a sample takes with each of ``depths`` (N,), in units of no meaning."""
    known, places = np.unique(depths, return_inverse=True)
    once = np.array([operations_of(trainer, depth) for depth in known.tolist()], np.int64)
    found: I64 = np.maximum(1, once // np.gcd.reduce(once))[places]
    return found
