#!/usr/bin/env bash
# Trains the models of models/ again, each part with exactly the versions that its lock file names: all of them, or with
# `onnx` those of a minute, with `chat` the chat model alone, which takes a quarter of an hour of two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh
part=${1:-all}
[[ $part == all || $part == onnx || $part == chat ]] || { say "error: $part is not one of all, onnx, chat"; exit 1; }
torch=$(venv models/requirements-torch.lock)
if [[ $part != chat ]]; then
	sklearn=$(venv models/requirements.lock)
	"$sklearn/bin/python" models/train.py
	"$torch/bin/python" models/train_torch.py
	"$torch/bin/python" models/train_zk.py
fi
if [[ $part != onnx ]]; then
	"$torch/bin/python" models/train_chat.py
	"$torch/bin/python" models/chat_manifest.py
	"$torch/bin/python" models/chat_check.py
fi
