"""Runs the checks with each client that PYTHON_1 and PYTHON_2 name, by Xet and without it, against one hub.

    python run.py [CLIENT …] [PART …]     CLIENT: 2, 2-plain, 1, 1-plain; PART: repositories, content, dedup, resumption

Content needs what repositories published, and resumption what content did.

The environment is what scripts/hub.sh exports. Prints what each client's checks say, one line for each client, and at
the end `N passed, N failed`; the status is 0 only if every check that was planned has passed.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

from check import required

# Some sixty checks take a minute; this ends a client that hangs where no alarm reaches it.
CLIENT_TIMEOUT_S = 600
HERE = pathlib.Path(__file__).resolve().parent
CLIENTS = {"2": ("PYTHON_2", {}), "2-plain": ("PYTHON_2", {"HF_HUB_DISABLE_XET": "1"}),
           "1": ("PYTHON_1", {}), "1-plain": ("PYTHON_1", {"HF_HUB_DISABLE_XET": "1"})}


def run(name, parts):
    """(passed, failed) of one client; a check that was planned and not reported has failed."""
    interpreter, changes = CLIENTS[name]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    # What a client leaves, its caches of gigabytes first of all, goes with it.
    with tempfile.TemporaryDirectory(prefix="assay-hub-client-", ignore_cleanup_errors=True) as scratch:
        return count(name, subprocess.Popen(
            [required(interpreter), "huggingface.py", *parts], cwd=HERE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, env={**environment, **changes, "TMPDIR": scratch},
        ))


def count(name, child):
    """Reads what the client says to its end; (passed, failed)."""
    timer = threading.Timer(CLIENT_TIMEOUT_S, child.kill)
    timer.start()
    planned = passed = 0
    for line in child.stdout:
        if plan := re.match(r"1\.\.(\d+)$", line):
            planned = int(plan[1])
            continue
        print(line, end="", flush=True)
        passed += re.match(r"ok \d+ ", line) is not None
    status = child.wait()
    timer.cancel()
    failed = max(planned - passed, 0 if status == 0 and planned > 0 else 1)
    print(f"client {name}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def main():
    arguments = sys.argv[1:]
    names = [name for name in arguments if name in CLIENTS] or list(CLIENTS)
    results = [run(name, [part for part in arguments if part not in CLIENTS]) for name in names]
    passed, failed = (sum(column) for column in zip(*results))
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
