"""What runs were made with: keys that differ, keys in common, machines, data and versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any  # Any: values of JSON

from hpcfed.config.tree import Value
from hpcfed.report.grid import sort_key, varying_keys
from hpcfed.report.runs import Run
from hpcfed.report.values import value_text

Rows = list[tuple[str, str]]


def varying(runs: Sequence[Run]) -> Rows:
    """Return the keys in which runs differ, and their values."""
    return [(key, _distinct([run.keys.get(key) for run in runs])) for key in varying_keys(runs)]


def common(runs: Sequence[Run]) -> dict[str, Rows]:
    """Return by section the keys on which all runs agree."""
    sections: dict[str, Rows] = {}
    varying = set(varying_keys(runs))
    for key, value in (runs[0].keys if runs else {}).items():
        if key not in varying and key != "name":
            section, _, name = key.rpartition(".")
            sections.setdefault(section or "top level", []).append((name, value_text(value)))
    return sections


def provenance(runs: Sequence[Run]) -> Rows:
    """Return where, when and with which versions runs were made, from which data."""
    found: dict[str, list[Value]] = {}
    for run in runs:
        attributes, attempt = run.columns.attributes, run.columns.attempt
        for name in ("engine", "data_source", "data_digest"):
            found.setdefault(name.replace("_", " "), []).append(attributes.get(name))
        for name in ("hosts", "mpi", "num_ranks"):
            found.setdefault(name.replace("_", " "), []).append(attempt.get(name))
        provenance = _json(attributes.get("provenance"))
        for name in ("python", "machine"):
            found.setdefault(name, []).append(provenance.get(name))
        versions = _json(attempt.get("versions")) or provenance.get("versions") or {}
        for name, version in versions.items() if isinstance(versions, dict) else ():
            found.setdefault(name, []).append(version)
        found.setdefault("started", []).append(attempt.get("started"))
    starts = sorted(str(value) for value in found.pop("started", []) if value)
    lines = [(name, _distinct([v for v in values if v is not None]))
             for name, values in found.items()]  # fmt: skip
    if starts:
        lines.append(("started", starts[0] if starts[0] == starts[-1] else
                      f"{starts[0]} to {starts[-1]}"))  # fmt: skip
    return [line for line in lines if line[1]]


def _json(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _distinct(values: Sequence[Value], most: int = 40) -> str:
    texts = [value_text(v) for v in sorted(set(values), key=sort_key)]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
