"""Runs checks one after the other, prints them as TAP, and offers what they share."""

import os
import signal
import sys
import traceback

# Far above what the longest check takes, a transfer of 200 MB through a hub that restarts, so that only a hang meets it.
CHECK_TIMEOUT_S = 120


def required(name):
    """The value of an environment variable that the checks cannot do without."""
    if not os.environ.get(name):
        sys.exit(f"error: {name} is not set\nhint: run them through `make test SUITES=hub`")
    return os.environ[name]


def fails(exception, call, status=None, says=None):
    """The exception of that type with which `call` fails, with that HTTP status, and with that word in its text."""
    try:
        found = call()
    except exception as error:
        if status is not None:
            assert error.response.status_code == status, f"status {error.response.status_code}, not {status}: {error}"
        if says is not None:
            assert says.lower() in str(error).lower(), f"it does not say '{says}': {error}"
        return error
    raise AssertionError(f"it was accepted: {found!r}"[:400])


def same(found, expected):
    """Fails with both values where they differ."""
    assert found == expected, f"found {found!r}, expected {expected!r}"[:2000]


def late(_signal, _frame):
    """What the alarm calls: names the check's own line in the traceback."""
    raise TimeoutError(f"nothing within {CHECK_TIMEOUT_S} s")


def run(client, checks):
    """Runs the checks in their order and prints each; the number that failed."""
    print(f"1..{len(checks)}", flush=True)
    signal.signal(signal.SIGALRM, late)
    failed = 0
    for number, check in enumerate(checks, start=1):
        name = f"{client}: {check.__name__.replace('_', ' ')}"
        signal.alarm(CHECK_TIMEOUT_S)
        try:
            said = check()
            print(f"ok {number} - {name}" + (f" ({said})" if said else ""), flush=True)
        except Exception:
            failed += 1
            print(f"not ok {number} - {name}", flush=True)
            print("\n".join(f"  # {line}" for line in traceback.format_exc().splitlines()), flush=True)
        finally:
            signal.alarm(0)
    return failed
