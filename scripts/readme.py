#!/usr/bin/env python3
"""Runs the README's console block and compares what it prints with what the README says.

A line that starts with "$ " is run by bash in the checkout; the lines below it must appear in its output in this order, where
"…" stands for anything. A command followed by a line "[status N]" must end with that status, any other with 0.
Ends with one line: N passed, N failed.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Building everything from nothing on two cores is the longest thing that a command does.
TIMEOUT_S = 2400


def steps(text):
    """The commands of the first console block, each with its expected lines and status."""
    block = re.search(r"^```console\n(.*?)^```", text, re.S | re.M)
    if not block:
        sys.exit("README.md has no console block")
    found = []
    for line in block.group(1).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], [], 0))
        elif status := re.fullmatch(r"\[status (\d+)\]", line):
            command, lines, _ = found.pop()
            found.append((command, lines, int(status.group(1))))
        elif line.strip():
            found[-1][1].append(line)
    return found


def pattern(line):
    """A line of the README as a regular expression: "…" is anything, runs of blanks are one."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.strip().split("…")]
    return re.compile(r".*".join(parts).replace(r"\s+.*", r"\s*.*").replace(r".*\s+", r".*\s*"))


def missing(expected, output):
    """The first expected line that the output does not have in its place, or None."""
    lines = iter(output.splitlines())
    for line in expected:
        wanted = pattern(line)
        if not any(wanted.search(" ".join(actual.split())) for actual in lines):
            return line
    return None


def main():
    passed = failed = 0
    for command, expected, status in steps((ROOT / "README.md").read_text()):
        run = subprocess.run(
            ["bash", "-c", command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S,
        )
        absent = missing(expected, run.stdout)
        if absent is None and run.returncode == status:
            passed += 1
            continue
        failed += 1
        print(f"$ {command}\n{run.stdout}")
        print(f"expected status {status}, got {run.returncode}" if absent is None else f"missing: {absent}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
