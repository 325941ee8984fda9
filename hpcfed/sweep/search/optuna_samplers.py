"""TPE and Gaussian processes, by Optuna's samplers, which are asked and keep nothing.

A study lives in memory for one question: it is made of the observations, those of constraints
included, and of the points that are pending, which run. TPE is multivariate, in groups where keys
switch each other on (Bergstra and others 2011; Watanabe and Hutter 2023 for constraints); the
Gaussian process has constrained expected improvement, or expected hypervolume improvement for two
figures. A run without a figure is told with the worst one seen: what rules it out is its c > 0.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any  # Any: Optuna's classes, imported where they are used

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.space import Parameter, Space
from hpcfed.config.tables import Point
from hpcfed.sweep.search.data import Data
from hpcfed.sweep.search.design import word

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What is asked: by which method, from what, for which proposal, for how many points."""

    method: str
    space: Space
    data: Data
    seed: int
    number: int
    most: int


def suggestions(question: Question, known: dict[Any, Any]) -> Iterator[F64]:
    """Yield points (D,) for a proposal, each by a fresh sampler.

    ``known`` keeps what was made of observations, for the next question.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, data = question.space, question.data
    trials = _trials(space, data, known)
    for attempt in range(question.most):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seed = word(question.seed, question.number, attempt)
            sampler = _sampler(question.method, space, seed)
            goals = [optuna.study.StudyDirection.MINIMIZE] * data.values.shape[1]
            study = optuna.create_study(sampler=sampler, directions=goals)
            study.add_trials(trials)
            trial = study.ask()
            found = _ask(trial, space)
        yield space.unit(found)


def _sampler(method: str, space: Space, seed: int) -> Any:
    from optuna.samplers import GPSampler, RandomSampler, TPESampler

    if method == "tpe":
        return TPESampler(
            seed=seed, n_startup_trials=1, multivariate=True, group=space.is_conditional
        )
    return GPSampler(
        seed=seed, n_startup_trials=1, independent_sampler=RandomSampler(seed=seed),
        warn_independent_sampling=False,
    )  # fmt: skip


def _trials(space: Space, data: Data, known: dict[Any, Any]) -> list[Any]:
    """Return the trials of a question; those of observations are made once."""
    from optuna.trial import TrialState, create_trial

    values = data.values.copy()
    worst = np.array([_worst(column) for column in values.T])
    values = np.where(np.isfinite(values), values, worst)
    distributions = {p.key: _distribution(p) for p in space.parameters}
    found = []
    for unit, row, violations in zip(data.units, values, data.violations, strict=True):
        key = unit.tobytes(), row.tobytes(), violations.tobytes()
        if key not in known:
            constraints = {f"c{i}": float(c) for i, c in enumerate(violations)}
            known[key] = create_trial(
                values=row.tolist(),
                constraints=constraints or None,
                **_settings(space, unit, distributions),
            )
            known[key].__class__ = _trial_that_stays()
        found.append(known[key])
    running = [
        create_trial(state=TrialState.RUNNING, **_settings(space, unit, distributions))
        for unit in data.pending
    ]
    return [*found, *running]


@cache
def _trial_that_stays() -> type:
    """Return the class of trials that a study does not copy deeply: it is thrown away before."""
    from optuna.trial import FrozenTrial

    class Staying(FrozenTrial):
        def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
            return copy.copy(self)

    return Staying


def _worst(column: F64) -> float:
    known = column[np.isfinite(column)]
    return float(known.max()) if len(known) else 0.0


def _settings(space: Space, unit: F64, distributions: dict[str, Any]) -> dict[str, Any]:
    point = space.point(unit)
    on = [parameter for parameter in space.parameters if parameter.key in point]
    return {
        "params": {p.key: _stored(p, point[p.key]) for p in on},
        "distributions": {p.key: distributions[p.key] for p in on},
    }


def _distribution(parameter: Parameter) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if parameter.choices:
        return CategoricalDistribution(range(len(parameter.choices)))
    low, high, log = parameter.low, parameter.high, parameter.is_log
    if parameter.is_whole:
        return IntDistribution(int(low), int(high), log=log)
    return FloatDistribution(low, high, log=log)


def _stored(parameter: Parameter, value: Any) -> Any:
    """Return a value as Optuna has it: of a choice its place, for lists are no choices there."""
    return parameter.choices.index(value) if parameter.choices else value


def _ask(trial: Any, space: Space) -> Point:
    def choose(parameter: Parameter) -> Any:
        key = parameter.key
        if parameter.choices:
            place = trial.suggest_categorical(key, range(len(parameter.choices)))
            return parameter.choices[place]
        if parameter.is_whole:
            low, high = int(parameter.low), int(parameter.high)
            return trial.suggest_int(key, low, high, log=parameter.is_log)
        return trial.suggest_float(key, parameter.low, parameter.high, log=parameter.is_log)

    return space.point_by(choose)
