"""What a sweep foresees and what it gave up: its manifest and failure marks, read leniently."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: JSON values are of any type until they are checked

from hpcfed.report.flatten import Value, flat

MANIFEST, FAILURE = "manifest.json", "failure.json"
FORMAT = "hpcfed-sweep"


@dataclass(frozen=True)
class Planned:
    """A run of a sweep's manifest: the name of its folder, and its resolved configuration."""

    digest: str
    keys: dict[str, Value]


def read_planned(folder: Path) -> tuple[tuple[Planned, ...], str]:
    """Return the runs that the manifest in ``folder`` foresees, and what is wrong with it.

    Without a manifest both are empty. Points that a changed sweep file has dropped are left out.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return (), ""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            return (), "not a manifest of hpcfed"
        entries = [entry for entry in content["runs"] if entry.get("current", True)]
        return tuple(Planned(e["digest"], dict(flat(e["config"]))) for e in entries), ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return (), f"cannot be read as a manifest: {error}"


def read_failures(folder: Path) -> dict[str, str]:
    """Return why runs of the sweep in ``folder`` were given up, by the name of their folder."""
    failures = {}
    for path in sorted(folder.glob(f"runs/*/{FAILURE}")):
        try:
            mark: Any = json.loads(path.read_text(encoding="utf-8"))
            text = _text(mark)
        except (OSError, ValueError) as error:
            text = f"its mark cannot be read: {error}"
        failures[path.parent.name] = text
    return failures


def _text(mark: Any) -> str:
    if not isinstance(mark, dict):
        return str(mark)
    parts = str(mark.get("error", "")), str(mark.get("log") or "")
    return "\n".join(part for part in parts if part) or "no reason was left"
