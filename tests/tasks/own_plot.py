"""My supervisor wants one panel: accuracy by megabytes sent, one line for each seed, 8 cm wide."""

from matplotlib.figure import Figure

import hpcfed

figure = Figure(figsize=(8 / 2.54, 6 / 2.54), layout="constrained")
axes = figure.subplots()
for seed in (0, 1):
    run = hpcfed.run(
        "quickstart",
        out=f"results/seed{seed}",
        overrides={"seed": seed, "server.rounds": 8, "client.steps": 8, "model.hidden": [16]},
        quiet=True,
    )
    sent = run.rounds.uplink_bytes_seed.cumsum() / 1e6
    axes.plot(sent, 100 * run.rounds.test_accuracy, label=f"seed {seed}")
    assert sent.is_monotonic_increasing
    assert run.rounds.test_accuracy.iloc[-1] > 0.1, "twice the chance"
axes.axhline(5, color="gray", linestyle=":", label="guessing")
axes.set(xlabel="sent by all clients / MB", ylabel="test accuracy / %")
axes.legend()
figure.savefig("panel.pdf")
figure.savefig("panel.png", dpi=300)
