"""A data set by its name or path, for a program: what ``[data]`` of an experiment describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any  # Any: a key's value, checked where the table is

from hpcfed.config.file import ANY_NETWORK, build_experiment
from hpcfed.datasets import Data, load


def data(source: str | Path, test: str | Path | None = None, **keys: Any) -> Data:
    """Return the samples of ``source``: of a known name, a path, or a ``module:function``.

    ``test`` is the path of the test file where ``source`` is a path; ``keys`` are further keys of
    the table ``[data]``, as in ``num_bins=50, duration=0.7``. What comes back has ``train`` and
    ``test``, each an EventSet or an ImageSet, and the numbers of the samples that are trained on,
    validated on and tested on (``train_ids``, ``validation_ids``, ``test_ids``).

    Raises InputError for unknown keys and for data that cannot be found or used.
    """
    table = {"dataset": str(source), **keys}
    if test is not None:
        table["test"] = str(test)
    return load(build_experiment({"data": table, **ANY_NETWORK}, "hpcfed.data").data)
