# "Is it worth sending more often, or masking less? Both settings cost the same bytes. I want a table
# with means over seeds, and I may add seeds later without paying for the old ones again."
cat >often.toml <<'EOF'
base = "quickstart"
[set]
server.rounds = 12
run.eval_every = 12
client.steps = 8
model.hidden = [16]
[zip]
"uplink.mask_probability" = [0.0, 0.75]
"participation.drop_probability" = [0.75, 0.0]
[grid]
seed = [0, 1]
EOF
hpcfed sweep plan often.toml
hpcfed sweep run often.toml --workers 1
sed -i 's/seed = .*/seed = [0, 1, 2]/' often.toml
hpcfed sweep run often.toml --workers 1 | tee second.txt
grep "6 runs (2 new, 4 known)" second.txt
hpcfed sweep collect often.toml
hpcfed show results/often
hpcfed plot compare results/often --out often.pdf

cat >check.py <<'EOF'
import pandas

finals = pandas.read_csv("results/often/sweep.csv")
table = finals.groupby("uplink.mask_probability").test_accuracy.agg(["mean", "std", "count"])
print(table)
assert list(table["count"]) == [3, 3]
assert table["mean"].max() > 0.1, "twice the chance"
row = pandas.read_csv("often.csv").iloc[0]
assert row.num_pairs == 3
assert row.low < row.difference < row.high
EOF
python check.py
grep -q tabular often.tex
test -s often.pdf
