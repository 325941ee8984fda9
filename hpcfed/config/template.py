"""A commented job file: every key of the tables that it uses, with its meaning and its default.

Lines that begin with # and no space are keys at their defaults: without the # they are set.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hpcfed.config.experiment import Experiment
from hpcfed.config.file import to_inline, to_text
from hpcfed.config.json_schema import Json, definitions_of
from hpcfed.config.section import table_of
from hpcfed.config.tree import Tree

_WIDTH = 100
_EXAMPLES: dict[str, Any] = {
    **{"string": "", "boolean": True, "integer": 1, "number": 0.5, "array": [], "object": {}}
}


def job_text(tree: Tree, head: str) -> str:
    """Return the file of a job, nested tables of what it sets; ``head`` is its first comment."""
    definitions = definitions_of([Experiment])
    lines = [head, *_keys(Experiment, tree, definitions)]
    for name, field in Experiment.model_fields.items():
        if (table := table_of(field.annotation)) is not None and name in tree:
            lines += _table(table, tree[name], name, definitions)
    return "\n".join([*lines, *_others(tree)]) + "\n"


def _table(
    model: type[BaseModel], values: Mapping[str, Any], path: str, definitions: dict[str, Json]
) -> Iterator[str]:
    """Yield the lines of a table, and of those tables in it that are used."""
    yield from ("", "", f"[{path}]", *_comment(_summary(model)))
    yield from _keys(model, values, definitions)
    for name, field in model.model_fields.items():
        if name in values and (table := table_of(field.annotation)) is not None:
            yield from _table(table, values[name], f"{path}.{name}", definitions)
        elif name in values and isinstance(values[name], dict):  # a free table
            yield from ("", "", *_comment(field.description or ""))
            yield to_text({path: {name: values[name]}}).rstrip()


def _keys(
    model: type[BaseModel], values: Mapping[str, Any], definitions: dict[str, Json]
) -> Iterator[str]:
    """Yield the lines of a table's plain keys."""
    properties = definitions[model.__name__]["properties"]
    for name, field in model.model_fields.items():
        if table_of(field.annotation) is not None or isinstance(values.get(name), dict):
            continue
        yield ""
        yield from _comment(_meaning(field, properties[name]))
        if name in values:
            yield f"{name} = {to_inline(values[name])}"
        else:
            default = field.get_default(call_default_factory=False)
            value = _example(properties[name]) if default is None else default
            yield f"#{name} = {to_inline(value)}"


def _meaning(field: FieldInfo, schema: Json) -> str:
    """Return what a key means, with its choices and its range where the text does not say them."""
    text = field.description or ""
    choices = [to_inline(value) for value in _choices(schema)]
    if choices and choices[0] not in text:
        text += f" ({', '.join(choices)})"
    if field.default is None and not field.is_required() and "absent" not in text:
        text += "; absent by default"
    return text


def _choices(schema: Json) -> list[Any]:
    branches = schema.get("anyOf", [schema])
    return [value for branch in branches for value in branch.get("enum", ())]


def _example(schema: Json) -> object:
    """Return a value of the key's type, for a key that is absent by default."""
    first = schema.get("anyOf", [schema])[0]
    if "enum" in first or "const" in first:
        return first["const"] if "const" in first else first["enum"][0]
    if "prefixItems" in first:
        return [_example(item) for item in first["prefixItems"]]
    return first.get("minimum", _EXAMPLES[first["type"]]) or _EXAMPLES[first["type"]]


def _others(tree: Tree) -> Iterator[str]:
    """Yield comments about tables that the job does not use."""
    tables = {name: table_of(field.annotation) for name, field in Experiment.model_fields.items()}
    left = {name: table for name, table in tables.items() if table is not None and name not in tree}
    if left:
        yield from ("", "", "# Tables that are not used here, all of their keys at the defaults:")
        for name, table in left.items():
            yield from _comment(f"[{name}] {_summary(table)}")


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").split("\n")[0]


def _comment(text: str) -> list[str]:
    plain = re.sub(r"`([^`]*)`", r"\1", text)
    return textwrap.wrap(plain, _WIDTH, initial_indent="# ", subsequent_indent="# ")
