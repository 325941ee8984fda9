"""I press Ctrl-C in the middle, go on after lunch, and want the numbers that I would have had."""

import signal
import subprocess

import h5py
import numpy as np

SMALL = ["--set", "server.rounds=40", "--set", "client.steps=1", "--set", "model.hidden=[8]"]

run = ["hpcfed", "run", "quickstart", *SMALL, "--out", "results/stopped", "--ranks", "2"]
with subprocess.Popen(run, stdout=subprocess.PIPE, text=True) as going:
    for line in going.stdout:
        print(line, end="")
        if line.startswith("round 2/"):
            going.send_signal(signal.SIGINT)
assert going.returncode == 75, "stopped, and can be resumed"
subprocess.run(["hpcfed", "show", "results/stopped"], check=True)
subprocess.run(["hpcfed", "run", "--resume", "results/stopped"], check=True)
subprocess.run(["hpcfed", "run", "quickstart", *SMALL, "--out", "results/whole"], check=True)

files = [h5py.File(f"results/{name}/run.h5") for name in ("stopped", "whole")]
for key in ("model/params", "rounds/test_accuracy", "rounds/train_loss"):
    stopped, whole = (file[key][:] for file in files)
    assert np.array_equal(stopped, whole), key
print("the same bits")
