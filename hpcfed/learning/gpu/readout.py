"""The leaky readout and the cross-entropy of all clients: Triton kernels, a program a client's.

T time bins, K classes in N = CLASSES places, H neurons of the last layer in WIDTH places. For the
mean and the last bin the readout is linear in the spikes, which the last layer has summed over
time; the maximum needs the voltage in every bin, and its gradient goes to the first bin that
attains it. Sums over blocks of samples run in their order.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hpcfed.learning.gpu.products import BLOCK


@triton.jit
def read_summed(
    summed, losses, predictions, gradient, weights, slots, labels, teacher, counts,
    num_weights, place, num_blocks, num_classes, num_neurons, share, tau,
    WIDTH: tl.constexpr, CLASSES: tl.constexpr, LEARN: tl.constexpr, TAUGHT: tl.constexpr,
):  # fmt: skip
    """Write losses and predictions (clients, slots) of mean and last bin.

    With LEARN also the readout's gradient, and in place of ``summed`` (clients, slots, WIDTH) its
    own; with TAUGHT of the loss in which ``share`` is that of ``teacher``. Grid: (clients,).
    """
    client = tl.program_id(0).to(tl.int64)
    count = tl.load(counts + client)
    if count == 0:
        return
    n, k, row = tl.arange(0, WIDTH), tl.arange(0, CLASSES), tl.arange(0, BLOCK)
    at = client * num_weights + place + k[:, None] * num_neurons + n[None, :]
    inside = (k < num_classes)[:, None] & (n < num_neurons)[None, :]
    matrix = tl.load(weights + at, mask=inside, other=0.0)
    total = tl.zeros((CLASSES, WIDTH), tl.float32)
    for block in range(num_blocks):
        slot = (client * num_blocks + block) * BLOCK + row
        place_n = summed + slot[:, None] * WIDTH + n[None, :]
        spikes = tl.load(place_n)
        logits = tl.dot(spikes, tl.trans(matrix), input_precision="tf32x3")
        exists = block * BLOCK + row < count
        sample = tl.load(slots + slot, mask=exists, other=0)
        label = tl.load(labels + sample, mask=exists, other=0)
        error, loss, best = cross_entropy(logits, label, exists, count, num_classes, CLASSES)
        if TAUGHT:
            theirs = answers(teacher, sample, exists, num_classes, CLASSES)
            change, more = divergence(logits, theirs, exists, count, num_classes, tau, CLASSES)
            error = (1 - share) * error + share * tau * change
            loss = (1 - share) * loss + share * tau * tau * more
        tl.store(losses + slot, loss)
        tl.store(predictions + slot, best)
        if LEARN:
            total = tl.dot(tl.trans(error), spikes, total, input_precision="tf32x3")
            tl.store(place_n, tl.dot(error, matrix, input_precision="tf32x3"))
    if LEARN:
        tl.store(gradient + at, total, mask=inside)


@triton.jit
def read_maximum(
    currents, losses, predictions, slots, labels, teacher, counts, response,
    num_bins, num_classes, keep, drive, decay, share, tau,
    CLASSES: tl.constexpr, LEARN: tl.constexpr, TAUGHT: tl.constexpr,
):  # fmt: skip
    """Write losses and predictions (clients, slots) of the maximum over time.

    With LEARN the readout's ``currents`` (clients, blocks, T, BLOCK, CLASSES) become their
    gradients; ``response`` (T,) is the voltage so many bins after a unit current. Grid: (blocks,
    clients).
    """
    client, num_blocks = tl.program_id(1).to(tl.int64), tl.num_programs(0)
    count = tl.load(counts + client)
    if count == 0:
        return
    k, row = tl.arange(0, CLASSES), tl.arange(0, BLOCK)
    number = client * num_blocks + tl.program_id(0)
    start = currents + number * num_bins * BLOCK * CLASSES + row[:, None] * CLASSES + k[None, :]
    d = tl.zeros((BLOCK, CLASSES), tl.float32)
    v, best = d, d - float("inf")
    peak = tl.zeros((BLOCK, CLASSES), tl.int32)
    for t in range(num_bins):
        i = d + tl.load(start + t * BLOCK * CLASSES)
        v = keep * v + drive * i
        d = decay * i
        peak = tl.where(v > best, t, peak)
        best = tl.maximum(v, best)
    exists = tl.program_id(0) * BLOCK + row < count
    slot = number * BLOCK + row
    sample = tl.load(slots + slot, mask=exists, other=0)
    label = tl.load(labels + sample, mask=exists, other=0)
    error, loss, chosen = cross_entropy(best, label, exists, count, num_classes, CLASSES)
    if TAUGHT:
        theirs = answers(teacher, sample, exists, num_classes, CLASSES)
        change, more = divergence(best, theirs, exists, count, num_classes, tau, CLASSES)
        error = (1 - share) * error + share * tau * change
        loss = (1 - share) * loss + share * tau * tau * more
    tl.store(losses + slot, loss)
    tl.store(predictions + slot, chosen)
    if LEARN:
        for t in range(num_bins):
            after = peak - t
            part = tl.load(response + after, mask=after >= 0, other=0.0)
            tl.store(start + t * BLOCK * CLASSES, error * part)


@triton.jit
def cross_entropy(logits, label, exists, count, num_classes, CLASSES: tl.constexpr):
    """Return the gradient (B, K) of the mean loss, the losses (B,) and the predicted classes (B,).

    Of rows that do not exist gradient and loss are zero. Of equal logits the first is predicted.
    """
    k = tl.arange(0, CLASSES)[None, :]
    logits = tl.where(k < num_classes, logits, float("-inf"))
    largest = tl.max(logits, axis=1)
    equal = logits == largest[:, None]
    first = tl.min(tl.where(equal, k, CLASSES), axis=1)
    best = tl.where(first < CLASSES, first, 0)  # of logits that are no numbers the first
    powers = tl.exp(logits - largest[:, None])
    total = tl.sum(powers, axis=1)
    own = k == label[:, None]
    chosen = tl.sum(tl.where(own, logits, 0.0), axis=1)
    error = tl.div_rn(powers, tl.broadcast_to(total[:, None], powers.shape)) - own.to(tl.float32)
    error = error / count.to(tl.float32)
    loss = tl.log(total) + largest - chosen
    return tl.where(exists[:, None], error, 0.0), tl.where(exists, loss, 0.0), best


@triton.jit
def answers(teacher, sample, exists, num_classes, CLASSES: tl.constexpr):
    """Return the logits (B, K) of a teacher (S, K) for ``sample`` (B,)."""
    k = tl.arange(0, CLASSES)[None, :]
    there = (k < num_classes) & exists[:, None]
    return tl.load(teacher + sample[:, None].to(tl.int64) * num_classes + k, mask=there, other=0.0)


@triton.jit
def divergence(logits, theirs, exists, count, num_classes, tau, CLASSES: tl.constexpr):
    """Return q - q_t (B, K) over the batch, and the divergence (B,) of q from the teacher's q_t.

    The equations are those of ``learning.teaching``; of rows that do not exist both are zero.
    """
    inside = tl.arange(0, CLASSES)[None, :] < num_classes
    mine, part, total = soften(logits, inside, tau)
    their, aim, whole = soften(theirs, inside, tau)
    more = tl.sum(aim * (their - mine), axis=1) + tl.log(total) - tl.log(whole)
    change = (part - aim) / count.to(tl.float32)
    return tl.where(exists[:, None], change, 0.0), tl.where(exists, more, 0.0)


@triton.jit
def soften(logits, inside, tau):
    """Return logits over tau less their maximum, their softmax, and the sum of its powers.

    Of logits (B, K) that are not ``inside`` all are zero.
    """
    largest = tl.max(tl.where(inside, logits, float("-inf")), axis=1)
    lower = tl.where(inside, (logits - largest[:, None]) / tau, 0.0)
    powers = tl.where(inside, tl.exp(lower), 0.0)
    total = tl.sum(powers, axis=1)
    return lower, tl.div_rn(powers, tl.broadcast_to(total[:, None], powers.shape)), total
