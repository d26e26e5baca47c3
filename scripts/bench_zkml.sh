#!/usr/bin/env bash
# Measures proofs beside EZKL's, the same models in one run, and how ours grow, and writes both into BENCHMARKS.md; with names of
# models, only those, and with `growth` only that. EZKL takes a quarter of an hour of both cores and up to 20 GB of memory
# for the largest.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
models=("$@")
((${#models[@]})) || models=(risk-logreg digits-mlp-64-32-10 digits-lenet digits-mlp784 digits-block)
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

# growth: the last section of the page, with its picture.
growth() {
	cargo build --quiet --workspace --example growth
	"$CARGO_TARGET_DIR/debug/examples/growth" | tee "$parts/growth.jsonl" >&2
	python3 clients/zkml/growth.py "$parts/growth.jsonl" --picture docs/growth.svg >"$parts/growth.md"
	{
		printf 'Written by `make bench-zkml`, or by `make bench-zkml ARGS=growth` alone.\n\n'
		cat "$parts/growth.md"
	} | scripts/benchmarks.py "How proofs grow"
}

# measure SELECTION: one JSON object for each proof, by a build of that part of the workspace.
measure() {
	cargo build --quiet "$@" --example proofs
	for model in "${models[@]}"; do
		for mode in succinct zero-knowledge; do
			"$CARGO_TARGET_DIR/debug/examples/proofs" "models/$model" 1 "$mode" | tee -a "$parts/ours.jsonl" >&2
		done
	done
	"$CARGO_TARGET_DIR/debug/examples/proofs" models/digits-mlp784 32 succinct | tee -a "$parts/ours.jsonl" >&2
}

claim_target
if [[ $* == growth ]]; then
	growth
	say "wrote the end of BENCHMARKS.md"
	exit
fi
measure --workspace
# The widest registers of this machine, in a build beside the one that everything else uses. Not x86-64-v4: the compiler
# then prefers registers of half the width, and a proof takes twice as long.
if grep -qw avx512f /proc/cpuinfo; then
	(
		export CARGO_TARGET_DIR=$CARGO_TARGET_DIR-avx512 RUSTFLAGS="-C target-cpu=native"
		claim_target
		measure --package assay-inference
	)
fi
python3 -c 'import json, sys; json.dump([json.loads(line) for line in sys.stdin], sys.stdout)' <"$parts/ours.jsonl" >"$parts/ours.json"
python=$(venv clients/zkml/requirements.lock)/bin/python
mkdir "$parts/evm"
"$python" clients/zkml/ezkl_bench.py --models "$(IFS=,; echo "${models[*]}")" --evm "$parts/evm" >"$parts/ezkl.json"

# contract MODEL CLASS: our proof of the first held-out row of a small model, with the contract that checks it, beside EZKL's.
contract() {
	local out=$parts/evm/$1 assay=$CARGO_TARGET_DIR/debug/assay
	mkdir -p "$out"
	"$python" -c 'import numpy, sys; numpy.save(sys.argv[2], numpy.load(sys.argv[1])[:1])' "models/$1/zk/test.npy" "$out/row.npy"
	"$assay" zk groth16 setup "$2" --out "$out/keys" --key "$out/key" >&2
	"$assay" zk groth16 commit "models/$1" --secret "$out/secret" >&2
	"$assay" zk groth16 prove "models/$1" --input "$out/row.npy" --keys "$out/keys" --secret "$out/secret" --out "$out/proof.json" >&2
	"$assay" zk groth16 solidity --json --key "$out/key" >"$out/verifier.json"
}

claim_target
cargo build --quiet --workspace --bins
folders=()
for model in "${models[@]}"; do
	case $model in
	risk-logreg) contract "$model" assay-groth16-16-4 ;;
	digits-mlp-64-32-10) contract "$model" assay-groth16-64-32-10 ;;
	*) continue ;;
	esac
	folders+=("$parts/evm/$model")
done
node_packages contracts
node contracts/proof_gas.mjs "${folders[@]}" >"$parts/evm.json"
"$python" clients/zkml/compare.py --ezkl "$parts/ezkl.json" --ours "$parts/ours.json" --evm "$parts/evm.json" >"$parts/zkml.md"
{
	printf 'Written by `make bench-zkml`.\n\n'
	cat "$parts/zkml.md"
} | scripts/benchmarks.py "Proofs beside EZKL"
if (($# == 0)); then growth; fi
say "wrote BENCHMARKS.md"
