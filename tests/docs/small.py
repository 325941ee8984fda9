"""Jobs and sweeps as they are shipped, made small: a round of a step, two values of each key."""

from __future__ import annotations

import tomllib
from typing import Any  # Any: a table of TOML

import tomli_w

SETS = ("server.rounds=1", "client.steps=1")


def small_toml(text: str, values: int = 2) -> str:
    """Return a job or a sweep file with less to do, ``values`` of each key; other TOML as it is."""
    table = tomllib.loads(text)
    if not {"base", "data", "model", "server", "client"} & set(table):
        return text
    fixed = table.setdefault("set", {}) if "base" in table else table
    for key in ("server.rounds", "client.steps"):
        section, name = key.split(".")
        fixed.pop(key, None)
        fixed.setdefault(section, {})[name] = 1
    if "base" in table:
        _shorten(table, values)
    return tomli_w.dumps(table)


def _shorten(sweep: dict[str, Any], values: int) -> None:
    for name in ("grid", "zip"):
        if name in sweep:
            sweep[name] = _first(sweep[name], values)
    if "search" in sweep:
        search = sweep["search"]
        search["evaluations"], search["initial"] = 5, 3
        search["confirm"] = {"best": 1, "seeds": [1]}
        if "halving" in search:
            search["halving"]["rungs"] = [1, 2]
            sweep["set"]["server"]["rounds"] = 2


def _first(value: Any, count: int) -> Any:
    if isinstance(value, dict):
        return {key: _first(inner, count) for key, inner in value.items()}
    if isinstance(value, list):
        return [_first(each, count) if isinstance(each, dict) else each for each in value[:count]]
    return value
