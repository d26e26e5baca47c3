# Every command of the repository. `make demo` and `make test` are the two that matter; see CONTRIBUTING.md.

# Built once for demo, tests and benches, outside the checkout so that `git clean` does not cost half an hour.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/assay/target
SHELL := /bin/bash
CLAIM := source scripts/environment.sh && claim_target
export CARGO_BUILD_JOBS ?= $(shell nproc)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-hub bench-serving bench-zkml detection abuse-zkml models vectors contracts search-weights clean-local

help: ## List the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: ## Start a local network, walk through it; ARGS="--exit" stops after the walk
	@$(CLAIM)
	@cargo build --quiet --workspace --bins
	@"$(CARGO_TARGET_DIR)/debug/assay" demo $(ARGS)

test: ## Run everything that must pass; SUITES="rust onnx" runs only some
	@scripts/test.sh $(SUITES)

check: ## The fast inner loop: format, lints, unit tests
	@$(CLAIM)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --test onnxruntime -- -D warnings
	cargo test --quiet --workspace --lib
	cargo test --quiet --package assay-tidy --test it

bench: ## Run every benchmark of the workspace; ARGS="tensor" runs those of that name
	@scripts/bench.sh $(ARGS)

bench-hub: ## Measure search, transfers and storage of a hub, about half an hour; ARGS="search" measures only that
	@scripts/bench_hub.sh $(ARGS)

bench-serving: ## Measure the gateway beside LiteLLM, slow streams, and the engine beside llama.cpp, half an hour; ARGS="engine" measures only that
	@scripts/bench_serving.sh $(ARGS)

bench-zkml: ## Measure proofs beside EZKL's, about half an hour; ARGS="risk-logreg" measures one model
	@scripts/bench_zkml.sh $(ARGS)

detection: ## Measure what re-checks of answers find, minutes; ARGS="200 20" takes fewer honest ones and fewer of each cheat
	@scripts/bench_detection.sh $(ARGS)

abuse-zkml: ## Attack the verifier of proofs and the tests that attack it, with counts; about an hour
	@scripts/abuse_zkml.sh $(ARGS)

models: ## Train the models again and write their reference outputs; ARGS="chat" trains the chat model alone
	@scripts/models.sh $(ARGS)

vectors: ## Write the frozen vectors again; a difference means that a wire format changed
	@$(CLAIM)
	cargo build --quiet --workspace --examples
	"$(CARGO_TARGET_DIR)/debug/examples/make_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_chain_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_hub_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_zkml_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_groth16_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_sketch_vectors"
	"$(CARGO_TARGET_DIR)/debug/examples/make_route_vectors"

contracts: ## Compile the contracts again and write their artefacts
	@scripts/contracts.sh

search-weights: ## Fetch the weights of the sentence encoder; prints the directory that hub.toml names in [search]
	@scripts/search_weights.sh

clean-local: ## Remove what running the network left in this checkout; the cache stays
	rm -rf .assay .assay-drill contracts/node_modules clients/*/node_modules
