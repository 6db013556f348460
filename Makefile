# `make help` lists the targets. PYTHON names the interpreter that the virtual environment is made with.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
PACKAGES := vsync_dagster vsync_dagster_tests benchmarks

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo dev test test-long reliability screenshots bench bench-peers check lint format types arrows lock clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

install: $(INSTALLED) ## Make .venv with the pinned packages (every target below does so when needed)

demo: install ## Show a reconciliation from end to end, with nothing installed or running before or after
	@$(BIN)/vsync demo

dev: install ## Run everything with the Dagster UI and the console, until Ctrl-C (PORT=3000, CONSOLE_PORT=3010)
	@$(BIN)/vsync dev $(if $(PORT),--port $(PORT)) $(if $(CONSOLE_PORT),--console-port $(CONSOLE_PORT))

test: check ## Run all checks and the tests (about 30 minutes on 2 cores)
	$(BIN)/pytest -n 4 -m "not long" -rs $(PYTEST_ARGS)

test-long: install ## Run the tests that take minutes each
	$(BIN)/pytest -m long $(PYTEST_ARGS)

reliability: install ## Inject every fault, and write the table in docs/reliability.md
	$(BIN)/pytest -m fault --write-reliability $(PYTEST_ARGS)

bench: install ## Measure the speed beside other ways, and write docs/benchmarks.md and docs/scale.md (sizes: BENCH_ARGS=--help)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)
	@$(BIN)/python -m benchmarks.model

bench-peers: install ## Make .venv-peers with the tools for comparing tables that `make bench` then measures as well
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --quiet --disable-pip-version-check install adbc-driver-postgresql datacompy pyarrow "reladiff[postgresql]"

screenshots: install ## Write the pictures of the console and of Dagster's UI in docs/images, with Debian's chromium
	$(BIN)/pytest vsync_dagster_tests/console/test_screenshots.py vsync_dagster_tests/daemon/test_in_chromium.py \
		--write-screenshots $(PYTEST_ARGS)

check: lint types arrows ## Run every check that needs no server

lint: install ## Look for mistakes and bad style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: install ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: install ## Check the types
	$(BIN)/mypy $(PACKAGES)

arrows: install ## Check that the packages import one another only downwards
	$(BIN)/lint-imports

lock: ## Pin the versions anew in requirements.lock (LOCK_ARGS=--upgrade raises all, else only what must change)
	@venv=$$(mktemp -d) && trap 'rm -rf "$$venv"' EXIT && $(PYTHON) -m venv "$$venv" \
	&& "$$venv/bin/python" -m pip --quiet --disable-pip-version-check install uv \
	&& "$$venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --no-annotate \
		--no-header --extra dev pyproject.toml --output-file requirements.lock $(LOCK_ARGS)

clean: ## Remove the virtual environment and caches; the data in .vsync stay
	rm -rf .venv .venv-peers build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "VSYNC needs Python 3.11 or newer: name one, such as make PYTHON=python3.12 install" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: install python3-venv (Debian, Ubuntu)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the pinned packages into .venv" >&2
	@$(PIP) install --no-deps -r requirements.lock
	@$(PIP) install --no-deps -e .
	@touch $@
