#!/usr/bin/env bash
# Measures how many wrong answers a re-check finds and how many right ones it takes for wrong, and writes the section of
# BENCHMARKS.md, in minutes; with arguments, so many honest answers and so many of each cheat.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
part=$(mktemp)
trap 'rm -f "$part"' EXIT
claim_target
cargo build --quiet --workspace --example detection
"$CARGO_TARGET_DIR/debug/examples/detection" "$@" >"$part"
{
	printf 'Written by `make detection`.\n\n'
	cat "$part"
} | scripts/benchmarks.py "What re-checks find"
say "wrote the section on re-checks of BENCHMARKS.md"
