# A hub that stands alone, for the clients to talk to; sourced by test.sh.
# shellcheck shell=bash

# How long a hub may take until it answers, in seconds; a two-core machine under load needs about one.
hub_deadline_s=60
# How long a killed hub stays away, in seconds: long enough that a client meets a refused connection.
hub_away_s=0.3
hub_keeper=

# hub_start DIRECTORY [FRONT]: writes a configuration, starts `assay hub` with it, and waits until it answers.
#
# A hub that ends by itself or is killed is started again, until hub_stop: as an operator's machine would do it. Where it
# listens is exported as HUB_LISTEN and what it takes for its own address as HUB_URL, which with FRONT is the next port,
# where clients/hub counts what passes. Also exported: HUB_DIRECTORY (with the log and the process id), HUB_DATA, and
# tokens: HUB_TOKEN and HUB_READ_TOKEN of the account HUB_NAMESPACE, HUB_OTHER_TOKEN of another account, and
# HUB_FOREIGN_TOKEN for another hub. HUB_PROGRAM is the program.
hub_start() {
	local directory=$1 front=${2:+1} port deadline
	cargo build --quiet --workspace --bins || return
	hub_program=$CARGO_TARGET_DIR/debug/assay
	export HUB_PROGRAM=$hub_program
	mkdir -p "$directory"
	port=$(free_ports)
	export HUB_DIRECTORY=$directory HUB_DATA=$directory/data HUB_NAMESPACE=alice
	export HUB_LISTEN=127.0.0.1:$port HUB_URL=http://127.0.0.1:$((port + ${front:-0}))
	hub_configure "$directory" || return
	hub_keep "$directory" &
	hub_keeper=$!
	deadline=$((SECONDS + hub_deadline_s))
	until hub_answers; do
		if ! kill -0 "$hub_keeper" 2>/dev/null || ((SECONDS > deadline)); then
			echo "the hub did not start; its log:"
			tail -n 40 "$directory/hub.log"
			hub_stop
			return 1
		fi
		sleep 0.1
	done
	hub_tokens "$directory" && return
	echo "there are no tokens for the hub; its log:"
	tail -n 40 "$directory/hub.log"
	hub_stop
	return 1
}

# hub_configure DIRECTORY: keys of two accounts, and the hub's configuration.
#
# The accounts are those of the secret keys 1 and 2, which everybody knows and nobody uses.
hub_configure() {
	local alice=0x7e5f4552091a69125d5dfcb7b8c2659029395bdf
	printf '0x%064x\n' 1 >"$1/alice.key"
	printf '0x%064x\n' 2 >"$1/other.key"
	chmod 600 "$1"/*.key
	cat >"$1/hub.toml" <<-END
		data = "data"
		key = "hub.key"
		listen = "$HUB_LISTEN"
		endpoint = "$HUB_URL"
		operator = "$alice"

		[handles]
		alice = "$alice"

		# Ten thousand malformed requests from one address are a test here, and no flood.
		[limits]
		rate_per_s = 100000
		burst = 100000
	END
}

# hub_tokens DIRECTORY: makes the tokens, as whoever publishes does. The foreign one is made for what says that it is a
# hub with another key: a folder with a description.
hub_tokens() {
	local directory=$1 hub=http://$HUB_LISTEN foreign=$1/foreign server port
	HUB_TOKEN=$("$hub_program" hub token --hub "$hub" --key "$directory/alice.key") || return
	HUB_READ_TOKEN=$("$hub_program" hub token --hub "$hub" --key "$directory/alice.key" --read) || return
	HUB_OTHER_TOKEN=$("$hub_program" hub token --hub "$hub" --key "$directory/other.key") || return
	mkdir -p "$foreign/assay/v1"
	curl --silent --fail "$hub/assay/v1/hub" | sed 's/"hub":"0x..../"hub":"0x0bad/' >"$foreign/assay/v1/hub" || return
	port=$(free_ports)
	python3 -m http.server --bind 127.0.0.1 --directory "$foreign" "$port" >/dev/null 2>&1 &
	server=$!
	until curl --silent --output /dev/null "http://127.0.0.1:$port/" || ! kill -0 "$server"; do sleep 0.1; done
	HUB_FOREIGN_TOKEN=$("$hub_program" hub token --hub "http://127.0.0.1:$port" --key "$directory/alice.key")
	kill "$server"
	wait "$server" 2>/dev/null
	export HUB_TOKEN HUB_READ_TOKEN HUB_OTHER_TOKEN HUB_FOREIGN_TOKEN
	[[ -n $HUB_FOREIGN_TOKEN ]]
}

hub_answers() { curl --silent --fail --max-time 2 --output /dev/null "http://$HUB_LISTEN/health"; }

# hub_keep DIRECTORY: runs the hub, one process after the other, until it is asked to end; then it ends the last.
hub_keep() {
	local directory=$1 hub=
	trap 'kill "$hub" 2>/dev/null; wait "$hub" 2>/dev/null; exit 0' TERM
	while :; do
		"$hub_program" hub --config "$directory/hub.toml" >>"$directory/hub.log" 2>&1 &
		hub=$!
		echo "$hub" >"$directory/hub.pid"
		wait "$hub"
		echo "the hub ended with status $?" >>"$directory/hub.log"
		sleep "$hub_away_s"
	done
}

# hub_stop: asks the hub to stop and waits for it.
hub_stop() {
	[[ -n $hub_keeper ]] || return 0
	kill "$hub_keeper" 2>/dev/null || true
	wait "$hub_keeper" 2>/dev/null || true
	hub_keeper=
}
