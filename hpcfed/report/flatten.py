"""A configuration as dotted keys with values that can be compared, hashed and shown."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any  # Any: a configuration's values are of any TOML type

from hpcfed.errors import InputError

Value = Any  # of a key: text, number, bool, tuple of these, None where absent


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield (dotted key, value); lists become tuples, so that values can be compared and hashed."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, _frozen(value)


def value_text(value: Value) -> str:
    """Return a configuration's value as people read it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(v) for v in value) + "]"
    return "absent" if value is None else str(value)


def parse_conditions(items: Sequence[str]) -> dict[str, Value]:
    """Return KEY=VALUE texts as dotted keys and TOML values, as ``hpcfed run --set`` reads them."""
    conditions: dict[str, Value] = {}
    for item in items:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{item}: expected KEY=VALUE, as in uplink.mask_probability=0.9")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        conditions[key.strip()] = _frozen(value)
    return conditions


def _frozen(value: Any) -> Value:
    if isinstance(value, Mapping):
        return tuple((k, _frozen(v)) for k, v in value.items())
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value
