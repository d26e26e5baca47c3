#!/usr/bin/env bash
# Runs every benchmark of the workspace, one after the other on an otherwise idle machine.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
exec cargo bench --workspace --benches "$@"
