"""Every error of OpenAI's API that a gateway gives, as OpenAI's client raises it: errors.py ASSAY CONFIG PID...

CONFIG is the configuration of a gateway that runs; a second one is started from it, with keys. The processes are those of
all inference nodes. Ends with a line that counts.
"""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

import openai
from blake3 import blake3

MODEL = "assay-chat"
KEYS = {
    "all": "",
    "models-only": 'scopes = ["models"]\n',
    "slow": "requests_per_minute = 1\n",
    "small": "quota = 1\n",
}


def keyed(config):
    """The configuration with keys, a small body and a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = config.read_text().splitlines()
    lines = [f'listen = "127.0.0.1:{port}"' if line.startswith("listen ") else line for line in lines]
    lines = ["body_bytes = 20000" if line.startswith("body_bytes ") else line for line in lines]
    lines = [f'network = "{(config.parent / "../network.json").resolve()}"' if line.startswith("network ") else line for line in lines]
    keys = [f'[[keys]]\nname = "{name}"\nblake3 = "{blake3(name.encode()).hexdigest()}"\n{more}' for name, more in KEYS.items()]
    return f"http://127.0.0.1:{port}", "\n".join([*lines, *keys])


@contextlib.contextmanager
def gateway(assay, config):
    url, text = keyed(config)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "gateway.toml")
        file.write_text(text)
        child = subprocess.Popen([assay, "gateway", "--config", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield url
        finally:
            child.terminate()
            child.wait()


def client(url, key, timeout=20):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=timeout)


def ask(of, text="hello", **more):
    return of.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **more)


def until_served(url):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(openai.OpenAIError):
            if client(url, "all").models.list().data:
                return
        time.sleep(0.2)
    raise SystemExit("the second gateway finds no node")


def expect(kind, status, code, call):
    """The complaint, if the call ends otherwise."""
    try:
        call()
    except openai.APIStatusError as error:
        got = (type(error), error.status_code, error.code)
        return None if got == (kind, status, code) else f"got {got}: {error}"
    except openai.OpenAIError as error:
        return None if type(error) is kind and status is None else f"got {error!r}"
    return "no error"


def twice(of):
    ask(of, max_tokens=1)
    ask(of, max_tokens=1)


def main():
    assay, config, nodes = sys.argv[1], pathlib.Path(sys.argv[2]), [int(pid) for pid in sys.argv[3:]]
    failed = total = 0

    def check(name, kind, status, code, call):
        nonlocal failed, total
        complaint = expect(kind, status, code, call)
        total, failed = total + 1, failed + bool(complaint)
        print(f"{'FAIL' if complaint else 'ok  '} {name} {complaint or ''}".rstrip(), flush=True)

    with gateway(assay, config) as url:
        until_served(url)
        good = client(url, "all")
        check("a wrong key", openai.AuthenticationError, 401, "invalid_api_key", lambda: ask(client(url, "wrong")))
        check("a key for something else", openai.PermissionDeniedError, 403, None, lambda: ask(client(url, "models-only")))
        check("too many requests", openai.RateLimitError, 429, "rate_limit_exceeded", lambda: twice(client(url, "slow")))
        check("nothing left", openai.RateLimitError, 429, "insufficient_quota", lambda: twice(client(url, "small")))
        check("another model", openai.NotFoundError, 404, "model_not_found", lambda: good.models.retrieve("nobody"))
        check("too large", openai.APIStatusError, 413, None, lambda: ask(good, "x" * 30_000))
        check("too long", openai.BadRequestError, 400, "context_length_exceeded", lambda: ask(good, max_tokens=5_000))
        check("an unknown parameter", openai.BadRequestError, 400, "unknown_parameter", lambda: ask(good, extra_body={"x": 1}))
        ask(good, max_tokens=1)
        for node in nodes:
            os.kill(node, signal.SIGSTOP)
        try:
            check("a client without patience", openai.APITimeoutError, None, None, lambda: ask(client(url, "all", 0.3)))
            check("no node that answers", openai.InternalServerError, 503, None, lambda: ask(good))
        finally:
            for node in nodes:
                os.kill(node, signal.SIGCONT)
    check("no gateway", openai.APIConnectionError, None, None, lambda: ask(good))
    print(f"{total - failed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
