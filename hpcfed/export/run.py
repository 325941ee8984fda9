"""A run file's network as a file of NIR: read, judged, and written whole or not at all.

T time bins, K classes. The graph's ``metadata`` says what a reader needs to know beside it: the
time step, how outputs become logits, what goes in, class names, and which run it comes from.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.config.model import ModelConfig
from hpcfed.config.own import own_code
from hpcfed.config.rule import STRAIGHT_THROUGH
from hpcfed.config.stack import Convolution, Pool, Residual, Separable, parse
from hpcfed.errors import InputError
from hpcfed.export.faults import faults
from hpcfed.export.graph import Drawing
from hpcfed.export.neurons import Time
from hpcfed.learning.equations import readout
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import stack_layout, stages
from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.samples.encoders import DIRECT, POISSON, SIGNED_POISSON
from hpcfed.samples.samples import Shape, shape_of

F32 = NDArray[np.float32]
_SHOWN = {
    DIRECT: "2 p / 255 - 1",
    POISSON: "1 with probability p / 255, else 0",
    SIGNED_POISSON: "the sign of x = 2 p / 255 - 1 with probability |x| / 2, else 0",
}
_PICTURES = 4  # axes of examples (n, C, H, W); events have (n, T, C)


@dataclass(frozen=True)
class Export:
    """What is asked for.

    Attributes:
        source: run file, or its folder.
        out: file to write.
        time_step: for which the file's time constants are written, s; None: the run's time bin.
        voltage: whether the graph ends in the readout's voltage, not in its currents.
        force: whether a file that is there is replaced.
        trust: whether code of the data that the run file names may be imported.
    """

    source: Path
    out: Path
    time_step: float | None = None
    voltage: bool = False
    force: bool = False
    trust: bool = False


def export(asked: Export) -> Path:
    """Write the network of a run as NIR; return the file's path.

    Raises InputError for a network that NIR cannot say, and for a file that is there or cannot be
    written; nothing is written then.
    """
    _check_free(asked)
    if asked.time_step is not None and not 0 < asked.time_step < math.inf:
        raise InputError(f"--time-step {asked.time_step:g}: expected seconds above 0, such as 1e-4")
    if importlib.util.find_spec("nir") is None:
        raise InputError("writing NIR needs the package nir; install it with: pip install nir")
    record = read_record(asked.source)
    experiment = parse_experiment(record.attributes["config_toml"], source=str(asked.source))
    try:
        content = _content(record, experiment, asked)
    except InputError as error:
        raise InputError(f"{asked.source}: cannot be written as NIR: {error}") from None
    try:
        with replacing(asked.out, lambda: _check_free(asked)) as stream:
            stream.write(content)
    except OSError as error:
        raise InputError(f"{asked.out}: cannot be written: {error.strerror or error}") from None
    return asked.out


def _check_free(asked: Export) -> None:
    if asked.out.is_dir():
        raise InputError(f"{asked.out}: is a folder; expected a file to write, such as net.nir")
    if not asked.out.exists():
        return
    if not asked.out.is_file():
        raise InputError(f"{asked.out}: is a device or a pipe; expected a file, such as net.nir")
    if asked.out.name == RUN_FILE or (asked.source.exists() and asked.out.samefile(asked.source)):
        raise InputError(f"{asked.out}: is a run file, which is not replaced; choose another name")
    if not asked.force:
        raise InputError(f"{asked.out}: is there already; replace it with --force")


def _content(record: Record, experiment: Experiment, asked: Export) -> bytes:
    """Return the file's bytes."""
    import nir

    if reasons := list(faults(experiment)):
        raise InputError("; ".join(reasons))
    shape, classes, of_pictures = _ends(record, experiment, asked)
    model, arrays = experiment.model, _arrays(record, experiment, shape)
    has_voltage = model.readout != "current"
    if asked.voltage and not has_voltage:
        raise InputError('model.readout = "current" has no voltage; leave --voltage out')
    voltage = asked.voltage or model.readout == "max"
    time = Time(experiment.dt, asked.time_step or experiment.dt)
    metadata = _run(record) | {
        "time_step": time.step,
        "time_bin": time.bin,
        "num_bins": experiment.data.num_bins,
        "class_names": json.dumps(classes),
        "input": _input(experiment, of_pictures),
        **_logits(experiment, voltage),
    }
    drawing = Drawing(model, time, arrays)
    stream = io.BytesIO()
    nir.write(stream, drawing.whole(stages(model, shape), voltage, metadata))
    return stream.getvalue()


def _ends(record: Record, experiment: Experiment, asked: Export) -> tuple[Shape, list[str], bool]:
    """Return what the network stands between, the classes' names, and whether it sees pictures.

    The last evaluation has both, but for rows and columns of a sensor: those are read with data.
    """
    found = record.evaluation.get("example_spikes", {}).get("input")
    if found is not None and (found.ndim == _PICTURES or not _sees_rows(experiment.model)):
        names = [str(name) for name in record.evaluation["label"]]
        axes = found.shape[1:] if found.ndim == _PICTURES else found.shape[2:]
        return Shape(tuple(axes), len(names)), names, found.ndim == _PICTURES
    from hpcfed.datasets import load
    from hpcfed.samples.images import ImageSet

    code = own_code(experiment).get("data.dataset")
    if code is not None and not asked.trust:
        raise InputError(
            f"the shape of its input is that of its data, which {code} makes; if you trust that "
            "code, export with --trust"
        )
    samples = load(experiment.data).train
    return shape_of(samples), list(samples.class_names), isinstance(samples, ImageSet)


def _sees_rows(model: ModelConfig) -> bool:
    """Say whether rows and columns of the input matter."""
    specs = [parse(entry) for entry in model.hidden]
    inner = [one for spec in specs for one in (spec.body if isinstance(spec, Residual) else [spec])]
    return any(isinstance(one, Convolution | Separable | Pool) for one in inner)


def _arrays(record: Record, experiment: Experiment, shape: Shape) -> Mapping[str, NDArray[Any]]:
    """Return the network's parts by name, as it is evaluated."""
    layout = stack_layout(experiment.model, shape, experiment.data.num_bins)
    if (layout.names, layout.shapes) != record.layout:
        raise InputError(
            f"its parts are {dict(zip(*record.layout, strict=True))}, its configuration and input "
            f"{shape.input} need {dict(zip(layout.names, layout.shapes, strict=True))}"
        )
    return layout.split(_params(experiment, layout, record.params))


def _params(experiment: Experiment, layout: Layout, params: F32) -> F32:
    if experiment.learning_rule.kind != STRAIGHT_THROUGH:
        return params
    from hpcfed.learning.rules.binary import binary_of, most_probable

    return most_probable(params, binary_of(experiment, layout))


def _run(record: Record) -> dict[str, Any]:
    from hpcfed import __version__

    digests = record.log.rounds["params_digest"]
    return {
        "written_by": f"hpcfed {__version__}",
        "run": str(record.attributes["name"]),
        "rounds": len(digests),
        "params_digest": _text(digests[-1]) if len(digests) else "",
        "config_digest": str(record.attributes["config_digest"]),
        "data_digest": str(record.attributes["data_digest"]),
        "config": str(record.attributes["config_toml"]),
    }


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _input(experiment: Experiment, of_pictures: bool) -> str:
    if of_pictures:
        return f"in each bin, of a pixel p: {_SHOWN[experiment.data.encoder or SIGNED_POISSON]}"
    return "spikes of a channel in a bin, " + ("counted" if experiment.data.counts else "0 or 1")


def _logits(experiment: Experiment, voltage: bool) -> dict[str, Any]:
    """Return how the outputs (T, K) of a sample become its logits (K,)."""
    num_bins, kind = experiment.data.num_bins, experiment.model.readout
    if kind == "max":
        return {"readout": kind, "logits": "the maximum of the output over bins"}
    weights = readout(experiment, np.float64).factors.astype(np.float64)
    if voltage and kind == "mean":
        weights = np.full(num_bins, 1 / num_bins)
    elif voltage:
        weights = np.eye(num_bins)[-1]
    return {
        "readout": kind,
        "logits": "readout_weights @ output, bin by bin",
        "readout_weights": weights,
    }
