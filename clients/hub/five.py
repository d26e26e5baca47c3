#!/usr/bin/env python3
"""Five hubs as processes: one lies, one refuses, two die; every pull still gives the right bytes, and the page says who did what.

Usage: five.py ASSAY, the program; PORT_BASE in the environment is the first of 64 free ports.
"""

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import check
import numpy
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import DisabledRepoError, HfHubHTTPError, LocalEntryNotFoundError
from safetensors.numpy import save_file

HUBS, LIAR, REFUSER, DEAD, ALIVE = 5, 3, 4, (0, 1), 2
# Long enough for a network to start, and for hubs to see and write down what others do, on a machine under load.
PATIENCE_S = 90
REASON = "its licence forbids it here"
# What the liar is asked for as a peer, and by clients.
LIED_ABOUT = re.compile(r"^/assay/v1/(blobs|challenges)|/resolve/")


def get(url):
    """The body of an answer with status 200."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read()


def until(what, done):
    """Waits until `done` gives something true, and returns it."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := done():
                return found
        time.sleep(0.2)
    raise TimeoutError(f"not within {PATIENCE_S} s: {what}")


class Liar(http.server.BaseHTTPRequestHandler):
    """Stands where a hub says that it is, passes requests on to it, and changes the last byte of content."""

    protocol_version = "HTTP/1.1"
    behind = None

    def log_message(self, *_arguments):
        """Nothing: what it did is seen in what others say of it."""

    def pass_on(self):
        """Answers as the honest hub does, but for one byte."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        honest = http.client.HTTPConnection("127.0.0.1", self.behind, timeout=20)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        honest.request(self.command, self.path, body, headers)
        answer = honest.getresponse()
        content = bytearray(answer.read())
        if answer.status in (200, 206) and content and LIED_ABOUT.search(self.path):
            content[-1] ^= 1
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection", "transfer-encoding", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = pass_on


class Network:
    """A local network with five hubs, and the repository that the checks are about."""

    def __init__(self, program, base, folder):
        self.program, self.base, self.folder = program, base, folder
        self.data = folder / "network"
        self.running = None
        self.repository = self.revision = None
        self.addresses = []

    def assay(self, *arguments, status=0):
        """Runs the program; its standard output, which is JSON."""
        done = subprocess.run([self.program, "--json", *arguments], capture_output=True, text=True, timeout=120)
        check.same((done.returncode, done.stderr if done.returncode != status else ""), (status, ""))
        return done.stderr if status else json.loads(done.stdout)

    def url(self, hub):
        """Where a hub answers, or the liar in front of it."""
        return self.endpoints["hubs"][hub]

    def key(self, name, secret):
        """A file with a secret key."""
        path = self.folder / f"{name}.key"
        path.write_text(f"{secret}\n")
        path.chmod(0o600)
        return str(path)

    def start(self):
        """Starts the network, the liar, and tells the chain where the liar answers."""
        models = self.folder / "models"
        shutil.copytree("models/diabetes-ridge", models / "diabetes-ridge")
        log = (self.folder / "network.log").open("w")
        arguments = ["up", "--isolated", "--hubs", str(HUBS), "--port-base", str(self.base)]
        places = ["--data", str(self.data), "--models", str(models)]
        self.running = subprocess.Popen([self.program, *arguments, *places], stdout=log, stderr=log)
        until("the network is up", lambda: (self.data / "endpoints.json").exists() or self.running.poll() is not None)
        check.same(self.running.poll(), None)
        self.endpoints = json.loads((self.data / "endpoints.json").read_text())
        operators = json.loads((self.data / "accounts.json").read_text())["hub_operators"]
        self.operators = [self.key(f"operator-{index}", operator["secret"]) for index, operator in enumerate(operators)]
        self.addresses = [json.loads(get(f"{self.url(hub)}/assay/v1/hub"))["hub"] for hub in range(HUBS)]
        self.put_liar()

    def put_liar(self):
        """Lets the liar answer where the chain says that its hub does."""
        honest = int(self.url(LIAR).rsplit(":", 1)[1])
        handler = type("ThisLiar", (Liar,), {"behind": honest})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.endpoints["hubs"][LIAR] = f"http://127.0.0.1:{server.server_port}"
        config = self.data / f"hub-{LIAR}" / "config.toml"
        lying = config.with_name("lying.toml")
        honest_url = f"http://127.0.0.1:{honest}"
        lying.write_text(config.read_text().replace(f'endpoint = "{honest_url}"', f'endpoint = "{self.url(LIAR)}"'))
        self.assay("hub", "register", "--config", str(lying), "--operator-key", self.operators[LIAR])

    def stop(self):
        """Ends the network, and with it its processes."""
        if self.running and self.running.poll() is None:
            self.running.send_signal(signal.SIGTERM)
            self.running.wait(timeout=60)

    def standing(self, hub):
        """What a hub saw of every other, by address."""
        of = json.loads(get(f"{self.url(hub)}/assay/v1/revisions/{self.revision}/standing"))
        return {line["hub"]: line for line in of}

    def seen(self, hub, of, outcome):
        """What a hub saw of another lately, if it is `outcome`."""
        line = self.standing(hub).get(self.addresses[of])
        latest = line and line["latest"]
        return latest if latest and latest["seen"]["outcome"] == outcome else None


def content(folder):
    """A repository of several files, one of them of 24 MB, which several hubs give in pieces; its digests."""
    folder.mkdir()
    weights = numpy.random.default_rng(5).standard_normal((3000, 2000), dtype=numpy.float32)
    save_file({"layer.weight": weights}, folder / "model.safetensors")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model that five hubs keep\n")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "empty.txt").write_text("")
    return digests(folder)


def digests(folder):
    """SHA-256 of each file that clients did not make for themselves."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def checks(network):
    """What has to hold, in order."""
    expected = content(network.folder / "content")

    def an_upload_to_one_hub_reaches_all_five():
        endpoint = network.url(0)
        key = str(network.data / "developer.key")
        token = network.assay("hub", "token", "--key", key, "--hub", endpoint)["token"]
        api = HfApi(endpoint=endpoint, token=token)
        network.repository = f"{api.whoami()['name']}/Five-Hubs"
        api.create_repo(network.repository)
        api.upload_folder(repo_id=network.repository, folder_path=network.folder / "content")
        info = api.model_info(network.repository)
        network.revision = info.assay["revision"]
        for hub in range(HUBS):
            until(f"hub {hub} shows it", lambda hub=hub: HfApi(endpoint=network.url(hub)).model_info(network.repository).sha == info.sha)

    def every_hub_finds_it_by_what_it_is():
        for hub in range(HUBS):
            address = f"{network.url(hub)}/assay/v1/search?q=a+model+that+five+hubs+keep"
            until(f"hub {hub} finds it", lambda address=address: network.repository in [hit["id"] for hit in json.loads(get(address))["hits"]])
            assert network.repository in get(f"{network.url(hub)}/search?q=five+hubs").decode()

    def hubs_audit_each_other_and_the_chain_has_it():
        line = until("hub 0 was seen to serve", lambda: network.seen(ALIVE, 0, "served"))
        until("it is recorded", lambda: network.seen(ALIVE, 0, "served")["recorded_in"])
        check.same(line["hub"], network.addresses[0])

    def a_liar_is_found_without_anybody_pulling():
        until("the liar was seen", lambda: network.seen(ALIVE, LIAR, "wrong_bytes"))

    def a_hub_refuses_with_a_reason_in_its_log():
        operator = network.operators[REFUSER]
        network.assay("hub", "refuse", network.revision, "--reason", REASON, "--hub", network.url(REFUSER), "--operator-key", operator)
        log = json.loads(get(f"{network.url(REFUSER)}/assay/v1/refusals"))
        assert REASON in json.dumps(log), log
        api = HfApi(endpoint=network.url(REFUSER))
        check.fails(HfHubHTTPError, lambda: api.model_info(network.repository), status=403, says=REASON)
        disabled = check.fails(LocalEntryNotFoundError, lambda: api.hf_hub_download(network.repository, "config.json", cache_dir=network.folder / "no"))
        assert isinstance(disabled.__cause__, DisabledRepoError), repr(disabled.__cause__)
        until("the refusal was seen", lambda: network.seen(ALIVE, REFUSER, "refused"))

    def only_the_operator_refuses():
        said = network.assay(
            "hub", "refuse", network.revision, "--reason", "x", "--hub", network.url(ALIVE), "--operator-key", network.operators[0], status=1
        )
        assert "operator" in said, said

    def two_hubs_die():
        for hub in DEAD:
            os.kill(network.endpoints["pids"][f"hub-{hub}"], signal.SIGKILL)
        for hub in DEAD:
            until("the dead were seen", lambda hub=hub: network.seen(ALIVE, hub, "unreachable"))

    def every_pull_gives_the_right_bytes():
        for turn in range(5):
            target = network.folder / f"pulled-{turn}"
            rpc = network.endpoints["rpc"][turn % 4]
            pulled = network.assay("model", "pull", network.repository, "--to", str(target), "--rpc", rpc, "--allow-private-hubs")
            check.same(digests(target), expected)
            named = {note["source"]["name"] for note in pulled["notes"]}
            assert network.addresses[ALIVE] not in named, pulled["notes"]
            for hub in (*DEAD, REFUSER):
                assert network.addresses[hub] in named, f"hub {hub} is not named: {pulled['notes']}"

    def huggingface_hub_gets_the_right_bytes_from_the_honest_hub():
        target = network.folder / "snapshot"
        snapshot_download(network.repository, endpoint=network.url(ALIVE), local_dir=target)
        check.same(digests(target), expected)

    def from_the_liar_alone_nothing_is_taken():
        target = network.folder / "lied"
        arguments = ["--to", str(target), "--rpc", network.endpoints["rpc"][0], "--hub", network.url(LIAR)]
        said = network.assay("model", "pull", network.repository, *arguments, status=1)
        assert "wrong bytes" in said, said
        check.same({name for name in digests(target) if not name.startswith(".assay-pull")}, set())

    def the_page_names_the_liar_and_the_refuser():
        page = get(f"{network.url(ALIVE)}/{network.repository}").decode()
        rows = {address: row for row in page.split("<tr>") for address in network.addresses if f"<code>{address}</code>" in row}
        assert "sent wrong bytes" in rows[network.addresses[LIAR]], rows
        assert "refuses it" in rows[network.addresses[REFUSER]] and REASON in rows[network.addresses[REFUSER]], rows
        for hub in DEAD:
            assert "cannot be reached" in rows[network.addresses[hub]], rows
        assert "Refused by 1 of 4 other hubs." in page, page
        assert "recorded in block" in rows[network.addresses[LIAR]], rows

    return [check for check in locals().values() if callable(check)]


def main():
    """Runs the checks over a network of their own."""
    os.environ.pop("HF_ENDPOINT", None)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_HOME"] = f"{folder}/home"
        network = Network(sys.argv[1], int(check.required("PORT_BASE")), pathlib.Path(folder))
        try:
            network.start()
            all_of_them = checks(network)
            failed = check.run("five hubs", all_of_them)
            print(f"{len(all_of_them) - failed} passed, {failed} failed", flush=True)
            if failed:
                print(f"# {(network.folder / 'network.log').read_text()[-2000:]}")
        finally:
            network.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
