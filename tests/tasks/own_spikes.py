"""I have spike times of 24 neurons of five mice that saw gratings. Do mice predict a new mouse?"""

import numpy as np

import hpcfed

draw = np.random.default_rng(3)
GRATINGS = ("left", "right", "still")
times, units, seen, mice = [], [], [], []
for mouse in ("m1", "m2", "m3", "m4", "m5"):
    for grating in np.repeat(GRATINGS, 10):
        prefers = np.arange(24) % 3 == GRATINGS.index(grating)
        counts = draw.poisson(np.where(prefers, 6, 2))  # spikes of each neuron in half a second
        units.append(np.repeat(np.arange(24), counts))
        times.append(draw.uniform(0, 0.5, counts.sum()))  # seconds, in no order
        seen.append(grating)
        mice.append(mouse)


def some(wanted):
    """Return the trials of some mice."""
    rows = [k for k, mouse in enumerate(mice) if mouse in wanted]
    columns = [[column[k] for k in rows] for column in (times, units, seen, mice)]
    return hpcfed.events(*columns, class_names=GRATINGS, num_channels=24)


run = hpcfed.run(
    "quickstart",
    data=(some(["m1", "m2", "m3", "m4"]), some(["m5"])),
    out="results/mice",
    overrides={
        "data.duration": 0.5, "data.num_bins": 25, "data.channel_jitter": 0, "model.hidden": [24],
        "client.batch_size": 8, "server.rounds": 15,
    },
    quiet=True,
)  # fmt: skip
print(run.clients)
print(run.confusion)
assert len(run.clients) == 4
assert run.evaluate().accuracy > 0.6, "guessing has a third"
