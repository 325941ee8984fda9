# "I have a folder of recordings: three bird calls by four birds, in WAV files named as our recorder
# names them. Does a network that knows three of the birds understand the fourth?"
cat >record.py <<'EOF'
import wave
from pathlib import Path

import numpy as np

CALLS = {"food": (600, 600), "fox": (1800, 1800), "here": (600, 1800)}  # Hz, from and to
for number, bird in enumerate(("ada", "ben", "cem", "dee")):
    for take in range(6):
        for call, (start, end) in CALLS.items():
            pitch = np.linspace(start, end, 3200) * (1 + 0.02 * number + 0.01 * take)
            sound = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)
            folder = Path("unheard" if bird == "dee" else "heard")
            folder.mkdir(exist_ok=True)
            with wave.open(str(folder / f"{bird}-{call}-{take}.wav"), "wb") as file:
                file.setparams((1, 2, 16_000, 0, "NONE", ""))
                file.writeframes((32767 * sound).astype("<i2").tobytes())
EOF
python record.py
for folder in heard unheard; do
    hpcfed data encode $folder $folder.h5 --channels 40 --workers 1 \
        --pattern '{speaker}-{label}-{index}.wav'
done
hpcfed data info heard.h5 --set duration=0.25 --picture calls.png

hpcfed new birds
sed -i 's/^dataset = .*/dataset = "heard.h5"/; s/^#test = .*/test = "unheard.h5"/
    s/^duration = .*/duration = 0.25/; s/^channel_jitter = .*/channel_jitter = 1/
    s/^hidden = .*/hidden = [32]/; s/^#batch_size = .*/batch_size = 4/
    s/^rounds = .*/rounds = 20/' birds.toml
hpcfed run birds.toml
hpcfed show results/birds

cat >check.py <<'EOF'
import hpcfed

run = hpcfed.load("results/birds")
print(run.clients, run.confusion, sep="\n")
assert sorted(run.clients.group) == ["ada", "ben", "cem"]
assert run.evaluate().accuracy > 0.6, "guessing has a third"
EOF
python check.py
test -s calls.png
