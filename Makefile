# Newsloom. Every recipe is one call; `make` alone prints this help.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(PYTHON) packages/newsloom/src/newsloom/environment.py $(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test check format lint type data plans clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from the hash-locked requirements
	@$(SETUP) dev

runtime:
	@$(SETUP)

demo: runtime ## run the main job: data, fine-tunes, judges, lineage, comparison in MLflow
	@$(BIN)/newsloom demo

ui: runtime ## serve the MLflow UI of the demo on 127.0.0.1:5000
	@$(BIN)/newsloom ui

data: runtime ## fetch and check the inputs by DVC
	@$(BIN)/newsloom data

plans: runtime ## render the plan files into build/plans
	@$(BIN)/newsloom plans

test: setup ## run all tests
	@$(BIN)/pytest

format: setup ## format the code
	@$(BIN)/ruff format .

lint: setup ## check style and common faults
	@$(BIN)/ruff check .

type: setup ## check types strictly
	@$(BIN)/mypy

check: format lint type test ## format, lint, type-check and test

clean: ## remove what was built and run; keeps inputs and .venv
	@rm -rf build var .mypy_cache .ruff_cache .pytest_cache .hypothesis
