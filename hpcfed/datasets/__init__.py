"""From the [data] table to samples: ``load`` is all that the rest of hpcfed needs to know.

S samples, K classes. The validation split is taken here, before anyone divides the training
samples among clients.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.dotted import function as function_at
from hpcfed.config import DataConfig
from hpcfed.config.generated import GENERATED
from hpcfed.config.own import is_dotted
from hpcfed.datasets import held_out, validation
from hpcfed.datasets.checks import POINTS, check_events, check_same_kind, check_same_shape
from hpcfed.datasets.crop import cropped
from hpcfed.datasets.generated import generate
from hpcfed.datasets.sources import Sources, find_sources
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet

I64 = NDArray[np.int64]
Loaded = EventSet | ImageSet

# what training can see of events
_DIGESTED = (
    *("channels", "counts", "bin_offsets", "sample_offsets", "labels", "groups", "num_channels"),
    *("duration", "class_names", "group_names", "num_cut"),
)

__all__ = ["Data", "load"]


@dataclass(frozen=True)
class Data:
    """A loaded data set.

    Attributes:
        train: all samples of the training file; of SSC also those of its validation file, after.
        test: all samples of the test file, or ``train`` where the test is taken from it; None
            without a test.
        train_ids: samples of ``train`` to learn from, ascending int64.
        validation_ids: samples of ``train`` kept for validation, ascending int64.
        test_ids: samples of ``test`` to report on, ascending int64; empty without a test file.
        digest: SHA-256 (hex) of the digests of all source files.
        source: ``data.dataset`` as it was given.
        probe: points of a generated set to look at, labelled -1; None where there are none.
        unknown_ids: samples of no chosen class, ascending int64: of ``test``, or of ``train``
            without one.
    """

    train: Loaded
    test: Loaded | None
    train_ids: I64
    validation_ids: I64
    test_ids: I64
    digest: str
    source: str
    probe: EventSet | None = None
    unknown_ids: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def stores(self) -> tuple[Loaded, ...]:
        """The sets that there are, each once."""
        is_one = self.test is None or self.test.labels is self.train.labels
        return (self.train,) if is_one or self.test is None else (self.train, self.test)


def load(config: DataConfig) -> Data:
    """Load, bin and split the data set of ``config``. Raises InputError for unusable data."""
    num_training = probe = None
    if config.is_given:
        raise InputError(
            f'data.dataset = "{config.dataset}": these samples were arrays in a Python program, '
            "and no name finds them again; give it the same arrays: hpcfed.run(..., data=...), or "
            "hpcfed.load(run, data=...)"
        )
    if is_dotted(config.dataset):
        train, test, digest = _custom(config)
    elif config.dataset in GENERATED:
        made = generate(config)
        train, test, probe, digest = made.train, made.test, made.probe, made.digest
    else:
        sources = _sources(config)
        train, test, digest = _read(sources, config)
        num_training = sources.num_training
    found = divided(config, train, test, digest, num_training)
    return replace(found, probe=probe)


def divided(
    config: DataConfig,
    train: Loaded,
    test: Loaded | None,
    digest: str,
    num_training: int | None = None,
) -> Data:
    """Return what ``config`` takes of samples, and how they are split.

    ``digest`` is that of where they come from; training samples from ``num_training`` on, if it is
    given, are for validation.
    """
    train, test = chosen(config, train), None if test is None else chosen(config, test)
    test, test_ids, unknown_ids = _test_of(train, test, config)
    labels = train.labels
    if held_out.is_taken(config):
        labels = labels.copy()
        labels[test_ids] = -1
    train_ids, validation_ids = _split(labels, config, num_training)
    _check_not_empty(config, train_ids, test)
    return Data(
        train, test, train_ids, validation_ids, test_ids, digest, config.dataset, None, unknown_ids
    )


def chosen(config: DataConfig, samples: Loaded) -> Loaded:
    """Return what ``config`` takes of samples: a window of a sensor, and some classes."""
    if config.crop is not None:
        samples = _window(samples, config.crop, config.dataset)
    return samples if config.classes is None else _subset(samples, config.classes)


def binning(config: DataConfig) -> Binning:
    """Return the binning of the [data] table."""
    return Binning(config.duration, config.num_bins, config.counts)


def _sources(config: DataConfig) -> Sources:
    if config.is_images:
        from hpcfed.datasets.image_sources import find_images

        return find_images(config)
    return find_sources(config)


def _read(sources: Sources, config: DataConfig) -> tuple[Loaded, Loaded | None, str]:
    bins = binning(config)
    train = sources.train.samples(bins)
    if sources.test is None:
        return train, None, joint_digest(sources.train.digest)
    test = sources.test.samples(bins)
    digest = joint_digest(sources.train.digest, sources.test.digest)
    return train, for_network_of(train, test, (sources.train.name, sources.test.name)), digest


def _custom(config: DataConfig) -> tuple[Loaded, Loaded | None, str]:
    """Call the user's ``function(config)``: it gives (training samples, test samples or None)."""
    name = config.dataset
    given = function_at(name, "data.dataset", "config")(config)
    train: Loaded
    test: Loaded | None
    match given:
        case (EventSet() as train, EventSet() | None as test):
            check_events(train, binning(config), f"{name}, training events")
            if test is not None:
                check_events(test, binning(config), f"{name}, test events")
        case (ImageSet() as train, ImageSet() | None as test):
            pass  # they have looked at themselves
        case _:
            items = given if isinstance(given, tuple) else (given,)
            found = ", ".join(type(item).__name__ for item in items)
            raise InputError(
                f"{name} gave {found}; expected (EventSet, EventSet or None), or two of ImageSet"
            )
    if test is None:
        return train, None, joint_digest(samples_digest(train))
    digest = joint_digest(samples_digest(train), samples_digest(test))
    names = (f"{name}, training samples", f"{name}, test samples")
    return train, for_network_of(train, test, names), digest


def for_network_of(train: Loaded, test: Loaded, names: tuple[str, str]) -> Loaded:
    """Return ``test`` with the channels and classes of ``train``. Raises InputError."""
    if isinstance(train, EventSet) and isinstance(test, EventSet):
        check_same_kind(train, test, names)
        return replace(test, num_channels=train.num_channels, class_names=train.class_names)
    check_same_shape(train, test, names)
    return replace(test, class_names=train.class_names)


def _window(samples: Loaded, window: tuple[int, int], name: str) -> EventSet:
    if isinstance(samples, EventSet):
        return cropped(samples, window, name)
    raise InputError(
        f"data.crop = {list(window)}: it is for events, and {name} gave images; leave it out"
    )


def _subset(events: Loaded, classes: tuple[int, ...]) -> Loaded:
    num_classes = len(events.class_names)
    if max(classes) >= num_classes:
        raise InputError(
            f"data.classes: label {max(classes)}, the data set has labels 0 to {num_classes - 1}"
        )
    # One entry more than there are classes: label -1 looks up the last, and stays -1.
    renumbered = np.full(num_classes + 1, -1, np.int64)
    renumbered[list(classes)] = np.arange(len(classes))
    names = tuple(events.class_names[label] for label in classes)
    if isinstance(events, EventSet) and events.targets is not None and classes != (0, 1):
        raise InputError(
            f"data.classes = {list(classes)}: targets say how much there is of the second of two "
            "classes in their own order; leave data.classes out"
        )
    return replace(events, labels=renumbered[events.labels], class_names=names)


def _test_of(
    train: Loaded, test: Loaded | None, config: DataConfig
) -> tuple[Loaded | None, I64, I64]:
    """Return the test's samples, which of them it is, and those of no chosen class beside it."""
    if held_out.is_taken(config):
        return train, *held_out.taken(train, config, has_test=test is not None)
    if test is None:
        return None, np.empty(0, np.int64), np.flatnonzero(train.labels < 0)
    return test, np.flatnonzero(test.labels >= 0), np.flatnonzero(test.labels < 0)


def _split(labels: I64, config: DataConfig, num_training: int | None) -> tuple[I64, I64]:
    if num_training is None:
        return validation.split(labels, config.validation_fraction, config.split_seed)
    chosen = np.flatnonzero(labels >= 0)
    return chosen[chosen < num_training], chosen[chosen >= num_training]


def _check_not_empty(config: DataConfig, train_ids: I64, test: Loaded | None) -> None:
    empty = "training" if not len(train_ids) else None
    if test is not None and test.labels.max() < 0:
        empty = "test"
    if empty:
        raise InputError(f"data.classes = {list(config.classes or ())}: no {empty} sample is left")


def samples_digest(samples: Loaded) -> str:
    total = hashlib.sha256()
    if isinstance(samples, ImageSet):
        names: tuple[str, ...] = ("pixels", "labels", "class_names")
        total.update(repr(samples.pixels.shape).encode())
    else:
        names = (*_DIGESTED, "plane") if samples.plane else _DIGESTED
        names += tuple(name for name in POINTS if getattr(samples, name) is not None)
    for name in names:
        value = getattr(samples, name)
        content = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        total.update(name.encode() + content)
    return total.hexdigest()


def joint_digest(*digests: str) -> str:
    return hashlib.sha256("|".join(digests).encode()).hexdigest()
