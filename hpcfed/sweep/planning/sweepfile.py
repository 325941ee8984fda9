"""The sweep file: a base experiment, what is set, what varies, and what it may use.

Keys of experiments are dotted and quoted ("server.rounds") or nested, which means the same::

    base = "quickstart.toml"         relative to this file, absolute, or the name of a packaged job
    [set]                            fixed values
    [grid]                           key = [values]: the product of all
    [zip]                            keys that move together; [[zip]] for several such groups
    [[points]]                       further points, each with its own keys
    [exclude]                        points whose experiment has all of these values, set or by
                                     default, are left out; [[exclude]] too
    [resources]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.config import Experiment
from hpcfed.config.file import key_paths
from hpcfed.config.jobs import find_job
from hpcfed.config.tree import flatten, set_key
from hpcfed.errors import InputError
from hpcfed.sweep.planning.resources import Resources
from hpcfed.sweep.planning.tables import Table, checked, read_toml, unknown_key

_TABLES = ("set", "grid", "zip", "points", "exclude", "resources")
_KNOWN = ("name", "base", *_TABLES)
Point = dict[str, Any]


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
        exclude: tables of dotted keys; a list there means any of its values.
    """

    path: Path
    name: str
    text: str
    base: Table
    axes: tuple[Axis, ...] = ()
    points: tuple[Point, ...] = ()
    exclude: tuple[Point, ...] = ()
    resources: Resources = field(default_factory=lambda: Resources.model_validate({}))


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file and its base. Raises InputError for anything wrong but invalid points."""
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
    return Sweep(
        path=path,
        name=_name(table, path),
        text=text,
        base=tree,
        axes=(*_grid(table.get("grid", {}), path), *_zips(table.get("zip", []), path)),
        points=tuple(_tables(table.get("points", []), f"{path}: [[points]]")),
        exclude=tuple(_tables(table.get("exclude", []), f"{path}: [exclude]")),
        resources=checked(Resources, table.get("resources", {}), f"{path}: [resources]"),
    )


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
