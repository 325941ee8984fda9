# "I have installed it this morning. Does it run here on two processes, does it learn anything, and
# have I something to show at lunch?"
hpcfed doctor
hpcfed run quickstart --ranks 2 --set server.rounds=15 --set client.steps=10 --set model.hidden=[32]
hpcfed show results/quickstart
hpcfed report results/quickstart
hpcfed plot curve results/quickstart --out lunch.png

cat >check.py <<'EOF'
import xarray

rounds = xarray.open_dataset("results/quickstart/run.h5", group="rounds", engine="h5netcdf")
accuracy = float(rounds.test_accuracy[-1])
print(f"{accuracy:.1%} of unknown voices' digits; guessing has 5 %")
assert accuracy > 0.15
EOF
python check.py
test -s results/quickstart/report.html
test -s lunch.png
test -s lunch.csv
