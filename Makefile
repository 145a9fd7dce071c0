# Two commands: `make demo` and `make test`. Each sets up what it needs; the second call starts at once.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test fast check bench help
help:
	@echo "make demo   the whole study on the embedded model: table, page, run directories"
	@echo "make test   all tests (make fast: those without long runs)"
	@echo "make check  linter and type checker"
	@echo "make bench  benchmarks, as ratios inside one run"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/playsafe quickstart

test: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -m '' -n 2 --dist loadfile --no-loadscope-reorder --durations=5

fast: $(STAMP)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/ce_kl_loss.py --out benchmarks/results/ce_kl_loss.json
	$(BIN)/python benchmarks/rds_scoring.py --rows 48 --out benchmarks/results/rds_scoring.json
	$(BIN)/python benchmarks/adapters_one_pass.py --out benchmarks/results/adapters_one_pass.json
	$(BIN)/python benchmarks/recorded_replies.py --out benchmarks/results/recorded_replies.json
