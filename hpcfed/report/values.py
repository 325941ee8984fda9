"""Values of a configuration as people read and write them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence

from hpcfed.config.tree import Value, frozen
from hpcfed.errors import InputError


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
        conditions[key.strip()] = frozen(value)
    return conditions
