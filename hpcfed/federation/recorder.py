"""Turns what the ranks did into the run file; the root holds the log, the others take part."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # Any: columns of the log are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import full_disk_stops
from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation import memory as memories
from hpcfed.federation.answers import every_answer
from hpcfed.federation.calibration import Calibration
from hpcfed.federation.costs import costs
from hpcfed.federation.decision import Decision, taken_over
from hpcfed.federation.depths import over_depths
from hpcfed.federation.doubts import AFTER_ROUNDS, doubts
from hpcfed.federation.evaluation import SplitResult
from hpcfed.federation.job import Job
from hpcfed.federation.meter import Meter, Spent
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.rounds import Outcome
from hpcfed.federation.server import ServerState
from hpcfed.federation.stopping import SATURATED, SILENT, largest_share, verdict
from hpcfed.federation.uplink.aggregation import STATISTICS, predicted_bytes
from hpcfed.federation.uplink.cost import uplink_cost
from hpcfed.federation.windows import over_windows
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.trainer import ENTERING_UNIT, products_of, traces_of
from hpcfed.records.log import uplink_bytes
from hpcfed.records.runfile import Record, write_record
from hpcfed.records.schema import RUN_FILE, TRACKING_ERROR
from hpcfed.records.state import glance
from hpcfed.samples.samples import Samples

NAN = float("nan")
NUM_EXAMPLES = 4


@dataclass(frozen=True)
class RoundReport:
    """What a progress display learns of a finished round."""

    round: int
    num_rounds: int
    values: dict[str, Any]
    uplink_bytes: float
    has_loss: bool = True


@dataclass(frozen=True)
class Hooks:
    """What a run asks and tells the world outside: was it asked to stop, how far is it."""

    stop_requested: Callable[[], bool]
    progress: Callable[[RoundReport], None]
    notify: Callable[[str], None] = lambda text: None
    track: Callable[[RoundReport], str] = lambda report: ""  # returns what has failed


class RunRecorder:
    """The record of one run in the folder of its plan."""

    def __init__(
        self,
        job: Job,
        transport: Transport,
        plan: Decision,
        record: Record,
        hooks: Hooks,
    ) -> None:
        self._job, self._transport, self._folder = job, transport, Path(plan.folder)
        self._plan = plan
        self.record = record
        self._hooks = hooks
        self._uplink_bytes = float(uplink_bytes(record.log.rounds).sum())
        self._evaluated: tuple[ServerState, dict[str, SplitResult]] | None = None
        self._last_write = time.monotonic()
        self._seconds_write = 0.0

    def wishes(self) -> tuple[bool, bool, bool]:
        """Say whether this rank was asked to stop, whether to write, and whether the run ends.

        The root alone wants to write, and knows whether the run ends.
        """
        age = time.monotonic() - self._last_write
        due = age >= self._job.experiment.run.checkpoint_seconds
        done = self.record.log.num_rounds >= self._job.experiment.server.rounds
        ends = self._transport.rank == 0 and (done or bool(self.record.attributes.get("verdict")))
        return self._hooks.stop_requested(), due and self._transport.rank == 0, ends

    def add(self, outcome: Outcome, state: ServerState, meter: Meter) -> None:
        """Record a finished round."""
        spent = meter.collect()
        if self._transport.rank != 0:
            return
        if outcome.evaluations:
            self._evaluated = state, outcome.evaluations
        values = self._round_values(outcome, state, spent)
        log = self.record.log
        rows, late = self._participations(outcome), outcome.cohort.late
        log.append(values, rows, late, outcome.activity, outcome.groups)
        experiment = self._job.experiment
        has_loss = experiment.learning_rule.has_loss
        ended = verdict(experiment.stop, log.rounds, log.activity, has_loss=has_loss)
        self.record.attributes["verdict"] = ended
        self._uplink_bytes += float(uplink_bytes(values))
        num_rounds = experiment.server.rounds
        report = RoundReport(state.round, num_rounds, values, self._uplink_bytes, has_loss)
        self._hooks.progress(report)
        if failed := self._hooks.track(report):
            self.record.attributes[TRACKING_ERROR] = failed
        if state.round == AFTER_ROUNDS:
            taught = self._job.experiment.client.distillation[0] > 0
            num_classes = len(self._job.data.train.class_names)
            for doubt in doubts(self.record.log.rounds, num_classes, taught):
                self._hooks.notify(doubt)

    def write(self, state: ServerState, memory: Memory, status: str) -> None:
        """Write the run file, memories first. Raises StoppedRunError when the disk is full."""
        begin, name = time.perf_counter(), ""
        if memory.size and state.round > 0:
            self._transport.together("writing", self._check_not_taken_over)
            name = memories.file_name(state.round)
            num_clients = self._job.population.num_clients
            memories.save(self._transport, self._folder / name, memory, num_clients)
        told: dict[str, Any] = {"answers": {}, "curves": {}}
        if status == "finished":
            told["answers"] = every_answer(self._job, self._transport, state.params)
            curves = {
                "depths": over_depths(self._job, state.params, self._transport),
                "windows": over_windows(self._job, state.params, self._transport),
            }
            asked = {name: columns for name, columns in curves.items() if columns}
            told["curves"] = self.record.curves | asked
        self._transport.together("writing", lambda: self._write(state, name, status, told))
        self._last_write = time.monotonic()
        self._seconds_write = time.perf_counter() - begin

    def write_failure(self, message: str) -> None:
        """Note at the root why the run failed, keeping the last checkpoint."""
        if self._transport.rank != 0:
            return
        self._close_attempt(f"failed: {message}", None)
        kept, attributes = int(self.record.checkpoint["round"]), dict(self.record.attributes)
        if kept < self.record.log.num_rounds:
            attributes["verdict"] = ""  # of a round that is not kept
        failed = replace(
            self.record,
            attributes=attributes | {"status": "failed", "error": message},
            log=self.record.log.truncated(kept),
        )
        write_record(self._folder / RUN_FILE, failed, self._check_not_taken_over)

    def _write(
        self, state: ServerState, memory_name: str, status: str, told: dict[str, Any]
    ) -> None:
        if self._transport.rank != 0:
            return
        self._close_attempt("" if status == "running" else status, state.round)
        evaluation = self.record.evaluation
        if self._evaluated is not None:
            evaluation, self._evaluated = _evaluation_values(self._job, *self._evaluated), None
        self.record = replace(
            self.record,
            attributes=self.record.attributes
            | {"status": status, "error": "", "written": time.time()},
            evaluation=evaluation,
            **told,
            params=state.params.copy(),
            checkpoint={
                "round": state.round,
                "moments": state.moments,
                "memory": memory_name,
            },
        )
        path = self._folder / RUN_FILE
        with full_disk_stops(path):
            write_record(path, self.record, self._check_not_taken_over)
        memories.remove_older(self._folder, memory_name)

    def _check_not_taken_over(self) -> None:
        """Raise InputError if another start has written the file since this one has read it.

        So a root that was stopped, or cut off, and wakes after the others went on does no damage.
        """
        if self._transport.rank != 0:
            return
        found = glance(self._folder / RUN_FILE)
        if found is not None and found.holder not in (self._plan.base, self._plan.holder):
            raise InputError(taken_over(self._folder / RUN_FILE, found.holder))

    def _close_attempt(self, ended: str, last_round: int | None) -> None:
        attempt = self.record.attempts[-1]
        attempt["ended"] = ended
        if last_round is not None:
            attempt["last_round"] = last_round

    def _round_values(self, outcome: Outcome, state: ServerState, spent: Spent) -> dict[str, Any]:
        job, cohort = self._job, outcome.cohort
        columns = dict(zip((*STATISTICS, *job.figures), outcome.statistics.T, strict=True))
        weights = job.num_samples[cohort.clients]
        accepted = ~outcome.rejected
        num_values, num_messages = int(columns["values"].sum()), len(cohort.clients)
        cost = uplink_cost(job.uplink, num_values, num_messages)
        predicted = predicted_bytes(job.uplink, cohort, self._transport.size)[outcome.transport]
        model_bytes = job.uplink.size * 4
        values: dict[str, Any] = {
            "train_loss": _mean(columns["loss"][accepted], weights[accepted]),
            "hidden_rate": _mean(columns["hidden_rate"][accepted], weights[accepted]),
            "num_participants": num_messages,
            "num_late": float(len(cohort.late)),
            "num_rejected": int(outcome.rejected.sum()),
            "silent_samples": largest_share(outcome.activity, SILENT),
            "saturated_samples": largest_share(outcome.activity, SATURATED),
            "uplink_values": cost.values,
            "uplink_bytes_seed": cost.seed,
            "uplink_bytes_bitmask": cost.bitmask,
            "uplink_bytes_coordinates": cost.coordinates,
            "downlink_bytes": (num_messages + len(cohort.late)) * model_bytes,
            "predicted_bytes": predicted + (self._transport.size - 1) * model_bytes,
            "mpi_bytes": spent.mpi_bytes,
            "seconds_train": spent.train,
            "seconds_communicate": spent.communicate,
            "seconds_wait": spent.wait,
            "seconds_evaluate": spent.evaluate,
            "seconds_write": self._seconds_write,
            "learning_rate": learning_rate(job.experiment.client, cohort.round),
            "params_digest": hashlib.sha256(state.params.tobytes()).hexdigest(),
        }
        self._seconds_write = 0.0
        for name in ("validation", "test"):
            found = outcome.evaluations.get(name)
            values[f"{name}_accuracy"] = found.accuracy if found else NAN
            values[f"{name}_loss"] = found.loss if found else NAN
            values[f"{name}_rate_accuracy"] = found.rate_accuracy if found else NAN
            values[f"{name}_rate_loss"] = found.rate_loss if found else NAN
            believed = found.calibration if found else None
            values[f"{name}_calibration_error"] = believed.error if believed else NAN
            values[f"{name}_brier_score"] = believed.brier if believed else NAN
            values |= {f"{name}_{key}": value for key, value in _doubt(found).items()}
        values |= costs(job, outcome.evaluations.get("validation"))
        for name in job.figures:
            values[name] = _mean(columns[name][accepted], weights[accepted])
        return values

    def _participations(self, outcome: Outcome) -> dict[str, NDArray[Any]]:
        names = (*STATISTICS, *self._job.figures)
        columns = dict(zip(names, outcome.statistics.T.copy(), strict=True))
        with np.errstate(over="ignore"):
            return {
                "client": outcome.cohort.clients,
                "train_loss": columns["loss"].astype(np.float32),
                "update_norm": columns["norm"].astype(np.float32),
                **{name: columns[name] for name in self._job.figures},
            }


def _doubt(found: SplitResult | None) -> dict[str, float]:
    """Return how uncertain answers are, and what the most probable weights answer."""
    total = found.entropy if found else NAN
    committee = found.committee if found else None
    believed = committee.map_calibration if committee else None
    expected = committee.expected_entropy if committee else NAN
    return {
        "entropy": total,
        "expected_entropy": expected,
        "mutual_information": total - expected,
        "map_accuracy": committee.map_accuracy if committee else NAN,
        "map_loss": committee.map_loss if committee else NAN,
        "map_calibration_error": believed.error if believed else NAN,
        "map_brier_score": believed.brier if believed else NAN,
    }


def _mean(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    return float((values * weights).sum() / weights.sum()) if len(values) else NAN


def _evaluation_values(
    job: Job, state: ServerState, evaluations: dict[str, SplitResult]
) -> dict[str, Any]:
    split = "test" if "test" in evaluations else "validation"
    found = evaluations[split]
    events = job.data.train if split == "validation" else job.data.test
    samples = job.data.validation_ids if split == "validation" else job.data.test_ids
    assert events is not None  # there are figures, so there are events
    cells = found.num_samples * job.experiment.data.num_bins
    widths = [layer.neurons for layer in job.trainer.layers]
    first = np.unique(events.labels[samples], return_index=True)[1]
    chosen = samples[np.sort(first)][:NUM_EXAMPLES]
    hidden = job.trainer.hidden_spikes(state.params, events, chosen)
    examples = {f"hidden{i}": spikes.astype(np.uint8) for i, spikes in enumerate(hidden)}
    with np.errstate(invalid="ignore"):
        group_accuracy = found.group_correct / found.group_total
    return {
        "split": split,
        "round": state.round,
        "confusion": found.confusion,
        "group_accuracy": group_accuracy,
        "label": np.array(events.class_names, object),
        "prediction": np.array(events.class_names, object),
        "group": np.array(events.group_names, object),
        "layer": np.arange(len(widths)),
        "layer_rates": found.spikes / (np.array(widths) * cells),
        "layer_neurons": np.array(widths, np.int64),
        "input_rate": np.float64(found.input_rate),
        **_entering_values(job, found),
        "example_spikes": examples
        | {"input": events.examples(chosen), "label": events.labels[chosen]},
        **_units(job, state, events, chosen),
        **_calibration_values(found.calibration),
    }


def _units(
    job: Job, state: ServerState, events: Samples, chosen: NDArray[np.int64]
) -> dict[str, Any]:
    """Return what units with probabilities do in the examples, where there are such."""
    found = traces_of(job.trainer, state.params, events, chosen)
    if found is None:
        return {}
    return {"example_units": found._asdict() | {"label": events.labels[chosen]}}


def _entering_values(job: Job, found: SplitResult) -> dict[str, Any]:
    """Return what entered each matrix, where the trainer counts it."""
    counted = products_of(job.trainer)
    if not counted:
        return {}
    chances = found.num_samples * np.array([product.inputs for product in counted])
    return {
        "weights": np.array([product.name for product in counted], object),
        "operations": np.array([product.operations for product in counted], np.int64),
        "entering": found.entering[:, 0] / chances,
        "entering_value": found.entering[:, 1] * ENTERING_UNIT / chances,
    }


def _calibration_values(found: Calibration | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "confidence_bin": np.arange(1, len(found.count) + 1) / len(found.count),
        "confidence_samples": found.count,
        "confidence_correct": found.correct,
        "mean_confidence": found.confidence,
    }
