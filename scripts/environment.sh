# What the suites need and how it is put in place; sourced by the scripts beside it.
#
# Everything lands under the cache directory, keyed by the digest of a lock file, so that a second run installs nothing.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$HOME/.cache/assay/target}
export CARGO_BUILD_JOBS=${CARGO_BUILD_JOBS:-$(nproc)}
mkdir -p "$cache"

# say WORDS: one line for the person who waits.
say() { printf '%s\n' "$*" >&2; }

# need PROGRAM HINT: stops with the hint when a program is missing.
need() {
	command -v "$1" >/dev/null && return
	say "error: $1 is not installed"
	say "hint: $2"
	return 1
}

# claim_target: cargo tells the crates of two checkouts that share a target directory apart by the age of their files
# alone, so whoever used it last would leave binaries that pass for ours; the workspace's are forgotten then.
claim_target() {
	local mark=$CARGO_TARGET_DIR/.assay-checkout
	[[ -r $mark && $(<"$mark") == "$root" ]] && return
	mkdir -p "$CARGO_TARGET_DIR"
	rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/assay*
	printf '%s\n' "$root" >"$mark"
}

# digest FILE...: 16 characters that change when the content of a file does.
digest() { cat "$@" | sha256sum | cut -c1-16; }

# venv LOCKFILE: prints the directory of a virtual environment that holds exactly what the lock file names.
venv() {
	local lock=$1 directory
	need python3 "apt-get install python3 python3-venv" || return
	[[ -r $lock ]] || { say "error: there is no $lock"; return 1; }
	directory=$cache/venv/$(digest "$lock" <(python3 --version))
	mkdir -p "$cache/venv"
	(
		flock 9
		if [[ ! -e $directory/complete ]]; then
			say "installing $lock"
			rm -rf "$directory"
			python3 -m venv "$directory" >&2 || { say "hint: apt-get install python3-venv"; exit 1; }
			"$directory/bin/pip" install --quiet --requirement "$lock" >&2 || exit 1
			touch "$directory/complete"
		fi
	) 9>"$directory.lock" || return
	printf '%s\n' "$directory"
}

# node_packages DIRECTORY: installs what its package-lock.json names, unless that has been done.
#
# Not `npm ci`: it refuses a lock file without the optional packages of other platforms, and a registry that mirrors only
# some platforms cannot write one with them. Versions and digests come from the lock file all the same; tidy checks that
# package.json asks for nothing else.
node_packages() {
	local directory=$1 mark
	need npm "apt-get install nodejs npm, or Node 20 from its own site" || return
	[[ -r $directory/package-lock.json ]] || { say "error: there is no $directory/package-lock.json"; return 1; }
	mark=$directory/node_modules/.assay-$(digest "$directory/package-lock.json" <(node --version))
	[[ -e $mark ]] && return
	say "installing $directory/package-lock.json"
	rm -rf "$directory/node_modules"
	(cd "$directory" && npm install --no-save --no-audit --no-fund --loglevel=error >&2) && touch "$mark"
}
