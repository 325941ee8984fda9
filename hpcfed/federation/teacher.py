"""A job's teacher: the network of another run, whose answers clients learn beside the labels.

Its logits of all training samples are computed once, when the job starts, in the fixed batches of
evaluation and on the CPU, so that they have the same bits on any ranks; samples are never
augmented for it. S samples, n of them to train on, K classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.config.file import digest
from hpcfed.datasets import Data
from hpcfed.errors import InputError
from hpcfed.federation.evaluation import BATCH_SIZE
from hpcfed.federation.mpi.transport import Transport
from hpcfed.learning.model import TrainedModel, model_of
from hpcfed.records.runfile import Record, read_record
from hpcfed.samples.images import ImageSet

F64 = NDArray[np.float64]

_LEAST = -1e30  # stands for the logarithm of 0, which times 0 would be no number
_ALWAYS = ("classes", "counts", "crop")  # keys of [data] that make samples what they are
_OF_EVENTS = ("duration", "num_bins")


def read_teacher(experiment: Experiment, data: Data) -> TrainedModel | None:
    """Return the network that the experiment learns from, if any.

    Raises InputError for a file that is none of a run, and for a network of other data.
    """
    source = experiment.client.teacher
    if source is None:
        return None
    try:
        record = read_record(Path(source))
        model = model_of(record, source, bool(experiment.client.teacher_trust))
        _check(record, model, experiment, data)
    except InputError as error:
        raise _refused(experiment, error) from None
    return model


def teacher_parts(model: TrainedModel) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return what tells one teacher from another: its parameters, and its experiment's digest."""
    return model.params, np.frombuffer(digest(model.experiment).encode(), np.uint8)


def with_answers(
    model: TrainedModel | None, experiment: Experiment, data: Data, transport: Transport
) -> Data:
    """Return the data with the teacher's logits beside the training samples, alike on all ranks.

    Raises InputError for a teacher that does not fit the samples, and for logits that are no
    numbers.
    """
    if model is None or not experiment.client.distillation[0]:
        return data
    rows = np.zeros((data.train.num_samples, len(data.train.class_names)))

    def answer() -> None:
        try:
            _answer(model, data, transport, rows)
        except InputError as error:
            raise _refused(experiment, error) from None

    transport.together("asking the teacher", answer)
    transport.sum_at_root(rows.view(np.int64))  # of each number one rank has the bits
    logits = transport.broadcast(rows.astype(np.float32))
    if wrong := int((~np.isfinite(logits)).any(1).sum()):
        what = f"{wrong} of {len(data.train_ids)} answers to training samples are not finite"
        raise _refused(experiment, f"{what}; use a run that has not diverged")
    return replace(data, train=replace(data.train, teacher=logits))


def _answer(model: TrainedModel, data: Data, transport: Transport, rows: F64) -> None:
    """Write this rank's whole batches to their places in ``rows`` (S, K)."""
    trainer, ids = model.trainer(data.train), data.train_ids
    for start in range(transport.rank * BATCH_SIZE, len(ids), transport.size * BATCH_SIZE):
        batch = ids[start : start + BATCH_SIZE]
        logits = trainer.evaluate(model.params, data.train, batch).logits
        if logits is None:
            raise InputError("its rule gives no logits; use a run of another rule.kind")
        rows[batch] = np.maximum(logits, _LEAST)


def _check(record: Record, model: TrainedModel, experiment: Experiment, data: Data) -> None:
    """Raise InputError unless the network is one of these data, as far as its file can say."""
    if model.layout.size != len(record.params):
        raise InputError(
            f"it holds {len(record.params)} parameters, and its layout asks for "
            f"{model.layout.size}; use a run that has begun"
        )
    if record.attributes["data_digest"] != data.digest:
        raise InputError(
            f"it was trained on other files ({record.attributes['data_source']}) than this run's "
            f"({data.source}); use a teacher of the same data.dataset and data.test"
        )
    for name in _ALWAYS if isinstance(data.train, ImageSet) else (*_ALWAYS, *_OF_EVENTS):
        theirs, ours = (getattr(one.data, name) for one in (model.experiment, experiment))
        if theirs != ours:
            raise InputError(
                f"it was trained with data.{name} = {theirs}, and this run has {ours}; both have "
                "to see the same samples"
            )


def _refused(experiment: Experiment, reason: object) -> InputError:
    return InputError(f"client.teacher = {experiment.client.teacher}: {reason}")
