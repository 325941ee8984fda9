"""Code of one's own that an experiment names, and its digests.

A digest is that of the named module's source file; what that module imports is not in it.
"""

from __future__ import annotations

import re

from hpcfed.base.dotted import source_digest
from hpcfed.config.experiment import Experiment

_DOTTED = re.compile(r"(?!tonic:|images:)[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_dotted(value: str) -> bool:
    """Say whether a value is a path ``module:name`` of somebody's own code."""
    return _DOTTED.fullmatch(value) is not None


def own_code(experiment: Experiment) -> dict[str, str]:
    """Return the paths ``module:name`` of the experiment's own code, by key."""
    values = {
        "data.dataset": experiment.data.dataset,
        "partition.kind": experiment.partition.kind,
        "model.kind": experiment.model.kind,
        "rule.kind": experiment.learning_rule.kind,
    }
    return {key: value for key, value in values.items() if is_dotted(value)}


def code_digests(experiment: Experiment) -> dict[str, str]:
    """Return the digest of each module of the experiment's own, by key.

    Raises InputError if there is no such module.
    """
    return {key: source_digest(path, key) for key, path in own_code(experiment).items()}
