# "The machine in our basement has Slurm, a partition called 'slow' and an account. My runs are short, so
# a task should take four, and nobody should get mail. Submit, look, collect, as one script."
cat >basement.toml <<'EOF'
description = "the basement"
partition = "slow"
account = "snn42"
launcher = "mpirun"
extra = ["--mail-type=NONE"]
max_array_size = 1001
max_submitted = 100
EOF
cat >rates.toml <<'EOF'
base = "quickstart"
[set]
server.rounds = 8
client.steps = 8
model.hidden = [16]
[grid]
"client.learning_rate" = [0.01, 0.03]
seed = [0, 1]
[resources]
site = "basement.toml"
runs_per_task = 4
time_min = 15
memory_mib = 1000
EOF
hpcfed sweep plan rates.toml
hpcfed sweep submit rates.toml --dry-run | tee scripts.txt
grep -- "--partition=slow" scripts.txt
hpcfed sweep submit rates.toml
hpcfed sweep status rates.toml
hpcfed sweep collect rates.toml
hpcfed show results/rates
sbatch --ntasks=2 slurm/run.sbatch quickstart --set server.rounds=2

cat >check.py <<'EOF'
import pandas

finals = pandas.read_csv("results/rates/sweep.csv")
print(finals[["client.learning_rate", "seed", "test_accuracy"]])
assert len(finals) == 4
assert finals.test_accuracy.max() > 0.1, "twice the chance"
EOF
python check.py
