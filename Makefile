# `make` lists what can be made. Every target says what it does, works without a terminal, and may be repeated.
#
# PYTHON=/path/to/python3.11   the interpreter of the virtual environment (default: the first Python ≥ 3.11 found)
# ARGS="-k switch -x"          arguments of pytest, the demo or the benchmarks

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

export PYTHON
BIN := .venv/bin

##@ The two that do everything
.PHONY: demo test
demo: system setup ## the main job for real: deploys, refuses, rolls back, under load; leaves the service running
	@tools/engine start demo || [ $$? -eq 3 ]
	@$(BIN)/python -m demo $(ARGS)

test: system setup ## every test, on the real engine, nginx, registry and browser; cleans up behind itself
	@tools/test $(ARGS)

##@ While working
.PHONY: check fix docs bench demo-down
# `cat`: for its turns make locks its output, and on /dev/null it waits for ever for a Docker Engine that has it locked.
check: setup ## format, lint, types, import contracts, generated docs: seconds
	@set -o pipefail; $(MAKE) --jobs --output-sync=target check-format check-lint check-types check-contracts check-docs | cat

fix: setup ## formats, and mends what the linter can mend
	@$(BIN)/ruff format --quiet
	@$(BIN)/ruff check --fix

docs: setup ## writes the generated parts of the docs anew
	@$(BIN)/python tools/docs.py

bench: system setup ## the figures that the README quotes: tables and JSON
	@tools/engine start bench || [ $$? -eq 3 ]
	@$(BIN)/python -m benchmarks $(ARGS); code=$$?; tools/engine stop bench; exit $$code

demo-down: ## takes down everything that `make demo` put up
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m demo.down
	@tools/engine stop demo

##@ Setting up, one by one
.PHONY: setup system engine engine-down clean
setup: ## .venv with the pinned requirements and this project
	@tools/setup

system: ## the Debian packages that are missing, as root or through sudo
	@tools/system

engine: ## starts a Docker Engine where none answers
	@tools/engine start make

engine-down: ## stops the Docker Engine that was started here
	@tools/engine stop any

clean: ## removes what was made here: .venv, caches, wheels
	@[ ! -d .demo ] || { echo 'make clean: a demo is up; make demo-down first' >&2; exit 1; }
	rm -rf .venv wheelhouse build dist *.egg-info .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: check-format check-lint check-types check-contracts check-docs
check-format:
	@$(BIN)/ruff format --check
check-lint:
	@$(BIN)/ruff check
check-types:
	@$(BIN)/mypy
check-contracts:
	@$(BIN)/lint-imports --no-logo
check-docs:
	@$(BIN)/python tools/docs.py --check

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":[^#]*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
