"""Records with answers in which every number that a picture of uncertainty shows is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from run_files import record

from hpcfed.config.file import parse_experiment, to_toml
from hpcfed.records.runfile import Record
from hpcfed.report.figures.view import View


def answers(probability: Any, label: Any, **columns: Any) -> dict[str, Any]:
    """Return the columns of a set: entropy as it is, no committee unless ``columns`` say so."""
    chances = np.asarray(probability, np.float64)
    terms = np.where(chances > 0, -chances * np.log(np.where(chances > 0, chances, 1)), 0)
    unknown = np.full(len(chances), np.nan)
    found = {
        "label": np.asarray(label, np.int64),
        "probability": chances,
        "deviation": np.full_like(chances, np.nan),
        "entropy": terms.sum(1),
        "expected_entropy": unknown,
    }
    return found | {name: np.asarray(values) for name, values in columns.items()}


def run(sets: dict[str, dict[str, Any]], *overrides: str, **changes: Any) -> Record:
    """Return a record with ``sets`` of answers, whose configuration has ``overrides``."""
    base = record(**changes)
    toml = to_toml(parse_experiment("", overrides))
    return replace(base, answers=sets, attributes=base.attributes | {"config_toml": toml})


def two_class(count: int, seed: int = 0, **columns: Any) -> dict[str, Any]:
    """Return ``count`` answers of two classes, right in nine cases of ten, and of a committee."""
    rng = np.random.default_rng(seed)
    second = rng.random(count)
    label = np.where(rng.random(count) < 0.9, second > 0.5, second <= 0.5)
    found = answers(np.stack([1 - second, second], 1), label)
    committee = {
        "expected_entropy": 0.75 * found["entropy"],
        "deviation": np.full((count, 2), 0.125),
    }
    return found | committee | columns


def plane(side: int) -> Any:
    """Return the points of a regular grid of the unit square, (side**2, 2)."""
    y, x = np.indices((side, side)).reshape(2, -1) / (side - 1)
    return np.stack([x, y], 1).astype(np.float32)


def kinds() -> dict[str, tuple[Record, set[str]]]:
    """Return records of all kinds, and the pictures that each has data for."""
    rng = np.random.default_rng(1)
    known, unknown = two_class(60), two_class(40, 1, label=np.full(40, -1))
    points = {"known": two_class(60, coordinate=rng.random((60, 2), np.float32)),
              "probe": two_class(49, label=np.full(49, -1), coordinate=plane(7))}  # fmt: skip
    line = {"coordinate": rng.random((60, 1), np.float32), "target": rng.random(60)}
    bayes = 'rule.kind="bayes"'
    classes = {"reliability", "rejection"}
    single = {name: known[name] for name in ("label", "probability", "entropy")}
    single |= {"deviation": np.full((60, 2), np.nan), "expected_entropy": np.full(60, np.nan)}
    return {
        "no answers": (run({}), {"reliability"}),
        "no evaluation": (run({}, evaluation={}), set()),
        "one network": (run({"known": single}), classes),
        "bayes": (run({"known": known}, bayes), classes | {"posterior"}),
        "unknown classes": (run({"known": known, "unknown": unknown}), classes | {"unknown"}),
        "a plane": (run(points, 'data.dataset="two-moons"'), classes | {"map"}),
        "a plane, one network": (
            run({name: {**part, "expected_entropy": np.full(len(part["label"]), np.nan)}
                 for name, part in points.items()}),
            classes | {"map"},
        ),
        "a line": (run({"known": known | line}, 'data.dataset="regression"'), {"band"}),
        "a line, one network": (run({"known": single | line}), {"band"}),
        "a line without answers": (run({}, 'data.dataset="regression"'), set()),
    }  # fmt: skip


def view(sets: dict[str, dict[str, Any]], *overrides: str, **changes: Any) -> View:
    """Return the view of ``run``."""
    return View(run(sets, *overrides, **changes))
