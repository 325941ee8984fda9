"""The experiment file as a JSON schema, by which editors complete and check TOML.

TOML has no null: a key without a value is absent. What pydantic's own checks know of combinations
is not in a schema; hpcfed says it when the file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any  # Any: a JSON schema's values are of any JSON type

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from hpcfed.config.experiment import Experiment
from hpcfed.config.section import table_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Json = dict[str, Any]


def experiment_schema() -> Json:
    """Return the schema of an experiment file."""
    definitions = definitions_of([Experiment])
    top = definitions.pop(Experiment.__name__)
    return {"$schema": DIALECT, **top, "title": "hpcfed experiment", "$defs": definitions}


def definitions_of(models: Sequence[type[BaseModel]]) -> dict[str, Json]:
    """Return the schemas of some models and of all tables in them, by the models' names."""
    _, found = models_json_schema([(m, "validation") for m in models], schema_generator=_OfToml)
    definitions: dict[str, Json] = found["$defs"]
    return definitions


def keys_of(
    definitions: dict[str, Json], model: type[BaseModel] = Experiment, prefix: str = ""
) -> Iterator[tuple[str, Json]]:
    """Yield every dotted key of a model's table and of those in it, with its value's schema."""
    properties = definitions[model.__name__]["properties"]
    for name, field in model.model_fields.items():
        table = table_of(field.annotation)
        if table is None:
            yield prefix + name, properties[name]
        else:
            yield from keys_of(definitions, table, f"{prefix}{name}.")


class _OfToml(GenerateJsonSchema):
    """Pydantic's schemas without null, without titles made of names, without empty defaults."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        if schema.get("default") is None or isinstance(schema["default"], BaseModel):
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False
