"""My network is a torch module with a convolution over channels and dropout. Train it federated."""

import torch
from torch import nn

import hpcfed


class Net(nn.Module):
    """What sounds in the first half of a word, and in the second."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Conv1d(1, 4, kernel_size=20, stride=10)
        self.drop = nn.Dropout(0.1)
        width = self.features(torch.zeros(1, 1, channels)).numel()
        self.readout = nn.Linear(2 * width, classes)

    def forward(self, events):
        """Return logits (B, K) of events (T, B, C)."""
        halves = [half.mean(0) for half in events.chunk(2)]  # (B, C) of the first and second half
        seen = [torch.relu(self.features(20 * half[:, None])).flatten(1) for half in halves]
        return self.readout(self.drop(torch.cat(seen, 1)))


def network(experiment, inputs, num_classes):
    return hpcfed.module(Net(inputs, num_classes))


if __name__ == "__main__":
    run = hpcfed.run(
        "quickstart",
        out="results/module",
        overrides={"model.kind": "own_module:network", "server.rounds": 5, "client.steps": 10},
        quiet=True,
    )
    print({name: weights.shape for name, weights in run.weights().items()})
    print(run.rounds.test_accuracy)
    assert run.weights()["features.weight"].shape == (4, 1, 20)
    assert run.evaluate().accuracy > 0.15, "guessing has 5 %"
