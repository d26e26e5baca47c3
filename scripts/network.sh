# A local network for the clients to talk to; sourced by test.sh.
# shellcheck shell=bash

# How long a network may take until its RPC answers, in seconds; a two-core machine under load needs about ten.
network_deadline_s=120
network_pid=

# network_start DIRECTORY OPTIONS...: starts `assay up` with these options and waits until its RPC answers.
#
# The network writes DIRECTORY/endpoints.env when it is ready: RPC_URL, WS_URL and PRIVATE_KEY (an account with funds),
# one NAME=VALUE a line. These are exported for the clients.
network_start() {
	local directory=$1 log=$1/network.log deadline
	shift
	mkdir -p "$directory"
	cargo build --quiet --workspace --bins || return
	"$CARGO_TARGET_DIR/debug/assay" up --data "$directory" --port-base "$(free_ports)" "$@" >"$log" 2>&1 &
	network_pid=$!
	deadline=$((SECONDS + network_deadline_s))
	until network_answers "$directory"; do
		if ! kill -0 "$network_pid" 2>/dev/null || ((SECONDS > deadline)); then
			echo "the network did not start; its log:"
			tail -n 40 "$log"
			network_stop
			return 1
		fi
		sleep 0.2
	done
}

network_answers() {
	[[ -s $1/endpoints.env ]] || return
	set -a
	# shellcheck disable=SC1091
	source "$1/endpoints.env"
	set +a
	local request='{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}'
	curl --silent --fail --max-time 2 --header 'content-type: application/json' --data "$request" "$RPC_URL" | grep -q '"result"'
}

# network_stop: asks the network to stop and waits for it.
network_stop() {
	[[ -n $network_pid ]] || return 0
	kill "$network_pid" 2>/dev/null || true
	wait "$network_pid" 2>/dev/null || true
	network_pid=
}

# free_ports: the first port of a range of 64 that nobody listens on, below the range the system hands out itself.
free_ports() {
	local base port busy
	busy=$(awk 'FNR > 1 { split($2, a, ":"); print a[2] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
	for ((base = 20000 + (RANDOM % 150) * 64; ; base = 20000 + (RANDOM % 150) * 64)); do
		for ((port = base; port < base + 64; port++)); do
			grep -qx "$(printf '%04X' "$port")" <<<"$busy" && continue 2
		done
		echo "$base"
		return
	done
}
