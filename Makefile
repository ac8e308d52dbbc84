# make run    install everything, fetch the starter weights, index the examples, open homebody
# make test   the same from nothing for the test suite: real engines on small weights
# make lint   format, lint, types, layers
# PYTHON names another interpreter (3.11 or newer): make run PYTHON=python3.12

PYTHON ?= python3

.PHONY: run test lint install install-dev clean

run: install
	@scripts/main_job.sh

install:
	@$(PYTHON) scripts/install.py

install-dev:
	@$(PYTHON) scripts/install.py --dev

test: install-dev
	@scripts/check.sh tests

lint: install-dev
	@scripts/check.sh lint

# What make made in this checkout. The data folder and weights are elsewhere: see "Removing it all" in the README.
clean:
	rm -rf .venv .build
