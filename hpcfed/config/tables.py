"""From a TOML table to a checked, frozen model, with one clear message for what is wrong."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar  # Any: TOML values are of any type until a model has checked them

from pydantic import BaseModel, ValidationError

from hpcfed.config.file import read_text
from hpcfed.errors import InputError

Table = dict[str, Any]
Point = dict[str, Any]  # dotted keys of an experiment to their values
Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, what: str) -> tuple[Table, str]:
    """Return a TOML file's content and its text; ``what`` names it in messages."""
    text = read_text(path, what)
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def checked(model: type[Model], table: object, source: str) -> Model:
    """Validate ``table``. Raises InputError listing every problem, one a line."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        lines = [
            f"{source}: {_problem(model, dict(detail))}"
            for detail in error.errors(include_url=False)
        ]
        raise InputError("\n".join(dict.fromkeys(lines))) from None


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for a key that does not exist."""
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(names)}"
    return f"{key}: unknown key; {hint}"


def _problem(model: type[BaseModel], error: Table) -> str:
    path = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return unknown_key(path, model.model_fields)
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return f"{path}: {message}" if path else message
    if error["type"] == "missing":
        return f"{path}: is missing"
    return f"{path}: {error['msg'][0].lower()}{error['msg'][1:]}, found {error.get('input')!r}"
