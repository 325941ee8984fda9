"""What a run was made of besides its configuration: data, own code, first parameters, a teacher.

A configuration names these by a path alone, and what lies there may change. A run file holds their
digests; runs of one study whose digests differ under one name do not belong together.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: keys and attributes are of any scalar type

from hpcfed.config.generated import GENERATED

OWN_CODE = ("data.dataset", "partition.kind", "model.kind", "rule.kind")  # keys that may name code


@dataclass(frozen=True)
class Made:
    """One run: what it is called, its configuration by dotted key, and its file's attributes."""

    label: str
    keys: Mapping[str, Any]
    attributes: Mapping[str, Any]


def read(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests that a run file holds; older files hold that of the data alone."""
    try:
        found = json.loads(str(attributes.get("origins", "{}")))
    except ValueError:
        found = {}
    data = {"data": str(attributes["data_digest"])} if "data_digest" in attributes else {}
    return data | ({str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {})


def apart(runs: Sequence[Made]) -> dict[str, str]:
    """Return the labels of runs that do not belong to the others, and why not.

    Of several digests under one name the most frequent counts, of equally frequent ones the latest.
    """
    by_subject: dict[tuple[Any, ...], list[tuple[Made, str]]] = defaultdict(list)
    for run in runs:
        for subject, digest in _facts(run):
            by_subject[subject].append((run, digest))
    found: dict[str, str] = {}
    for subject, members in by_subject.items():
        counts = Counter(digest for _, digest in members)
        if len(counts) == 1:
            continue
        latest = {digest: _written(run) for run, digest in sorted(members, key=_age)}
        kept = max(counts, key=lambda digest: (counts[digest], latest[digest]))
        for run, digest in members:
            if digest != kept:
                found[run.label] = (
                    f"was run with other {subject[0]} than {counts[kept]} others, under the same "
                    f"name {subject[1]} ({digest[:12]}, not {kept[:12]})"
                )
    return found


def _facts(run: Made) -> Iterator[tuple[tuple[Any, ...], str]]:
    origins = read(run.attributes)
    dataset = str(run.keys.get("data.dataset"))
    if "data" in origins:
        # code sees all of the table, and generated data follow from it
        whole = dataset in GENERATED or (":" in dataset and not dataset.startswith("tonic:"))
        keys = sorted(k for k in run.keys if k.startswith("data.")) if whole else ["data.test"]
        yield ("data", dataset, *(str(run.keys.get(key)) for key in keys)), origins["data"]
    if "warm_start" in origins:
        yield ("first parameters", str(run.keys.get("model.warm_start"))), origins["warm_start"]
    if "teacher" in origins:
        yield ("teachers", str(run.keys.get("client.teacher"))), origins["teacher"]
    for key in OWN_CODE:
        if f"code of {key}" in origins:
            yield ("code", str(run.keys.get(key))), origins[f"code of {key}"]


def _written(run: Made) -> float:
    return float(run.attributes.get("written", 0.0))


def _age(member: tuple[Made, str]) -> float:
    return _written(member[0])
