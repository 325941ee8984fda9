"""A trained network to work with: named weights, predictions and accuracy, without any server.

P parameters, S samples. ``hpcfed.load(run_file)`` makes one from a run file.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.config.own import own_code
from hpcfed.errors import InputError
from hpcfed.learning.rule import rule_of
from hpcfed.learning.trainer import Trainer, constants_of
from hpcfed.networks.layout import Layout
from hpcfed.records.origins import read as read_origins
from hpcfed.records.runfile import Record
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Samples, shape_of

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Spikes = NDArray[np.bool_]

_BATCH = 128  # bounds the dense input: 36 MB at 100 bins of 700 channels


@dataclass(frozen=True)
class Evaluation:
    """How well a model does on some samples.

    Attributes:
        accuracy: fraction of samples whose predicted class is their label.
        loss: mean cross-entropy; NaN of a rule that gives no probabilities.
        predictions: (S,) int64 class of each sample.
        logits: (S, K) float64, whose softmax are the probabilities; None of a rule without.
    """

    accuracy: float
    loss: float
    predictions: I64
    logits: F64 | None


def model_of(record: Record, source: str, trust: bool) -> TrainedModel:
    """Return the network of a run file that was read from ``source``."""
    experiment = parse_experiment(record.attributes["config_toml"], source=source)
    shapes = dict(zip(*record.layout, strict=True))
    constants = read_origins(record.attributes).get("constants")
    return TrainedModel(experiment, Layout.of(shapes), record.params, trust, constants)


@dataclass(frozen=True)
class TrainedModel:
    """A network's experiment, the layout of its weights and their values, (P,) float32.

    ``trust`` says whether code that the experiment names may be imported; ``constants`` is the
    digest of what a torch module of one's own held beside its weights, None where nobody noted it.
    """

    experiment: Experiment
    layout: Layout
    params: F32
    trust: bool = True
    constants: str | None = None

    def weights(self) -> dict[str, F32]:
        """Return the weight matrices (out, in) by name: views of ``params``."""
        return {name: np.asarray(part) for name, part in self.layout.split(self.params).items()}

    def predict(self, events: Samples, samples: I64 | None = None) -> I64:
        """Return the class (S,) int64 of each of ``samples`` (S,), by default of all."""
        return self.evaluate(events, samples).predictions

    def logits(self, events: Samples, samples: I64 | None = None) -> F64:
        """Return the logits (S, K) float64 of each of ``samples`` (S,), by default of all.

        Raises InputError for a model that says classes alone.
        """
        found = self.evaluate(events, samples).logits
        if found is None:
            raise InputError(
                f'logits of a model of rule.kind = "{self.experiment.learning_rule.kind}": it says '
                "classes alone; use predict"
            )
        return found

    def hidden_spikes(self, events: Samples, samples: I64 | None = None) -> list[Spikes]:
        """Return the spikes of each hidden layer, (S, T, H) bool, of ``samples`` (S,).

        An empty list for a network without spikes.
        """
        chosen, trainer = self._chosen(events, samples), self.trainer(events)
        parts = [
            trainer.hidden_spikes(self.params, events, chosen[start : start + _BATCH])
            for start in range(0, len(chosen), _BATCH)
        ]
        return [np.concatenate(layer) for layer in zip(*parts, strict=True)]

    def evaluate(self, events: Samples, samples: I64 | None = None) -> Evaluation:
        """Evaluate on ``samples`` (S,) of ``events``, by default on all.

        ``events`` must be binned as in the experiment. Raises InputError if they do not fit the
        network.
        """
        chosen, trainer = self._chosen(events, samples), self.trainer(events)
        results = [
            trainer.evaluate(self.params, events, chosen[start : start + _BATCH])
            for start in range(0, len(chosen), _BATCH)
        ]
        predictions = np.concatenate([result.predictions for result in results])
        logits = [result.logits for result in results if result.logits is not None]
        return Evaluation(
            accuracy=float(np.mean(predictions == events.labels[chosen])),
            loss=float(np.mean(np.concatenate([result.losses for result in results]))),
            predictions=predictions,
            logits=np.concatenate(logits) if logits else None,
        )

    def _chosen(self, events: Samples, samples: I64 | None) -> I64:
        chosen = np.arange(events.num_samples) if samples is None else np.asarray(samples, np.int64)
        if not len(chosen):
            raise InputError("evaluating a model: no samples were given")
        return chosen

    def check_trust(self) -> None:
        """Raise InputError if using the network imports code that nobody trusts."""
        named = own_code(self.experiment)
        code = [named[key] for key in ("model.kind", "rule.kind") if key in named]
        if code and not self.trust:
            raise InputError(
                f"using this model imports {', '.join(code)}, which its run file names; if you "
                "trust that code, hpcfed.load(run_file, trust=True), or as a teacher "
                "client.teacher_trust = true"
            )

    def trainer(self, events: Samples) -> Trainer:
        """Return what evaluates this network on ``events``, on the CPU.

        Raises InputError if they do not fit it, and for code that must not be imported.
        """
        data = self.experiment.data
        self.check_trust()
        binned = (data.num_bins, data.duration)
        if isinstance(events, EventSet) and (events.num_bins, events.duration) != binned:
            raise InputError(
                f"evaluating a model: the events have {events.num_bins} bins over "
                f"{events.duration:g} s, the network was trained with {data.num_bins} bins over "
                f"{data.duration:g} s; load them with the experiment's data.num_bins and duration"
            )
        experiment = _on_any_machine(self.experiment)
        trainer = rule_of(experiment).trainer(experiment, shape_of(events), "cpu")
        if (trainer.layout.names, trainer.layout.shapes) != (self.layout.names, self.layout.shapes):
            raise InputError(
                f"evaluating a model: the samples ({prod(events.shape)} inputs, "
                f"{len(events.class_names)} classes) need matrices {trainer.layout.shapes}, the "
                f"model has {self.layout.shapes}"
            )
        if self.constants not in (None, constants_of(trainer)):
            raise InputError(
                f'evaluating a model: the module of model.kind = "{self.experiment.model.kind}" '
                "has other frozen parameters or constants than when it was trained; restore what "
                "it is made of"
            )
        return trainer


def _on_any_machine(experiment: Experiment) -> Experiment:
    """Return the experiment with the CPU's engine in the place of the GPU's: the same network."""
    if experiment.client.engine != "gpu":
        return experiment
    engine = "norse" if experiment.data.is_images else "event"
    changed = {"engine": engine, "precision": None, "potentials": None}
    client = experiment.client.model_copy(update=changed)
    return experiment.model_copy(update={"client": client})
