"""What leaves the device is what leaves the CPU, bit for bit: words, masks, packed cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from event_worlds import events_of
from gpu_place import DEVICE
from tiny_events import patterns

from hpcfed.base.seeds import threshold
from hpcfed.clients.memory import Memory
from hpcfed.config import Experiment, UplinkConfig
from hpcfed.errors import InputError
from hpcfed.federation.uplink.aggregation import Sender, _payload
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.federation.uplink.entries import Drawn, Entries, norm, taken, taken_there
from hpcfed.federation.uplink.masking import mask_stream
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.federation.uplink.top import top_entries
from hpcfed.learning.gpu.events import pack
from hpcfed.learning.gpu.update import GpuUpdate
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.layout import Layout

SIZE = 2500  # two whole chunks of words and a part
LAYOUT = Layout.of({"all": (SIZE,)})
SEED = 0xFEDCBA9876543210


def update() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, SIZE).astype(np.float32)


def on_device(values: np.ndarray) -> GpuUpdate:
    return GpuUpdate(torch.from_numpy(values).to(DEVICE))


def taken_of(vector: np.ndarray | GpuUpdate, entries: Entries) -> np.ndarray:
    if isinstance(vector, np.ndarray):
        return taken(vector, entries)
    return np.asarray(taken_there(vector, entries))


@pytest.mark.parametrize("probability", [0.0, 2.0**-32, 0.3, 0.9, 1 - 2.0**-32, 1.0])
def test_a_mask_drawn_on_the_device_lets_the_same_entries_through(probability: float) -> None:
    """The values tell the entries: each is its own number."""
    numbers = np.arange(SIZE, dtype=np.float32)
    for client in (0, 7, 2**32 - 2):
        entries = Drawn(mask_stream(SEED, 1, client), threshold(probability), SIZE)
        ours, theirs = (taken_of(vector, entries) for vector in (on_device(numbers), numbers))
        assert ours.dtype == np.float32
        assert ours.tobytes() == theirs.tobytes()
        assert ours.tolist() == np.asarray(entries).tolist()


def test_words_are_those_of_the_stream_at_every_edge_of_a_chunk() -> None:
    stream = mask_stream(3, 4, 5)
    words = stream.words(1100)
    for size in (1, 3, 4, 5, 1023, 1024, 1025, 1100):
        numbers = np.arange(size, dtype=np.float32)
        limit = int(np.median(words[:size]))
        expected = np.flatnonzero(words[:size] >= limit)
        assert np.asarray(on_device(numbers).drawn(stream, limit)).tolist() == expected.tolist()


def test_listed_entries_and_all_entries_are_copied_as_they_are() -> None:
    values, entries = update(), np.array([0, 5, 1024, SIZE - 1])
    values[5] = np.nan
    assert taken_of(on_device(values), entries).tobytes() == values[entries].tobytes()
    assert taken_of(on_device(values), slice(None)).tobytes() == values.tobytes()
    assert np.asarray(on_device(values)).tobytes() == values.tobytes()


def test_the_largest_entries_are_those_of_the_cpu_with_ties_and_what_is_not_finite() -> None:
    values = np.round(update(), 2)  # ties, zeros, and zeros with a sign
    values[[3, 700, 2000]] = np.inf, np.nan, -np.inf
    for count in (0, 1, 2, 50, SIZE):
        ours, theirs = (top_entries(vector, count) for vector in (on_device(values), values))
        assert ours.tolist() == theirs.tolist()


def test_the_norm_is_that_of_the_cpu() -> None:
    assert norm(on_device(update())) == pytest.approx(norm(update()), rel=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "int8", "sign"])
@pytest.mark.parametrize("mask", ["none", "bernoulli", "random-k", "top-k"])
def test_a_message_has_the_same_bytes_wherever_the_update_lies(mask: str, dtype: str) -> None:
    probability = 0.0 if mask == "none" else 0.8
    config = UplinkConfig(mask=mask, mask_probability=probability, dtype=dtype)
    assert sent(config, on_device(update())) == sent(config, update())


def test_a_message_that_stays_on_the_device_has_the_same_bytes_and_figures() -> None:
    """Two clients' messages behind a head, as MPI reads them; the second one is rejected."""
    config = UplinkConfig(mask="bernoulli", mask_probability=0.8)
    far = update()
    far[np.asarray(entries_of(config, 1))[3]] = np.nan
    head = np.arange(16, dtype=np.uint8)
    buffers, statistics = [], []
    for direct, lie in ((False, np.asarray), (True, on_device)):
        sender = sender_of(config, [lie(update()), lie(far)])
        messages = [sender.message(client, direct) for client in (0, 1)]
        assert [isinstance(message, GpuUpdate) for message in messages] == [direct, direct]
        buffers.append(torch.as_tensor(_payload(head, messages)).cpu().numpy().tobytes())
        statistics.append(np.delete(sender.statistics, 1, axis=1).tolist())
    assert buffers[0] == buffers[1]
    assert statistics[0] == statistics[1]
    assert [row[-1] for row in statistics[0]] == [0, 1]


@pytest.mark.parametrize(
    "config",
    [
        UplinkConfig(dtype="int8"),
        UplinkConfig(mask="top-k", mask_probability=0.9),
        UplinkConfig(mask="bernoulli", mask_probability=0.5, error_feedback=True),
    ],
)
def test_a_message_that_has_to_be_coded_comes_to_the_host(config: UplinkConfig) -> None:
    messages = [
        sender_of(config, [lie(update())]).message(0, direct=True)
        for lie in (np.asarray, on_device)
    ]
    assert messages[0].tobytes() == messages[1].tobytes()


def test_error_feedback_keeps_the_same_residual_wherever_the_update_lies() -> None:
    config = UplinkConfig(mask="bernoulli", mask_probability=0.8, error_feedback=True)
    assert sent(config, on_device(update())) == sent(config, update())


def sent(config: UplinkConfig, delta: np.ndarray | GpuUpdate) -> tuple[bytes, ...]:
    """Return the bytes of messages, statistics and residuals of one client that sends twice."""
    sender = sender_of(config, [delta, delta])
    messages = [sender.send(0).message.tobytes() for _ in range(2)]
    left = [residual.tobytes() for residual in sender.memory.rows.values()]
    return (*messages, *left, np.delete(sender.statistics, 1, axis=1).tobytes())


def sender_of(config: UplinkConfig, deltas: Sequence[np.ndarray | GpuUpdate]) -> Sender:
    """Return one rank's side of round 3 with clients 0 and 1."""
    ones, both = np.ones(2, np.int64), np.arange(2)
    averages = averaging(Experiment(uplink=config), ones, np.zeros(2), LAYOUT)
    updates = iter([LocalUpdate(delta, 1.0, 0.1) for delta in deltas])
    return Sender(
        Uplink(config, averages, SEED, LAYOUT),
        Cohort(3, both, 0 * both),
        updates,
        np.zeros((2, 5)),
        Memory(residual=LAYOUT.size if config.error_feedback else 0),
        (),
    )


def entries_of(config: UplinkConfig, client: int) -> Entries:
    return sender_of(config, []).uplink.selection.choose(update(), 3, client)


def test_packed_bits_unpack_to_the_same_events() -> None:
    """Also where the channels do not fill a word."""
    for channels in (1, 63, 64, 65, 130):
        events = patterns(9, num_channels=channels)
        packed = pack(events, torch.device(DEVICE))
        cells = packed.cells.cpu().numpy()
        assert cells.shape == (9, 15, -(-channels // 64))
        places = np.arange(channels)
        bits = (cells[:, :, places // 64] >> (places % 64)) & 1
        expected = events.dense(np.arange(9)).transpose(1, 0, 2)
        assert np.array_equal(bits, expected)
        assert int(np.bitwise_count(cells.view(np.uint64)).sum()) == expected.sum()


def test_counts_are_packed_as_bytes_and_refused_beyond_them() -> None:
    values = np.random.default_rng(0).integers(0, 3, (4, 5, 7))
    values[1, 2, 3] = 255
    events = events_of(values, np.zeros(4, np.int64), 2, counts=True)
    assert np.array_equal(pack(events, torch.device(DEVICE)).cells.cpu().numpy(), values)
    values[1, 2, 3] = 256
    events = events_of(values, np.zeros(4, np.int64), 2, counts=True)
    with pytest.raises(InputError, match=r"256 spikes of one channel.*raise data\.num_bins"):
        pack(events, torch.device(DEVICE))
