"""The hub under test, as scripts/hub.sh started it: where it is, who may write, and how it is killed."""

import http.client
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.parse

from check import required
from traffic import Counted

# How long a killed hub may take until another one answers; seconds.
RESTART_DEADLINE_S = 60
POLL_S = 0.02

URL = required("HUB_URL")
LISTEN = urllib.parse.urlsplit("//" + required("HUB_LISTEN"))
TOKEN = required("HUB_TOKEN")
READ_TOKEN = required("HUB_READ_TOKEN")
OTHER_TOKEN = required("HUB_OTHER_TOKEN")
FOREIGN_TOKEN = required("HUB_FOREIGN_TOKEN")
NAMESPACE = required("HUB_NAMESPACE")
DIRECTORY = pathlib.Path(required("HUB_DIRECTORY"))
# Whether the client uploads and downloads by Xet, as it does by default.
XET = os.environ.get("HF_HUB_DISABLE_XET") is None
# All that a client and the hub say to each other passes here, for as long as this process lives.
TRAFFIC = Counted(urllib.parse.urlsplit(URL).port, (LISTEN.hostname, LISTEN.port))


def process():
    """The hub's process id; scripts/hub.sh writes it at each start."""
    return int((DIRECTORY / "hub.pid").read_text())


def kill():
    """Ends the hub as a loss of power would, in the midst of whatever it does; scripts/hub.sh starts it again."""
    victim = process()
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + RESTART_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            os.kill(victim, 0)
        except ProcessLookupError:
            return
        time.sleep(POLL_S)
    raise TimeoutError(f"process {victim} is still there")


def wait():
    """Returns when the hub answers."""
    deadline = time.monotonic() + RESTART_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            return ask("GET", "/api/whoami-v2")
        except OSError:
            time.sleep(POLL_S)
    raise TimeoutError(f"no hub at {LISTEN.netloc} within {RESTART_DEADLINE_S} s")


def ask(method, path, headers=(), body=None, token=TOKEN):
    """(status, headers with names in lower case, body) of a request as no library changes it."""
    connection = http.client.HTTPConnection(LISTEN.hostname, LISTEN.port, timeout=RESTART_DEADLINE_S)
    try:
        authorization = {"authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, body=body, headers={**authorization, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def in_two_pieces(method, path, token, body):
    """What becomes of a connection on which a request is refused whose body comes a moment after its headers, as clients
    send it: "usable" for another request, "announced" where the answer says that it is closed, or "closed".
    """
    connection = http.client.HTTPConnection(LISTEN.hostname, LISTEN.port, timeout=RESTART_DEADLINE_S)
    try:
        connection.putrequest(method, path)
        for name, value in (("authorization", f"Bearer {token}"), ("content-type", "application/json"), ("content-length", len(body))):
            connection.putheader(name, str(value))
        connection.endheaders()
        time.sleep(POLL_S)
        connection.send(body)
        answer = connection.getresponse()
        assert 400 <= answer.status < 500, f"{answer.status} to {method} {path}"
        answer.read()
        if answer.will_close:
            return "announced"
        time.sleep(POLL_S)
        socket = connection.sock
        try:
            connection.request("GET", "/health")
            same_socket = connection.sock is socket
            return "usable" if connection.getresponse().status == 200 and same_socket else "closed"
        except (OSError, http.client.HTTPException):
            return "closed"
    finally:
        connection.close()


def hf(*arguments, status=0):
    """What the `hf` command of the environment prints, its errors included."""
    program = pathlib.Path(sys.executable).with_name("hf")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    printed = done.stdout + done.stderr
    assert done.returncode == status, f"hf {' '.join(arguments)}: status {done.returncode}: {printed[-2000:]}"
    return printed
