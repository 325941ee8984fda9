"""What a job is made of, as digests: all ranks must have the same, and so must a resumed run.

Data and partitions of one's own may follow from a global generator or a process number; then ranks
would train different clients without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any  # Any: arrays of any type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.own import code_digests
from hpcfed.errors import InputError
from hpcfed.federation.job import Job
from hpcfed.federation.teacher import teacher_parts
from hpcfed.learning.trainer import constants_of

_WORDS = {
    "data": "the events",
    "splits": "the training, validation and test samples",
    "partition": "which client owns which samples",
    "constants": "what the module of model.kind holds and does not train",
}


def origins(job: Job) -> dict[str, str]:
    """Return SHA-256 digests (hex) of all that a job is made of besides its configuration."""
    data, population = job.data, job.population
    found = {
        "data": data.digest,
        "splits": digest_of(data.train_ids, data.validation_ids, data.test_ids, data.train.labels),
        "partition": digest_of(population.num_samples, *population.all_samples()),
    }
    if job.teacher is not None:
        found["teacher"] = digest_of(*teacher_parts(job.teacher))
    if (constants := constants_of(job.trainer)) is not None:
        found["constants"] = constants
    codes = code_digests(job.experiment)
    return found | {f"code of {key}": digest for key, digest in codes.items()}


def check_same(ours: Mapping[str, str], theirs: Mapping[str, str], whose: str) -> None:
    """Raise InputError naming what differs between two jobs, among what both know."""
    different = [key for key in ours if key in theirs and ours[key] != theirs[key]]
    if different:
        names = ", ".join(_WORDS.get(key, f"the {key}") for key in different)
        raise InputError(
            f"{whose} has other values of {names}: the same configuration must give the same on "
            "every rank and at every start; draw from the seed that is given, not from a global "
            "generator, and put back what was changed, or start another run with --out"
        )


def digest_of(*arrays: NDArray[Any]) -> str:
    """Return SHA-256 (hex) of some arrays, their types and shapes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).data if array.size else b"")
    return total.hexdigest()
