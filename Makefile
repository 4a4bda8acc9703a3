# Two commands on a fresh machine: `make demo` and `make test`. Python 3.11 or newer is all they need.
# Another interpreter: make PYTHON=python3.12 demo

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt
# One thread per process: the suite runs two processes, and its matrices are small.
SINGLE_THREADED := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs bench bench-training clean

help:
	@echo "make demo    install limitset and run the demo (results in limitset-demo/)"
	@echo "make test    run the test suite"
	@echo "make lint    check style         make types   check types"
	@echo "make docs    build the manual in site/"
	@echo "make bench   run the benchmarks  make bench-training   those that train for hours"
	@echo "make clean   remove everything that was made"

demo: $(STAMPS)/base
	$(BIN)/limitset demo --out limitset-demo

test: $(STAMPS)/test
	$(SINGLE_THREADED) $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMPS)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# pyright reads the installed packages, the test suite's included.
types: $(STAMPS)/dev $(STAMPS)/test
	$(BIN)/pyright

docs: $(STAMPS)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Hours, not minutes: most train on permuted images and want `LIMITSET_DATA` or a network.
TRAINING := $(addprefix benchmarks/,permuted_accuracy.py sparse_combo.py assembly_sweeps.py \
  initialisation_study.py deep_accuracy.py certified_accuracy.py)

bench: $(STAMPS)/bench
	@set -e; for file in $(filter-out $(TRAINING),$(wildcard benchmarks/[a-z]*.py)); do \
	  echo "== $$file"; $(BIN)/python "$$file"; done

bench-training: $(STAMPS)/bench
	@set -e; for file in $(TRAINING); do \
	  echo "== $$file"; $(BIN)/python "$$file" --runs benchmarks/runs; done

clean:
	rm -rf $(VENV) .hypothesis .pytest_cache .ruff_cache build dist limitset-demo site
	find src tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "limitset needs Python 3.11 or newer, but $(PYTHON) is not; run: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
	  exit 2; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

# What each set of packages needs; one stamp a set, so that `make demo` installs no test tools.
$(STAMPS)/base: pyproject.toml constraints.txt $(STAMPS)/venv
	$(INSTALL) -e .
	@touch $@

$(STAMPS)/test $(STAMPS)/dev $(STAMPS)/docs $(STAMPS)/bench: $(STAMPS)/%: $(STAMPS)/base
	$(INSTALL) -e ".[$*]"
	@touch $@
