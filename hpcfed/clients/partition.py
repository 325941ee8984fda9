"""Which client owns which training sample.

``group``: one group (speaker) a client; with fewer clients than groups, client k owns groups
k, k + N, ... in ascending order. ``iid``: equal parts of a random order. ``dirichlet``: each class
is divided by proportions ~ Dir(alpha) over the clients (Yurochkin et al. 2019, arXiv:1905.12022).
``dirichlet-capped``: the same for one class after the other, without the clients that hold a fair
share n / N already, and all of it again until each client has enough (the code of Venkatesha et al.
2021, arXiv 2106.06579). ``shards``: every class is cut into shards, every client gets
``classes_per_client`` of them (after McMahan et al. 2017, arXiv:1602.05629; here no shard straddles
two classes). ``quantity``: sizes ~ Dir(alpha), contents iid (Li et al. 2022, arXiv:2102.02079).

n samples, N clients, K classes. All random words are those of Purpose.PARTITION: the order of the
samples by position, and as words of "client" k the proportions of class k, or turn k of the shards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.dotted import function as function_at
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import PartitionConfig
from hpcfed.errors import InputError

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_LEAST, _ATTEMPTS = 10, 1000


@dataclass(frozen=True)
class _Samples:
    """What is divided: labels and groups (n,) int64, and the seed of every random word."""

    labels: I64
    groups: I64
    seed: int

    def order(self) -> I64:
        """Return a random order of the positions, (n,) int64."""
        return Stream(self.seed, Purpose.PARTITION).permutation(len(self.labels))


def partition(config: PartitionConfig, labels: I64, groups: I64, seed: int) -> list[I64]:
    """Return the positions of each client's samples: N arrays, ascending, int64.

    ``labels`` and ``groups`` are (n,) int64 of the samples to divide; ``seed`` is the run's, which
    ``partition.seed`` replaces. Every position belongs to
    exactly one client and no client is empty; InputError if that cannot be.
    """
    chosen = seed if config.seed is None else config.seed
    samples = _Samples(np.asarray(labels, np.int64), np.asarray(groups, np.int64), chosen)
    if config.kind == "group":
        return _group(samples, config.num_clients)
    if config.num_clients is None:
        raise InputError(f'partition.kind = "{config.kind}" needs partition.num_clients')
    num_clients = config.num_clients
    if len(labels) < num_clients:
        raise InputError(
            f"partition.num_clients = {num_clients}, but there are {len(labels)} training samples: "
            "some clients would have none; lower partition.num_clients or use more data"
        )
    if config.kind == "iid":
        parts = np.array_split(samples.order(), num_clients)
    elif config.kind == "dirichlet":
        parts = _dirichlet(samples, num_clients, config.alpha)
    elif config.kind == "dirichlet-capped":
        parts = _capped(samples, num_clients, config.alpha, config.min_samples or _LEAST)
    elif config.kind == "shards":
        parts = _shards(samples, num_clients, config.classes_per_client)
    elif config.kind == "quantity":
        parts = _quantity(samples, num_clients, config.alpha)
    else:
        parts = _custom(config.kind, samples, num_clients)
    return [np.sort(part) for part in parts]


def _group(samples: _Samples, num_clients: int | None) -> list[I64]:
    names, index = np.unique(samples.groups, return_inverse=True)
    if not len(names):
        raise InputError("there are no training samples to give to clients; use more data")
    if num_clients is not None and num_clients > len(names):
        raise InputError(
            f"partition.num_clients = {num_clients}, but the training samples have {len(names)} "
            f'groups; lower it, leave it out, or set partition.kind to "iid" or "dirichlet"'
        )
    clients = index % (num_clients or len(names))
    return [np.flatnonzero(clients == k) for k in range(num_clients or len(names))]


def _dirichlet(samples: _Samples, num_clients: int, alpha: float) -> list[I64]:
    order = samples.order()
    owner = np.empty(len(order), np.int64)
    for label in np.unique(samples.labels):
        members = order[samples.labels[order] == label]
        shares = dirichlet(
            Stream(samples.seed, Purpose.PARTITION, client=int(label)), num_clients, alpha
        )
        owner[members] = np.repeat(np.arange(num_clients), _sizes(shares, len(members)))
    _fill_empty(owner, order, num_clients)
    return [np.flatnonzero(owner == k) for k in range(num_clients)]


def _capped(samples: _Samples, num_clients: int, alpha: float, least: int) -> list[I64]:
    num_samples, order = len(samples.labels), samples.order()
    classes = np.unique(samples.labels)
    for attempt in range(_ATTEMPTS):
        owner, sizes = np.empty(num_samples, np.int64), np.zeros(num_clients, np.int64)
        for label in classes:
            members = order[samples.labels[order] == label]
            stream = Stream(samples.seed, Purpose.PARTITION, client=int(label))
            shares = dirichlet(stream, num_clients, alpha, attempt)
            shares = np.where(sizes < num_samples / num_clients, shares, 0.0)
            if not shares.sum():  # all that are left drew nothing
                shares = np.where(sizes < num_samples / num_clients, 1.0, 0.0)
            given = _sizes(shares / shares.sum(), len(members))
            owner[members] = np.repeat(np.arange(num_clients), given)
            sizes += given
        if sizes.min() >= least:
            return [np.flatnonzero(owner == k) for k in range(num_clients)]
    raise InputError(
        f"partition: {num_samples} training samples and {num_clients} clients: none of {_ATTEMPTS} "
        f"draws with alpha = {alpha:g} gives each client {least} samples; raise partition.alpha, "
        "lower partition.min_samples or take fewer clients"
    )


def _fill_empty(owner: I64, order: I64, num_clients: int) -> None:
    """Give each client without samples one of the then largest client (lowest number first)."""
    sizes = np.bincount(owner, minlength=num_clients)
    for client in np.flatnonzero(sizes == 0):
        giver = int(np.argmax(sizes))
        owner[order[np.argmax(owner[order] == giver)]] = client
        sizes[giver] -= 1
        sizes[client] += 1


def _shards(samples: _Samples, num_clients: int, per_client: int) -> list[I64]:
    classes, sizes = np.unique(samples.labels, return_counts=True)
    num_shards = num_clients * per_client
    if not len(classes) <= num_shards <= len(samples.labels):
        raise InputError(
            f"{num_clients} clients with {per_client} shards each make {num_shards} shards, but "
            f"{len(samples.labels)} training samples of {len(classes)} classes allow "
            f"{len(classes)} to {len(samples.labels)}; change partition.num_clients or "
            "partition.classes_per_client"
        )
    order, seats = samples.order(), _seats(sizes, num_shards)
    shards: list[I64] = []
    for k in Stream(samples.seed, Purpose.PARTITION, client=per_client).permutation(len(classes)):
        shards += np.array_split(order[samples.labels[order] == classes[k]], seats[k])
    # Shards lie class by class; each turn deals N of them, one to every client, in a random order.
    # So a client meets a class twice only if the class has shards in two turns.
    parts: list[list[I64]] = [[] for _ in range(num_clients)]
    for turn in range(per_client):
        dealt = Stream(samples.seed, Purpose.PARTITION, client=turn).permutation(num_clients)
        for place, client in enumerate(dealt):
            parts[client].append(shards[turn * num_clients + place])
    return [np.concatenate(part) for part in parts]


def _quantity(samples: _Samples, num_clients: int, alpha: float) -> list[I64]:
    shares = dirichlet(Stream(samples.seed, Purpose.PARTITION, client=0), num_clients, alpha)
    sizes = 1 + _sizes(shares, len(samples.labels) - num_clients)
    return np.split(samples.order(), np.cumsum(sizes)[:-1])


def _custom(path: str, samples: _Samples, num_clients: int) -> list[I64]:
    """Call the user's ``function(labels, groups, num_clients, seed)`` and check what it gives."""
    function = function_at(path, "partition.kind", "labels", "groups", "num_clients", "seed")
    given = function(samples.labels, samples.groups, num_clients, samples.seed)
    parts = [np.asarray(part) for part in given]
    if len(parts) != num_clients:
        raise InputError(f"{path} gave {len(parts)} clients; partition.num_clients = {num_clients}")
    for client, part in enumerate(parts):
        if part.ndim != 1 or part.dtype.kind not in "iu" or not len(part):
            raise InputError(
                f"{path} gave client {client} {part.dtype} of shape {part.shape}; expected a row "
                "of at least one whole number, the positions of its samples"
            )
    positions = np.sort(np.concatenate(parts)).astype(np.int64)
    if not np.array_equal(positions, np.arange(len(samples.labels))):
        raise InputError(
            f"{path} must give each position, 0 to {len(samples.labels) - 1}, to exactly one client"
        )
    return [part.astype(np.int64) for part in parts]


def dirichlet(stream: Stream, count: int, alpha: float, draw: int = 0) -> F64:
    """Return a draw of Dir(alpha, ..., alpha): (count,) float64 that sum to 1; they are numbered.

    Normalised gamma variates by inversion, as logarithms because those of a small alpha underflow:
    G(alpha) = G(alpha + 1) U^(1/alpha) in distribution (Devroye 1986, chapter IX.3).
    """
    from scipy.special import gammaincinv

    uniforms = stream.uniforms(2 * count, 2 * count * draw)
    with np.errstate(over="ignore", invalid="ignore"):
        logs = np.log(gammaincinv(alpha + 1, uniforms[:count])) + np.log(uniforms[count:]) / alpha
        shares = np.exp(logs - logs.max())
    if not np.isfinite(shares).all():
        raise InputError(
            f"partition.alpha = {alpha:g} is too extreme to draw from; try 0.001 to 1e6"
        )
    return np.asarray(shares / shares.sum(), np.float64)


def _sizes(shares: F64, total: int) -> I64:
    """Cut ``total`` in proportion to ``shares``, by rounded cumulative sums: (N,) int64."""
    edges = np.rint(np.cumsum(shares) * total).astype(np.int64)
    edges[-1] = total
    return np.diff(edges, prepend=0)


def _seats(sizes: I64, total: int) -> I64:
    """Give ``total`` seats in proportion to ``sizes``, at least one each (Webster's method).

    No class gets more seats than its size as long as ``total`` <= sum of sizes.
    """
    seats = np.ones(len(sizes), np.int64)
    for _ in range(total - len(sizes)):
        seats[np.argmax(sizes / (seats + 0.5))] += 1
    return seats
