"""Nested tables and dotted keys; values that can be compared and hashed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any  # Any: a configuration's values are of any TOML type

from hpcfed.errors import InputError

Tree = dict[str, Any]
Value = Any  # of a key: text, number, bool, tuple of these, None where absent
_EXCLUSIVE = {"client.epochs": "steps", "client.steps": "epochs"}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of a nested dict, whose keys may be dotted already."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def set_key(tree: Tree, key: str, value: Any) -> None:
    """Set a dotted key of a nested dict; epochs and steps clear each other.

    Raises InputError where a table would have to be put below a value.
    """
    *tables, last = key.split(".")
    for table in tables:
        tree = tree.setdefault(table, {})
        if not isinstance(tree, dict):
            raise InputError(f"{key}: {table} is a value, not a table")
    tree[last] = value
    if (other := _EXCLUSIVE.get(key)) is not None:
        tree.pop(other, None)


def frozen_keys(tree: Mapping[str, Any]) -> dict[str, Value]:
    """Return all values of nested tables by dotted key, frozen."""
    return {key: frozen(value) for key, value in flatten(tree)}


def frozen(value: Any) -> Value:
    """Return a value that can be compared and hashed: lists become tuples, tables pairs."""
    if isinstance(value, Mapping):
        return tuple((k, frozen(v)) for k, v in value.items())
    return tuple(frozen(v) for v in value) if isinstance(value, list) else value
