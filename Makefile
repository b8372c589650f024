# Two commands do everything: `make run` (set up, start, chat) and `make test` (set up, run all tests).
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ADMIN  ?= admin
HOME_DIR ?= $(CURDIR)
KILLS  ?= 300
MINUTES ?= 600

RUNTIME := $(VENV)/.installed-runtime
DEV     := $(VENV)/.installed-dev
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help run start stop status test chaos bench bench-quick bench-micro bench-limits lint format types imports check smoke lock clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 5))' || \
	  { echo "chatd needs Python 3.11.5 or newer; this is $$($(PYTHON) -V). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3 could not make a virtual environment; on Debian: apt install python3-venv"; exit 1; }

$(RUNTIME): constraints.txt pyproject.toml | $(BIN)/python
	@echo "installing chatd into $(VENV) ..." >&2
	@$(PIP) --require-hashes -r constraints.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): constraints-dev.txt $(RUNTIME)
	@echo "installing the tools for tests ..." >&2
	@$(PIP) --require-hashes -r constraints-dev.txt
	@touch $@

run: $(RUNTIME) ## set up, start the daemon, chat in #lobby as the first admin
	@if test -e "$(HOME_DIR)/certs/ca.pem"; then $(BIN)/chatd --home "$(HOME_DIR)" start >&2; \
	  else $(BIN)/chatd --home "$(HOME_DIR)" init --admin $(ADMIN) --start >&2; fi
	@$(BIN)/chat --home "$(HOME_DIR)"; code=$$?; \
	  [ ! -t 0 ] || echo "the server runs on; make stop ends it" >&2; exit $$code

start: $(RUNTIME) ## start the daemon only
	@$(BIN)/chatd --home "$(HOME_DIR)" start

stop: $(RUNTIME) ## stop the daemon
	@$(BIN)/chatd --home "$(HOME_DIR)" stop

status: $(RUNTIME) ## show the daemon's processes
	@$(BIN)/chatd --home "$(HOME_DIR)" status

test: $(DEV) ## set up and run all tests
	@$(BIN)/python -m pytest -n auto --dist worksteal

chaos: $(DEV) ## kill -9 everything under load and judge what is left (KILLS=, SEED=, MINUTES=)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) kills --kills $(KILLS) --minutes $(MINUTES)

bench: $(DEV) ## measure beside other servers, with all sizes; an hour (ROUNDS=)
	@$(BIN)/python -m tests.bench $(if $(ROUNDS),--rounds $(ROUNDS)) --json $(VENV)/bench.json

bench-quick: $(DEV) ## the same in five minutes
	@$(BIN)/python -m tests.bench --quick $(if $(ROUNDS),--rounds $(ROUNDS)) --json $(VENV)/bench.json

bench-micro: $(DEV) ## microseconds of every stage of the hot path, against its budget
	@$(BIN)/python -m tests.bench.micro

bench-limits: $(DEV) ## measure what it does at its limits, a quarter of an hour (TRIALS=)
	@$(BIN)/python -m tests.bench.limits $(TRIALS) --json $(VENV)/bench-limits.json

lint: $(DEV) ## find mistakes
	@$(BIN)/ruff check .

format: $(DEV) ## lay the code out
	@$(BIN)/ruff format .

types: $(DEV) ## check types strictly
	@$(BIN)/mypy

imports: $(DEV) ## check that packages import only downwards
	@$(BIN)/lint-imports

check: $(DEV) ## format, lint, types, imports, without changing anything
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

smoke: $(DEV) ## boot the installed daemon in a fresh home, chat, stop
	@$(BIN)/python -m tests.smoke

lock: ## pin the dependencies again (needs pip-tools)
	pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe --extra build -o constraints.txt pyproject.toml
	pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe --extra dev -c constraints.txt -o constraints-dev.txt pyproject.toml

clean: ## remove the virtual environment and caches; keys, settings and messages stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
