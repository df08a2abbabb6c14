# The commands of this house.  Everything happens in .venv; versions are pinned in constraints.txt.
#   make demo            sets everything up and runs the main job
#   make test            sets everything up and passes the tests
#   make PYTHON=python3.12 setup   uses that Python

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
SEEDS ?= 0:1000

.PHONY: help setup setup-dev demo dev test simulate lint format bench wheel proto clean

help:
	@sed -n '2,4s/^# *//p' Makefile
	@echo "also: setup dev simulate lint format bench wheel proto clean"

setup:
	@$(PYTHON) tools/setup.py

setup-dev:
	@$(PYTHON) tools/setup.py --dev

demo: setup
	@$(BIN)/kronos demo $(ARGS)

dev: setup
	@$(BIN)/kronos dev $(ARGS)

test: setup-dev
	@$(BIN)/python tools/test.py $(ARGS)

simulate: setup-dev
	@$(BIN)/python -m tests.simulation.conductor $(SEEDS)

lint: setup-dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: setup-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup-dev
	@$(BIN)/python tools/peers.py
	@$(BIN)/python -m benchmarks $(ARGS)

wheel: setup-dev
	@$(BIN)/python -m build --no-isolation --wheel $(ARGS)

proto: setup-dev
	@$(BIN)/python tools/proto.py $(ARGS)

clean:
	rm -rf .venv debugger_ui/node_modules debugger_ui/vendor build dist
