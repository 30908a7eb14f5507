# The two commands a newcomer needs are `make demo` and `make test`. Both need git, make and Python 3.11+ with venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Inputs of the installation; it is done again only when one of them changes.
INPUTS := pyproject.toml Makefile
LAUNCHER = $(BIN)/xmpplab

.PHONY: demo test test-all test-suites test-clients lint bench bench-load omemo-dr lock clean
.DELETE_ON_ERROR:

# The main job: who can write to whom, first contact with encryption across servers, ten seconds of load and its page.
demo: $(VENV)/.runtime
	@$(LAUNCHER) demo

# At most ten minutes on two cores; what another test shows as well, on another runtime or server, is left to test-all.
test: $(VENV)/.dev
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

test-all: PYTEST += --all
test-all: test

# Suites and programs of others on two servers of the lab: downloaded when they are run, judged by what is expected.
test-suites: $(VENV)/.dev
	@command -v tmux >/dev/null || { echo "xmpplab: tmux is needed to type into Profanity (Debian: apt-get install tmux)" >&2; exit 69; }
	@$(BIN)/python -m pytest --suites tests/suites $(PYTEST)

# Client programs of others, fetched when this is run, each in a conversation with a simulated person on another server.
test-clients: $(VENV)/.dev
	@for one in tmux Xvfb xdotool; do command -v $$one >/dev/null || missing="$$missing $$one"; done; \
	  test -z "$$missing" || { echo "xmpplab: these programs are needed to type into clients:$$missing (Debian: apt-get install tmux xvfb xdotool)" >&2; exit 69; }
	@$(BIN)/python -m pytest --clients tests/programs $(PYTEST)

lint: $(VENV)/.dev
	@$(BIN)/ruff check lab scenarios loadtests tests $(wildcard benchmarks)
	@$(BIN)/ruff format --check lab scenarios loadtests tests $(wildcard benchmarks)
	@$(BIN)/mypy

# Every benchmark is run, also after one that missed its aim; the exit code tells of any that did.
bench: $(VENV)/.dev
	@$(call each,$(filter-out benchmarks/_% benchmarks/load_%,$(wildcard benchmarks/*.py)))

# The load engine; beside tsung where Debian's is installed.
bench-load: $(VENV)/.dev
	@$(call each,$(wildcard benchmarks/load_*.py))

each = missed=; for one in $(1); do echo "== $$one"; $(BIN)/python $$one || missed="$$missed $$one"; done; \
  test -z "$$missed" || { echo "aims missed, or not measured:$$missed" >&2; exit 1; }

# Gajim's implementation of OMEMO, as a second one beside python-omemo. It is compiled: a C compiler and Python's headers
# are needed. What it is compiled with is installed before, so that its hash is checked as well.
omemo-dr: $(VENV)/.omemo-dr

$(VENV)/.omemo-dr: requirements-omemo-dr.lock $(VENV)/.runtime
	@sed -n '/^setuptools==/,$$p' $< >$(VENV)/omemo-dr-build.lock
	@for lock in $(VENV)/omemo-dr-build.lock $<; do \
	  $(BIN)/python -m pip -qq install --disable-pip-version-check --require-hashes --no-deps --no-build-isolation -r $$lock \
	    || { echo "xmpplab: pip could not install $$lock (its reason is above)." >&2; exit 69; }; done
	@touch $@

# Newest versions that work together, for every supported Python; no addresses in the files.
COMPILE = $(VENV)/lock/bin/uv --quiet pip compile --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --upgrade --group build pyproject.toml
lock: $(VENV)/.runtime
	@$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip -qq install uv
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	@printf 'omemo-dr\nsetuptools\n' | $(VENV)/lock/bin/uv --quiet pip compile --universal --python-version 3.11 --no-deps \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file requirements-omemo-dr.lock -

clean:
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find lab scenarios loadtests tests -name __pycache__ -type d -prune -exec rm -rf {} +

# $(call install,LOCK): the locked packages, then the project itself, which adds nothing to them, compiled as pip compiles
# what it does not leave in place. Quiet, but for what went wrong.
define install
$(BIN)/python -m pip -qq install --disable-pip-version-check --require-hashes -r $(1) \
  && $(BIN)/python -m pip -qq install --disable-pip-version-check --no-deps --no-build-isolation --editable . \
  && $(BIN)/python -m compileall -q lab \
  || { echo "xmpplab: pip could not install $(1) (its reason is above). It needs a package index: see 'pip config list'" \
       "for the one that is set, HTTPS_PROXY for a proxy, or PIP_FIND_LINKS for a folder of wheels; then run make again." >&2; exit 69; }
endef

$(VENV)/.runtime: requirements.lock $(INPUTS) | $(VENV)/bin/python
	@echo "Installing Python packages into $(VENV) …" >&2
	@$(call install,requirements.lock)
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what the tests need into $(VENV) …" >&2
	@$(call install,requirements-dev.lock)
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "xmpplab: Python 3.11 or later is needed, $(PYTHON) is not it; name one: make PYTHON=python3.12 demo" >&2; exit 69; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "xmpplab: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 69; }
