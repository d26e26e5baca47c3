# Runs suites, reads their summaries and adds them up; sourced by test.sh.
# shellcheck shell=bash

passed=0 failed=0 skipped=0
logs=$(mktemp -d)
failing=()

# How much of a failing suite's log is shown.
tail_lines=80

# suite NAME READER COMMAND...: runs the command into a log, reads "passed failed skipped" from it, and adds them up.
# A suite fails when its command fails, when a test failed, or when not a single test ran; so does this function then.
suite() {
	local name=$1 reader=$2 status=0 started=$SECONDS p f s
	shift 2
	say "== $name"
	"$@" >"$logs/$name.log" 2>&1 || status=$?
	read -r p f s < <("$reader" "$status" <"$logs/$name.log")
	# A command that fails without naming a failed test has failed once; so has one that ran nothing.
	if ((f == 0)) && ((status != 0 || p == 0)); then f=1; fi
	((passed += p, failed += f, skipped += s)) || true
	if ((f > 0)); then
		failing+=("$name")
		say "-- $name: $p passed, $f failed (status $status); the end of its log:"
		tail -n "$tail_lines" "$logs/$name.log" >&2
		return 1
	else
		say "-- $name: $p passed in $((SECONDS - started)) s"
	fi
}

# Readers: log on standard input, exit status as the first argument, three numbers out.

# cargo nextest: "Summary [ 1.2s] 12 tests run: 10 passed (1 slow), 1 failed, 1 timed out, 2 skipped".
read_nextest() {
	awk '/Summary \[/ { line = $0 } END {
		sub(/.*tests? run: /, "", line); gsub(/\([^)]*\)/, "", line); n = split(line, part, /, */)
		for (i = 1; i <= n; i++) {
			count = part[i] + 0
			if (part[i] ~ /passed/) p += count
			else if (part[i] ~ /skipped/) s += count
			else f += count
		}
		print p + 0, f + 0, s + 0 }'
}

# cargo test: one "test result: ok. 3 passed; 0 failed; 1 ignored; ..." for each binary.
read_cargo() {
	awk '/^test result:/ {
		for (i = 2; i <= NF; i++) {
			if ($i ~ /^passed;/) p += $(i - 1)
			if ($i ~ /^failed;/) f += $(i - 1)
			if ($i ~ /^ignored;/) s += $(i - 1)
		} } END { print p + 0, f + 0, s + 0 }'
}

# node --test with the TAP reporter: "# pass 3", "# fail 0", "# cancelled 0", "# skipped 0", "# todo 0".
read_tap() {
	awk '/^# pass /{p += $3} /^# (fail|cancelled) /{f += $3} /^# (skipped|todo) /{s += $3}
		END { print p + 0, f + 0, s + 0 }'
}

# Our own scripts end with "3 passed, 0 failed" or "3 passed, 0 failed, 1 skipped"; the last such line counts.
read_own() {
	awk '/^[0-9]+ passed, [0-9]+ failed/ { p = $1; f = $3; s = $5 } END { print p + 0, f + 0, s + 0 }'
}

# A command that either holds or does not is one test.
read_status() {
	if (($1 == 0)); then echo "1 0 0"; else echo "0 1 0"; fi
}

# failures NAME: what a failing suite's log says failed, with the line that says why; for whoever sees only the end.
failures() {
	awk '
		/^not ok |^ +FAIL \[|^test .* FAILED$|panicked at/ { if (why != "") print why; print; why = ""; tap = /^not ok /; next }
		tap && /^  # [A-Za-z_.]+(Error|Exception|Exit|Interrupt)/ { why = $0 }
		/^ok / { if (why != "") print why; why = ""; tap = 0 }
		END { if (why != "") print why }' "$logs/$1.log" | cut -c -600 | head -n 40
}

# finish: the last line, and the status of the whole run.
finish() {
	local line="$passed passed, $failed failed"
	((skipped > 0)) && line+=", $skipped skipped"
	if ((failed > 0 || passed == 0)); then
		for name in "${failing[@]}"; do
			say "what failed in $name:"
			failures "$name" >&2
		done
		say "failing: ${failing[*]:-nothing ran}; logs in $logs"
		echo "$line"
		exit 1
	fi
	rm -rf "$logs"
	echo "$line"
}
