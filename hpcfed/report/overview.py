"""Runs in numbers: what varies between them, each run, and each setting over its seeds.

The same content is printed as tables and written as JSON, where what is not known is null.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any  # Any: a value of a configuration or of JSON is of any type

import numpy as np

from hpcfed.base.amounts import percent, size_text
from hpcfed.errors import InputError
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.curves import Curves, group
from hpcfed.report.grid import SEEDS, sort_key, varying_keys
from hpcfed.report.runs import Found, Run, find
from hpcfed.report.statistics import FRACTION, T_INTERVAL, mean_over_seeds
from hpcfed.report.values import value_text

Content = dict[str, Any]
ACCURACIES = ("validation_accuracy", "test_accuracy")
PHASES = ("train", "communicate", "wait", "evaluate", "write")
RUN_HEADS = ("run", "setting", "status", "rounds", "validation", "test", "uplink")
SETTING_HEADS = ("setting", "runs", "validation", "test", "uplink")
HOW = (
    "Over seeds: finished runs that differ in their seeds alone; "
    f"[{T_INTERVAL}]. Uplink: bytes sent up in all rounds, each round in its cheapest way."
)


def content_at(path: Path) -> Content:
    """Return everything about the runs at ``path``. Raises InputError where there is nothing."""
    found = find(path)
    if not found.runs and not found.planned:
        reason = found.skipped[0].reason if found.skipped else f"no {RUN_FILE} here or below"
        raise InputError(f"{path}: {reason}")
    return content(found)


def content(found: Found) -> Content:
    """Return everything about the runs, as JSON can hold it."""
    keys = varying_keys(found.runs)
    return {
        "varying": {key: _distinct(found.runs, key) for key in keys},
        "runs": [_run(run, keys) for run in found.runs],
        "settings": [_setting(curves, keys) for curves in group(found.finished())],
        "left_out": [{"run": item.label, "reason": item.reason} for item in found.skipped],
        "num_missing": len(found.missing),
    }


def varying_rows(shown: Content) -> Iterator[tuple[str, str]]:
    """Yield the keys that vary, and their values."""
    for key, values in shown["varying"].items():
        yield key, ", ".join(value_text(value) for value in values)


def run_rows(shown: Content) -> Iterator[tuple[str, ...]]:
    """Yield a line for each run, as RUN_HEADS."""
    for run in shown["runs"]:
        verdict = f", {run['verdict']}" if run["verdict"] and run["status"] == "finished" else ""
        yield (
            run["run"],
            _short(run["setting"]),
            f"{run['status']}{verdict}",
            str(run["num_rounds"]),
            *(percent(_number(run[name])) for name in ACCURACIES),
            size_text(run["uplink_bytes"]),
        )


def setting_rows(shown: Content) -> Iterator[tuple[str, ...]]:
    """Yield a line for each setting, as SETTING_HEADS."""
    for setting in shown["settings"]:
        yield (
            _short(setting["setting"]) or setting["name"],
            str(setting["num_runs"]),
            *(_mean_text(setting[name]) for name in ACCURACIES),
            size_text(setting["uplink_bytes"]),
        )


def _run(run: Run, keys: Sequence[str]) -> Content:
    rounds = run.rounds
    return {
        "run": run.label,
        "file": str(run.file),
        "setting": {key: run.keys.get(key) for key in keys},
        "status": run.status,
        "verdict": run.verdict,
        "error": run.error,
        "engine": str(run.columns.attributes.get("engine", "")),
        "num_rounds": run.num_rounds,
        "num_clients": run.columns.num_clients,
        "num_samples": int(run.columns.num_samples.sum()),
        "num_parameters": run.columns.num_params,
        "num_ranks": run.num_ranks,
        **{name: _known(_last(run, name)) for name in (*ACCURACIES, "train_loss")},
        "uplink_bytes": float(run.uplink_bytes()[-1]) if run.num_rounds else 0.0,
        **{name: _known(np.nansum(rounds[name])) for name in ("downlink_bytes", "mpi_bytes")},
        "seconds": {phase: _known(np.nansum(rounds[f"seconds_{phase}"])) for phase in PHASES},
        "figures": {name: _known(_last(run, name)) for name in run.columns.figures},
    }


def _setting(curves: Curves, keys: Sequence[str]) -> Content:
    runs = curves.runs
    means = {
        name: mean_over_seeds([_last(run, name) for run in runs], FRACTION) for name in ACCURACIES
    }
    return {
        "name": curves.label,
        "setting": {key: runs[0].keys.get(key) for key in keys if key not in SEEDS},
        "num_runs": len(runs),
        **{name: {k: _known(v) for k, v in vars(mean).items()} for name, mean in means.items()},
        "uplink_bytes": float(np.mean([run.uplink_bytes()[-1] for run in runs])),
    }


def _distinct(runs: Sequence[Run], key: str) -> list[Any]:
    return sorted({run.keys.get(key) for run in runs}, key=sort_key)


def _last(run: Run, name: str) -> float:
    """Return a column's last known value."""
    known = run.rounds[name][np.isfinite(run.rounds[name])]
    return float(known[-1]) if len(known) else math.nan


def _known(value: float) -> float | None:
    """Return a number as JSON has it: there is none that is not known."""
    return value if isinstance(value, int) else float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _short(setting: Mapping[str, Any]) -> str:
    """Return keys and values, keys by their last part where that tells them apart."""
    tails = [key.rpartition(".")[2] for key in setting]
    names = [
        key if tails.count(tail) > 1 else tail for key, tail in zip(setting, tails, strict=True)
    ]
    return ", ".join(f"{n} {value_text(v)}" for n, v in zip(names, setting.values(), strict=True))


def _mean_text(mean: Mapping[str, float | None]) -> str:
    if mean["mean"] is None or mean["low"] is None or mean["high"] is None:
        return percent(_number(mean["mean"]))
    return f"{percent(mean['mean'])} [{100 * mean['low']:.1f}, {100 * mean['high']:.1f}]"
