"""The [search] table of a sweep file: what is varied, for what, how, and how much of it.

::

    [search]
    method = "scbo"                      # random, tpe, gp, scbo, population; absent: by the space
    maximise = "validation_accuracy"     # and, or, minimise = "spikes_per_sample": two give a front
    evaluations = 100                    # or core_hours = 10, or both, whichever comes first
    [search.space]
    "client.learning_rate" = { log = [1e-4, 1e-1] }
    "client.batch_size" = { int = [8, 256], log = true }
    "model.neuron" = ["lif", "alif"]
    "model.tau_adapt" = { log = [0.02, 2], when = { "model.neuron" = "alif" } }
    [search.stop]                        # the table [stop] of all its runs
    [search.constraints]
    spikes_per_sample = 2000             # feasible at or below
    [search.halving]
    rungs = [10, 30, 90]
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, get_args  # Any: values are of any TOML type

from pydantic import Field, model_validator

from hpcfed.config import Count, Positive, Probability, Section, Seed
from hpcfed.config.file import key_paths
from hpcfed.config.ranges import read_space
from hpcfed.config.space import Space
from hpcfed.config.stop import StopConfig
from hpcfed.config.tables import Point, Table, checked
from hpcfed.errors import InputError

Method = Literal["random", "tpe", "gp", "scbo", "population"]
METHODS: tuple[Method, ...] = get_args(Method)
Names = str | tuple[str, ...]

_FREE = ("evaluations", "core_hours", "ahead", "workers", "confirm")  # may change as it goes on
_FEW, _MANY, _MOST_OF_GP = 8, 1000, 200  # keys; runs beyond which a Gaussian process is too slow


class ConfirmConfig(Section):
    """The best are run again with other seeds, and only these are reported on the test split."""

    best: Count = Field(5, description="how many of the best")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        (1, 2, 3, 4), description="each with these seeds besides its own"
    )


class HalvingConfig(Section):
    """Successive halving: all runs pause after some rounds, the best go on."""

    rungs: Annotated[tuple[Count, ...], Field(min_length=2)] = Field(
        description="rounds after which runs pause, ascending; the last is the whole run"
    )
    eta: Annotated[int, Field(ge=2)] = Field(3, description="one of so many goes on at each rung")

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(a >= b for a, b in pairwise(self.rungs)):
            raise ValueError(f"rungs are rounds in ascending order, found {list(self.rungs)}")
        return self


class PopulationConfig(Section):
    """Population based training (Jaderberg and others 2017, arXiv 1711.09846)."""

    members: Annotated[int, Field(ge=2)] = Field(8, description="runs of each generation")
    interval: Count = Field(5, description="rounds of a generation")
    exploit: Literal["truncation", "tournament", "t-test"] = Field(
        "truncation",
        description="who is replaced by whom: the worst part by the best part, or each by a random "
        "other that is better, or better by Welch's test over its last evaluations",
    )
    quantile: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.2, description="of truncation: the part that is replaced, and that replaces"
    )
    factors: Annotated[tuple[Positive, ...], Field(min_length=1)] = Field(
        (0.8, 1.2), description="what a copied number is multiplied by, one of these"
    )
    resample: Probability = Field(
        0.25, description="chance that a copied value is drawn anew instead"
    )
    mode: Literal["generations", "as-they-come"] = Field(
        "generations",
        description="decide when a whole generation is there, which no timing changes; or with "
        "whatever scores there are, which are recorded",
    )


class SearchConfig(Section):
    """The [search] table."""

    method: Method | None = Field(None, description="absent: chosen by the space and the budget")
    maximise: Names = Field((), description="a figure of a run's rounds")
    minimise: Names = Field((), description="a figure of a run's rounds")
    evaluations: Count | None = Field(None, description="points to try")
    core_hours: Positive | None = Field(None, description="of all runs; no point is added beyond")
    initial: Count | None = Field(
        None, description="points of a scrambled Sobol sequence before a model; absent: by the keys"
    )
    ahead: Annotated[int, Field(ge=1)] = Field(2, description="points kept ready for workers")
    workers: Count = Field(4, description="array tasks that submit starts")
    seed: Seed = Field(0, description="of the search's own random words")
    confirm: ConfirmConfig | None = None
    space: dict[str, Any] = Field(description="keys of the experiment with their ranges")
    stop: StopConfig | None = Field(None, description="the table [stop] of all runs")
    constraints: dict[str, float] = Field({}, description="figures and what they may be at most")
    halving: HalvingConfig | None = None
    population: PopulationConfig | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All figures that points are compared by."""
        return *_names(self.maximise), *_names(self.minimise), *self.constraints

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [*_names(self.maximise), *_names(self.minimise)]
        if not 1 <= len(names) <= 2 or len(set(names)) < len(names):
            raise ValueError(
                "expected one figure to maximise or minimise, or two of them for a front"
            )
        budget = self.evaluations or self.core_hours or self.method == "population"
        if not budget:
            raise ValueError("expected a budget: evaluations, core_hours or both")
        if self.method == "population":
            if self.halving is not None or len(names) > 1:
                raise ValueError('method = "population" has no halving, and one figure alone')
        elif self.population is not None:
            raise ValueError('[search.population] needs method = "population"')
        if self.method == "scbo" and len(names) > 1:
            raise ValueError('method = "scbo" has one figure; for a front: "gp", "tpe" or "random"')
        if self.halving is not None and len(names) > 1:
            raise ValueError("[search.halving] compares by one figure")
        return self


@dataclass(frozen=True)
class Goal:
    """A figure, and 1 where less is better, -1 where more is."""

    name: str
    sign: int


@dataclass(frozen=True)
class Search:
    """A search: what proposals depend on.

    Attributes:
        base: the base experiment with [set] and [search.stop] applied, nested.
        points: known points, tried first, coordinates of the space.
        exclude: tables of keys; such points are never proposed.
        known: points whose runs an earlier search in the same folder has left; they come next, and
            do not count as tried.
    """

    name: str
    config: SearchConfig
    base: Table
    points: tuple[Point, ...] = ()
    exclude: tuple[Point, ...] = ()
    known: tuple[Point, ...] = ()

    @cached_property
    def space(self) -> Space:
        """The space."""
        return read_space(self.config.space, list(key_paths()), f"{self.name}: [search.space]")

    @cached_property
    def goals(self) -> tuple[Goal, ...]:
        """What is looked for, one or two."""
        config = self.config
        return (
            *(Goal(name, -1) for name in _names(config.maximise)),
            *(Goal(name, 1) for name in _names(config.minimise)),
        )

    @cached_property
    def method(self) -> str:
        """How points are proposed."""
        config, num_keys = self.config, len(self.space.parameters)
        if config.method is not None:
            return config.method
        most = config.evaluations or _MANY
        if self.space.is_conditional or most > _MANY or len(self.goals) > 1:
            return "tpe"
        return "gp" if num_keys < _FEW and most <= _MOST_OF_GP else "scbo"

    @cached_property
    def stop(self) -> StopConfig | None:
        """The table [stop] of all runs."""
        table = self.base.get("stop")
        return None if table is None else checked(StopConfig, table, self.name)

    @property
    def population(self) -> PopulationConfig:
        """How a population is kept."""
        return self.config.population or PopulationConfig()

    @property
    def num_rounds(self) -> int:
        """Rounds of a whole run, where they are not in the space."""
        return int(self.base["server"]["rounds"])

    @property
    def num_initial(self) -> int:
        """Points before a model is asked."""
        return self.config.initial or max(2 * len(self.space.parameters), 10)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Rounds after which runs pause; the last is the whole run."""
        if self.config.halving is not None:
            return self.config.halving.rungs
        return ()

    @property
    def pauses(self) -> bool:
        """Whether runs are asked for fewer rounds than the whole run has."""
        return bool(self.rungs) or self.method == "population"

    @cached_property
    def section(self) -> str:
        """Name of all that proposals depend on, known runs too; the budget left out."""
        content = {
            "config": self.config.model_dump(mode="json", exclude=set(_FREE), by_alias=True),
            "base": self.base,
            "points": self.points,
            "exclude": self.exclude,
            "known": self.known,
        }
        text = json.dumps(content, sort_keys=True, default=list)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_table(self) -> Table:
        """Return it for a file."""
        return {
            "name": self.name,
            "section": self.section,
            "config": self.config.model_dump(mode="json", exclude_none=True, by_alias=True),
            "base": self.base,
            "points": self.points,
            "exclude": self.exclude,
            "known": self.known,
        }


def from_table(table: Table, source: str) -> Search:
    """Return the search of a file's table. Raises InputError."""
    config = checked(SearchConfig, table["config"], source)
    points = (tuple(table.get(name, ())) for name in ("points", "exclude", "known"))
    return Search(table["name"], config, table["base"], *points)


def read_search(table: Any, source: str) -> SearchConfig:
    """Return the checked [search] table of a sweep file. Raises InputError."""
    where = f"{source}: [search]"
    if not isinstance(table, dict):
        raise InputError(f"{where}: expected a table, found {table!r}")
    if isinstance(table.get("space"), dict):
        table = {**table, "space": dict(_keys(table["space"], set(key_paths())))}
    config = checked(SearchConfig, table, where)
    for key in config.names:
        if key.startswith("test_"):
            raise InputError(f"{where}: {key}: a search never sees the test split; take the "
                             "validation split's figure")  # fmt: skip
    return config


def _keys(table: Mapping[str, Any], known: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield keys of experiments, quoted or nested, with their ranges."""
    for key, value in table.items():
        nested = isinstance(value, dict) and prefix + key not in known
        if nested and any(name.startswith(f"{prefix}{key}.") for name in known):
            yield from _keys(value, known, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _names(value: Names) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
