"""From text and --set to an experiment, and back; which keys a digest covers."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hpcfed.config.file import (
    build_experiment,
    changed_keys,
    digest,
    key_paths,
    parse_experiment,
    read_experiment,
    to_toml,
)
from hpcfed.errors import InputError
from hpcfed.learning.engines import resolve_engine
from hpcfed.sweep.planning.grid import cells
from hpcfed.sweep.planning.searches import corners
from hpcfed.sweep.planning.sweepfile import read_sweep
from tests.places import REPOSITORY

# another valid value for every key; "with" holds what it needs beside it
OTHER = {
    "name": '"other"',
    "seed": "18446744073709551615",
    "data.dataset": '"shd"',
    "data.test": '"test.h5"',
    "data.root": '"elsewhere"',
    "data.classes": "[3, 1]",
    "data.duration": "0.9",
    "data.num_bins": "110",
    "data.counts": "true",
    "data.crop": "[26, 26]",
    "data.validation_fraction": "0.25",
    "data.split_seed": "1",
    "data.test_fraction": "0.2",
    "data.folds": "4",
    "data.fold": "1",
    "data.time_jitter": "0.01",
    "data.channel_jitter": "2",
    "data.encoder": '"poisson"',
    "data.drop": "0.1",
    "partition.kind": '"iid"',
    "partition.num_clients": "5",
    "partition.alpha": "0.7",
    "partition.classes_per_client": "3",
    "model.kind": '"ann"',
    "model.hidden": "[64, 32]",
    "model.recurrent": "true",
    "model.neuron": '"alif"',
    "model.tau_mem": "0.03",
    "model.tau_syn": "0.02",
    "model.tau_adapt": "0.3",
    "model.threshold": "0.5",
    "model.beta": "0.3",
    "model.surrogate": '"tanh"',
    "model.surrogate_slope": "20.0",
    "model.reset_gradient": '"full"',
    "model.readout": '"max"',
    "model.init": '"normal"',
    "model.init_scale": "2.0",
    "model.warm_start": '"other/run.h5"',
    "model.norm": '"bntt"',
    "model.norm_shift": "true",
    "model.leak": "0.9",
    "model.reset": '"zero"',
    "model.fire_first": "true",
    "model.surrogate_scale": "0.3",
    "client.engine": '"norse"',
    "client.epochs": "3",
    "client.steps": "4",
    "client.batch_size": "16",
    "client.optimizer": '"sgd"',
    "client.learning_rate": "0.01",
    "client.schedule": '"cosine"',
    "client.schedule_rounds": "10",
    "client.schedule_factor": "0.5",
    "client.momentum": "0.9",
    "client.weight_decay": "0.1",
    "client.proximal": "0.1",
    "client.clip_norm": "1.0",
    "client.rate_lower": "0.01",
    "client.rate_upper": "0.5",
    "client.rate_strength": "2.0",
    "client.precision": '"tf32"',
    "client.potentials": '"bfloat16"',
    "client.threads": "2",
    "client.drop_last": "true",
    "client.teacher": '"other/run.h5"',
    "client.teacher_weight": "0.3",
    "client.teacher_temperature": "4.0",
    "client.teacher_trust": "true",
    "client.schedule_milestones": "[3, 5]",
    "participation.clients_per_round": "2",
    "participation.straggler_probability": "0.1",
    "participation.first_is_on_time": "true",
    "participation.drop_probability": "[0.1, 0.2]",
    "uplink.mask": '"top-k"',
    "uplink.mask_probability": "0.25",
    "uplink.groups": "3",
    "uplink.dtype": '"int8"',
    "uplink.error_feedback": "true",
    "uplink.transport": '"gather"',
    "data.crop_padding": "2",
    "data.flip": "true",
    "model.norm_dense": "false",
    "model.norm_federate": '"affine"',
    "model.norm_freeze_after": "3",
    "model.norm_variance": '"pooled"',
    "model.residual": '"spike-add"',
    "model.activation": '"relu"',
    "model.repeat.depth": "3",
    "model.repeat.depths": "[2, 4]",
    "model.repeat.drawn": "true",
    "model.repeat.step": "1",
    "model.repeat.time": "false",
    "model.repeat.neurons": '"carried"',
    "model.repeat.evaluated": "6",
    "model.repeat.curve": "[1, 6]",
    "model.soft_lif.sigma": "0.05",
    "model.soft_lif.tau_ref": "0.003",
    "model.soft_lif.tau_rc": "0.05",
    "model.soft_lif.amplitude": "0.05",
    "model.soft_lif.gain": "0.825",
    "model.soft_lif.bias": "0.5",
    "model.soft_lif.noise": "10.0",
    "model.soft_lif.synapse": "0.005",
    "model.soft_lif.settle": "0.05",
    "model.soft_lif.windows": "[0.1, 0.2]",
    "uplink.noise": "0.5",
    "partition.min_samples": "4",
    "partition.seed": "3",
    "server.rounds": "7",
    "server.average": '"all"',
    "server.rescale": "true",
    "server.client_weights": '"uniform"',
    "server.optimizer": '"momentum"',
    "server.learning_rate": "0.5",
    "server.momentum": "0.8",
    "server.on_rejected": '"stop"',
    "stop.silent.alpha": "3",
    "stop.silent.beta": "0.5",
    "stop.silent.rounds": "2",
    "stop.saturated": "0.5",
    "stop.diverged": "false",
    "run.eval_every": "5",
    "run.checkpoint_seconds": "0.0",
    "run.on_rank_failure": '"stop"',
    "run.max_restarts": "1",
    "run.watchdog_min": "1.0",
    "run.track": '["tensorboard", "wandb"]',
    "rule.kind": '"tests.toy_world:RULE"',
    "rule.binary.start": "2.0",
    "rule.binary.limit": "5.5",
    "rule.binary.scale": "3.0",
    "rule.binary.sends": '"bits"',
    "rule.binary.merge": '"majority"',
    "rule.binary.vote_clip": "0.02",
    "rule.bayes.prior": "0.3",
    "rule.bayes.strength": "0.0",
    "rule.bayes.temperature": "0.5",
    "rule.bayes.noise": '"bin"',
    "rule.local.tau_ref": "0.003",
    "rule.circuit.hidden": "3",
    "rule.circuit.values": "3",
    "rule.circuit.bases": "4",
    "rule.circuit.window": "12",
    "rule.circuit.width": "1.5",
    "rule.circuit.feedback": "true",
    "rule.circuit.lateral": "true",
    "rule.circuit.kappa": "0.3",
    "rule.circuit.beta": "0.1",
    "rule.circuit.gamma": "0.5",
    "rule.circuit.silence": "0.6",
    "rule.circuit.smoothing": '"signal"',
    "rule.circuit.start": "0.1",
    "rule.circuit.every": "2",
    "rule.circuit.bins": "7",
    "rule.stdp.neurons": "64",
    "rule.stdp.blocks": "5",
    "rule.stdp.prediction": '"counts"',
    "rule.stdp.intensity": "63.5",
    "rule.stdp.norm": "16.0",
    "rule.stdp.start": "0.2",
    "rule.stdp.depression": "0.02",
    "rule.stdp.tau_trace": "0.03",
    "rule.stdp.excitation": "30.0",
    "rule.stdp.inhibition": "17.5",
    "rule.stdp.excitatory.tau": "0.2",
    "rule.stdp.excitatory.rest": "-66.0",
    "rule.stdp.excitatory.reset": "-61.0",
    "rule.stdp.excitatory.threshold": "-51.0",
    "rule.stdp.excitatory.refractory": "0.02",
    "rule.stdp.excitatory.theta_plus": "0.1",
    "rule.stdp.excitatory.tau_theta": "100.0",
    "rule.stdp.inhibitory.tau": "0.02",
    "rule.stdp.inhibitory.rest": "-61.0",
    "rule.stdp.inhibitory.reset": "-46.0",
    "rule.stdp.inhibitory.threshold": "-41.0",
    "rule.stdp.inhibitory.refractory": "0.01",
    "rule.local.burn_in": "4",
    "evaluation.draws": "3",
    "evaluation.answers": "true",
    "evaluation.unknown": "true",
    "data.generated.seed": "1",
    "data.generated.samples": "40",
    "data.generated.test_samples": "50",
    "data.generated.noise": "0.2",
    "data.generated.neurons": "5",
}
TABLES = {"model.own", "rule.own"}  # of the user's own code, with any keys
BLOCK = ['model.hidden=["4c3", ["repeat", "4c3"]]', "model.repeat.depth=2"]
STDP = ["rule.kind=stdp", "client.optimizer=sgd", "rule.stdp.tau_trace=0.04"]
NEEDS = {
    "partition.kind": ["partition.num_clients=4"],
    **{f"data.{name}": ["data.dataset=digits"] for name in ("encoder", "crop_padding", "flip")},
    **{
        f"model.{name}": ["model.norm=batch"]
        for name in (
            "norm_shift",
            "norm_dense",
            "norm_federate",
            "norm_freeze_after",
            "norm_variance",
        )
    },
    "model.residual": ["model.hidden=[8, [8, 8]]"],
    "model.activation": ["model.kind=ann"],
    "data.folds": ["data.folds=3", "data.fold=2"],
    "data.fold": ["data.folds=3", "data.fold=2"],
    "partition.seed": ["partition.kind=iid", "partition.num_clients=4"],
    "partition.min_samples": ["partition.kind=dirichlet-capped", "partition.num_clients=4"],
    **{f"model.{name}": ["model.neuron=leaky"] for name in ("leak", "reset", "fire_first")},
    "client.momentum": ["client.optimizer=sgd"],
    **{
        f"client.teacher_{name}": ["client.teacher=run.h5"]
        for name in ("weight", "temperature", "trust")
    },
    **{f"client.{name}": ["client.engine=gpu"] for name in ("precision", "potentials")},
    "client.schedule_milestones": ["client.schedule=milestones", "client.schedule_milestones=[9]"],
    "participation.first_is_on_time": ["participation.straggler_probability=0.1"],
    "uplink.mask_probability": ["uplink.mask=bernoulli"],
    "uplink.groups": ["uplink.mask=groups", "uplink.groups=2"],
    **{
        f"rule.circuit.{name}": ["rule.kind=wta", "rule.circuit.bases=6", "client.optimizer=sgd"]
        for name in (
            *("hidden", "values", "bases", "window", "width", "feedback", "lateral", "kappa"),
            *("beta", "gamma", "silence", "smoothing", "start", "every", "bins"),
        )
    },
    **{key: STDP for key in OTHER if key.startswith("rule.stdp.")},
    "rule.stdp.intensity": [*STDP, "data.dataset=digits", "data.num_bins=200"],
    "rule.stdp.blocks": [
        *(*STDP, "rule.stdp.blocks=4", "server.average=received"),
        *("uplink.mask=groups", "uplink.groups=1"),
    ],
    **{
        f"rule.binary.{name}": [
            *("rule.kind=bayes", "rule.binary.limit=5.0", "rule.binary.sends=bits"),
            "uplink.dtype=sign",
        ]
        for name in ("start", "limit", "scale", "merge", "vote_clip")
    },
    "rule.binary.sends": ["rule.kind=bayes", "rule.binary.limit=5.0", "uplink.dtype=sign"],
    **{
        f"rule.bayes.{name}": ["rule.kind=bayes", "rule.bayes.prior=0.4"]
        for name in ("prior", "strength", "temperature", "noise")
    },
    **{f"model.repeat.{name}": BLOCK for name in ("step", "time", "neurons", "evaluated", "curve")},
    **{
        f"model.soft_lif.{name}": [
            *("model.kind=soft-lif", "data.num_bins=1000", "model.soft_lif.bias=0.9"),
            "model.soft_lif.sigma=0.03",
        ]
        for name in (
            *("sigma", "tau_ref", "tau_rc", "amplitude", "gain", "bias", "noise", "synapse"),
            *("settle", "windows"),
        )
    },
    "model.repeat.depth": [BLOCK[0], "model.repeat.step=1"],
    "model.repeat.depths": [BLOCK[0], "model.repeat.step=1"],
    "model.repeat.drawn": [BLOCK[0], "model.repeat.depths=[3, 5]"],
    "rule.local.tau_ref": ["rule.kind=local", "rule.local.burn_in=3"],
    "rule.local.burn_in": ["rule.kind=local", "rule.local.burn_in=3"],
    "evaluation.draws": ["rule.kind=bayes", "evaluation.answers=false"],
    "evaluation.answers": ["rule.kind=bayes", "evaluation.draws=2"],
    "evaluation.unknown": ["data.classes=[0, 1]", "evaluation.answers=false"],
    **{
        f"data.generated.{name}": ["data.dataset=two-moons", "data.generated.samples=30"]
        for name in ("seed", "samples", "test_samples", "noise", "neurons")
    },
    **{
        f"stop.{name}": ["stop.saturated=0.9"]
        for name in ("silent.alpha", "silent.beta", "silent.rounds", "saturated", "diverged")
    },
}
FREE = {"data.root", "name", "uplink.transport", "client.threads", "server.rounds"}


def test_the_table_above_covers_every_key() -> None:
    assert set(OTHER) | TABLES == set(key_paths())


@pytest.mark.parametrize("key", OTHER)
def test_the_digest_covers_exactly_the_keys_that_can_change_a_result(key: str) -> None:
    base = NEEDS.get(key, [])
    old, new = parse_experiment("", base), parse_experiment("", [*base, f"{key}={OTHER[key]}"])
    free = key in FREE or key.startswith("run.")
    assert (digest(old) == digest(new)) == free
    assert (key in changed_keys(old, new)) != free
    others = {"client.epochs", "client.steps"} if key == "client.steps" else {key}
    assert set(changed_keys(old, new)) <= others


@pytest.mark.parametrize("key", OTHER)
def test_an_experiment_survives_its_own_toml(key: str) -> None:
    experiment = parse_experiment("", [*NEEDS.get(key, []), f"{key}={OTHER[key]}"])
    again = parse_experiment(to_toml(experiment))
    assert again == experiment
    assert digest(again) == digest(experiment)


def test_a_whole_number_and_its_float_are_the_same_experiment() -> None:
    whole = parse_experiment("", ["data.duration=1", "participation.drop_probability=0"])
    real = parse_experiment("", ["data.duration=1.0", "participation.drop_probability=0.0"])
    assert digest(whole) == digest(real)
    assert to_toml(whole) == to_toml(real)


def test_the_written_toml_spells_out_every_default() -> None:
    experiment = parse_experiment("")
    again = parse_experiment(to_toml(experiment).replace("batch_size = 32", "batch_size = 8"))
    assert again.client.batch_size == 8
    assert "tau_mem = 0.02" in to_toml(experiment)


def test_set_takes_any_toml_value_and_else_a_string() -> None:
    experiment = parse_experiment(
        "", ["model.hidden=[3, 4]", "server.rescale=true", "name=a b", 'data.dataset="shd"']
    )
    assert experiment.model.hidden == (3, 4)
    assert experiment.server.rescale is True
    assert (experiment.name, experiment.data.dataset) == ("a b", "shd")


def test_the_last_set_of_a_key_wins_over_earlier_ones_and_the_file() -> None:
    text = "[server]\nrounds = 5"
    assert parse_experiment(text, ["server.rounds=6", "server.rounds=7"]).server.rounds == 7


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_experiment("", ["data.dataset=a=b.h5"]).data.dataset == "a=b.h5"


@pytest.mark.parametrize("item", ["server.rounds", "=3", "", " = 3"])
def test_a_set_without_key_or_value_says_what_is_expected(item: str) -> None:
    with pytest.raises(InputError, match="KEY=VALUE"):
        parse_experiment("", [item])


def test_a_set_below_a_value_is_an_error() -> None:
    with pytest.raises(InputError, match=r"seed is a value"):
        parse_experiment("seed = 3", ["seed.low=1"])
    with pytest.raises(InputError, match="client"):
        parse_experiment("client = 3", ["client.steps=2"])


def test_setting_steps_clears_epochs_and_the_reverse() -> None:
    steps = parse_experiment("[client]\nepochs = 5", ["client.steps=2"]).client
    assert (steps.epochs, steps.steps) == (None, 2)
    epochs = parse_experiment("[client]\nsteps = 5", ["client.epochs=2"]).client
    assert (epochs.epochs, epochs.steps) == (2, None)
    both = parse_experiment("", ["client.epochs=2", "client.steps=3"]).client
    assert (both.epochs, both.steps) == (None, 3)


def test_steps_and_epochs_in_one_file_are_an_error() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        parse_experiment("[client]\nsteps = 5\nepochs = 2")


def test_one_epoch_by_default_and_by_name_are_the_same_experiment() -> None:
    assert digest(parse_experiment("")) == digest(parse_experiment("", ["client.epochs=1"]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"rounds = = 3", "not valid TOML"),
        (b"[server]\nrounds = 3\nrounds = 4", "not valid TOML"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_experiment(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError) as caught:
            read_experiment(path)
        assert str(caught.value).startswith(str(path))


def test_a_nested_dict_is_checked_like_a_file() -> None:
    assert build_experiment({"server": {"rounds": 3}}, "cell 4").server.rounds == 3
    with pytest.raises(InputError, match=r"^cell 4: server\.rounds"):
        build_experiment({"server": {"rounds": "3"}}, "cell 4")


RUNS = {
    "tradeoff": 72,
    "bisnn_digits": 6 * 5,
    "two_moons_ways": 10 * 5,
    "fl_snn_tau": 4 * 3 * 5,
    "vowel": 4 * 5,
    "stdp_merges": 7 * 5,
    "ode_digits_depths": 4 * 3 * 5,
    "ode_digits_spiking": 2 * 3 * 5,
    "ode_cifar_depths": 6 * 3,
    "soft_lif_noise": 2 * 3 * 5,
    "tradeoff_shd": 72,
    "digits_clients": 2 * 3 * 5,
    "digits_stragglers": 2 * 3 * 3,
    "fedsnn_clients": 3 * 3 * (2 * 7 - 1),
    "fedsnn_skew": 3 * 3 * 4,
    "fedsnn_stragglers": 3 * 3 * 5,
    "fedsnn_noise": 3 * 3 * 11,
}


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.toml")), ids=lambda p: p.stem)
def test_every_job_of_the_repository_is_valid(path: Path) -> None:
    if "base" in tomllib.loads(path.read_text()):  # a sweep
        sweep = read_sweep(path)
        if sweep.search is not None:
            ends = corners(sweep.search, resolve_engine)
            assert len(ends) == 2 * len(sweep.search.space.parameters)
        else:
            assert len(cells(sweep)) == RUNS[path.stem]
    else:
        assert read_experiment(path).name == path.stem


def test_a_path_may_be_text(tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text("seed = 3\n")
    assert read_experiment(str(job)) == read_experiment(job)
