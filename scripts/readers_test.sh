#!/usr/bin/env bash
# The readers of suites.sh on summaries of each runner, and what counts as a failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
source scripts/environment.sh
source scripts/suites.sh

good=0 bad=0

# reads READER TEXT EXPECTED: the reader makes the expected numbers of the text.
reads() {
	local found
	found=$(printf '%s\n' "$2" | "$1" 0)
	check "$1 of '${2:0:60}'" "$found" "$3"
}

# counts STATUS LOG EXPECTED: a suite with that exit status and log adds the expected numbers.
counts() {
	local found
	found=$(
		suite example read_own bash -c "echo '$2'; exit $1" 2>/dev/null
		echo "$passed $failed $skipped"
	)
	check "status $1 with '$2'" "$found" "$3"
}

check() {
	if [[ $2 == "$3" ]]; then
		good=$((good + 1))
	else
		bad=$((bad + 1))
		echo "FAILED $1: expected '$3', found '$2'"
	fi
}

reads read_nextest '     Summary [   4.119s] 157 tests run: 157 passed, 0 skipped' '157 0 0'
reads read_nextest '     Summary [  61.2s] 12 tests run: 8 passed (2 slow, 1 flaky), 2 failed, 1 timed out, 1 exec failed, 3 skipped' '8 4 3'
reads read_nextest '     Summary [   0.1s] 1 test run: 1 passed, 0 skipped' '1 0 0'
reads read_nextest 'error: could not compile' '0 0 0'
reads read_cargo $'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\ntest result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured' '5 4 1'
reads read_cargo 'error: could not compile' '0 0 0'
reads read_tap $'# tests 9\n# pass 5\n# fail 1\n# cancelled 1\n# skipped 1\n# todo 1' '5 2 2'
reads read_own $'viem 12 passed, 0 failed\n3 passed, 1 failed\n7 passed, 2 failed, 4 skipped' '7 2 4'
reads read_own 'nothing' '0 0 0'

counts 0 '4 passed, 0 failed' '4 0 0'
counts 0 '4 passed, 2 failed' '4 2 0'
counts 1 '4 passed, 2 failed' '4 2 0'
counts 1 '4 passed, 0 failed' '4 1 0'
counts 0 'no summary at all' '0 1 0'
counts 0 '0 passed, 0 failed' '0 1 0'
counts 0 '0 passed, 0 failed, 3 skipped' '0 1 3'

# names LOG EXPECTED: what is told of a failing suite with that log.
names() {
	local found
	echo "$1" >"$logs/example.log"
	check "what failed in '${1:0:60}'" "$(failures example)" "$2"
}

names $'ok 1 - a\nnot ok 2 - b\n  # Traceback\n  # one.Error: first\n  # two.Error: last\nok 3 - c' $'not ok 2 - b\n  # two.Error: last'
names $'not ok 1 - a\n  # E.Error: x\nnot ok 2 - b\n  # OSError' $'not ok 1 - a\n  # E.Error: x\nnot ok 2 - b\n  # OSError'
names $'        PASS [   0.1s] a\n        FAIL [   0.2s] (2/2) crate b' '        FAIL [   0.2s] (2/2) crate b'
names $'test a::b ... ok\ntest a::c ... FAILED' 'test a::c ... FAILED'
names 'nothing' ''

# page COMMAND EXPECTED: what the parts of a page are after the Python expression has put one.
page() {
	check "$1" "$(cd scripts && python3 -c "from benchmarks import put; print(repr($1))")" "$2"
}

page 'put("# T\n\n## A\n\na\n## B\nb\n", "B", "c")' "'# T\n\n## A\n\na\n\n## B\n\nc\n'"
page 'put("# T\n\n## A\n\na\n", "B", "b\n### b")' "'# T\n\n## A\n\na\n\n## B\n\nb\n### b\n'"
page 'put("# T\nold\n\n## A\n\na\n", None, "# T\nnew\n")' "'# T\nnew\n\n## A\n\na\n'"

rm -rf "$logs"
echo "$good passed, $bad failed"
((bad == 0))
