#!/usr/bin/env bash
# Runs every benchmark of the workspace, one after the other on an otherwise idle machine; the network's go to BENCHMARKS.md.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
if (($#)); then
	exec cargo bench --workspace --benches "$@"
fi
cargo bench --workspace --bench network -- --out "$PWD/BENCHMARKS.md"
exec cargo bench --package assay-receipt --package assay-tensor --benches
