"""Random words: the generator's published answers, random access, exact thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import NO_CLIENT, Stream, philox4x32, threshold

# kat_vectors of Random123 1.14 (Salmon et al. 2011): counter, key, answer of philox4x32-10
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def hexadecimal(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter: str, key: str, answer: str) -> None:
    column = np.array(hexadecimal(counter), np.uint64).reshape(4, 1)
    first, second = hexadecimal(key)
    assert philox4x32(column, (first, second)).ravel().tolist() == hexadecimal(answer)


def test_a_stream_is_philox_of_block_client_round_purpose_under_the_seed() -> None:
    seed = 0x299F31D0_A4093822
    words = Stream(seed, Purpose.MASK, round=7, client=3).words(8)
    for block in (0, 1):
        counter = np.array([[block], [3], [7], [int(Purpose.MASK)]], np.uint64)
        expected = philox4x32(counter, (0xA4093822, 0x299F31D0)).ravel()
        assert words[4 * block : 4 * block + 4].tolist() == expected.tolist()


def test_the_first_words_of_seed_zero_never_change() -> None:
    # counter (0, NO_CLIENT, 0, INITIAL_WEIGHTS): every stored result depends on these words
    assert NO_CLIENT == 2**32 - 1
    golden = [1035893494, 1673017657, 1903363982]
    assert Stream(0, Purpose.INITIAL_WEIGHTS).words(3).tolist() == golden


def test_the_numbers_of_the_purposes_never_change() -> None:
    assert {purpose.name: int(purpose) for purpose in Purpose} == {
        "INITIAL_WEIGHTS": 1,
        "VALIDATION_SPLIT": 2,
        "PARTITION": 3,
        "PARTICIPATION": 4,
        "MASK": 5,
        "BATCH_ORDER": 6,
        "AUGMENTATION": 7,
        "INNER_EAR": 8,
        "ENCODING": 9,
        "STRAGGLERS": 10,
        "NETWORK": 11,
        "RECEPTION": 12,
        "SEARCH": 13,
        "WEIGHT_NOISE": 14,
        "POSTERIOR_BITS": 15,
        "COMMITTEE": 16,
        "GENERATED_DATA": 17,
        "PERFECT_MODEL": 18,
        "HIDDEN_SPIKES": 19,
        "EVALUATED_SPIKES": 20,
        "DEPTH": 21,
        "WINNER": 22,
        "TEST_SPLIT": 23,
        "FOLDS": 24,
    }


@pytest.mark.parametrize("start", [0, 1, 3, 4, 5, 4 * (1 << 13) - 2, 4 * (1 << 13) + 1])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 9])
def test_any_part_of_a_stream_can_be_drawn_alone(start: int, count: int) -> None:
    stream = Stream(5, Purpose.BATCH_ORDER, 2, 1)
    whole = stream.words(4 * (1 << 13) + 20)
    assert stream.words(count, start).tolist() == whole[start : start + count].tolist()


def test_every_part_of_the_counter_and_both_halves_of_the_seed_matter() -> None:
    base = {"seed": 1, "purpose": Purpose.MASK, "round": 2, "client": 3}
    changes = [
        {},
        {"seed": 2},
        {"seed": 1 + 2**32},
        {"purpose": Purpose.PARTICIPATION},
        {"round": 3},
        {"client": 2},
    ]
    words = {tuple(Stream(**(base | change)).words(4).tolist()) for change in changes}
    assert len(words) == len(changes)


def test_the_last_client_number_is_not_taken_for_no_client() -> None:
    first = Stream(0, Purpose.MASK, client=NO_CLIENT - 1).words(4)
    assert first.tolist() != Stream(0, Purpose.MASK).words(4).tolist()


def test_thresholds_represent_never_always_and_half() -> None:
    assert (threshold(0.0), threshold(0.5), threshold(1.0)) == (0, 2**31, 2**32)


def test_a_threshold_is_met_as_often_as_its_probability_says() -> None:
    words = Stream(0, Purpose.MASK).words(100_000)
    below = (words < threshold(0.3)).mean()
    assert abs(below - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 100_000)


def test_uniforms_are_the_centres_of_equal_cells_and_never_zero_or_one() -> None:
    stream = Stream(3, Purpose.PARTITION)
    words, uniforms = stream.words(5), stream.uniforms(5)
    assert uniforms.tolist() == [(int(w) + 0.5) / 2**32 for w in words]
    assert 0.5 / 2**32 > 0
    assert (2**32 - 0.5) / 2**32 < 1


def test_a_permutation_orders_ids_by_their_words() -> None:
    stream = Stream(4, Purpose.BATCH_ORDER)
    words = stream.words(100).tolist()
    order = stream.permutation(100)
    assert order.dtype == np.int64
    assert order.tolist() == sorted(range(100), key=lambda i: (words[i], i))


def test_permutations_are_those_of_the_words_that_follow() -> None:
    stream = Stream(4, Purpose.BATCH_ORDER)
    for k, order in enumerate(stream.permutations(3, 7)):
        assert order.tolist() == stream.permutation(7, 7 * k).tolist()
