"""The sweep file, searches too, as a JSON schema, by which editors complete and check TOML.

Keys of experiments may be dotted and quoted or nested; both are completed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any  # Any: a JSON schema's values are of any JSON type

from hpcfed.config.experiment import Experiment
from hpcfed.config.json_schema import DIALECT, Json, definitions_of, keys_of
from hpcfed.config.ranges import Range
from hpcfed.config.search import SearchConfig
from hpcfed.sweep.planning.resources import Resources

_KEY = "key."  # what the definitions of an experiment's keys begin with


def sweep_schema() -> Json:
    """Return the schema of a sweep file."""
    made = definitions_of([Experiment, SearchConfig, Resources, Range])
    keys = {key: value for key, value in keys_of(made) if key != "name"}
    search = made[SearchConfig.__name__]
    ranges = {"anyOf": [_list_of({}), {"$ref": f"#/$defs/{Range.__name__}"}]}
    search["properties"]["space"] |= _table(keys, lambda _: ranges)
    tables = {
        "values": _table(keys, lambda one: one),
        "lists": _table(keys, _list_of),
        "choices": _table(keys, lambda one: {"anyOf": [one, _list_of(one)]}),
    }
    values, steps, choices = ({"$ref": f"#/$defs/{name}"} for name in tables)
    return {
        "$schema": DIALECT,
        "title": "hpcfed sweep",
        "description": "A base experiment, what is set, what varies, and what it may use.",
        "type": "object",
        "additionalProperties": False,
        "required": ["base"],
        "properties": {
            "name": {"type": "string", "description": "names the folder results/NAME"},
            "base": {
                "type": "string",
                "description": "the experiment: a file beside this one, or a packaged job",
            },
            "set": values | {"description": "fixed values"},
            "grid": steps | {"description": "lists of values: the product of all"},
            "zip": _some(steps) | {"description": "lists of values that move together"},
            "cases": _some(values) | {"description": "settings to compare, times the product"},
            "points": _some(values) | {"description": "further points"},
            "exclude": _some(choices) | {"description": "points that are left out"},
            "resources": {"$ref": f"#/$defs/{Resources.__name__}"},
            "search": {"$ref": f"#/$defs/{SearchConfig.__name__}"},
        },
        "$defs": made | tables | {_KEY + key: value for key, value in keys.items()},
    }


def _table(keys: Mapping[str, Any], wrap: Callable[[Json], Json]) -> Json:
    """Return the schema of a table of experiments' keys; ``wrap`` makes a value's of the key's."""
    whole: dict[str, Json] = {}
    for key in keys:
        whole[key] = wrap({"$ref": f"#/$defs/{_KEY}{key}"})
        *tables, last = key.split(".")
        place = whole
        for table in tables:
            place = place.setdefault(table, _object({}))["properties"]
        place[last] = whole[key]
    return _object(whole)


def _object(properties: dict[str, Json]) -> Json:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _list_of(item: Json) -> Json:
    return {"type": "array", "minItems": 1, "items": item}


def _some(table: Json) -> Json:
    """Return the schema of one table, or of a list of such."""
    return {"anyOf": [table, {"type": "array", "items": table}]}
