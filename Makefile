# Everything below works from a fresh clone with Python >= 3.10 (and its venv), make and git.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet

.DEFAULT_GOAL := run
.PHONY: run test browser lint types bench docs clean help

run: $(VENV)/.installed  ## train and judge a digits classifier, then say where its report is
	$(BIN)/prefect-torch run pipelines/digits.yaml

test: $(VENV)/.installed-dev browser  ## run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev  ## check types, strictly
	$(BIN)/mypy --strict

bench: $(VENV)/.installed-dev  ## measure speed (minutes; a quiet machine gives better figures)
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file"; done

docs: $(VENV)/.installed  ## write docs/pipeline.schema.json anew from the spec
	$(BIN)/prefect-torch schema > docs/.pipeline.schema.json.new
	mv docs/.pipeline.schema.json.new docs/pipeline.schema.json

clean:  ## remove what make, tests and builds left here; the artifacts of runs stay in the store
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

# The tests of what a person sees need a browser.
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable
browser:  ## install Debian's chromium where there is no browser yet
	@for name in $(BROWSERS); do if command -v $$name > /dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ]; then sudo=; else sudo="sudo -n"; fi; \
	if command -v apt-get > /dev/null && $$sudo true 2> /dev/null; then \
		$$sudo apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -qq -y --no-install-recommends chromium; \
	else \
		echo "No browser found: install Chromium or Google Chrome, so that one of these" \
			"commands works: $(BROWSERS). Without one, the tests of pages cannot run." >&2; \
		[ "$${CI:-}" != true ]; \
	fi

# Installed again only when one of these files changes.
INSTALLS := pyproject.toml constraints.txt

$(VENV)/.installed: $(INSTALLS)
	$(create-venv)
	@echo "Installing into $(VENV)/ (the first time this fetches PyTorch: some minutes) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(INSTALLS)
	$(create-venv)
	@echo "Installing into $(VENV)/ (the first time this fetches PyTorch: some minutes) ..."
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.installed $@

define create-venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	{ echo "$(PYTHON) is missing or older than 3.10: make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -m venv $(VENV)
endef
