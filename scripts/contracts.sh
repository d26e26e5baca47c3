#!/usr/bin/env bash
# Compiles the contracts again and writes their artefacts.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
node_packages contracts
cd contracts
exec node compile.mjs
