"""Several settings against each other: rows, equal bytes, seeds that would decide, the picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from report_files import NAN, SIZE, VALUE_BYTES, World, write_run, write_sweep

from hpcfed.errors import InputError
from hpcfed.report.curves import group
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.compare import compare_settings
from hpcfed.report.figures.compare_text import markdown, more_text
from hpcfed.report.figures.forest import draw
from hpcfed.report.figures.paired import END, EQUAL_BYTES, reached
from hpcfed.report.power import more_pairs, pairs_needed, power
from hpcfed.report.runs import find
from hpcfed.report.settings import reference_of
from hpcfed.report.statistics import effect_size, holm, paired_p_value
from scripts import run_script, table

SENT = 10 * SIZE * VALUE_BYTES  # bytes a round without a mask
NOISE = (0.0, 0.02, 0.05)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write settings p = 0, 0.5 and 0.75 of three seeds and four rounds; without masks is best."""
    folder = tmp_path_factory.mktemp("three")
    gains = {0.0: 0.3, 0.5: 0.25, 0.75: 0.0}
    worlds = [
        World(test=[0.1 * (r + 1) + gain * (r + 1) / 4 + (1 - p) * NOISE[s] for r in range(4)],
              p=p, seed=s)
        for p, gain in gains.items() for s in range(3)
    ]  # fmt: skip
    write_sweep(folder, worlds)
    return folder


def test_each_setting_is_compared_with_the_best_on_validation(three: Path) -> None:
    groups = group(find(three))
    found = compare_settings(groups, reference_of(groups, "test_accuracy"), "test_accuracy")
    half, quarter = found.at(END)
    assert found.names[1] == "uplink.mask_probability = 0"
    assert (half.setting, half.num_pairs) == ("uplink.mask_probability = 0.5", 3)
    differences = [-0.05 - 0.5 * noise for noise in NOISE]
    assert half.difference == pytest.approx(np.mean(differences))
    assert half.effect_size == pytest.approx(effect_size(np.array(differences)))
    assert [half.p_adjusted, quarter.p_adjusted] == pytest.approx(
        holm([half.p_value, quarter.p_value])
    )
    assert half.p_value == pytest.approx(paired_p_value(np.array(differences)))
    assert (half.first_bytes, half.second_bytes) == (2 * SENT, 4 * SENT)


def test_at_equal_bytes_both_have_sent_what_the_cheaper_one_has(three: Path) -> None:
    groups = group(find(three))
    found = compare_settings(groups, groups[0], "test_accuracy")
    half, quarter = found.at(EQUAL_BYTES)
    # four rounds of p = 0.5 are two of p = 0, and four of p = 0.75 are one
    assert (half.bytes, quarter.bytes) == (2 * SENT, SENT)
    assert half.first == pytest.approx(0.4 + 0.25 + 0.5 * np.mean(NOISE))
    assert half.second == pytest.approx(0.2 + 0.3 / 2 + np.mean(NOISE))
    assert quarter.second == pytest.approx(0.1 + 0.3 / 4 + np.mean(NOISE))
    assert (quarter.first_bytes, quarter.second_bytes) == (SENT, SENT)


def test_each_pair_has_the_bytes_of_its_cheaper_run(tmp_path: Path) -> None:
    rounds = {0: 2, 1: 3}  # of the dearer setting; seed 1 of the cheaper one has sent one round's
    for seed, count in rounds.items():
        sent = {"uplink_bytes_seed": [100.0] * count}
        write_run(tmp_path / f"a{seed}", World(test=[0.1, 0.2, 0.3][:count], seed=seed, rounds=sent,
                                               sets=["server.rounds=3"]))  # fmt: skip
        few = {"uplink_bytes_seed": [100.0 * (2 - seed)]}
        write_run(tmp_path / f"b{seed}", World(test=[0.5], seed=seed, p=0.5, rounds=few,
                                               sets=["server.rounds=3"]))  # fmt: skip
    groups = group(find(tmp_path))
    (line,) = compare_settings(groups, groups[0], "test_accuracy").at(EQUAL_BYTES)
    assert (line.num_pairs, line.bytes) == (2, 150.0)
    assert line.second == pytest.approx((0.2 + 0.1) / 2)


def test_bytes_that_are_asked_for_are_those_of_all_rows(three: Path) -> None:
    groups = group(find(three))
    found = compare_settings(groups, groups[0], "test_accuracy", 1.5 * SENT)
    assert [line.bytes for line in found.at(EQUAL_BYTES)] == [1.5 * SENT] * 2
    half, quarter = found.at(EQUAL_BYTES)
    assert half.first == pytest.approx(0.3 + 0.25 * 3 / 4 + 0.5 * np.mean(NOISE))  # three rounds
    assert quarter.first_bytes == SENT  # all that it has sent
    few = compare_settings(groups, groups[0], "test_accuracy", 1.0)
    assert (few.at(EQUAL_BYTES), few.num_unreached) == ([], 2)
    assert "as a first evaluated round has sent more: 2." in markdown(few)


def test_settings_that_send_alike_have_no_rows_at_equal_bytes(tmp_path: Path) -> None:
    for epochs in (1, 2):
        for seed in range(3):
            world = World(
                test=(0.4, 0.5 + 0.1 * epochs), seed=seed, sets=[f"client.epochs={epochs}"]
            )
            write_run(tmp_path / f"{epochs}{seed}", world)
    groups = group(find(tmp_path))
    found = compare_settings(groups, groups[0], "test_accuracy")
    assert [line.at for line in found.lines] == [END]
    with our_style():
        assert len(draw(found).axes) == 1


def test_a_value_at_bytes_is_of_the_last_evaluated_round(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.2, NAN, 0.6)))
    (run,) = find(tmp_path).runs
    sent = [SENT - 1, SENT, 2 * SENT, 3 * SENT]
    first, *others = [reached(run, "test_accuracy", b) for b in sent]
    assert math.isnan(first[0])
    assert others == [(0.2, SENT), (0.2, SENT), (0.6, 3 * SENT)]


# ---- how many more seeds


@pytest.mark.parametrize(
    ("effect", "pairs"),
    [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10), (-0.5, 34)],
)
def test_pairs_needed_are_those_of_cohens_tables(effect: float, pairs: int) -> None:
    # power 0.8, two-sided, level 0.05: as G*Power 3.1 gives them for two dependent means
    assert pairs_needed(effect) == pairs
    assert power(effect, pairs - 1) < 0.8 <= power(effect, pairs)


def test_pairs_needed_are_known_where_scipy_does_not_know_noncentral_t() -> None:
    level = 0.05 / 2000
    assert pairs_needed(0.044, level) == math.inf  # by the normal distribution 13206
    assert pairs_needed(0.06, level) == pytest.approx((4.2149 + 0.8416) ** 2 / 0.06**2, rel=5e-3)
    assert 0.99 < power(9.35813, 20) <= 1.0


def test_power_is_the_share_of_drawn_experiments_that_decide() -> None:
    draws = np.random.Generator(np.random.Philox(3)).normal(0.9, 1.0, (4000, 8))
    share = np.mean([paired_p_value(row) < 0.05 for row in draws])
    assert share == pytest.approx(power(0.9, 8), abs=3 * math.sqrt(0.25 / len(draws)))


def test_more_pairs_of_what_is_not_known_equal_or_clear() -> None:
    assert math.isnan(more_pairs(NAN, 2))
    assert more_pairs(NAN, 5) == math.inf  # all differences are zero
    assert more_pairs(math.inf, 3) == 0
    assert more_pairs(1e-4, 3) == math.inf
    corrected = 1.0 * (1 - 3 / 35)  # of ten pairs (Hedges 1981)
    assert more_pairs(1.0, 10) == pairs_needed(corrected) - 10
    assert pairs_needed(0.5, 0.05 / 20) > pairs_needed(0.5)


def test_what_is_decided_needs_no_more_seeds_and_the_rest_says_how_many(tmp_path: Path) -> None:
    values = {1: (0.50, 0.50, 0.50), 2: (0.60, 0.61, 0.62), 3: (0.50, 0.51, 0.52 - 0.04)}
    for epochs, tests in values.items():
        for seed, test in enumerate(tests):
            world = World(test=(test,), seed=seed, sets=[f"client.epochs={epochs}"])
            write_run(tmp_path / f"{epochs}{seed}", world)
    groups = group(find(tmp_path))
    clear, open_ = compare_settings(groups, groups[0], "test_accuracy").lines
    assert (clear.decided, clear.more_seeds) == (True, 0)
    assert not open_.decided
    assert open_.more_seeds == more_pairs(open_.effect_size, 3, 0.05 / 2)
    assert more_text(open_) == "> 10000" or float(more_text(open_)) > 0


# ---- the command


def test_the_command_writes_one_table_and_one_forest_plot(
    three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("compare", three, "--out", tmp_path / "c.svg")
    rows = table(tmp_path / "c.csv")
    assert [(row["at"], row["num_pairs"]) for row in rows] == [(END, "3")] * 2 + [
        (EQUAL_BYTES, "3")
    ] * 2
    assert {path.name for path in tmp_path.glob("c.*")} == {"c.svg", "c.csv", "c.md", "c.tex"}
    picture = (tmp_path / "c.svg").read_text()
    assert "after the last round" in picture
    assert "at equal bytes sent up" in picture
    assert capsys.readouterr().out.startswith((tmp_path / "c.md").read_text())


def test_the_reference_can_be_named(three: Path, tmp_path: Path) -> None:
    half = "uplink.mask_probability=0.5"
    run_script("compare", three, "--reference", half, "--out", tmp_path / "compare.png")
    assert {row["setting"] for row in table(tmp_path / "compare.csv")} == {
        "uplink.mask_probability = 0", "uplink.mask_probability = 0.75",
    }  # fmt: skip
    assert "second: uplink.mask\\_probability = 0.5" in (tmp_path / "compare.md").read_text()


def test_three_folders_are_three_settings(tmp_path: Path) -> None:
    for at, name in enumerate("abc"):
        for seed in range(2):
            write_run(tmp_path / name / str(seed), World(test=(0.5 + 0.1 * at,), seed=seed))
    run_script("compare", *(tmp_path / name for name in "abc"), "--out", tmp_path / "x.png")
    rows = table(tmp_path / "x.csv")
    assert [row["setting"] for row in rows] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert [float(row["difference"]) for row in rows] == pytest.approx([-0.2, -0.1])
    assert [row["more_seeds"] for row in rows] == ["", ""]  # of two pairs nothing is known


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reference", "seed=1"], "3 settings have these values, expected one"),
        (["--reference", "seeds=1"], "no run here has this key"),
        (["--quantity", "accuracy"], "--quantity accuracy: expected one of test_accuracy"),
        (["--bytes", "0"], "--bytes 0: give a positive number"),
        (["--where", "uplink.mask_probability=0.5"], "1 settings have finished runs"),
        (["--first", "seed=1", "--second", "seed=1"], "give two paths, or one with --first"),
        (["--first", "uplink.mask_probability=0.5"], "3 runs are on both sides"),
        (["--out", "x.nothing"], "is no picture format"),
    ],
)
def test_a_comparison_that_cannot_be_is_bad_input(
    three: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script("compare", three, "--out", tmp_path / "compare.png", *arguments)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not list(tmp_path.glob("compare.*"))


def test_more_settings_than_a_picture_holds_ask_for_a_choice(three: Path) -> None:
    groups = group(find(three))
    found = compare_settings(groups, groups[0], "test_accuracy")
    many = type(found)(
        found.quantity, found.names,
        tuple(type(found.lines[0])(**(vars(found.lines[0]) | {"setting": str(n)}))
              for n in range(200)), 0, 0,
    )  # fmt: skip
    with pytest.raises(InputError, match="200 settings are too many for one picture"):
        draw(many)
