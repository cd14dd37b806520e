# Every target sets up the .venv it needs: Python 3.11+, pip and make are all a machine must have.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-all lint check-wheel clean

demo: $(READY)
	$(BIN)/python -m pipelines run demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile

test-all: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile -m "slow or not slow" --timeout 1800

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check-wheel: $(READY)
	$(BIN)/python .ci/check_wheel.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "LoPE needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[train,eval,excel,dev]"
	touch $(READY)
