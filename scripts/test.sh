#!/usr/bin/env bash
# Runs everything that must pass, or the suites named as arguments, and ends with one line: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
source scripts/environment.sh
source scripts/suites.sh
source scripts/network.sh
source scripts/hub.sh
trap 'network_stop; hub_stop' EXIT
claim_target
export CARGO_TERM_COLOR=never NO_COLOR=1

suites=(scripts rust doc readme contracts onnx chat rpc openai signing hub hub-malformed hubs)

# The scripts that add the results up are tested first: a reader that misreads makes everything below worthless.
run_scripts() {
	suite scripts read_own scripts/readers_test.sh
	suite scripts-zkml read_own python3 clients/zkml/compare_test.py
}

run_rust() {
	if cargo nextest --version >/dev/null 2>&1; then
		suite rust read_nextest cargo nextest run --workspace --no-fail-fast
	else
		suite rust read_cargo cargo test --workspace --tests --no-fail-fast
	fi
}

run_doc() { suite doc read_cargo cargo test --workspace --doc --no-fail-fast; }

# The README's console block, as a newcomer types it.
run_readme() { suite readme read_own scripts/readme.py; }

run_contracts() {
	suite contracts-install read_status node_packages contracts || return
	suite contracts-artefacts read_status in_contracts node compile.mjs --check
	suite contracts read_tap in_contracts contract_tests
}

run_onnx() {
	suite onnx read_own onnx_oracle
	suite onnx-engine read_cargo onnx_engine
}

# Hugging Face's tokenizer and numpy say what the files of the chat model should give.
run_chat() { suite chat read_own with_venv clients/hub/requirements-2.lock models/chat_check.py; }

run_rpc() { suite rpc read_own rpc_clients; }

# OpenAI's clients for Python and JavaScript, and LangChain; then nodes die and stop in the middle of streams.
run_openai() { suite openai read_own openai_clients; }

run_signing() { suite signing read_own signing_client; }

run_hub() { suite hub read_own hub_clients; }

run_hub-malformed() { suite hub-malformed read_own hub_malformed; }

# Five hubs as processes: some die, one lies, one refuses.
run_hubs() { suite hubs read_own five_hubs; }

five_hubs() {
	cargo build --quiet --workspace --bins || return
	PORT_BASE=$(free_ports) with_venv clients/hub/requirements-2.lock clients/hub/five.py "$CARGO_TARGET_DIR/debug/assay"
}

# onnxruntime says what our executor should say.
onnx_oracle() {
	cargo build --quiet --workspace --example run_model || return
	with_venv clients/onnx/requirements.lock clients/onnx/oracle.py "$CARGO_TARGET_DIR/debug/examples/run_model"
}

# onnxruntime as an engine: the library inside the Python package.
onnx_engine() {
	local directory libraries
	directory=$(venv clients/onnx/requirements.lock) || return
	libraries=("$directory"/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so*)
	ASSAY_ONNXRUNTIME=${libraries[0]} cargo test --workspace --test onnxruntime
}

# The tool that people sign models with today says what our signatures are worth, and we what its are.
signing_client() {
	cargo build --quiet --workspace --bins || return
	with_venv clients/signing/requirements.lock clients/signing/check.py "$CARGO_TARGET_DIR/debug/assay"
}

in_contracts() { (cd contracts && "$@"); }

# Node 20 runs every file below a directory called test, support files too; so the shell picks the tests.
contract_tests() { node --test --test-reporter=tap test/*.test.mjs; }

# with_venv LOCKFILE SCRIPT ARGUMENTS...: runs a Python script with exactly what the lock file names.
with_venv() {
	local directory
	directory=$(venv "$1") || return
	shift
	"$directory/bin/python" "$@"
}

rpc_clients() {
	local data environment status=0
	node_packages clients/rpc || return
	environment=$(venv clients/rpc/requirements.lock) || return
	data=$(mktemp -d)
	network_start "$data" && PYTHON=$environment/bin/python node clients/rpc/run.mjs || status=$?
	network_stop
	((status == 0)) || { echo "the network's log:"; tail -n 20 "$data/network.log"; }
	rm -rf "$data"
	return "$status"
}

openai_clients() {
	local data environment status=0 nodes
	node_packages clients/openai || return
	environment=$(venv clients/openai/requirements.lock) || return
	data=$(mktemp -d)
	mkdir -p "$data/models" && cp -r models/assay-chat "$data/models/"
	network_start "$data/network" --models "$data/models" --isolated && until_served && {
		"$environment/bin/python" clients/openai/check.py "$GATEWAY_URL" || status=$?
		node clients/openai/check.mjs "$GATEWAY_URL" || status=$?
		nodes=$(pgrep -f -- "node --config $data/network/node-") || status=$?
		# shellcheck disable=SC2086
		"$environment/bin/python" clients/openai/errors.py "$CARGO_TARGET_DIR/debug/assay" \
			"$data/network/gateway/config.toml" $nodes || status=$?
		# shellcheck disable=SC2086
		"$environment/bin/python" clients/openai/rounds.py "$CARGO_TARGET_DIR/debug/assay" "$data/network/network.json" "$GATEWAY_URL" "${ROUNDS:-60}" "${SEED:-1}" $nodes || status=$?
	} >"$data/results" || status=$?
	network_stop
	cat "$data/results"
	awk '$2 == "passed," { passed += $1; failed += $3 } END { printf "%d passed, %d failed\n", passed, failed }' "$data/results"
	((status == 0)) || { echo "the network's log, whole in $data:"; tail -n 20 "$data/network/network.log"; }
	((status != 0)) || rm -rf "$data"
	return "$status"
}

# Until the gateway has a language model.
until_served() {
	local deadline=$((SECONDS + 60))
	until curl --silent --max-time 2 "$GATEWAY_URL/v1/models" | grep -q assay-chat; do
		((SECONDS < deadline)) || { echo "no node serves the chat model"; return 1; }
		sleep 0.2
	done
}

# with_hub FRONT COMMAND...: runs the command beside a hub of its own, whose log it shows when it fails; FRONT as for
# hub_start, may be empty.
with_hub() {
	local data front=$1 status=0
	shift
	data=$(mktemp -d)
	hub_start "$data" "$front" && "$@" || status=$?
	hub_stop
	((status == 0)) || { echo "the hub's log, whole in $data:"; tail -n 20 "$data/hub.log"; }
	((status != 0)) || rm -rf "$data"
	return "$status"
}

# huggingface_hub, both major versions, by Xet and without it.
hub_clients() {
	local older newer
	older=$(venv clients/hub/requirements-1.lock) && newer=$(venv clients/hub/requirements-2.lock) || return
	PYTHON_1=$older/bin/python PYTHON_2=$newer/bin/python with_hub front python3 clients/hub/run.py
}

hub_malformed() { with_hub '' malformed_requests; }

malformed_requests() {
	TMPDIR=$HUB_DIRECTORY with_venv clients/hub/requirements-2.lock clients/hub/populate.py >"$HUB_DIRECTORY/fields.json" || return
	with_venv clients/hub/requirements-malformed.lock clients/hub/malformed.py "$HUB_DIRECTORY/fields.json"
}

for name in "${@:-${suites[@]}}"; do
	if ! declare -F "run_$name" >/dev/null; then
		say "error: no suite is called $name"
		say "hint: choose from ${suites[*]}"
		exit 3
	fi
	"run_$name"
done
finish
