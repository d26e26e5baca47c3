#!/usr/bin/env bash
# Trains the models of models/ again, each half with exactly the versions that its lock file names.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
sklearn=$(venv models/requirements.lock)
torch=$(venv models/requirements-torch.lock)
"$sklearn/bin/python" models/train.py
"$torch/bin/python" models/train_torch.py
"$torch/bin/python" models/train_zk.py
