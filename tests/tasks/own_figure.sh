# "Our group draws one figure of every study: what training gained, for each setting. It is to be a
# command like the others, with its numbers as CSV beside."
cat >gained.py <<'EOF'
import hpcfed

COLUMNS = {
    "hidden": "hidden neurons",
    "gained": "test accuracy of the last round minus that of the first, fraction",
    "megabytes": "sent by all clients until then",
}


def rows(runs):
    for run in runs:
        accuracy = run.rounds["test_accuracy"]
        gained = float(accuracy[-1] - accuracy[0])
        megabytes = float(run.uplink_bytes()[-1]) / 1e6
        yield {"hidden": run.keys["model.hidden"][0], "gained": gained, "megabytes": megabytes}


def draw(runs):
    figure = hpcfed.new_figure()
    axes = figure.subplots()
    for row in rows(runs):
        axes.plot(row["megabytes"], 100 * row["gained"], "o", label=f"{row['hidden']} neurons")
    axes.set(xlabel="sent / MB", ylabel="gained / % of the test")
    axes.legend()
    return figure
EOF
for hidden in 8 32; do
    hpcfed run quickstart --out results/hidden$hidden --quiet --set model.hidden=[$hidden] \
        --set server.rounds=8 --set client.steps=8
done
hpcfed plot own gained results --out gained.svg

cat >check.py <<'EOF'
import pandas

table = pandas.read_csv("gained.csv")
assert sorted(table.hidden) == [8, 32]
assert table.gained.max() > 0.05, "another chance"
assert (table.megabytes > 0.5).all()
EOF
python check.py
grep -q "32 neurons" gained.svg
