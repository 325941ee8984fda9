"""What a trained network says of each sample: kept for reliability, rejection and maps.

Each rank answers whole batches, as in evaluation, and fills its rows; all others are zeros, so the
sum of the bits as integers is exact. n samples, K classes, D coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.evaluation import BATCH_SIZE
from hpcfed.federation.job import Job
from hpcfed.federation.mpi.transport import Transport
from hpcfed.learning.probabilities import entropy, softmax
from hpcfed.learning.trainer import BatchResult
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Answers = dict[str, NDArray[Any]]

MOST_VALUES = 10**7  # of a set; more are not kept


def every_answer(job: Job, transport: Transport, params: F32) -> dict[str, Answers]:
    """Return the answers of ``params`` (P,) by set of samples, complete at the root.

    A set is a column each of ``schema.ANSWER_FIELDS``; there is none where nobody asks for it, or
    the engine gives no logits.
    """
    found = {}
    for name, samples, ids in _sets(job):
        if len(ids) and len(ids) * len(samples.class_names) <= MOST_VALUES:
            answers = _answers(job, transport, params, samples, ids)
            if answers:
                found[name] = answers
    return found


def _sets(job: Job) -> Iterator[tuple[str, Samples, I64]]:
    """Yield what is to be answered: a name, samples and ids."""
    data, evaluation = job.data, job.experiment.evaluation
    known, ids = (
        (data.train, data.validation_ids) if data.test is None else (data.test, data.test_ids)
    )
    plain = getattr(known, "coordinates", None) is None
    wanted = None if evaluation is None else evaluation.answers
    if wanted is None:
        wanted = evaluation is not None or not plain
    if not wanted:
        return
    yield "known", known, ids
    if evaluation is not None and evaluation.unknown:
        yield "unknown", known, data.unknown_ids
    if data.probe is not None:
        yield "probe", data.probe, np.arange(data.probe.num_samples)


def _answers(job: Job, transport: Transport, params: F32, samples: Samples, ids: I64) -> Answers:
    num_classes = len(samples.class_names)
    # a sample without a label has a loss of no meaning, which nobody looks at
    labelled: Any = replace(samples, labels=np.maximum(samples.labels, 0))  # type: ignore[type-var]
    rows = np.zeros((len(ids), 2 * num_classes + 2))
    missing = np.zeros(1, np.int64)

    def answer() -> None:
        for start in range(transport.rank * BATCH_SIZE, len(ids), transport.size * BATCH_SIZE):
            place = slice(start, start + BATCH_SIZE)
            result = job.trainer.evaluate(params, labelled, ids[place])
            missing[0] += result.logits is None
            if result.logits is not None:
                rows[place] = _rows(result)

    transport.together("answers", answer)
    transport.sum_at_root(rows.view(np.int64))
    transport.sum_at_root(missing)
    if transport.rank != 0 or missing[0]:
        return {}
    probability, deviation, rest = np.split(rows, [num_classes, 2 * num_classes], axis=1)
    columns: Answers = {
        "label": samples.labels[ids],
        "probability": probability.astype(np.float32),
        "deviation": deviation.astype(np.float32),
        "entropy": rest[:, 0],
        "expected_entropy": rest[:, 1],
    }
    for name, source in (("coordinate", "coordinates"), ("target", "targets")):
        values = getattr(samples, source, None)
        if values is not None:
            columns[name] = values[ids]
    return columns


def _rows(result: BatchResult) -> F64:
    """Return (B, 2 K + 2): probabilities, their deviations, entropy and expected entropy."""
    probabilities, committee = softmax(np.asarray(result.logits)), result.committee
    unknown = np.full_like(probabilities, np.nan)
    return np.hstack(
        [
            probabilities,
            unknown if committee is None else committee.deviation,
            entropy(probabilities)[:, None],
            unknown[:, :1] if committee is None else committee.expected_entropy[:, None],
        ]
    )
