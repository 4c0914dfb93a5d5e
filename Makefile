# Needs only python3 (3.11 or newer) and make; uses uv where it is installed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)

.PHONY: demo test check format bench quality soak crash clean

demo: $(VENV)/.installed
	@$(BIN)/amxwatch demo

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.benchmarks

# Scores drafts against the gold sets; ARGS="--llm NAME --config-dir DIR" scores a model beside.
quality: $(VENV)/.installed-dev
	$(BIN)/python -m tests.quality $(ARGS)

# An hour of seeds under a virtual clock, from a fresh one on; a seed that fails says how to replay.
MINUTES ?= 60
FIRST   ?= $(shell date +%s)
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.simulation --seeds $(FIRST): --minutes $(MINUTES) --jobs $(JOBS)

# 500 times kill -9 of a real daemon under load (30 in `make test`).
KILLS ?= 500
crash: $(VENV)/.installed-dev
	AMXWATCH_KILLS=$(KILLS) $(BIN)/python -m pytest tests/surfaces/test_kills.py $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "amxwatch needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12"; exit 1; }
ifdef UV
	@$(UV) venv --quiet --python $(PYTHON) $(VENV)
else
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "python3-venv is missing: sudo apt install make python3-venv"; exit 1; }
endif

# What the demo needs, and nothing more; `make test` adds the rest to the same folder.
$(VENV)/.installed: $(BIN)/python pyproject.toml
	@echo "Installing amxwatch into $(VENV) (once)"
ifdef UV
	@$(UV) pip install --quiet --python $(BIN)/python -e '.[all]'
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]'
endif
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
ifdef UV
	@$(UV) pip install --quiet --python $(BIN)/python --group dev
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
endif
	@touch $@
