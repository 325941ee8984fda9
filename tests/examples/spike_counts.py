"""A learning rule in one file: a linear classifier of spike counts, trained without gradients.

A sample that is taken for another class moves the weights of both classes by its relative spike
counts (the multiclass perceptron of Crammer and Singer 2003, JMLR 3). In an experiment::

    [rule]
    kind = "spike_counts:RULE"
    own = { margin = 0.1 }
"""

import numpy as np

from hpcfed import BatchResult, Figure, Layout, LocalUpdate, Rule, step_ids


class Perceptron:
    """Its trainer: P = K C weights, no hidden layer."""

    layers = ()

    def __init__(self, experiment, shape, device):
        self.experiment = experiment
        self.margin = (experiment.rule.own or {}).get("margin", 0.0)
        self.layout = Layout.of({"readout": (shape.classes, shape.num_inputs)})

    def scores(self, params, events, ids):
        rows, _, channels, values = events.batch_events(ids)
        counts = np.zeros((len(ids), events.num_channels), np.float32)
        np.add.at(counts, (rows, channels), values)
        shares = counts / counts.sum(1, keepdims=True)
        return shares, shares @ params.reshape(self.layout.shapes[0]).T

    def train(self, params, events, clients, round_index):
        for client in clients:
            weights, wrong, seen = params.copy(), 0, 0
            readout = weights.reshape(self.layout.shapes[0])  # a view
            for ids in step_ids(self.experiment, client, round_index):
                labels, rows = events.labels[ids], np.arange(len(ids))
                shares, scores = self.scores(weights, events, ids)
                scores[rows, labels] -= self.margin
                best = scores.argmax(1)
                np.add.at(readout, labels, shares * (best != labels)[:, None])
                np.add.at(readout, best, -shares * (best != labels)[:, None])
                wrong, seen = wrong + int((best != labels).sum()), seen + len(ids)
            yield LocalUpdate(weights - params, wrong / seen, np.nan, {"corrections": wrong})

    def evaluate(self, params, events, ids):
        logits = self.scores(params, events, ids)[1].astype(np.float64)
        true = logits[np.arange(len(ids)), events.labels[ids]]
        losses = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1) - true
        return BatchResult(losses, logits.argmax(1), np.zeros(0, np.int64), logits)

    def hidden_spikes(self, params, events, ids):
        return []


RULE = Rule(Perceptron, figures=(Figure("corrections", "1", "steps that moved the weights"),))
