#!/usr/bin/env bash
# Measures how language models are served and writes it into BENCHMARKS.md. It takes about a quarter of an hour and an idle
# machine. With names of parts it measures only those, prints what they found, and writes nothing.
#
# A part is a function measure_NAME that leaves $parts/NAME.json, for which clients/serving/report.py has a function, or
# $parts/NAME.md as it is to be shown. The engine beside llama.cpp has a script and a section of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/network.sh
all=(gateway streams)
if [[ ${1-} == engine ]]; then
	exec scripts/bench_engine.sh
fi
parts=$(mktemp -d)
trap 'rm -rf "$parts"' EXIT
claim_target

# beside_stubs PART: runs a part of clients/serving/bench.py in a network of its own.
beside_stubs() {
	local python
	cargo build --quiet --workspace --bins
	cargo build --quiet --workspace --example serving
	python=$(venv clients/serving/requirements.lock)/bin/python
	"$python" clients/serving/bench.py "$1" "$CARGO_TARGET_DIR/debug/assay" "$CARGO_TARGET_DIR/debug/examples/serving" \
		"$parts/$1.data" "$(free_ports)" models/iris-logreg >"$parts/$1.json"
}

# Added time to the first token beside LiteLLM, and memory of idle streams.
measure_gateway() { beside_stubs gateway; }

# Thousands of slow streams at once.
measure_streams() { beside_stubs streams; }

for part in "${@:-${all[@]}}"; do
	if ! declare -F "measure_$part" >/dev/null; then
		say "error: no part is called $part"
		say "hint: choose from ${all[*]} engine"
		exit 3
	fi
	say "measuring $part"
	"measure_$part"
done
python3 clients/serving/report.py "$parts" >"$parts/serving.out"
if (($#)); then
	cat "$parts/serving.out"
	exit
fi
{
	printf 'Written by `make bench-serving`.\n\n'
	cat "$parts/serving.out"
} | scripts/benchmarks.py "Serving language models"
say "wrote BENCHMARKS.md"
scripts/bench_engine.sh
