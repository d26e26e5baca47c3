"""What the benchmarks of serving run in: a local network with a stub for its node, and LiteLLM before a stub of its own.

The network is a real one: the node is registered on its chain with a bond, the stub signs with its key, and the gateway found it
there. The other nodes, and the validators once the gateway knows the node, are ended, since all share this machine's cores.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

# How long anything may take to start, seconds.
START_S = 180
# Models of the stubs, by what they are for: first token, gap (milliseconds), tokens.
MODELS = {"fast": (20, 10, 8), "still": (200, 4_000, 8), "slow": (1_000, 2_000, 20)}
# Priorities where real-time ones are allowed: stubs and load, which have to be in time, before the gateways.
PUNCTUAL, SERVING = 20, 10
# Workers of LiteLLM: one a core.
WORKERS = os.cpu_count() or 1
LITELLM_CONFIG = """
model_list:
{models}
litellm_settings:
  set_verbose: false
  request_timeout: 600
  num_retries: 0
general_settings:
  dangerously_permit_weak_or_unset_master_key: true
"""
LITELLM_MODEL = """
  - model_name: {name}
    litellm_params: {{model: openai/{name}, api_base: "{url}/v1", api_key: none}}
"""


def get(url):
    """The body at a URL, or nothing where there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.read().decode()
    except OSError:
        return ""


def until(done, what):
    """Waits until something is so."""
    deadline = time.monotonic() + START_S
    while not done():
        if time.monotonic() > deadline:
            sys.exit(f"error: {what} after {START_S} s")
        time.sleep(0.1)


def family(pid):
    """A process and all below it."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    with contextlib.suppress(OSError):
        return [pid] + [one for child in children.read_text().split() for one in family(int(child))]
    return []


def resident(pid):
    """Bytes of memory that a process and those below it have in use."""
    total = 0
    for one in family(pid):
        pages = pathlib.Path(f"/proc/{one}/statm").read_text().split()[1]
        total += int(pages) * os.sysconf("SC_PAGESIZE")
    return total


def cpu_s(pid):
    """CPU time of a process and those below it, seconds."""
    total = 0
    for one in family(pid):
        fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def promote(pid, priority):
    """Puts a process and those below it before all others of the machine, so that what else runs here is not measured."""
    for one in family(pid):
        for thread in pathlib.Path(f"/proc/{one}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_FIFO, os.sched_param(priority))


def may_promote():
    """Whether this user may do that."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PUNCTUAL))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return True
    return False


class World:
    """Servers, by what a load calls them: `node` and `openai` are the stubs, `assay` and `litellm` the gateways before them."""

    def __init__(self, assay, serving, data, port_base, model):
        self.assay, self.serving, self.model = assay, serving, model
        self.data, self.port_base = pathlib.Path(data), port_base
        self.stack = contextlib.ExitStack()
        self.urls, self.pids = {}, {}
        self.real_time = may_promote()

    def __enter__(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self.network()
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, name, command, **options):
        """Starts a process that ends with this one; its output goes into a log."""
        log = self.stack.enter_context(open(self.data / f"{name}.log", "w"))
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options)
        self.stack.callback(self.end, process)
        return process

    @staticmethod
    def end(process):
        """Asks the process to end, and ends it where it does not."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def network(self):
        """The network, its gateway, and both stubs."""
        models, network = self.data / "models", self.data / "network"
        models.mkdir(exist_ok=True)
        (models / pathlib.Path(self.model).name).symlink_to(pathlib.Path(self.model).resolve())
        command = [self.assay, "up", "--isolated", "--data", network, "--port-base", str(self.port_base), "--models", models]
        self.start("network", [str(word) for word in command])
        ready = network / "endpoints.json"
        until(ready.exists, "the local network is not up")
        endpoints = json.loads(ready.read_text())
        pids = endpoints["pids"]
        self.urls["assay"], self.pids["assay"] = endpoints["gateway"], pids["gateway"]
        self.kill(pid for role, pid in pids.items() if role.startswith("node"))
        self.urls["node"] = endpoints["nodes"][0]
        self.urls["openai"] = f"http://127.0.0.1:{self.port_base + 63}"
        command = [self.serving, "stub", "--network", network / "network.json", "--key", network / "node-0" / "node.key"]
        command += ["--listen", self.urls["node"].removeprefix("http://"), "--openai", self.urls["openai"].removeprefix("http://")]
        for name, times in MODELS.items():
            command += ["--model", f"{name}={','.join(map(str, times))}"]
        stub = self.start("stub", [str(word) for word in command])
        until(lambda: '"fast"' in get(f"{self.urls['assay']}/assay/v1/models"), "the gateway does not find the stub")
        self.kill(pid for role, pid in pids.items() if role.startswith(("validator", "hub")))
        time.sleep(2)
        if self.real_time:
            promote(stub.pid, PUNCTUAL)
            promote(self.pids["assay"], SERVING)

    @staticmethod
    def kill(pids):
        """Ends processes of the network."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def litellm(self):
        """LiteLLM with one worker a core, and without what costs it time: no database, no keys, no retries."""
        models = "".join(LITELLM_MODEL.format(name=name, url=self.urls["openai"]) for name in MODELS)
        config = self.data / "litellm.yaml"
        config.write_text(LITELLM_CONFIG.format(models=models))
        port = self.port_base + 62
        program = pathlib.Path(sys.executable).parent / "litellm"
        command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", str(WORKERS)]
        settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        process = self.start("litellm", self.first(SERVING, command), env={**os.environ, **settings})
        self.urls["litellm"], self.pids["litellm"] = f"http://127.0.0.1:{port}", process.pid
        until(lambda: get(f"{self.urls['litellm']}/health/liveliness"), "LiteLLM is not up")

    def first(self, priority, command):
        """A command that runs before all others of the machine, where that is allowed."""
        return ["chrt", "--fifo", str(priority)] + command if self.real_time else command

    def load(self, server, model, rate, count, **options):
        """Asks a server; starts at once, and gives the figures when `wait` is called."""
        protocol = "node" if server == "node" else "openai"
        command = [self.serving, "load", "--url", self.urls[server], "--protocol", protocol, "--model", model]
        command += ["--tokens", MODELS[model][2], "--rate", rate, "--count", count]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}", value]
        command = self.first(PUNCTUAL, [str(word) for word in command])
        return Load(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))


class Load:
    """A load that runs."""

    def __init__(self, process):
        self.process = process

    def wait(self):
        """Its figures."""
        text, _ = self.process.communicate()
        if self.process.returncode:
            sys.exit("error: the load ended early")
        return json.loads(text)
