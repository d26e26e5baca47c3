#!/usr/bin/env bash
# Measures the language engine beside llama.cpp on the same random weights, what a check costs beside an answer, and the search
# for minimal failure sets, and writes the section of BENCHMARKS.md. llama.cpp is built from its source for this machine the
# first time, about ten minutes; measuring takes three, on an idle machine. THREADS and ROUNDS change what they say.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
need g++ "apt-get install g++"
claim_target
cargo build --quiet --workspace --example serving_speed --example failure_speed
# The source is built for the processor that it runs on, as ours chooses its instructions when it runs.
CMAKE_ARGS="-DLLAVA_BUILD=OFF -DGGML_NATIVE=ON" CMAKE_BUILD_PARALLEL_LEVEL=$CARGO_BUILD_JOBS
export CMAKE_ARGS CMAKE_BUILD_PARALLEL_LEVEL
python=$(venv clients/serving/llama.lock)/bin/python
models=$cache/random-model
say "making the model"
"$python" clients/serving/random_model.py "$models"
say "measuring the engines"
"$python" clients/serving/llama_bench.py "$models" "$CARGO_TARGET_DIR/debug/examples/serving_speed" \
	--threads "${THREADS:-2}" --rounds "${ROUNDS:-5}" >"$parts/engine.json"
say "measuring failure sets"
"$CARGO_TARGET_DIR/debug/examples/failure_speed" | tail -n 1 >"$parts/sets.json"
{
	printf 'Written by `make bench-serving`, or by `scripts/bench_engine.sh` alone.\n\n'
	python3 clients/serving/engine_report.py "$parts/engine.json" "$parts/sets.json"
} | scripts/benchmarks.py "The language engine beside llama.cpp"
say "wrote the section on the language engine of BENCHMARKS.md"
