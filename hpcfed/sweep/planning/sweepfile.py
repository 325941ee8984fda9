"""The sweep file: a base experiment, what is set, what varies, and what it may use.

Keys of experiments are dotted and quoted ("server.rounds") or nested, which means the same::

    base = "quickstart.toml"         relative to this file, absolute, or the name of a packaged job
    [set]                            fixed values
    [grid]                           key = [values]: the product of all
    [zip]                            keys that move together; [[zip]] for several such groups
    [[cases]]                        settings to compare, each with its own keys: times the product
    [[points]]                       further points, each with its own keys
    [exclude]                        points whose experiment has all of these values, set or by
                                     default, are left out; [[exclude]] too
    [search]                         instead of [grid] and [zip]: see hpcfed.config.search
    [resources]
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment, key_paths
from hpcfed.config.jobs import find_job
from hpcfed.config.search import (
    Search,
    SearchConfig,
    read_search,
)
from hpcfed.config.tables import Point, Table, checked, read_toml, unknown_key
from hpcfed.config.tree import flatten, set_key
from hpcfed.errors import InputError
from hpcfed.records.results import check_measures
from hpcfed.sweep.planning.overrides import apply, noted
from hpcfed.sweep.planning.resources import Resources

_TABLES = ("set", "grid", "zip", "cases", "points", "exclude", "resources", "search")
# what may change at a round: neither shapes nor data nor who has them
_MUTABLE = (
    *(f"client.{k}" for k in (
        "learning_rate", "batch_size", "epochs", "steps", "momentum", "weight_decay", "proximal",
        "clip_norm", "rate_lower", "rate_upper", "rate_strength",
    )),
    *(f"model.{k}" for k in ("surrogate_slope", "threshold", "tau_mem", "tau_syn", "tau_adapt")),
    *(f"data.{k}" for k in ("drop", "time_jitter", "channel_jitter")),
    *("server.learning_rate", "server.momentum", "uplink.mask_probability"),
)  # fmt: skip
_KNOWN = ("name", "base", *_TABLES)


@dataclass(frozen=True)
class Axis:
    """One direction of the product: keys that move together, and a row of values for each step."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True)
class Sweep:
    """A sweep file, read but not yet expanded.

    Attributes:
        base: the base experiment with the [set] table applied, nested.
        axes: of the product; empty without [grid] and [zip].
        cases: each is set at every point of the product.
        exclude: tables of dotted keys; a list there means any of its values.
        search: the search, where this is one; it has no points of its own.
    """

    path: Path
    name: str
    text: str
    base: Table
    axes: tuple[Axis, ...] = ()
    cases: tuple[Point, ...] = ()
    points: tuple[Point, ...] = ()
    exclude: tuple[Point, ...] = ()
    resources: Resources = field(default_factory=lambda: Resources.model_validate({}))
    search: Search | None = None


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read a sweep file and its base, and set ``KEY=VALUE`` overrides in the base.

    Raises InputError for anything wrong but invalid points.
    """
    table, text = read_toml(path, "sweep file")
    if "base" not in table and any(key in Experiment.model_fields for key in set(table) - {"name"}):
        raise InputError(
            f"{path}: is an experiment, not a sweep file; run it with hpcfed run, or name it in a "
            f'sweep file, base = "{path.name}"'
        )
    if unknown := [key for key in table if key not in _KNOWN]:
        raise InputError(f"{path}: {unknown_key(unknown[0], _KNOWN)}")
    base = table.get("base")
    if not isinstance(base, str):
        raise InputError(f'{path}: base: expected the path of an experiment, as base = "shd.toml"')
    tree = read_toml(_find_base(base, path), "base experiment")[0]
    for key, value in _keys(table.get("set", {}), f"{path}: [set]").items():
        set_key(tree, key, value)
    sweep = Sweep(
        path=path,
        name=_name(table, path),
        text=noted(text, overrides),
        base=tree,
        axes=(*_grid(table.get("grid", {}), path), *_zips(table.get("zip", []), path)),
        cases=tuple(_tables(table.get("cases", []), f"{path}: [[cases]]")),
        points=tuple(_tables(table.get("points", []), f"{path}: [[points]]")),
        exclude=tuple(_tables(table.get("exclude", []), f"{path}: [exclude]")),
        resources=checked(Resources, table.get("resources", {}), f"{path}: [resources]"),
    )
    search = read_search(table["search"], str(path)) if "search" in table else None
    apply(tree, overrides, _varied(sweep, search))
    return sweep if search is None else replace(sweep, points=(), search=_search(sweep, search))


def _varied(sweep: Sweep, search: SearchConfig | None) -> set[str]:
    """Return the keys of the base that the sweep file itself gives values."""
    keys = {key for axis in sweep.axes for key in axis.keys}
    keys |= {key for point in (*sweep.cases, *sweep.points) for key in point}
    if search is not None:
        keys |= search.space.keys()
        keys |= {"server.rounds"} if search.halving is not None else set()
        keys |= {k for k in key_paths() if k.startswith("stop.")} if search.stop else set()
    return keys


def _search(sweep: Sweep, config: SearchConfig) -> Search:
    """Return the search of a sweep file. Raises InputError for what does not go together."""
    path, base = sweep.path, copy.deepcopy(sweep.base)
    if sweep.axes or sweep.cases:
        raise InputError(
            f"{path}: [search] varies the keys of its space; [grid], [zip] and [[cases]] cannot "
            "stand beside it (for several seeds of the best: [search.confirm])"
        )
    if config.stop is not None:
        base["stop"] = config.stop.model_dump(mode="json")
    if config.halving is not None:
        set_key(base, "server.rounds", config.halving.rungs[-1])
    search = Search(sweep.name, config, base, sweep.points, sweep.exclude)
    _check_space(search, f"{path}: [search.space]")
    for number, point in enumerate(sweep.points, 1):
        try:
            search.space.unit(point)
        except ValueError as error:
            raise InputError(f"{path}: [[points]] {number}: does not lie in [search.space]: "
                             f"{error}") from None  # fmt: skip
    experiment = build_experiment(base, str(path))
    set_key(base, "server.rounds", experiment.server.rounds)
    if experiment.rule is None:
        check_measures(config, str(path))
    names = {goal.name for goal in search.goals} | set(config.constraints)
    if not experiment.data.validation_fraction and any(n.startswith("validation_") for n in names):
        raise InputError(f"{path}: [search]: compares by validation, and there is no validation "
                         "split; set data.validation_fraction")  # fmt: skip
    _check_rounds(search, experiment, str(path))
    return search


def _check_space(search: Search, source: str) -> None:
    """Refuse keys that a search decides itself."""
    for key in search.space.keys:
        if key == "seed":
            raise InputError(f"{source} seed: a search compares with one seed; for more of the "
                             "best: [search.confirm]")  # fmt: skip
        if key == "name" or key.startswith(("run.", "stop.")):
            raise InputError(f"{source} {key}: is no setting that a result depends on")
        if search.method == "population" and key not in _MUTABLE:
            raise InputError(f"{source} {key}: cannot change while a run goes on; a population "
                             f"changes {', '.join(_MUTABLE)}")  # fmt: skip
        if key == "server.rounds" and (search.rungs or search.config.population):
            raise InputError(f"{source} {key}: is what [search.halving] and populations decide")


def _check_rounds(search: Search, experiment: Experiment, source: str) -> None:
    """Check that runs are evaluated where they pause: after other rounds none is by itself."""
    every, rounds = experiment.run.eval_every, experiment.server.rounds
    pauses = list(search.rungs)
    if search.method == "population":
        interval = search.population.interval
        pauses = [interval, rounds]
        if rounds % interval:
            raise InputError(f"{source}: server.rounds = {rounds} is no multiple of "
                             f"search.population.interval = {interval}")  # fmt: skip
    if odd := [pause for pause in pauses if pause % every]:
        raise InputError(f"{source}: [search]: runs pause after {odd[0]} rounds, but are evaluated "
                         f"every {every} (run.eval_every), which must divide it")  # fmt: skip


def name_of_file(path: Path) -> str:
    """Return the name of a sweep, without looking at the rest of its file."""
    return _name(read_toml(path, "sweep file")[0], path)


def _find_base(base: str, path: Path) -> Path:
    """Return the base beside the sweep file at ``path``, else the packaged job of that name."""
    beside = path.parent / Path(base).expanduser()
    try:
        return beside if beside.is_file() else find_job(Path(base))
    except InputError as error:
        raise InputError(f"{path}: base: {beside}: no such base experiment; {error}") from None


def _name(table: Table, path: Path) -> str:
    name = table.get("name", path.stem)
    if not isinstance(name, str) or not name or "/" in name or "\0" in name or name[0] == ".":
        raise InputError(f"{path}: name: {name!r} cannot name a folder below results/")
    return name


def _grid(table: object, path: Path) -> Iterator[Axis]:
    for key, values in _keys(table, f"{path}: [grid]").items():
        yield Axis((key,), tuple((value,) for value in _values(values, f"{path}: [grid] {key}")))


def _zips(tables: object, path: Path) -> Iterator[Axis]:
    for table in _tables(tables, f"{path}: [zip]"):
        columns = [_values(values, f"{path}: [zip] {key}") for key, values in table.items()]
        lengths = {key: len(values) for key, values in zip(table, columns, strict=True)}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{key} has {length}" for key, length in lengths.items())
            raise InputError(f"{path}: [zip]: keys move together, so expected as many values each: "
                             f"{found}")  # fmt: skip
        if table:
            yield Axis(tuple(table), tuple(zip(*columns, strict=True)))


def _tables(tables: object, source: str) -> Iterator[Point]:
    for table in tables if isinstance(tables, list) else [tables]:
        yield _keys(table, source)


def _keys(table: object, source: str) -> Point:
    """Return a table of experiment keys, dotted."""
    if not isinstance(table, dict):
        raise InputError(f"{source}: expected a table, found {table!r}")
    known, keys = set(key_paths()), Point()
    for key, value in flatten(table):
        if key not in known:
            raise InputError(f"{source}: {unknown_key(key, known)}")
        if key == "name":
            raise InputError(f"{source}: name: runs of a sweep bear the sweep's name")
        if key in keys:
            raise InputError(f"{source}: {key} is given twice, dotted and nested")
        keys[key] = value
    return keys


def _values(values: object, source: str) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise InputError(f"{source}: expected a list of values, found {values!r}")
    return values
