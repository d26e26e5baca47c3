#!/usr/bin/env bash
# Runs every benchmark of the workspace, one after the other on an otherwise idle machine, and writes BENCHMARKS.md; with
# arguments, runs the benchmarks of those names and writes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
claim_target
if (($#)); then
	exec cargo bench --profile dev --workspace --benches "$@"
fi
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT

cargo build --quiet --workspace --benches --examples
cargo bench --profile dev --quiet --workspace --bench network -- --out "$parts/network.md"
python=$(venv clients/onnx/requirements.lock)/bin/python
cargo bench --profile dev --quiet --workspace --bench receipt --bench corpus -- --warm-up-time 1 --measurement-time 2
"$python" clients/onnx/bench.py >"$parts/onnxruntime.json"
"$python" clients/onnx/compare.py "$CARGO_TARGET_DIR/criterion" <"$parts/onnxruntime.json" >"$parts/executor.md"
"$CARGO_TARGET_DIR/debug/examples/wide_area" --table 10,20,40,100 --seconds 5 >"$parts/wide_area.md"
scripts/benchmarks.py <"$parts/network.md"
scripts/benchmarks.py "The executor beside onnxruntime" <"$parts/executor.md"
scripts/benchmarks.py "Between continents, simulated" <"$parts/wide_area.md"
say "wrote BENCHMARKS.md"
