"""How far one run is, or all runs below a folder, as their files say it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np

from hpcfed.base.amounts import percent, size_text
from hpcfed.base.terminal import clock
from hpcfed.errors import InputError
from hpcfed.report.runs import Found, Run, find
from hpcfed.watch.view import FINISHED, RUNNING, STOPPED, View, curve, status_of_all

_PHASES = ("train", "communicate", "wait", "evaluate", "write")
_MOST_LINES = 15


def view_of_runs(path: Path) -> View:
    """Return what is at ``path``. Raises InputError where no run can be read."""
    found = find(path)
    if not found.runs and found.skipped:
        first = found.skipped[0]
        raise InputError(f"{path}: {first.label}: {first.reason}")
    if not found.runs:
        raise InputError(f"{path}: no run file here or below")
    return _one(found.runs[0]) if len(found.runs) == 1 else _several(path, found)


def _one(run: Run) -> View:
    total, attributes = _planned(run), run.columns.attributes
    place = f"round {run.num_rounds} of {total}"
    told = [place, *_figures(run)]
    starts = run.columns.num_attempts
    ranks = f"{run.num_ranks} rank{'s' if run.num_ranks != 1 else ''}"
    again = f", start {starts}" if starts > 1 else ""
    lines = [
        f"{attributes.get('name', run.label)} ({run.file}): {_ended(run)}",
        f"{place}{_left(run)}{_written(run)}; {ranks}{again}",
    ]
    if run.num_rounds:
        lines.append(", ".join(_figures(run)))
        lines += _curves(run)
    if run.error:
        lines.append(f"error: {run.error}")
    if run.status == STOPPED:
        lines.append("nobody works on it; hpcfed run --resume continues it")
    return View(
        run.status, f"{_ended(run)}: {', '.join(told)}", tuple(lines), run.num_rounds, total
    )


def _several(path: Path, found: Found) -> View:
    counts = Counter(run.status for run in found.runs)
    done, total = sum(r.num_rounds for r in found.runs), sum(map(_planned, found.runs))
    words = ", ".join(f"{number} {status}" for status, number in sorted(counts.items()))
    brief = f"{len(found.runs)} runs: {words}; round {done} of {total}"
    first = sorted(found.runs, key=lambda run: (run.status != RUNNING, run.status == FINISHED))
    status = status_of_all(set(counts))
    lines = [f"{path}: {status}", brief]
    for run in first[:_MOST_LINES]:
        place = f"{run.label}: {_ended(run)}, round {run.num_rounds} of {_planned(run)}"
        lines.append(", ".join([place, *_figures(run)]))
    if len(first) > _MOST_LINES:
        lines.append(f"... and {len(first) - _MOST_LINES} more")
    lines += [f"{item.label}: {item.reason}" for item in found.skipped[:_MOST_LINES]]
    return View(status, brief, tuple(lines), done, total)


def _planned(run: Run) -> int:
    """Return the rounds that a run is to have; those it has where a verdict has ended it."""
    asked = run.keys.get("server.rounds")
    known = isinstance(asked, int) and not run.verdict
    return int(asked) if known and isinstance(asked, int) else run.num_rounds


def _ended(run: Run) -> str:
    return f"{run.status}, {run.verdict}" if run.verdict and run.status == FINISHED else run.status


def _left(run: Run) -> str:
    left = _planned(run) - run.num_rounds
    if run.status != RUNNING or not run.num_rounds or left <= 0:
        return ""
    spent = sum(float(np.nansum(run.rounds[f"seconds_{name}"])) for name in _PHASES)
    return f", {clock(spent / run.num_rounds * left)} left"


def _written(run: Run) -> str:
    written = run.columns.attributes.get("written")
    if run.status != RUNNING or written is None:
        return ""
    return f", written {clock(max(0.0, time.time() - float(written)))} ago"


def _figures(run: Run) -> list[str]:
    """Return loss, accuracies and what was sent, as far as they are known."""
    if not run.num_rounds:
        return []
    loss, parts = run.final("train_loss"), []
    if np.isfinite(loss):
        parts.append(f"train loss {loss:.3f}")
    for name in ("validation", "test"):
        values = _known(run, name)
        if values:
            parts.append(f"{name} {percent(values[-1])}")
    return [*parts, f"uplink {size_text(float(run.uplink_bytes()[-1]))}"]


def _curves(run: Run) -> list[str]:
    lines = []
    for name in ("validation", "test"):
        values = _known(run, name)
        if len(values) > 1:
            best = f"best {percent(max(values))}"
            lines.append(f"{name:10} {curve(values)} from {percent(values[0])}, {best}")
    return lines


def _known(run: Run, split: str) -> list[float]:
    column = run.rounds[f"{split}_accuracy"]
    return [float(value) for value in column[np.isfinite(column)]]
