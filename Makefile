# make demo       the environment, then the embedded model converted, verified and shown
# make test       the environment with the test extras, then the test suite
# make test-models  real models, end to end
# make test-all   everything, and the table of results in docs/
# make check      what continuous integration runs
#
# PYTHON names the interpreter to build the environment with: Python 3.11, 3.12 or 3.13.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
JOBS ?= 2

.PHONY: demo test test-models test-all lint types contracts docs check clean

demo: $(VENV)/.demo
	@mkdir -p build
	@$(BIN)/mmconvert demo --report build/demo.html
	@echo 'With pictures: build/demo.html'

test: $(VENV)/.test
	$(BIN)/python -m pytest -n $(JOBS) -m "not model and not large"

test-models: $(VENV)/.test
	$(BIN)/python -m pytest -n $(JOBS) -m "model and not large"

test-all: $(VENV)/.test
	$(BIN)/python tools/test_all.py

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.lint
	$(BIN)/mypy --strict mmconvert

contracts: $(VENV)/.lint
	$(BIN)/lint-imports

docs: $(VENV)/.test
	$(BIN)/python tools/support_table.py
	$(BIN)/python -m tests.mutations.report

check: lint types contracts test test-models

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[runtimes,report]'
	@touch $@

# torch first and pinned: whatever asks for it later is content with this one. tf_keras without what it asks
# for: that is the tensorflow package, which would lie over tensorflow-cpu.
$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) install torch==2.13.0
	$(PIP) install --editable '.[test]'
	$(PIP) install --no-deps tf_keras==2.21.0
	@touch $@

$(VENV)/.lint: pyproject.toml | $(VENV)/bin/python
	$(PIP) install --editable '.[lint]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
