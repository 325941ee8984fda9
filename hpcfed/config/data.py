"""The tables that say where samples come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from hpcfed.config.section import NonNegative, Positive, Section, Seed


class DataConfig(Section):
    """Where the samples come from and how seconds become bins."""

    dataset: str = Field(
        "spoken-digits",
        description='`"spoken-digits"`, `"shd"`, `"ssc"`, `"tonic:NAME"`, a path "module:function" '
        "of your own, or the path of a training file of SHD's layout, relative to the working "
        "directory",
    )
    test: str | None = Field(
        None, description="path of the test file when `dataset` is a path; absent: no test"
    )
    root: str | None = Field(
        None,
        description="folder of downloaded or hand-placed data sets; absent: `HPCFED_DATA`, else "
        "`~/.local/share/hpcfed`",
    )
    classes: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None, description="use only these labels, renumbered in this order; absent: all"
    )
    duration: Positive = Field(1.0, description="seconds of each sample that are used")
    num_bins: Annotated[int, Field(ge=1, le=100_000)] = Field(
        100, description="T, time bins over `duration`"
    )
    counts: bool = Field(
        False, description="keep how many spikes a bin holds; false: one spike or none"
    )
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="part of the training file kept for validation, taken before partitioning"
    )
    split_seed: Seed = Field(0, description="seed of the validation split alone")
    time_jitter: NonNegative = Field(
        0.0, description="training: shift each sample by up to +- this many seconds"
    )
    channel_jitter: Annotated[int, Field(ge=0)] = Field(
        0, description="training: shift each sample by up to +- this many channels"
    )
    drop: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="training: leave out each event with this probability"
    )

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("needs at least two labels, each once")
        return value
