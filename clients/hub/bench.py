"""Transfers through a hub beside what a disk and a static file server do, as one JSON document on stdout.

    python bench.py speed [ROUNDS]     `hf download` and `hf upload` of 1 GB, in turns with nginx, curl and a copy
    python bench.py wire               bytes on the wire of copies and variants of 80 MB

The environment is what scripts/hub.sh exports: for `wire` with a port in front, for `speed` without. nginx serves the
same files to the same client: the few documents that the client asks for before a download are static files too. For
uploads nginx stores what is put, and looks at none of it; a few lines here tell the client to put it there.
"""

import http.server
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from check import required

# 1 GB in four files, as models come.
FILES = 4
LAYERS = 5
VALUES = 12_500_000
ROUNDS = 5
# The commit that nginx claims to serve; the client wants 40 hex digits.
COMMIT = "5eed" * 10
TICKS = os.sysconf("SC_CLK_TCK")
# Nginx with its defaults for static files, sendfile, and what the client needs to know of a file.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off; sendfile on; tcp_nopush on; default_type application/octet-stream;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
  server {{
    listen 127.0.0.1:{port}; root {folder}/www;
    location /bench/model/resolve/ {{ add_header X-Repo-Commit {commit}; rewrite ^/bench/model/resolve/[^/]+/(.*)$ /files/$1 break; }}
    location /api/ {{ default_type application/json; try_files $uri.json =404; }}
    location /put/ {{ dav_methods PUT; client_max_body_size 0; root {folder}; }}
  }}
}}
"""


def write_model(folder):
    """1 GB of random weights in four files; their names and sizes."""
    import samples

    for index in range(FILES):
        tensors = samples.weights(samples.random("bench", index), LAYERS, VALUES)
        (folder / f"model-{index}.safetensors").write_bytes(samples.packed(tensors))
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


class Nginx:
    """nginx over the files, with the answers that huggingface_hub asks for as files of its own."""

    def __init__(self, files, port):
        self.folder, self.url = pathlib.Path(tempfile.mkdtemp(prefix="nginx-")), f"http://127.0.0.1:{port}"
        www, sizes = self.folder / "www", {path.name: path.stat().st_size for path in sorted(files.iterdir())}
        www.mkdir()
        (self.folder / "put").mkdir()
        (www / "files").symlink_to(files)
        api = www / "api/models/bench/model"
        info = {"id": "bench/model", "sha": COMMIT, "siblings": [{"rfilename": name} for name in sizes]}
        tree = [{"type": "file", "path": name, "size": size, "oid": COMMIT} for name, size in sizes.items()]
        for path, document in (("revision/main", info), (f"revision/{COMMIT}", info), (f"tree/{COMMIT}", tree)):
            (api / path).parent.mkdir(parents=True, exist_ok=True)
            (api / f"{path}.json").write_text(json.dumps(document))
        configuration = self.folder / "nginx.conf"
        configuration.write_text(NGINX.format(folder=self.folder, port=port, commit=COMMIT))
        self.process = subprocess.Popen(["nginx", "-c", str(configuration), "-e", str(self.folder / "error.log")])

    def wait(self):
        """Returns when it serves."""
        for _ in range(100):
            try:
                return urllib.request.urlopen(f"{self.url}/api/models/bench/model/revision/main", timeout=1).close()
            except OSError:
                time.sleep(0.05)
        raise TimeoutError((self.folder / "error.log").read_text())

    def stop(self):
        """Ends it and removes what it wrote."""
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Sink(http.server.BaseHTTPRequestHandler):
    """Says to an uploading client what it needs to hear, so that it puts its files at `store`."""

    protocol_version = "HTTP/1.1"
    store = None

    @classmethod
    def started(cls, nginx):
        """A server that sends clients to this nginx."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("SinkTo", (cls,), {"store": f"{nginx.url}/put"}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def log_message(self, *_):
        """Nothing: stderr is for progress."""

    def do_GET(self):
        self.answer({"id": "bench/sink", "sha": COMMIT, "name": "bench", "type": "user", "siblings": []})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/preupload/" in self.path:
            files = [{"path": file["path"], "uploadMode": "lfs", "shouldIgnore": False} for file in json.loads(body)["files"]]
            self.answer({"files": files})
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            actions = [{**one, "actions": {"upload": {"href": f"{self.store}/{one['oid']}"}}} for one in objects]
            self.answer({"transfer": "basic", "objects": actions})
        elif "/commit/" in self.path:
            self.answer({"commitUrl": f"http://{self.headers['Host']}/bench/sink/commit/{COMMIT}", "commitOid": COMMIT, "pullRequestUrl": None})
        else:
            self.answer({"url": f"http://{self.headers['Host']}/bench/sink", "errors": [], "warnings": []})

    def answer(self, document):
        """Sends it as JSON."""
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def hf(endpoint, arguments, **environment):
    """Runs the command line in a home of its own; seconds. What CPU it took, `client_cpu` says."""
    program = pathlib.Path(sys.executable).with_name("hf")
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        settings = {
            **os.environ, "HF_HOME": home, "HF_ENDPOINT": endpoint, "HF_TOKEN": required("HUB_TOKEN"), "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1", "HF_HUB_DISABLE_TELEMETRY": "1", **environment,
        }
        begin = time.perf_counter()
        done = subprocess.run([program, *arguments], env=settings, capture_output=True, text=True)
        seconds = time.perf_counter() - begin
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds


def client_cpu():
    """Seconds of CPU that clients which have ended have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def hub_cpu():
    """Seconds of CPU that the hub has used."""
    process = (pathlib.Path(required("HUB_DIRECTORY")) / "hub.pid").read_text().strip()
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def download(endpoint, repo, files, **environment):
    """(seconds, CPU seconds of the hub) of one `hf download` into an empty folder; fails where a size differs."""
    target = pathlib.Path(tempfile.mkdtemp(prefix="down-"))
    before = hub_cpu()
    seconds = hf(endpoint, ["download", repo, "--local-dir", str(target)], **environment)
    cpu = hub_cpu() - before
    for path in files.iterdir():
        assert (target / path.name).stat().st_size == path.stat().st_size, path.name
    shutil.rmtree(target)
    return seconds, cpu


def curl(url, repo, files):
    """(seconds, CPU seconds of the hub) of one curl for each file, to nowhere."""
    before, begin = hub_cpu(), time.perf_counter()
    for path in sorted(files.iterdir()):
        subprocess.run(["curl", "-sSfL", "-o", "/dev/null", f"{url}/{repo}/resolve/main/{path.name}"], check=True)
    return time.perf_counter() - begin, hub_cpu() - before


def changed(files, name):
    """Writes other content of the same size, so that nobody has it yet."""
    import samples

    for path in files.iterdir():
        path.write_bytes(samples.packed(samples.weights(samples.random("bench", name, path.name), LAYERS, VALUES)))


def upload(url, name, files, **environment):
    """(seconds, CPU seconds of the hub) of one `hf upload` of content that the hub has not."""
    changed(files, name)
    before = hub_cpu()
    seconds = hf(url, ["upload", f"{required('HUB_NAMESPACE')}/{name}", str(files), "."], **environment)
    return seconds, hub_cpu() - before


def upload_unseen(nginx, sink, files, **environment):
    """(seconds, 0) of one `hf upload` to nginx, which has to have all of it afterwards."""
    changed(files, time.time_ns())
    seconds = hf(f"http://127.0.0.1:{sink.server_port}", ["upload", "bench/sink", str(files), "."], **environment)
    stored = list((nginx.folder / "put").iterdir())
    assert sum(path.stat().st_size for path in stored) == sum(path.stat().st_size for path in files.iterdir())
    for path in stored:
        path.unlink()
    return seconds, 0.0


def copy(files):
    """(seconds, 0) of writing the files elsewhere on the same disk, each synced."""
    target = pathlib.Path(tempfile.mkdtemp(prefix="copy-", dir=required("HUB_DIRECTORY")))
    begin = time.perf_counter()
    for path in sorted(files.iterdir()):
        shutil.copyfile(path, target / path.name)
        with open(target / path.name, "rb") as file:
            os.fsync(file.fileno())
    seconds = time.perf_counter() - begin
    shutil.rmtree(target)
    return seconds, 0.0


def table(title, results, size, beside, default):
    """Medians, and ratios to the way that the others stand beside; `default` is the way in which an unmodified client goes."""
    reference = statistics.median(seconds for seconds, *_ in results[beside])
    rows = []
    for way, rounds in results.items():
        seconds, cpu, client = (statistics.median(column) for column in zip(*rounds))
        rows.append({
            "way": way, "seconds": seconds, "least": min(rounds)[0], "most": max(rounds)[0], "ratio": seconds / reference,
            "cpu_s_per_gb": cpu / size * 1e9, "client_cpu_s_per_gb": client / size * 1e9, "default": way == default,
        })
    return {"title": title, "bytes": size, "rounds": len(results[beside]), "beside": beside, "rows": rows}


def in_turns(ways, rounds):
    """{way: [(seconds, CPU seconds of the hub, of the client)]}, every way once a round."""
    results = {way: [] for way in ways}
    for number in range(rounds):
        for way, run in ways.items():
            before = client_cpu()
            seconds, cpu = run(number)
            results[way].append((seconds, cpu, client_cpu() - before))
            print(f"{way} {number}: {results[way][-1][0]:.2f} s", file=sys.stderr, flush=True)
    return results


def speed(rounds):
    """Downloads and uploads."""
    if shutil.which("nginx") is None:
        sys.exit("error: nginx is not installed, and nothing else is compared with\nhint: apt-get install nginx")
    url, repo = required("HUB_URL"), f"{required('HUB_NAMESPACE')}/bench"
    files = pathlib.Path(tempfile.mkdtemp(prefix="files-"))
    size = sum(write_model(files).values())
    hf(url, ["upload", repo, str(files), "."])
    nginx = Nginx(files, int(url.rsplit(":", 1)[1]) + 2)
    sink = Sink.started(nginx)
    plain = {"HF_HUB_DISABLE_XET": "1"}
    try:
        nginx.wait()
        download_ways = in_turns({
            "hf, nginx": lambda _: download(nginx.url, "bench/model", files),
            "hf, hub, by Xet": lambda _: download(url, repo, files),
            "hf, hub, plain": lambda _: download(url, repo, files, **plain),
            "curl, nginx": lambda _: curl(nginx.url, "bench/model", files),
            "curl, hub": lambda _: curl(url, repo, files),
        }, rounds)
        upload_ways = in_turns({
            "copy and sync": lambda _: copy(files),
            "hf, hub, by Xet": lambda number: upload(url, f"bench-xet-{number}", files),
            "hf, hub, plain": lambda number: upload(url, f"bench-plain-{number}", files, **plain),
            "hf, nginx that stores what comes, plain": lambda _: upload_unseen(nginx, sink, files, **plain),
        }, rounds)
    finally:
        sink.shutdown()
        nginx.stop()
        shutil.rmtree(files)
    print(json.dumps({
        "download": table("Download", download_ways, size, "hf, nginx", "hf, hub, by Xet"),
        "upload": table("Upload", upload_ways, size, "copy and sync", "hf, hub, by Xet"),
    }))


def wire():
    """What the checks of dedup.py measure, and the same from a client that remembers nothing."""
    os.environ.update(HF_HOME=tempfile.mkdtemp(), HF_ENDPOINT=required("HUB_URL"), HF_TOKEN=required("HUB_TOKEN"),
                      HF_HUB_DISABLE_PROGRESS_BARS="1")
    import dedup

    def forgetful(repo, path):
        """Uploads by another process with a home of its own."""
        hf(required("HUB_URL"), ["upload", repo, str(path), path.name])

    rows = [{"content": "first upload", "share": dedup.upload("original", dedup.original()), "fresh": None}]
    # Each client sends content that the hub has not had from the other.
    for name, tensors, others in (
        ("exact copy", dedup.original(), dedup.original()),
        ("renamed tensors", dedup.renamed(), dedup.renamed("another.model.s.encoder")),
        ("new last layer", dedup.tuned(), dedup.tuned("another")),
    ):
        word = name.split()[0]
        share, fresh = dedup.upload(word, tensors), dedup.upload(f"{word}-fresh", others, forgetful)
        rows.append({"content": name, "share": share, "fresh": fresh})
        print(f"{name}: {share:.2%}, {fresh:.2%}", file=sys.stderr, flush=True)
    print(json.dumps(rows))


def main():
    with tempfile.TemporaryDirectory(prefix="assay-bench-", ignore_cleanup_errors=True) as scratch:
        tempfile.tempdir = scratch
        if sys.argv[1:2] == ["speed"]:
            speed(int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS)
        elif sys.argv[1:2] == ["wire"]:
            wire()
        else:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
