"""The round loop: participation, local training, exact aggregation, server step, evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcfed.clients.memory import Memory
from hpcfed.clients.population import Client
from hpcfed.errors import StoppedRunError
from hpcfed.federation import server
from hpcfed.federation.depths import evaluations
from hpcfed.federation.evaluation import SplitResult
from hpcfed.federation.exchange import Arrived, direction
from hpcfed.federation.job import Job
from hpcfed.federation.meter import Meter
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.pooling import second_moments, variances
from hpcfed.federation.server import ServerState
from hpcfed.federation.uplink.aggregation import STATISTICS, Sender, aggregate, chosen_transport
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.federation.uplink.exact import Totals
from hpcfed.learning.silence import COUNTS


@dataclass(frozen=True)
class Outcome:
    """What a round leaves besides parameters, complete at the root.

    ``statistics`` is (n, 5 + F) float64: for each participant the values that STATISTICS names, and
    the rule's figures. ``activity`` is (L, 3) int64, the counts of silence of those that count;
    ``groups`` (G,) int64 how many of them sent each group, where groups are chosen from.
    """

    cohort: Cohort
    transport: str
    statistics: NDArray[np.float64]
    activity: NDArray[np.int64]
    groups: NDArray[np.int64]
    evaluations: dict[str, SplitResult]

    @property
    def rejected(self) -> NDArray[np.bool_]:
        """(n,) whose update was left out."""
        return self.statistics[:, STATISTICS.index("rejected")] > 0


class Recorder(Protocol):
    """What the loop asks of the run's record; every rank has one and calls it together."""

    def wishes(self) -> tuple[bool, bool, bool]:
        """Say whether this rank was asked to stop, whether to write, and whether the run ends."""
        ...

    def add(self, outcome: Outcome, state: ServerState, meter: Meter) -> None:
        """Record a finished round."""
        ...

    def write(self, state: ServerState, memory: Memory, status: str) -> None:
        """Write the run file."""
        ...


def run_rounds(
    job: Job,
    state: ServerState,
    memory: Memory,
    transport: Transport,
    recorder: Recorder,
) -> str:
    """Run the rounds that are left; return the status, "finished" or "stopped".

    ``state`` is the root's; other ranks hold a buffer for the parameters that the root fills.
    ``memory`` is that of this rank's clients, changed in place.
    """
    transport.broadcast(state.params)
    num_rounds = job.experiment.server.rounds
    stop = write = False
    _, _, ended = transport.any(*recorder.wishes())
    while not (ended or stop):
        if write:
            recorder.write(state, memory, "running")
        meter = Meter(transport)
        cohort = job.cohort(state.round, transport.size)
        how = chosen_transport(job.uplink, cohort, transport.size)
        statistics = np.zeros((len(cohort.clients), _num_columns(job)))
        depths = job.depths(state.round)
        mine = [_client(job, memory, k, int(depths[k])) for k in cohort.of(transport.rank).tolist()]
        updates = job.trainer.train(state.params, job.data.train, mine, state.round)
        updates = second_moments(updates, job.trainer.layout, state.params)
        sender = Sender(job.uplink, cohort, updates, statistics, memory, tuple(job.figures))
        totals = aggregate(transport, sender, how)
        meter.lap("update")
        transport.sum_at_root(statistics)
        outcome = _outcome(job, cohort, how, statistics)
        meter.lap("statistics")
        state = _server_step(job, state, transport, totals, outcome)
        transport.broadcast(state.params)
        meter.lap("model")
        if state.round % job.experiment.run.eval_every == 0 or state.round == num_rounds:
            found = evaluations(job, job.trainer, state.params, transport)
            outcome = replace(outcome, evaluations=found)
        meter.lap("evaluation")
        recorder.add(outcome, state, meter)
        stop, write, ended = transport.any(*recorder.wishes())
    status = "finished" if ended else "stopped"
    recorder.write(state, memory, status)
    return status


def _num_columns(job: Job) -> int:
    activity = len(COUNTS) * len(job.trainer.layers)
    return len(STATISTICS) + len(job.figures) + activity + job.uplink.num_groups


def _outcome(job: Job, cohort: Cohort, how: str, rows: NDArray[np.float64]) -> Outcome:
    """Return the outcome of a round from what all ranks noted of it."""
    known, layers = len(STATISTICS) + len(job.figures), len(job.trainer.layers)
    counted = rows[:, STATISTICS.index("rejected")] == 0
    counts = rows[counted, known:].sum(0).astype(np.int64)
    activity, groups = np.split(counts, [layers * len(COUNTS)])
    activity = activity.reshape(layers, len(COUNTS))
    return Outcome(cohort, how, rows[:, :known], activity, groups, {})


def _client(job: Job, memory: Memory, number: int, depth: int) -> Client:
    client = replace(job.population.client(number), depth=depth)
    if memory.size == memory.residual:
        return client
    return replace(client, memory=memory.of_rule(number), local=memory.of_parts(number))


def _server_step(
    job: Job, state: ServerState, transport: Transport, totals: Totals, outcome: Outcome
) -> ServerState:
    """Return the next state; only the root's parameters are new, the others wait for them."""

    def step() -> ServerState:
        following = replace(state, round=state.round + 1)
        if transport.rank != 0:
            return following
        clients, rejected = outcome.cohort.clients, outcome.rejected
        if rejected.any() and job.experiment.server.on_rejected == "stop":
            raise StoppedRunError(
                f"round {state.round}: updates of clients {clients[rejected].tolist()} are not "
                "finite or reach 2^12; lower client.learning_rate or set client.clip_norm"
            )
        accepted = clients[~rejected]
        if not len(accepted):
            return following
        arrived = Arrived(job.uplink.averaging.mean(totals, accepted), len(accepted), totals)
        change = direction(job.exchange, arrived, state.params, job.uplink.num_masked)
        change = variances(change, job.trainer.layout, state.params)
        stepped = server.step(following, change, job.experiment.server)
        if not np.isfinite(stepped.params).all() and _ends_diverged(job):
            outcome.statistics[:, STATISTICS.index("rejected")] = 1  # none of them is taken
            return following
        if not np.isfinite(stepped.params).all():
            raise StoppedRunError(
                f"round {state.round}: the global parameters are not finite any more; lower "
                "server.learning_rate"
            )
        return stepped

    return transport.together("server step", step)


def _ends_diverged(job: Job) -> bool:
    return job.experiment.stop is not None and job.experiment.stop.diverged
