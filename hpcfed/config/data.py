"""The tables that say where samples come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hpcfed.config.generated import GENERATED, GeneratedConfig
from hpcfed.config.section import Count, NonNegative, Positive, Section, Seed

IMAGES = ("digits", "cifar10", "cifar100", "mnist", "fashion-mnist")
OWN_IMAGES = "images:"
# what Python was given, by the digest of the arrays: not a module's name, so never module:function
ARRAYS, IMAGE_ARRAYS = "arrays-events:", "arrays-images:"


class DataConfig(Section):
    """Where the samples come from and how seconds become bins."""

    dataset: str = Field(
        "spoken-digits",
        description='events: `"spoken-digits"`, `"shd"`, `"ssc"`, `"tonic:NAME"`, or the path of a '
        "training file of SHD's layout; generated: "
        + ", ".join(f'`"{name}"`' for name in GENERATED)
        + "; images: "
        + ", ".join(f'`"{name}"`' for name in IMAGES)
        + ', or `"images:PATH"` of CIFAR batches, an IDX file or a folder of pictures for each '
        'class; or a path "module:function" of your own',
    )
    test: str | None = Field(
        None,
        description="path of the test file when `dataset` is a path; absent: no test, or its own",
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
    crop: tuple[Count, Count] | None = Field(
        None,
        description="events of a two-dimensional sensor: use [height, width] pixels in its middle; "
        "absent: all",
    )
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="part of the training file kept for validation, taken before partitioning"
    )
    split_seed: Seed = Field(
        0, description="seed of the validation split, of `test_fraction` and of `folds` alone"
    )
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="part of the training file that is the test, of each class alike, for data "
        "without a test; taken before validation; absent: none is taken",
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="cross-validation: groups (speakers, writers) of the training file are dealt "
        "to so many folds, of which one is the test; a test that comes with the data stays unseen",
    )
    fold: Annotated[int, Field(ge=0)] | None = Field(
        None, description="which of the `folds` is the test, from 0"
    )
    time_jitter: NonNegative = Field(
        0.0, description="training: shift each sample by up to +- this many seconds"
    )
    channel_jitter: Annotated[int, Field(ge=0)] = Field(
        0, description="training: shift each sample by up to +- this many channels"
    )
    drop: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="training: leave out each event with this probability"
    )
    crop_padding: Annotated[int, Field(ge=1)] | None = Field(
        None, description="training images: a cut out of the image with so many black pixels around"
    )
    flip: bool | None = Field(None, description="training images: mirrored by chance")
    encoder: Literal["direct", "poisson", "signed-poisson"] | None = Field(
        None,
        description="what images are in each bin: a current, spikes, or spikes of either sign; "
        "absent: signed-poisson for a spiking network, and no time for others",
    )

    generated: GeneratedConfig | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if faults := [*self._test_faults()]:
            raise ValueError("; ".join(faults))
        if self.generated is not None and self.dataset not in GENERATED:
            raise ValueError(
                f"generated is for {', '.join(GENERATED)}, and {self.dataset} is not generated"
            )
        if self.is_images:
            for name in ("counts", "crop", "time_jitter", "channel_jitter", "drop"):
                if getattr(self, name):
                    raise ValueError(f"{name} is for events, and {self.dataset} are images")
        elif ":" not in self.dataset or self.dataset.startswith(ARRAYS):
            for name in ("encoder", "crop_padding", "flip"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is for images, and {self.dataset} are events")
        return self

    def _test_faults(self) -> Iterator[str]:
        """Yield why the test cannot be taken from the training file as asked."""
        if self.folds is None and self.fold is not None:
            yield "fold is one of folds, and folds is absent"
        if self.folds is not None and self.fold is None:
            yield f"folds needs fold, which of them is the test: 0 to {self.folds - 1}"
        if self.folds is not None and self.fold is not None and self.fold >= self.folds:
            yield f"fold = {self.fold}, and folds = {self.folds} are numbered 0 to {self.folds - 1}"
        if self.folds is not None and self.test_fraction is not None:
            yield "folds and test_fraction both say what the test is; give one of them"
        for name in ("folds", "test_fraction"):
            if getattr(self, name) is not None and self.test is not None:
                yield f"{name} takes the test from the training file, and test names another"

    @property
    def is_images(self) -> bool:
        """Whether the name alone says that the data are images."""
        return self.dataset in IMAGES or self.dataset.startswith((OWN_IMAGES, IMAGE_ARRAYS))

    @property
    def is_given(self) -> bool:
        """Whether the samples are arrays that Python was given, which no name can find again."""
        return self.dataset.startswith((ARRAYS, IMAGE_ARRAYS))

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("needs at least two labels, each once")
        return value
