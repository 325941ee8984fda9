"""The experiment's model: every key is there, every bad value is one clear message."""

from __future__ import annotations

import pytest

from hpcfed.config import Experiment
from hpcfed.config.file import key_paths, parse_experiment
from hpcfed.config.section import table_of
from hpcfed.errors import InputError

CONTRACT = """
name seed
data.dataset data.test data.classes data.duration data.num_bins data.counts
data.validation_fraction data.split_seed data.time_jitter data.channel_jitter data.drop
partition.kind partition.num_clients partition.alpha
model.kind model.hidden model.recurrent model.neuron model.tau_mem model.tau_syn model.tau_adapt
model.threshold model.beta model.surrogate model.surrogate_slope model.reset_gradient model.readout
model.init model.init_scale model.warm_start
client.engine client.epochs client.steps client.batch_size client.optimizer client.learning_rate
client.schedule client.momentum client.weight_decay client.proximal client.clip_norm
client.rate_lower client.rate_upper client.threads
participation.drop_probability
uplink.mask uplink.mask_probability uplink.dtype uplink.error_feedback uplink.transport
server.rounds server.average server.rescale server.client_weights server.optimizer
server.learning_rate
run.eval_every run.checkpoint_seconds run.on_rank_failure run.max_restarts run.watchdog_min
"""

OUT_OF_RANGE = [
    "seed=-1",
    "seed=18446744073709551616",
    "seed=1.5",
    "seed=true",
    'name=""',
    "data.duration=0.0",
    "data.duration=inf",
    "data.num_bins=0",
    "data.num_bins=10.5",
    "data.counts=1",
    "data.validation_fraction=1.0",
    "data.validation_fraction=-0.1",
    "data.classes=[0]",
    "data.classes=[1, 1]",
    "data.classes=[0, -1]",
    "data.time_jitter=-0.1",
    "data.channel_jitter=1.5",
    "data.drop=1.0",
    "data.dataset=3",
    "partition.num_clients=0",
    "partition.alpha=0.0",
    'partition.kind="dirichle"',
    "model.hidden=[]",
    "model.hidden=[0]",
    "model.hidden=128",
    'model.kind="snnn"',
    'model.kind="module:not a name"',
    'model.neuron="izhikevich"',
    "model.tau_mem=-0.02",
    "model.threshold=0.0",
    "model.beta=nan",
    'model.surrogate="sigmoid"',
    "model.surrogate_slope=0.0",
    'model.reset_gradient="none"',
    'model.readout="sum"',
    'model.init="zeros"',
    'client.engine="tensorflow"',
    "client.epochs=0",
    "client.steps=0",
    "client.batch_size=0",
    "client.learning_rate=nan",
    "client.learning_rate=inf",
    "client.learning_rate=0.0",
    "client.learning_rate=abc",
    "client.momentum=1.0",
    "client.weight_decay=-1.0",
    "client.proximal=-1.0",
    "client.clip_norm=-1.0",
    "client.rate_lower=1.5",
    "client.threads=0",
    "participation.drop_probability=1.5",
    "participation.drop_probability=nan",
    "participation.drop_probability=[0.5, -0.5]",
    'participation.drop_probability="half"',
    "uplink.mask_probability=1.01",
    "uplink.mask_probability=-0.01",
    'uplink.mask="topk"',
    'uplink.dtype="int4"',
    "uplink.error_feedback=1",
    'uplink.transport="carrier pigeon"',
    "server.rounds=0",
    'server.average="median"',
    "server.learning_rate=0.0",
    "server.momentum=1.0",
    'server.client_weights="loss"',
    'server.optimizer="yogi"',
    "run.eval_every=0",
    "run.checkpoint_seconds=-1.0",
    "run.watchdog_min=0.0",
    'run.on_rank_failure="panic"',
]


def complaint(*overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_experiment("", overrides, source="job.toml")
    return str(caught.value)


def test_every_key_of_the_contract_exists() -> None:
    assert set(CONTRACT.split()) - set(key_paths()) == set()


def test_every_key_says_what_it_means() -> None:
    def fields(model: type) -> list[str]:
        found = []
        for name, field in model.model_fields.items():
            if (table := table_of(field.annotation)) is not None:
                found += fields(table)
            elif not field.description:
                found.append(name)
        return found

    assert fields(Experiment) == []


def test_an_empty_file_is_a_whole_experiment() -> None:
    experiment = parse_experiment("")
    assert experiment.data.dataset == "spoken-digits"
    assert (experiment.client.epochs, experiment.client.steps) == (1, None)


def test_an_experiment_cannot_be_changed() -> None:
    experiment = parse_experiment("")
    for section, key in ((experiment, "seed"), (experiment.server, "rounds")):
        with pytest.raises(ValueError, match="frozen"):
            setattr(section, key, 3)


@pytest.mark.parametrize("override", OUT_OF_RANGE)
def test_a_bad_value_is_one_line_with_its_path(override: str) -> None:
    message = complaint(override)
    path, _, _ = override.partition("=")
    assert message.startswith("job.toml: ")
    assert path.rpartition(".")[0] in message
    assert path.rpartition(".")[2] in message or override in {"data.classes=[0]"}
    assert "\n" not in message
    assert len(message) < 300


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("client.learningrate=0.1", "client.learning_rate"),
        ("server.round=3", "server.rounds"),
        ("uplnk.mask=none", "uplink"),
        ("mask_probability=0.5", "uplink.mask_probability"),
        ("client.mask=none", "uplink.mask"),
        ("model.hiden=[3]", "model.hidden"),
        ("nane=x", "name"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_valid_one(given: str, nearest: str) -> None:
    message = complaint(given)
    assert given.partition("=")[0].partition(".")[0] in message
    assert message.endswith(f"did you mean {nearest}?")


def test_several_problems_are_all_told_one_a_line() -> None:
    lines = complaint("server.rounds=0", "client.batch_size=0", "run.evaluate=1").splitlines()
    assert len(lines) == 3
    assert all(line.startswith("job.toml: ") for line in lines)


@pytest.mark.parametrize("section", ["data", "client", "server", "uplink"])
def test_a_value_where_a_table_belongs_is_an_error(section: str) -> None:
    assert section in complaint(f"{section}=3")


@pytest.mark.parametrize(
    ("overrides", "word"),
    [
        (["client.epochs=1", 'client.optimizer="adam"', "client.momentum=0.9"], "momentum"),
        (["client.rate_lower=0.5", "client.rate_upper=0.4"], "rate_lower"),
        (["uplink.mask_probability=0.5"], "mask_probability"),
        (["partition.kind=iid"], "num_clients"),
        (["server.rescale=true", "server.average=received"], "received"),
        (["server.rescale=true", "uplink.mask=top-k", "uplink.mask_probability=0.5"], "top-k"),
        (["server.rescale=true", "uplink.mask=bernoulli", "uplink.mask_probability=1"], "rescale"),
        (["server.rescale=true", "uplink.error_feedback=true"], "error_feedback"),
        (["name=a/b"], "a/b"),
    ],
)
def test_keys_that_contradict_each_other_are_an_error(overrides: list[str], word: str) -> None:
    assert word in complaint(*overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.tau_mem=0.009"],
        ["model.tau_syn=0.009"],
        ["model.neuron=alif", "model.tau_adapt=0.009"],
        ["model.neuron=if", "model.tau_syn=0.009"],
    ],
)
def test_a_time_constant_below_one_bin_is_an_error_that_says_so(overrides: list[str]) -> None:
    message = complaint("data.duration=1.0", "data.num_bins=100", *overrides)
    assert "0.009 s" in message
    assert "0.01 s" in message
    assert "num_bins" in message


def test_a_time_constant_of_exactly_one_bin_is_allowed() -> None:
    experiment = parse_experiment("", ["data.num_bins=100", "model.tau_syn=0.01"])
    assert experiment.dt == 0.01


def test_the_adaptation_time_matters_to_alif_alone() -> None:
    assert parse_experiment("", ["model.tau_adapt=0.001"]).model.tau_adapt == 0.001


@pytest.mark.parametrize("p", [0, 1, 0.5])
def test_probabilities_include_zero_and_one(p: float) -> None:
    sets = [f"participation.drop_probability={p}", "uplink.mask=bernoulli"]
    experiment = parse_experiment("", [*sets, f"uplink.mask_probability={p}"])
    assert experiment.participation.drop_probability == p
    assert experiment.uplink.mask_probability == p


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["data.dataset=digits", "data.drop=0.1"], "drop is for events, and digits are images"),
        (["data.encoder=poisson"], "encoder is for images, and spoken-digits are events"),
        (
            ["participation.clients_per_round=3", "participation.drop_probability=0.1"],
            "both say who takes part",
        ),
        (["participation.first_is_on_time=true"], "is for stragglers"),
        (["client.schedule=milestones"], "need each other"),
        (["client.schedule_milestones=[3]"], "need each other"),
        (
            ["participation.straggler_probability=0.1", "participation.first_is_on_time=true",
             "server.average=all", "server.rescale=true"],
            "not the same for all clients",
        ),
    ],
)  # fmt: skip
def test_keys_that_mean_nothing_together_are_refused(settings: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_experiment("", settings)


def test_neurons_without_time_constants_may_have_bins_of_any_length() -> None:
    leaky = ["model.neuron=leaky", "model.readout=current", "data.num_bins=2"]
    assert parse_experiment("", leaky).dt == 0.5
    with pytest.raises(InputError, match="shorter than a time bin"):
        parse_experiment("", leaky[:1] + leaky[2:])
