# "In my hospitals each site has patients of its own, and one site has almost everybody. What does that
# do to the small sites? I want to see who owns what before I train, and each site's loss after."
cat >sites.py <<'EOF'
import numpy as np


def divide(labels, groups, num_clients, seed):
    """Most groups go to client 0, one group to each of the others."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    alone = names[: num_clients - 1]
    rest = np.flatnonzero(~np.isin(groups, alone))
    return [rest, *(np.flatnonzero(groups == name) for name in alone)]
EOF
hpcfed data info spoken-digits --clients clients.png \
    --set partition.kind=sites:divide --set partition.num_clients=4
for kind in iid sites:divide; do
    hpcfed run quickstart --out results/$kind --set partition.kind=$kind \
        --set partition.num_clients=4 --set server.rounds=10 --set client.steps=10 \
        --set model.hidden=[32]
done
hpcfed show results

cat >check.py <<'EOF'
import hpcfed

run = hpcfed.load("results/sites:divide", trust=True)
sizes = run.clients.num_samples
last = run.participations.groupby("client").train_loss.last()
print(run.clients.assign(loss=last))
assert sizes[0] > sizes[1:].sum()
assert run.evaluate().accuracy > 0.1, "twice the chance"
EOF
python check.py
test -s clients.png
