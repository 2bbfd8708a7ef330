# `make` alone lists the targets; each sets up what it needs. The work is done by scripts/.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test soak check bench doc cuda gpu-check weights clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Build, then mine a chain with a real network's products (ONCE=1 ends after the job)
	@bash scripts/run.sh

test: ## Build, then run every test
	@bash scripts/test.sh

soak: ## Over an hour of blocks: a testnet of 200, finality that stalls for 5,000, 10,000 open jobs, and 2,000 full ones
	@bash scripts/soak.sh

check: ## Formatting, clippy, docs and, where installed, cargo-deny
	@bash scripts/check.sh

bench: ## Measure, as ratios in one run (writes nothing; docs/benchmarks.md has our figures)
	@bash scripts/bench.sh

doc: ## Build the API docs
	@bash scripts/doc.sh

cuda: ## Set up NVIDIA's compiler, so that builds embed the GPU kernels (needs no GPU)
	@bash scripts/setup-cuda.sh

gpu-check: ## On a machine with a GPU: check its bytes, measure it, mine on it
	@python3 scripts/gpu_check.py $(ARGS)

weights: ## Measure the weights of our pallets and write them
	@bash scripts/weights.sh

clean: ## Remove what was built in this clone
	cargo clean
	rm -rf tests/js/node_modules
