"""A run in Python: its figures as frames, its network to be asked, its data.

R rounds, N clients, S samples, T time bins, H neurons, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed import datasets
from hpcfed.api.asked import Asked, asked_of, for_classes
from hpcfed.config import Experiment
from hpcfed.config.own import is_dotted
from hpcfed.datasets import Data
from hpcfed.datasets.given import Given, Samples
from hpcfed.errors import InputError
from hpcfed.learning.model import Evaluation, TrainedModel, model_of
from hpcfed.networks.layout import Layout
from hpcfed.records.columns import Columns, read_columns
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import status_of

if TYPE_CHECKING:
    from pandas import DataFrame

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Spikes = NDArray[np.bool_]
Ids = Sequence[int] | I64 | int | None


@dataclass(frozen=True, eq=False)
class Run:
    """A run that has been made, or read: numbers, network and data, each read when asked for.

    Where ``samples`` are asked for they are what ``hpcfed.events``, ``hpcfed.images`` and
    ``hpcfed.data`` return (of the latter ``train`` or ``test``), binned as in the experiment;
    ``ids`` are numbers of samples among them, by default all. Without ``samples`` the run's own
    are asked: those that it was tested on, else those that it was validated on.

    Attributes:
        status: "running", "finished", "stopped" or "failed".
        path: of the run file.
        trust: whether code that the experiment names may be imported.
        given: the arrays that the run was given; None where it was given none, or they are absent.
    """

    status: str
    path: Path
    trust: bool = False
    given: Given | None = field(default=None, repr=False)

    @classmethod
    def read(cls, path: Path, trust: bool, given: Given | None) -> Run:
        """Return the run of a file, or of the folder that holds it. Raises InputError."""
        path = path / RUN_FILE if path.is_dir() else path
        record = read_record(path)
        found = cls(status_of(record.attributes), path, trust, given)
        found.__dict__["record"] = record
        return found

    @cached_property
    def record(self) -> Record:
        """All that the file holds. Raises InputError if it cannot be read."""
        return read_record(self.path)

    @property
    def experiment(self) -> Experiment:
        """The experiment, complete."""
        return self._model.experiment

    @property
    def layout(self) -> Layout:
        """The parts of the parameters."""
        return self._model.layout

    @property
    def params(self) -> F32:
        """The parameters, (P,) float32."""
        return self._model.params

    def weights(self) -> dict[str, F32]:
        """Return the weight matrices (out, in) by name: views of ``params``."""
        return self._model.weights()

    @cached_property
    def rounds(self) -> DataFrame:
        """A row for each round, numbered from 1: accuracy, loss, bytes, seconds and the rest."""
        from pandas import DataFrame, RangeIndex

        columns = {
            name: column.astype(str) if column.dtype.kind == "S" else column
            for name, column in self._columns.rounds.items()
        }
        return DataFrame(columns, index=RangeIndex(1, self._columns.num_rounds + 1, name="round"))

    @cached_property
    def participations(self) -> DataFrame:
        """A row for each client that trained in a round: round, client, loss, norm of the update.

        Rounds count from 1 and clients from 0.
        """
        from pandas import DataFrame

        return DataFrame(self._columns.participations)

    @cached_property
    def clients(self) -> DataFrame:
        """A row for each client, numbered from 0: training samples, and the largest group."""
        from pandas import DataFrame, RangeIndex

        found = self.record.clients
        count = len(found["num_samples"])
        return DataFrame(found, index=RangeIndex(count, name="client"))

    @cached_property
    def confusion(self) -> DataFrame:
        """Samples by label (rows) and prediction (columns), of the last evaluation.

        Raises InputError where there has been none.
        """
        from pandas import DataFrame, Index

        found = self.record.evaluation
        if "confusion" not in found:
            raise InputError(f"{self.path}: has not been evaluated yet")
        names = self.class_names
        return DataFrame(found["confusion"], Index(names, name="label"), Index(names, name="said"))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes; none before the first evaluation."""
        return tuple(map(str, self.record.evaluation.get("label", ())))

    @cached_property
    def data(self) -> Data:
        """What the run was made of: samples to train on, and those to validate and to test on.

        Raises InputError where they cannot be found, or are others by now.
        """
        config = self.experiment.data
        if config.is_given and self.given is None:
            raise InputError(
                f"{self.path}: its samples were arrays in a Python program ({config.dataset}); "
                "give the same: hpcfed.load(run_file, data=...)"
            )
        if not config.is_given and self.given is not None:
            raise InputError(
                f"{self.path}: was run on {config.dataset}, not on arrays; leave data out"
            )
        if is_dotted(config.dataset) and not self.trust:
            raise InputError(
                f"its data imports {config.dataset}, which {self.path} names; if you trust that "
                "code, hpcfed.load(run_file, trust=True)"
            )
        found = datasets.load(config) if self.given is None else self.given.load(config)
        if found.digest != self.record.attributes["data_digest"]:
            raise InputError(
                f"{self.path}: was run on other data of the name {config.dataset}; restore them, "
                "or give the samples that you mean"
            )
        return found

    def predict(self, samples: Samples | None = None, ids: Ids = None) -> I64:
        """Return the class (S,) int64 of each sample, an index into ``class_names``."""
        asked = self._asked(samples, ids)
        return self._model.predict(*asked.without_labels())

    def logits(self, samples: Samples | None = None, ids: Ids = None) -> F64:
        """Return the logits (S, K) float64 of each sample.

        Raises InputError for a network that says classes alone.
        """
        return self._model.logits(*self._asked(samples, ids).without_labels())

    def evaluate(self, samples: Samples | None = None, ids: Ids = None) -> Evaluation:
        """Return accuracy, mean loss, predictions and logits of samples that have a label."""
        return self._model.evaluate(*self._asked(samples, ids).with_labels())

    def spikes(
        self, samples: Samples | None = None, ids: Ids = None
    ) -> dict[str, NDArray[np.bool_]]:
        """Return the spikes (S, T, H) bool of each hidden layer by its name; none of an ANN."""
        events, chosen = self._asked(samples, ids).without_labels()
        found = self._model.hidden_spikes(events, chosen)
        names = [layer.name for layer in self._model.trainer(events).layers]
        return dict(zip(names, found, strict=True)) if found else {}

    def hidden_spikes(self, samples: Samples | None = None, ids: Ids = None) -> list[Spikes]:
        """Return what ``spikes`` does, in the order of the layers."""
        return list(self.spikes(samples, ids).values())

    @cached_property
    def _model(self) -> TrainedModel:
        return model_of(self.record, str(self.path), self.trust)

    @cached_property
    def _columns(self) -> Columns:
        try:
            return read_columns(self.path, with_clients=True)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _asked(self, samples: Samples | None, ids: Ids) -> Asked:
        self._model.check_trust()
        if samples is not None:
            prepared = asked_of(samples, self.experiment.data, self._num_channels)
            return Asked.of(for_classes(prepared, self.class_names), ids)
        data, split = self.data, self.data.test_ids
        if data.test is not None:
            return Asked.of(data.test, split if ids is None else ids)
        if ids is None and not len(data.validation_ids):
            raise InputError(
                f"{self.path}: was neither tested nor validated on any sample; give samples, or ids"
            )
        return Asked.of(data.train, data.validation_ids if ids is None else ids)

    @property
    def _num_channels(self) -> int:
        """C of the run's events; 0 where the file does not say."""
        shown = self.record.evaluation.get("example_spikes", {}).get("input")
        return int(shown.shape[2]) if shown is not None and shown.ndim == 3 else 0
