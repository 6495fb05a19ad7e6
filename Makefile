# make demo   start a cluster of three nodes here, put real text, count its words, stop
# make test   lint, type-check, check the import rules, run every test
#
# Both need Python 3.11 or later, make and a C library; .venv is made when it is missing or older
# than pyproject.toml. Parts of `make test`: lint types unit. PYTHON=... names another interpreter,
# TESTS=... other arguments for pytest.

.DEFAULT_GOAL := help
.PHONY: help demo test fmt lint types unit bench clean venv

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TREES := $(wildcard dfs mapreduce cli tests examples benchmarks)
TESTS ?= -n 2 --dist worksteal

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

test: lint types unit

fmt: $(STAMP)
	@$(BIN)/ruff check --quiet --fix $(TREES)
	@$(BIN)/ruff format --quiet $(TREES)

lint: $(STAMP)
	@$(BIN)/ruff check --quiet $(TREES)
	@$(BIN)/ruff format --quiet --check $(TREES)
	@out=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$out" >&2; exit 1; }

types: $(STAMP)
	@$(BIN)/mypy --no-error-summary

unit: $(STAMP)
	@$(BIN)/pytest $(TESTS)

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

clean:
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find $(TREES) -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || $(MAKE) --no-print-directory venv
	@echo "installing minidfs and what its tests need into $(VENV); this happens once" >&2
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

# Any of these names may be missing, or be older than what it says; the first good one is taken.
venv:
	@seen=; \
	for name in $${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do \
	    version=$$($$name -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
	        || continue; \
	    seen="$$seen $$name is Python $$version,"; \
	    $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue; \
	    $$name -c 'import ensurepip, venv' 2>/dev/null && exec $$name -m venv --clear $(VENV); \
	    echo "$$name cannot make a virtual environment, install what it lacks:" \
	        "apt-get install python3-venv (or python$$version-venv)" >&2; \
	    exit 1; \
	done; \
	echo "minidfs needs Python 3.11 or later:$${seen:- found no python3,}" \
	    "install one: apt-get install python3 python3-venv" >&2; \
	exit 1
