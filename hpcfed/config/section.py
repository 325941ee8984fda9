"""What every table of the experiment file is: strict, frozen, of named types."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Probability = Annotated[float, Field(ge=0, le=1)]


# bounded so that float32 holds them, with room for a product
Positive = Annotated[float, Field(gt=0, le=1e18, allow_inf_nan=False)]


NonNegative = Annotated[float, Field(ge=0, le=1e18, allow_inf_nan=False)]


Count = Annotated[int, Field(ge=1)]


Seed = Annotated[int, Field(ge=0, lt=2**64)]


class Section(BaseModel):
    """A table of the experiment file: strict types, unknown keys are errors, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _toml_values(cls, value: object) -> object:
        # TOML has arrays where the model has tuples, and integers where it has floats.
        return _tuples(value)


def _tuples(value: object) -> object:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value


def table_of(annotation: object) -> type[BaseModel] | None:
    """Return the model of a table, optional ones too; None for the type of a plain key."""
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def check_kind(value: str, known: str) -> None:
    """Raise ValueError unless ``value``, none of the ``known``, is a path ``module:function``."""
    module, _, function = value.partition(":")
    if not (function.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise ValueError(f'kind = "{value}" is none of {known}, nor a path "module:function"')
