# `make run` sets up, starts the daemon and opens a chat; `make test` sets up and runs all tests.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ADMIN  ?= admin
HOME_DIR ?= $(CURDIR)
KILLS  ?= 300
MINUTES ?= 600
SYSTEM_PACKAGES := tmux xvfb xdotool fonts-dejavu-core rsyslog rsyslog-openssl chromium prometheus prometheus-alertmanager

RUNTIME := $(VENV)/.installed-runtime
DEV     := $(VENV)/.installed-dev
FUZZ    := $(VENV)/.installed-fuzz
CLUSTER := $(VENV)/.installed-cluster
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help run cluster start stop status test coverage fuzz chaos chaos-cluster abuse bench bench-quick bench-micro bench-limits lint \
  format types imports check smoke dist lock system-packages clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# An environment holds absolute paths: it is of no use in a moved or copied checkout, nor for another Python.
ENVIRONMENT := $(if $(wildcard $(VENV)),$(shell $(BIN)/python -I -c 'import os, chatd, click; \
  print(os.path.samefile(os.path.dirname(chatd.__file__), "chatd"))' 2>/dev/null),True)

ifneq ($(ENVIRONMENT),True)
$(BIN)/python $(RUNTIME): FORCE
endif

FORCE:

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "chatd needs Python 3.11 or newer; $(PYTHON) is: $$($(PYTHON) -V 2>&1 || echo not installed)"; \
	  for other in python3.14 python3.13 python3.12 python3.11; do \
	    $$other -c '' 2>/dev/null && { echo "try: make PYTHON=$$other $(MAKECMDGOALS)"; break; }; done; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot create a virtual environment; on Debian, as root: apt install $(notdir $(PYTHON))-venv"; \
	  exit 1; }

$(RUNTIME): constraints.txt pyproject.toml | $(BIN)/python
	@echo "installing chatd into $(VENV) ..." >&2
	@$(PIP) --require-hashes -r constraints.txt
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): constraints-dev.txt $(RUNTIME)
	@echo "installing the test tools ..." >&2
	@$(PIP) --require-hashes -r constraints-dev.txt
	@touch $@

$(FUZZ): constraints-fuzz.txt $(DEV)
	@$(PIP) --only-binary :all: --require-hashes -r constraints-fuzz.txt || \
	  echo "note: this Python has no atheris; the fuzz tests only replay their seeds" >&2
	@touch $@

$(CLUSTER): constraints-cluster.txt $(RUNTIME)
	@echo "installing NATS ..." >&2
	@$(PIP) --require-hashes -r constraints-cluster.txt
	@touch $@

run: $(RUNTIME) ## set up, start the daemon, chat in #lobby as the first admin
	@if test -e "$(HOME_DIR)/certs/ca.pem"; then $(BIN)/chatd --home "$(HOME_DIR)" start >&2; \
	  else $(BIN)/chatd --home "$(HOME_DIR)" init --admin $(ADMIN) --start >&2; fi
	@$(BIN)/chat --home "$(HOME_DIR)"; code=$$?; \
	  [ ! -t 0 ] || echo "the server keeps running; stop it with: make stop" >&2; exit $$code

cluster: $(CLUSTER) ## install NATS, which a cluster needs (docs/cluster.md)

start: $(RUNTIME) ## start the daemon only
	@$(BIN)/chatd --home "$(HOME_DIR)" start

# A running server can be stopped without a network to make the environment anew.
stop: ## stop the daemon
status: ## show the daemon's processes
stop status:
	@$(BIN)/python -c 'import chatd.cli.root' 2>/dev/null || $(MAKE) --no-print-directory $(RUNTIME)
	@$(BIN)/python -m chatd --home "$(HOME_DIR)" $@

# With the bytecode on disk, the programs that tests start need not be compiled each time.
test: $(FUZZ) ## set up and run all tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=
	@echo "coverage: $$($(BIN)/coverage report --format=total)% of lines, not counting the daemons that tests start"

coverage: $(DEV) ## list the lines that the last `make test` did not run
	@$(BIN)/coverage report

fuzz: $(FUZZ) ## run the parsers on random input (COUNT= or MINUTES=, SEED=, TARGETS=)
	@$(BIN)/python -m tests.fuzz $(TARGETS) --seed $(or $(SEED),1) --corpus $(VENV)/fuzz-corpus \
	  $(if $(filter command line,$(origin MINUTES)),--minutes $(MINUTES),--count $(or $(COUNT),1000000))

chaos: $(DEV) ## kill -9 every process under load, then check the log (KILLS=, SEED=, MINUTES=)
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) kills --kills $(KILLS) --minutes $(MINUTES)

chaos-cluster: $(DEV) ## kill nodes of a cluster under load, then cut the wires (KILLS=, KINDS=, SEED=, MINUTES=)
	$(if $(KINDS),,@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) \
	  cluster --kills $(KILLS) --minutes $(MINUTES))
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) \
	  partitions --faults $(KILLS) --minutes $(MINUTES) --kinds "$(or $(KINDS),all)"

abuse: $(DEV) ## let a guest, a user and a host do their worst; time everybody else (SECONDS=)
	@$(BIN)/python -m tests.abuse $(if $(SECONDS),--seconds $(SECONDS))

bench: $(DEV) ## compare with other servers at all sizes; takes an hour (ROUNDS=)
	@$(BIN)/python -m tests.bench $(if $(ROUNDS),--rounds $(ROUNDS)) --json $(VENV)/bench.json
	@$(BIN)/python -m tests.bench.browser_cost

bench-quick: $(DEV) ## compare with other servers at small sizes; takes five minutes (ROUNDS=)
	@$(BIN)/python -m tests.bench --quick $(if $(ROUNDS),--rounds $(ROUNDS)) --json $(VENV)/bench.json

bench-micro: $(DEV) ## time each stage of the hot path against its budget
	@$(BIN)/python -m tests.bench.micro

bench-limits: $(DEV) ## measure chatd at its limits; takes fifteen minutes (TRIALS=)
	@$(BIN)/python -m tests.bench.limits $(TRIALS) --json $(VENV)/bench-limits.json

lint: $(DEV) ## run the linter
	@$(BIN)/ruff check .

format: $(DEV) ## format the code
	@$(BIN)/ruff format .

types: $(DEV) ## check types in strict mode
	@$(BIN)/mypy

imports: $(DEV) ## check the import contracts
	@$(BIN)/lint-imports

check: $(DEV) ## check format, lint, types and imports; change nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

smoke: $(DEV) ## start the installed daemon in a fresh home, exchange messages, stop it
	@$(BIN)/python -m tests.smoke

dist: $(DEV) ## build the sdist, the wheel, chat.pyz and chatctl.pyz in dist/
	@$(BIN)/python -m hatchling build
	@$(BIN)/python -m tests.tools.single_files dist

system-packages: ## install the programs that tests drive (Debian, Ubuntu; as root)
	@apt-get update -qq
	@DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES)

lock: ## pin the dependencies with hashes; keeps the pins that still fit (needs pip-tools)
	pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe --extra build -o constraints.txt pyproject.toml
	pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe --extra dev --extra cluster -c constraints.txt \
	  -o constraints-dev.txt pyproject.toml
	pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe --extra cluster -c constraints.txt \
	  -o constraints-cluster.txt pyproject.toml
	$(PYTHON) -c 'import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	  print(*extras["fuzz"])' | \
	  pip-compile -q --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	  --no-header --no-annotate --strip-extras --allow-unsafe -o constraints-fuzz.txt -

clean: ## remove the virtual environment and caches; keep keys, settings and messages
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
