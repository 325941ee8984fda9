"""What a run file holds: names, types, units and meanings.

Schema 1 had tables by (round, client) where schema 2 has a row for each participation, and no
columns of a rule's own; both are read.
"""

from __future__ import annotations

from typing import Any  # Any: an HDF5 attribute is of any scalar type

from hpcfed.errors import InputError

FORMAT = "hpcfed-run"
SCHEMA_VERSION = 2
READ_VERSIONS = (1, 2)
RUN_FILE = "run.h5"
TRACKED_AS = "tracked_as"  # attribute of runs that are tracked: by what trackers know them
TRACKING_ERROR = "tracking_error"  # attribute: what failed of tracking since the last start

ROUND_MEANING = "rounds done, counted from 1"
Field = tuple[str, str, str]  # dtype, unit, meaning
FIGURE = "f8"  # dtype of a rule's own figures: further columns of rounds and participations
ROUND_FIELDS: dict[str, Field] = {
    "train_loss": ("f8", "nat", "mean local loss of the accepted clients, weighted by samples"),
    "validation_accuracy": ("f8", "1", "fraction right on validation; NaN when not evaluated"),
    "validation_loss": ("f8", "nat", "mean loss on validation; NaN when not evaluated"),
    "test_accuracy": ("f8", "1", "fraction right on test; NaN when not evaluated"),
    "test_loss": ("f8", "nat", "mean loss on test; NaN when not evaluated"),
    **{
        f"{split}_{name}": ("f8", "1", f"{meaning} on {split}; NaN: not evaluated, or not known")
        for split in ("validation", "test")
        for name, meaning in {
            "calibration_error": "expected calibration error, 15 bins,",
            "brier_score": "mean squared distance of probabilities and truth, 0 to 2,",
            "map_accuracy": "fraction right by the most probable weights, beside a committee,",
            "map_calibration_error": "expected calibration error of these, 15 bins,",
            "map_brier_score": "Brier score of these",
            "rate_accuracy": "fraction right by the rates of neurons whose spikes answer,",
        }.items()
    },
    **{
        f"{split}_{name}": ("f8", "nat", f"{meaning} on {split}; NaN: not evaluated, or not known")
        for split in ("validation", "test")
        for name, meaning in {
            "map_loss": "mean loss of the most probable weights, beside a committee,",
            "entropy": "mean entropy of the probabilities",
            "expected_entropy": "mean entropy of those of one member of a committee",
            "mutual_information": "entropy minus expected entropy: how members differ,",
            "rate_loss": "mean loss of the rates of neurons whose spikes answer,",
        }.items()
    },
    "num_participants": ("i8", "1", "clients that trained this round"),
    "silent_samples": ("f8", "1", "largest part, over hidden layers, of silent training samples"),
    "saturated_samples": ("f8", "1", "the same of saturated ones"),
    "silent_neurons": (
        "f8",
        "1",
        "largest part, over hidden layers, of neurons without a spike on validation; NaN: not "
        "evaluated, or not counted",
    ),
    "saturated_neurons": (
        "f8",
        "1",
        "the same of those that spike in stop.saturated (0.95) of bins",
    ),
    "spikes_per_sample": ("f8", "1", "spikes of all hidden neurons on validation, a sample"),
    "accumulates_per_sample": (
        "f8",
        "1",
        "what enters all matrices on validation times the neurons reached, a sample: a spike costs "
        "an accumulate (docs/studies.md)",
    ),
    "num_late": ("f8", "1", "clients that were selected, were late and sent nothing"),
    "num_rejected": ("i8", "1", "updates left out: not finite, or reaching 2^12"),
    "uplink_values": ("i8", "1", "values sent by all participants"),
    "uplink_bytes_seed": ("f8", "B", "uplink as values and mask seeds; NaN: a seed cannot say it"),
    "uplink_bytes_bitmask": ("f8", "B", "uplink as values and one bit per entry"),
    "uplink_bytes_coordinates": ("f8", "B", "uplink as values and one index per value"),
    "downlink_bytes": ("f8", "B", "full model to each participant"),
    "predicted_bytes": ("f8", "B", "expected payload through MPI: updates and model"),
    "mpi_bytes": ("f8", "B", "payload moved through MPI: updates and model"),
    "seconds_train": ("f8", "s", "local training, mean over ranks"),
    "seconds_communicate": ("f8", "s", "inside collectives, mean over ranks"),
    "seconds_wait": ("f8", "s", "waiting for other ranks, mean over ranks"),
    "seconds_evaluate": ("f8", "s", "evaluation, mean over ranks"),
    "seconds_write": ("f8", "s", "writing the run file before this round, at the root"),
    "hidden_rate": ("f8", "1", "spikes per hidden neuron and bin in training; NaN for an ANN"),
    "learning_rate": ("f8", "1", "local learning rate of the round"),
    "params_digest": ("S64", "", "SHA-256 of the global parameters after the round"),
}
PARTICIPATION_FIELDS: dict[str, Field] = {
    "round": ("i8", "1", "round in which the client trained, counted from 1"),
    "client": ("i8", "1", "number of the client, counted from 0"),
    "train_loss": ("f4", "nat", "mean local training loss"),
    "update_norm": ("f4", "1", "L2 norm of the local update"),
}
# name -> meaning
CLIENT_FIELDS = {
    "num_samples": "training samples",
    "group": "largest group among its samples",
    "depth": "iterations of the network's repeated block",
}
LATE_FIELDS: dict[str, Field] = {
    "round": ("i8", "1", "round for which the client was selected, counted from 1"),
    "client": ("i8", "1", "number of a client that was late and sent nothing, counted from 0"),
}
# by round and hidden layer, of training; "spikes" are those of a sample and layer in all bins
ACTIVITY_FIELDS: dict[str, Field] = {
    "samples": ("i8", "1", "samples trained on by clients whose updates count"),
    "silent": ("i8", "1", "of these, with fewer spikes than stop.silent.alpha (1)"),
    "saturated": ("i8", "1", "of these, with at least stop.saturated (0.95) of all spikes"),
}
# by round and group of entries, where a client sends its most important ones
GROUP_FIELDS: dict[str, Field] = {
    "sent": ("i8", "1", "clients that sent some of the group, and whose updates count"),
}
# the names of the dimensions' entries, which are stored as they are
NAMED = ("label", "prediction", "group", "layer", "confidence_bin", "weights")
# of an example's input, by its number of dimensions: events in time, images
AXES = {1: (), 3: ("bin", "channel"), 4: ("channel", "row", "column")}
# name -> (dimensions, unit, meaning); the names of the dimensions' entries are stored beside them
EVALUATION_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "confusion": (("label", "prediction"), "1", "samples by label and prediction"),
    "group_accuracy": (("group",), "1", "fraction right by group; NaN: no samples of it"),
    "layer_rates": (("layer",), "1", "spikes per neuron and bin of each hidden layer"),
    "layer_neurons": (("layer",), "1", "neurons of each hidden layer"),
    "input_rate": ((), "1", "spikes per channel and bin of the input"),
    "operations": (("weights",), "1", "multiply-accumulates of a matrix, a sample and a bin"),
    "entering": (("weights",), "1", "part of what enters a matrix in a bin that is not zero"),
    "entering_value": (("weights",), "1", "mean magnitude of what enters it in a bin"),
    "confidence_samples": (("confidence_bin",), "1", "samples by confidence, to a bin's upper end"),
    "confidence_correct": (("confidence_bin",), "1", "those of them that are right"),
    "mean_confidence": (("confidence_bin",), "1", "their mean confidence; NaN: none"),
}
# name -> (dimensions, unit, meaning), by set of samples, after the last round
ANSWER_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "label": (("sample",), "1", "class; -1: of none that the network knows"),
    "probability": (("sample", "class"), "1", "what the network says, or the committee's mean"),
    "deviation": (("sample", "class"), "1", "standard deviation over the members; NaN: no members"),
    "entropy": (("sample",), "nat", "of the probabilities"),
    "expected_entropy": (("sample",), "nat", "mean of the members' entropies; NaN: no members"),
    "coordinate": (("sample", "axis"), "1", "the point that a sample encodes"),
    "target": (("sample",), "1", "how much of the second class there is"),
}
# the same after the last round with other numbers of iterations of a repeated block
DEPTH_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "depth": (("depth",), "1", "iterations of the repeated block"),
    "operations": (("depth",), "1", "multiply-accumulates, a sample and a bin"),
    "validation_accuracy": (("depth",), "1", "fraction right on validation; NaN: there is none"),
    "validation_loss": (("depth",), "nat", "mean loss on validation; NaN: there is none"),
    "test_accuracy": (("depth",), "1", "fraction right on test; NaN: there is none"),
    "test_loss": (("depth",), "nat", "mean loss on test; NaN: there is none"),
}
# of an ANN that became a spiking network: how that one does after so many steps
STEP_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "steps": (("steps",), "1", "time steps for which an image is shown"),
    "validation_accuracy": (("steps",), "1", "fraction right on validation; NaN: there is none"),
    "validation_loss": (("steps",), "nat", "mean loss on validation; NaN: there is none"),
    "test_accuracy": (("steps",), "1", "fraction right on test; NaN: there is none"),
    "test_loss": (("steps",), "nat", "mean loss on test; NaN: there is none"),
    "ann_validation_accuracy": ((), "1", "fraction that the ANN has right on validation"),
    "ann_test_accuracy": ((), "1", "fraction that the ANN has right on test"),
    "activation": (("layer",), "1", "activation of the ANN that a spike in every step stands for"),
}
# the same over other windows, of neurons that learn by rates and answer by spikes
WINDOW_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "window": (("window",), "s", "time over which spikes are counted"),
    **{
        f"{split}_{name}": (("window",), unit, f"{meaning} on {split}; NaN: there is none")
        for split in ("validation", "test")
        for name, unit, meaning in (
            ("accuracy", "1", "fraction right by spikes"),
            ("loss", "nat", "mean loss by spikes"),
            ("rate_accuracy", "1", "fraction right by rates, which know no window,"),
            ("spikes_per_sample", "1", "spikes of all hidden neurons, a sample,"),
        )
    },
}
# what is said of the last network along an axis, which is the first column of each
CURVES = {"depths": DEPTH_FIELDS, "windows": WINDOW_FIELDS, "steps": STEP_FIELDS}
# the same of units with probabilities, in a few samples of the last evaluation
UNIT_FIELDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "potential": (("sample", "bin", "unit_value"), "1", "hidden units, then outputs, by value"),
    "probability": (("sample", "bin", "unit"), "1", "of a spike of any value"),
    "value": (("sample", "bin", "unit"), "1", "of the spike; 0: silence"),
    "label": (("sample",), "1", "class"),
}
CHECKPOINT_FIELDS = {
    "round": "rounds done",
    "moments": "server optimiser's moments by (moment, parameter); empty for plain",
    "memory": "name of the file of what clients keep between rounds, beside this one; empty: none",
}
ATTEMPT_FIELDS = {
    "started": "when the start was made, UTC",
    "ended": "how it ended: finished, stopped, killed or failed; empty while running",
    "num_ranks": "ranks of the start; after a loss those that are left",
    "hosts": "hosts of the ranks",
    "lost": "ranks of the job that had died before, by their first number and host; empty: none",
    "seconds_lost": "from the last write of the start before to this one, if a death lies between",
    "mpi": "MPI library",
    "versions": "packages that shape a result, as JSON",
    "first_round": "rounds done before",
    "last_round": "rounds done at its last write",
}


def check(attributes: Any) -> None:
    """Raise InputError unless a root group with these attributes is that of a run file we read."""
    if attributes.get("format") != FORMAT:
        raise InputError("not a run file of hpcfed")
    version = attributes.get("schema_version")
    if version not in READ_VERSIONS:
        is_newer = version is not None and version > SCHEMA_VERSION
        age, remedy = ("a newer", "; update hpcfed to read it") if is_newer else ("an older", "")
        raise InputError(
            f"schema version {version} of {age} hpcfed; this one reads "
            f"{READ_VERSIONS[0]} to {READ_VERSIONS[-1]}{remedy}"
        )
