# The ways in. Every command works from a clean clone with Python 3.11 or newer, git and make; what it needs
# is installed into $(VENV) by stamp files, so a second call installs nothing.

VENV ?= .venv
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; break; fi; done)
ARGS ?=
JOBS ?= auto
SEEDS ?= 5000
SOAK_SECONDS ?= 120
SOAK_SEED ?= $(strip $(shell od -An -N2 -tu2 /dev/urandom))

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --editable
STAMPS := $(VENV)/.stamps

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  ARGS='...' is passed on to the program; VENV=... and PYTHON=... choose the environment."

.PHONY: demo
demo: $(STAMPS)/demo ## queues, a stream, a table and the engine, all on this machine; ends by itself
	$(BIN)/esm demo $(ARGS)

.PHONY: test
test: $(STAMPS)/test ## every test, against every real server this machine can have
	$(BIN)/python -m pytest --numprocesses=$(JOBS) --dist=loadfile $(ARGS)

.PHONY: lint
lint: $(STAMPS)/lint ## format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMPS)/lint ## rewrite the code in the project's format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: sim
sim: $(STAMPS)/test ## the deterministic simulation over many histories: SEEDS=5000
	SIM_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/sim $(ARGS)

.PHONY: soak
soak: $(STAMPS)/test ## kill engines and brokers at random under load, end with tables: SOAK_SECONDS=120 SOAK_SEED=...
	SOAK_SECONDS=$(SOAK_SECONDS) SOAK_SEED=$(SOAK_SEED) $(BIN)/python -m pytest -s tests/e2e/test_soak_*.py $(ARGS)

.PHONY: mutation
mutation: $(STAMPS)/mutation ## plant faults in the core and see whether the tests notice; a few minutes
	$(BIN)/python tests/mutation/run.py

.PHONY: bench
bench: $(STAMPS)/test ## what the engine costs beside two plain loops
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: clean
clean: ## remove everything that was made or downloaded
	rm -rf $(VENV) .servers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build dist mutants .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A changed pyproject.toml brings all of them up to date. pip reads dependency groups since 25.1.
$(STAMPS)/venv: pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv was found." \
		"Name one with PYTHON=... (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "PYTHON=$(PYTHON) is not Python 3.11 or newer." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"
	@mkdir -p $(STAMPS)
	@touch $@

$(STAMPS)/demo: $(STAMPS)/venv
	$(INSTALL) .
	@touch $@

$(STAMPS)/test: $(STAMPS)/venv
	$(INSTALL) . --group test
	@touch $@

# The type checker reads the tests too, so it needs what they import.
$(STAMPS)/lint: $(STAMPS)/test
	$(INSTALL) . --group lint
	@touch $@

$(STAMPS)/mutation: $(STAMPS)/test
	$(INSTALL) . --group mutation
	@touch $@
