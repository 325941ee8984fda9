"""I have a trained run. Which digits does it confuse, who is silent, what does it say to noise?"""

import numpy as np

import hpcfed

trained = hpcfed.run(
    "quickstart",
    out="results/trained",
    overrides={"server.rounds": 15, "client.steps": 10, "model.hidden": [32]},
    quiet=True,
)
run = hpcfed.load("results/trained")
assert (run.predict() == trained.predict()).all()

test = run.data.test
right = run.predict() == test.labels
print(f"{right.mean():.1%} right; guessing has {1 / len(test.class_names):.0%}")
assert right.mean() > 0.15
assert np.isclose(right.mean(), run.evaluate().accuracy)
wrong = run.confusion.mask(np.eye(len(test.class_names), dtype=bool))
print("most confused:", wrong.stack().idxmax())

(spikes,) = run.spikes(ids=range(20)).values()  # (samples, bins, neurons)
silent = ~spikes.any(axis=(0, 1))
print(f"{silent.sum()} of {len(silent)} neurons are silent")
assert not silent.all()

draw = np.random.default_rng(0)
mine = hpcfed.events([np.sort(draw.uniform(0, 0.7, 900))], [draw.integers(700, size=900)])
print("noise sounds like", test.class_names[run.predict(mine)[0]])
