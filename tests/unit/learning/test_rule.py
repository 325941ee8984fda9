"""Learning rules by name: what is found, what is refused, what the table of a rule allows."""

from __future__ import annotations

import pytest

from hpcfed.config.file import digest, parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.engines import BACKPROP, resolve_engine
from hpcfed.learning.rule import Rule, rule_of
from tests import toy_world

NOT_A_RULE = 3


def test_without_a_table_clients_learn_by_backpropagation() -> None:
    assert rule_of(parse_experiment("")) is BACKPROP
    assert rule_of(parse_experiment("", ["rule.kind=backprop"])) is BACKPROP


def test_a_rule_of_ones_own_is_found_by_its_dotted_path() -> None:
    rule = rule_of(parse_experiment("", ["rule.kind=tests.toy_world:RULE"]))
    assert rule is toy_world.RULE
    assert rule.exchange.sends == "update"
    assert rule.device(parse_experiment(""), 3) == "cpu"


def test_an_engine_is_nothing_to_a_rule_of_ones_own() -> None:
    own = ["rule.kind=tests.toy_world:RULE", "model.surrogate=circ"]
    assert resolve_engine(parse_experiment("", own)) == "auto"
    assert resolve_engine(parse_experiment("", own[1:])) == "norse"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("tests.toy_world:ABSENT", "no Rule ABSENT"),
        ("no_such_module:RULE", "no_such_module"),
        (f"{__name__}:NOT_A_RULE", "int, expected a hpcfed.Rule"),
    ],
)
def test_what_is_no_rule_is_refused(kind: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        rule_of(parse_experiment("", [f"rule.kind={kind}"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[rule]\nkind = "hebb"', "none of"),
        ("[rule]\nkin = 1", "rule.kind"),
        ("[rule.own]\nrate = 1.0", "reads none"),
        ("[model.own]\nrate = 1.0", "reads none"),
    ],
)
def test_a_table_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse_experiment(text)


def test_a_free_table_reaches_the_rule_and_counts_in_the_digest() -> None:
    text = '[rule]\nkind = "tests.toy_world:RULE"\n[rule.own]\nrate = {rate}\nnames = ["a", "b"]'
    first, second = (parse_experiment(text.replace("{rate}", rate)) for rate in ("1.0", "2.0"))
    assert first.rule is not None
    assert first.rule.own == {"rate": 1.0, "names": ["a", "b"]}
    assert digest(first) != digest(second)


def test_a_rule_is_a_value() -> None:
    assert Rule(toy_world.make_trainer) == Rule(
        toy_world.make_trainer, device=toy_world.RULE.device
    )
