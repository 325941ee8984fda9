"""What a run file holds, written group by group; each array says its unit and its meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any  # Any: columns are of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.records.log import Log
from hpcfed.records.schema import (
    ACTIVITY_FIELDS,
    ANSWER_FIELDS,
    ATTEMPT_FIELDS,
    AXES,
    CHECKPOINT_FIELDS,
    CLIENT_FIELDS,
    CURVES,
    EVALUATION_FIELDS,
    FORMAT,
    GROUP_FIELDS,
    LATE_FIELDS,
    NAMED,
    PARTICIPATION_FIELDS,
    ROUND_FIELDS,
    ROUND_MEANING,
    SCHEMA_VERSION,
    UNIT_FIELDS,
)

if TYPE_CHECKING:
    from hpcfed.records.runfile import Record

Array = NDArray[Any]


def fill(file: h5py.File, record: Record) -> None:
    """Write all of ``record`` to an empty ``file``."""
    file.attrs["format"], file.attrs["schema_version"] = FORMAT, SCHEMA_VERSION
    file.attrs.update(record.attributes)
    log = record.log
    rounds = file.create_group("rounds")
    scale = _round_scale(rounds, log.num_rounds)
    for name, (dtype, unit, meaning) in {**ROUND_FIELDS, **log.figures}.items():
        _put(rounds, name, np.array(log.rounds[name], dtype), (unit, meaning), (scale,))
    _fill_participations(file.create_group("participations"), log)
    if len({part.shape for part in log.activity}) == 1 and log.activity[0].size:
        _fill_activity(file.create_group("activity"), log)
    if log.groups and log.groups[0].size:
        _fill_groups(file.create_group("groups"), log)
    if sum(map(len, log.late)):
        _fill_late(file.create_group("late"), log)
    clients = file.create_group("clients")
    scale = _scale(clients, "client", len(record.clients["num_samples"]))
    for name, column in record.clients.items():
        _put(clients, name, column, ("1", CLIENT_FIELDS[name]), (scale,))
    _fill_evaluation(file.create_group("evaluation"), record.evaluation)
    if record.answers:
        _fill_answers(file.create_group("answers"), record.answers)
    for name, columns in record.curves.items():
        _fill_curve(file.create_group(name), CURVES[name], columns)
    model = file.create_group("model")
    params = model.create_dataset("params", data=record.params)
    params.dims[0].attach_scale(_dimension(model, "parameter", len(record.params)))
    params.attrs["units"] = "1"
    params.attrs["names"] = list(record.layout[0])
    params.attrs["shapes"] = [json.dumps(shape) for shape in record.layout[1]]
    params.attrs["description"] = "flat float32 parameters; arrays (out, ...), row-major, in order"
    checkpoint = file.create_group("checkpoint")
    for name, value in record.checkpoint.items():
        checkpoint[name] = value
        checkpoint[name].attrs["units"] = "1"
        checkpoint[name].attrs["description"] = CHECKPOINT_FIELDS[name]
        for axis, length in enumerate(np.shape(value)):
            scale = _dimension(checkpoint, ("moment", "parameter")[axis], length)
            checkpoint[name].dims[axis].attach_scale(scale)
    _fill_attempts(file.create_group("attempts"), record.attempts)


def _fill_participations(group: h5py.Group, log: Log) -> None:
    columns = log.rows()
    scale = _scale(group, "participation", len(columns["client"]))
    for name, (_, unit, meaning) in {**PARTICIPATION_FIELDS, **log.figures}.items():
        data = _put(group, name, columns[name], (unit, meaning), (scale,))
        if name not in ("round", "client"):
            data.attrs["coordinates"] = "round client"


def _fill_activity(group: h5py.Group, log: Log) -> None:
    counts = np.stack(log.activity)  # (R, L, 3)
    scales = (_round_scale(group, log.num_rounds), _scale(group, "layer", counts.shape[1]))
    for index, (name, (dtype, unit, meaning)) in enumerate(ACTIVITY_FIELDS.items()):
        _put(group, name, counts[..., index].astype(dtype), (unit, meaning), scales)


def _fill_groups(group: h5py.Group, log: Log) -> None:
    sent = np.stack(log.groups)  # (R, G)
    scales = (_round_scale(group, log.num_rounds), _scale(group, "group", sent.shape[1]))
    for name, (dtype, unit, meaning) in GROUP_FIELDS.items():
        _put(group, name, sent.astype(dtype), (unit, meaning), scales)


def _fill_late(group: h5py.Group, log: Log) -> None:
    columns = log.late_rows()
    scale = _scale(group, "selection", len(columns["client"]))
    for name, (dtype, unit, meaning) in LATE_FIELDS.items():
        _put(group, name, columns[name].astype(dtype), (unit, meaning), (scale,))


def _fill_evaluation(group: h5py.Group, evaluation: Mapping[str, Any]) -> None:
    if not evaluation:
        return
    group.attrs["split"], group.attrs["round"] = evaluation["split"], evaluation["round"]
    scales = {
        name: _put(group, name, evaluation[name], ("", f"names along {name}"), ())
        for name in NAMED
        if name in evaluation
    }
    for name, scale in scales.items():
        scale.make_scale(name)
    for name, (dimensions, unit, meaning) in EVALUATION_FIELDS.items():
        if name not in evaluation:
            continue  # not every engine gives confidences, and schema 1 had none
        axes = tuple(scales[dimension] for dimension in dimensions)
        _put(group, name, np.asarray(evaluation[name]), (unit, meaning), axes)
    _fill_examples(group.create_group("example_spikes"), evaluation["example_spikes"])
    if "example_units" in evaluation:
        _fill_columns(group.create_group("example_units"), UNIT_FIELDS, evaluation["example_units"])


def _fill_answers(group: h5py.Group, answers: Mapping[str, Mapping[str, Array]]) -> None:
    """Write a group for each set of samples."""
    for name, columns in answers.items():
        _fill_columns(group.create_group(name), ANSWER_FIELDS, columns)


def _fill_curve(
    group: h5py.Group,
    fields: Mapping[str, tuple[tuple[str, ...], str, str]],
    columns: Mapping[str, Array],
) -> None:
    """Write columns along the first of ``fields``, which is their axis, and what has others."""
    axis = next(iter(fields))
    scale = _put(group, axis, columns[axis], fields[axis][1:], ())
    scale.make_scale(axis)
    scales = {axis: scale}
    for name, values in columns.items():
        dimensions, *text = fields[name]
        for other, length in zip(dimensions, values.shape, strict=True):
            if other not in scales:
                scales[other] = _scale(group, other, length)
        if name != axis:
            _put(group, name, values, (text[0], text[1]), tuple(scales[one] for one in dimensions))


def _fill_columns(
    group: h5py.Group,
    fields: Mapping[str, tuple[tuple[str, ...], str, str]],
    columns: Mapping[str, Array],
) -> None:
    """Write arrays whose dimensions, unit and meaning ``fields`` say; each axis has a scale."""
    found = dict[str, h5py.Dataset]()
    for name, values in columns.items():
        dimensions, unit, meaning = fields[name]
        for axis, length in zip(dimensions, values.shape, strict=True):
            if axis not in found:
                found[axis] = _scale(group, axis, length)
        _put(group, name, values, (unit, meaning), tuple(found[axis] for axis in dimensions))


def _fill_examples(group: h5py.Group, examples: Mapping[str, Array]) -> None:
    """Write a few samples' input and spikes; each axis has a scale, which xarray asks for."""
    found: dict[str, h5py.Dataset] = {}
    for name, values in examples.items():
        axes = ("sample", *AXES[values.ndim]) if name == "input" else ("sample", "bin", name)
        if name.startswith("hidden"):
            axes = ("sample", "bin", f"{name}_neuron")
        names = axes[: values.ndim]
        for axis, length in zip(names, values.shape, strict=True):
            if axis not in found:
                found[axis] = _scale(group, axis, length)
        meaning = "label" if name == "label" else f"by ({', '.join(names)})"
        _put(group, name, values, ("1", meaning), tuple(found[axis] for axis in names))


def _fill_attempts(group: h5py.Group, attempts: list[dict[str, Any]]) -> None:
    scale = _scale(group, "attempt", len(attempts))
    for name, meaning in ATTEMPT_FIELDS.items():
        column = _column([attempt[name] for attempt in attempts])
        unit = "s" if name.startswith("seconds_") else "1"
        _put(group, name, column, (unit, meaning), (scale,))


def _round_scale(group: h5py.Group, num_rounds: int) -> h5py.Dataset:
    data = _scale(group, "round", num_rounds, first=1)
    data.attrs["units"], data.attrs["description"] = "1", ROUND_MEANING
    return data


def _scale(group: h5py.Group, name: str, length: int, first: int = 0) -> h5py.Dataset:
    data = group.create_dataset(name, data=np.arange(first, first + length))
    data.make_scale(name)
    return data


def _dimension(group: h5py.Group, name: str, length: int) -> h5py.Dataset:
    """Return a dimension that has a name and a length and no values, as netCDF writes it."""
    data = group.create_dataset(name, (length,), ">f4")
    data.make_scale(f"This is a netCDF dimension but not a netCDF variable.{length:10d}")
    return data


def _put(
    group: h5py.Group,
    name: str,
    values: Array,
    text: tuple[str, str],
    scales: tuple[h5py.Dataset, ...],
) -> h5py.Dataset:
    options = {"compression": "gzip", "shuffle": True} if values.nbytes > 1 << 14 else {}
    if values.dtype.kind in "OU":
        options = {"dtype": h5py.string_dtype()}
        values = values.astype(object)
    data = group.create_dataset(name, data=values, **options)
    data.attrs["units"], data.attrs["description"] = text
    for axis, scale in enumerate(scales):
        data.dims[axis].attach_scale(scale)
    return data


def _column(values: list[Any]) -> Array:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)
