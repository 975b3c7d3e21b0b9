# The same words at home and in CI. `make` alone lists them.
PYTHON ?= python3
VENV ?= .venv
# cpu takes the small build of torch; gpu takes the CUDA build (several GB) on Linux.
ACCELERATOR ?= cpu
TORCH := 2.13.0
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu
TORCHVISION := 0.28.0
TORCHVISION_INDEX ?= $(if $(filter cpu,$(ACCELERATOR)),$(TORCH_CPU_INDEX),https://pypi.org/simple)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long check stack bench-build bench-eval bench-load bench-train serve lock clean

help:  ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.user  ## make the environment (ACCELERATOR=gpu for CUDA)

demo: $(VENV)/.user  ## from a STAC search to a registered model, offline, in minutes
	$(BIN)/croma demo

serve: $(VENV)/.user  ## Prefect and MLflow in the browser, over what the demo left
	$(BIN)/croma serve

test: check  ## everything that CI runs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not stack and not long and not network" --durations=10
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile -m "slow and not stack and not long and not network" --durations=10
	@# Servers that are killed and restarted on a busy machine may be late: what fails is tried once more.
	$(BIN)/python -m pytest -m stack --durations=10 || $(BIN)/python -m pytest -m stack --last-failed

test-long: $(VENV)/.dev  ## images, clusters whose nodes die, a whole comparison (tens of minutes; apt packages as root)
	$(BIN)/python -m pytest -m "long and not network" --durations=10

check: $(VENV)/.dev  ## lint, types, floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.check_infra

stack: $(VENV)/.dev  ## the demo on real servers: PostgreSQL, Ceph, Prefect, MLflow, pgstac, two Ray nodes
	$(BIN)/python -m infra.local.stack demo --photos .croma/stack/photos

lock: $(VENV)/.dev  ## renew constraints.txt from the ranges in pyproject.toml
	PIP_CONSTRAINT= $(PIP) install -q uv
	$(BIN)/python tools/lock.py constraints.txt

bench-build: $(VENV)/.dev  ## how fast chips are read, by us and by others (1.5 GB of scene, half an hour)
	@$(PIP) install -q -e ".[bench]"
	$(BIN)/python -m benchmarks.build --json .croma/bench/build.json

bench-eval: $(VENV)/.dev  ## how fast weights are judged, beside scikit-learn and torchgeo (some minutes)
	$(BIN)/python -m benchmarks.evaluate

bench-load: $(VENV)/.dev  ## how fast batches are loaded, by us and by others (8 GB of chips; streaming needs nginx)
	@# litdata and mosaicml-streaming want torchvision; PyPI's does not load beside the small build of torch.
	@$(PIP) install -q --no-deps "torchvision==$(TORCHVISION)" --index-url $(TORCHVISION_INDEX) \
	  || echo "torchvision $(TORCHVISION) for this torch is not to be had: mosaicml-streaming may be left out"
	@# What litdata needs would otherwise take a torch of its own, with all of CUDA.
	@$(PIP) install -q -e ".[bench-load]" "torch==$(TORCH)"
	$(BIN)/python -m benchmarks.load --json .croma/bench/load.json

# OFFICIAL=<checkout of antofuller/CROMA> compares with the published code itself.
bench-train: $(VENV)/.dev  ## what a step, more workers, a checkpoint and a resume cost (minutes; on a GPU its speed too)
	$(BIN)/python -m benchmarks.step_cost --size base $(if $(OFFICIAL),--official $(OFFICIAL))
	$(BIN)/python -m benchmarks.step_cost --size large $(if $(OFFICIAL),--official $(OFFICIAL))
	$(BIN)/python -m benchmarks.train --json .croma/bench/train.json
	@if $(BIN)/python -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then \
	  $(BIN)/python -m benchmarks.gpu --json .croma/bench/gpu.json $(if $(OFFICIAL),--official $(OFFICIAL)); \
	else echo "No GPU here: samples/s and utilisation on one are not measured"; fi

clean:  ## remove the environment and what the demo made
	rm -rf $(VENV) .croma

$(VENV)/.torch: Makefile
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "CROMA needs Python 3.11 to 3.13; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@VERSION=$(TORCH); \
	if [ "$$(uname -s)" = Linux ] && [ "$(ACCELERATOR)" = cpu ]; then VERSION=$(TORCH)+cpu; fi; \
	echo "Installing torch $$VERSION"; \
	$(PIP) install -q "torch==$$VERSION" 2>/dev/null \
	  || $(PIP) install -q "torch==$$VERSION" --extra-index-url $(TORCH_CPU_INDEX)
	@touch $@

$(VENV)/.user: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "Installing the pipeline (about 200 packages; a few minutes)"
	@$(PIP) install -q -e ".[all]"
	@touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml constraints.txt
	@echo "Installing the pipeline with its test tools"
	@$(PIP) install -q -e ".[dev]"
	@# The oracle of the weight format: one file of it is used, which needs none of its 40 dependencies but einops.
	@$(PIP) install -q --no-deps "torchgeo==0.8.1"
	@touch $@ $(VENV)/.user
