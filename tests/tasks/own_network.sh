# "I have equations of my own: neurons whose potential decays at two speeds, one value of [model.own].
# How do I train them, and see what they learnt?"
cat >double.py <<'EOF'
import torch

from hpcfed import Layout


class Double:
    def __init__(self, experiment, channels, classes):
        (width,) = experiment.model.hidden
        self.decays = torch.tensor(experiment.model.own["decays"])
        self.layout = Layout.of({"in": (width, channels), "out": (classes, len(self.decays) * width)})

    def forward(self, weights, inputs):
        current = torch.tanh(inputs @ weights["in"].T)
        potential = torch.zeros(len(self.decays), *current.shape[1:])
        for entering in current:
            potential = self.decays[:, None, None] * potential + entering
        return torch.cat(list(potential), 1) @ weights["out"].T, []


def network(experiment, inputs, num_classes):
    return Double(experiment, inputs, num_classes)
EOF
cat >double.toml <<'EOF'
name = "double"

[data]
dataset = "spoken-digits"
duration = 0.7
num_bins = 50

[model]
kind = "double:network"
hidden = [16]
own = { decays = [0.5, 0.95] }

[client]
learning_rate = 0.01
steps = 12

[server]
rounds = 4
EOF
hpcfed run double.toml
hpcfed show results/double

cat >check.py <<'EOF'
import hpcfed

run = hpcfed.load("results/double", trust=True)
assert run.weights()["out"].shape == (20, 32)
assert run.evaluate().accuracy > 0.15, "guessing has 5 %"
EOF
python check.py
