"""What random words are drawn for."""

from __future__ import annotations

from enum import IntEnum


class Purpose(IntEnum):
    """What a stream of words is for; the numbers are part of every result and never change."""

    INITIAL_WEIGHTS = 1
    VALIDATION_SPLIT = 2
    PARTITION = 3
    PARTICIPATION = 4
    MASK = 5
    BATCH_ORDER = 6
    AUGMENTATION = 7
    INNER_EAR = 8
    ENCODING = 9
    STRAGGLERS = 10
    NETWORK = 11
    RECEPTION = 12
    SEARCH = 13
    WEIGHT_NOISE = 14
    POSTERIOR_BITS = 15
    COMMITTEE = 16
    GENERATED_DATA = 17
    PERFECT_MODEL = 18
    HIDDEN_SPIKES = 19
    EVALUATED_SPIKES = 20
    DEPTH = 21
    WINNER = 22
    TEST_SPLIT = 23
    FOLDS = 24
