# Newsloom. Every recipe is one call; `make` alone prints this help.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(PYTHON) packages/newsloom/src/newsloom/environment.py $(VENV)

RENDERING = $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(GPUS),--gpus $(GPUS)) $(if $(CPU),--cpu)
AUDITED = $(if $(DIGEST),--digest $(DIGEST)) $(if $(TAG),--tag $(TAG)) $(if $(COMMIT),--commit $(COMMIT)) $(if $(REGISTRY),--registry $(REGISTRY))
# The value of a setting that a target cannot do without.
need = $(or $($1),$(error make $@ needs $1=$2))

.DEFAULT_GOAL := help
# Every target works on the same .venv and the same sources.
.NOTPARALLEL:
.PHONY: help setup runtime demo ui data plans test torture format lint type check lock build push apply audit sbom clean

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' Makefile

setup: ## make .venv from the hash-locked requirements
	@$(SETUP) dev

runtime:
	@$(SETUP)

demo: runtime ## the main job: data, fine-tunes, judges, lineage, comparison
	@$(BIN)/newsloom demo

ui: runtime ## serve the MLflow UI of the demo on 127.0.0.1:5000
	@$(BIN)/newsloom ui

data: runtime ## fetch and check the inputs by DVC
	@$(BIN)/newsloom data

plans: runtime ## render the plan files into build/plans (REGISTRY= GPUS= CPU=1)
	@$(BIN)/newsloom plans $(RENDERING)

lock: runtime ## resolve images/*/image.toml to image.lock (IMAGE=)
	@$(BIN)/imagelock lock $(IMAGE)

build: runtime ## assemble OCI images from their locks under build/images (IMAGE=)
	@$(BIN)/imagelock build $(IMAGE)

push: runtime ## push built images under write-once tags (REGISTRY= IMAGE=)
	@$(BIN)/imagelock push --registry $(call need,REGISTRY,host:port) $(IMAGE)

apply: runtime ## say what the plans start, ask, apply (PROFILE= YES=1 PREVIEW=1)
	@$(BIN)/newsloom apply $(RENDERING) $(if $(PROFILE),--engine $(PROFILE)) $(if $(YES),--yes) $(if $(PREVIEW),--preview)

audit: runtime ## rebuild an image, compare (IMAGE= DIGEST= TAG= COMMIT= REGISTRY=)
	@$(BIN)/imagelock audit $(call need,IMAGE,name) $(AUDITED)

sbom: runtime ## print the CycloneDX document of a built image (IMAGE=)
	@$(BIN)/imagelock sbom $(call need,IMAGE,name)

test: setup ## run all tests
	@$(BIN)/pytest

torture: setup ## the long tests: 1,000 random kills, every step of a sync, fuzzing
	@KNITLITE_KILLS=1000 $(BIN)/pytest -m slow --timeout 7200 --hypothesis-profile=default

format: setup ## format the code
	@$(BIN)/ruff format .

lint: setup ## check style and common faults
	@$(BIN)/ruff check .

type: setup ## check types strictly
	@$(BIN)/mypy

check: format lint type test ## format, lint, type-check and test

clean: ## remove what was built and run; keeps inputs and .venv
	@rm -rf build var .mypy_cache .ruff_cache .pytest_cache .hypothesis
