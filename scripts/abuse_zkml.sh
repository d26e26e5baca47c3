#!/usr/bin/env bash
# Attacks the verifier of proofs, and then the tests that attack it: mutated proofs, registrations and renewals, every one of
# them counted; dishonest provers, the transcript, the second verifier and random graphs; and the verifier without each of its
# checks, which some test has to notice. About an hour on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/suites.sh
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
crates=(--package assay-zkml --package assay-zkml-verify --package assay-tensor)

claim_target
cargo build --quiet --workspace --examples
"$CARGO_TARGET_DIR/debug/examples/abuse" "$@" | tee "$scratch/abuse.log"
suite attacks read_nextest cargo nextest run "${crates[@]}"
# Its own build, in which every check can be switched off.
CARGO_TARGET_DIR=$CARGO_TARGET_DIR-mutants crates/zkml/mutants/run.py "$scratch/mutants" | tee "$scratch/mutants.log"
printf '%s\n%s tests of dishonest provers, transcript, second verifier, random graphs and refusals passed\n%s\n' \
	"$(tail -n 2 "$scratch/abuse.log")" "$passed" "$(tail -n 1 "$scratch/mutants.log")"
