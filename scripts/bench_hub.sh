#!/usr/bin/env bash
# Measures what a hub does and writes it into BENCHMARKS.md: search over 100,000 models and its quality, transfers beside
# nginx and a copy of the files, bytes on the wire, storage. It takes about half an hour, 25 GB of disk, and an idle machine.
# With names (search, transfers, wire, storage) it measures only those and writes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
source scripts/network.sh
source scripts/hub.sh
parts=$(mktemp -d)
trap 'hub_stop; rm -rf "$parts"' EXIT
claim_target

measure_search() {
	local weights
	weights=$(scripts/search_weights.sh)
	cargo build --quiet --workspace --examples
	"$CARGO_TARGET_DIR/debug/examples/speed" --documents 100000 --seconds 60 --rate 200 --weights "$weights" | tail -n 1 >"$parts/speed.json"
	"$CARGO_TARGET_DIR/debug/examples/quality" --weights "$weights" --semantics speed --test --json "$parts/quality.json" >"$parts/quality.md"
}

# in_hub FRONT ARGUMENTS...: runs clients/hub/bench.py beside a hub of its own.
in_hub() {
	local data python
	python=$(venv clients/hub/requirements-2.lock)/bin/python
	data=$(mktemp -d -p "$parts")
	hub_start "$data" "$1" || return
	"$python" clients/hub/bench.py "${@:2}"
	hub_stop
	rm -rf "$data"
}

measure_transfers() {
	need nginx "apt-get install nginx" || return
	in_hub '' speed >"$parts/transfers.json"
}

measure_wire() { in_hub front wire >"$parts/wire.json"; }

measure_storage() {
	cargo build --quiet --workspace --examples
	"$CARGO_TARGET_DIR/debug/examples/storage" "$parts" >"$parts/storage.json"
}

for name in "${@:-search transfers wire storage}"; do
	for part in $name; do
		say "measuring $part"
		"measure_$part"
	done
done
if (($#)); then
	cat "$parts"/*.json "$parts"/*.md 2>/dev/null || true
	exit
fi
python3 clients/hub/report.py "$parts" | scripts/benchmarks.py "The hub"
say "wrote BENCHMARKS.md"
