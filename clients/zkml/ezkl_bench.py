"""EZKL's whole pipeline on the models of the zero-knowledge benchmark, as JSON on stdout.

    python ezkl_bench.py [--models risk-logreg,digits-lenet] [--rows 100] > ezkl.json

Settings, calibration (EZKL's own but for one model, see `SCALES`), compilation, a structured reference string made here,
setup, witness, proof and verification, each in a process of its own, so that its peak memory is its own. Weights are
`fixed` (the verification key is the model's identity), inputs and outputs public. CPU seconds are user and system time of
all threads from after the imports to the end of the call into EZKL, its loading of keys included; peak memory is that of
the process, what it has in swap included. With `--evm DIRECTORY` the small models' EVM verifiers are left there as source, with
the call that proves (`MODEL/evm.sol`, `MODEL/calldata.bin`); contracts/proof_gas.mjs compiles and measures them. A model that
needs more memory than there is stays in the result with the stage and the reason (`failed`), and what was measured
before. The large models take minutes and many GB: have 24 GB of memory, and swap for the block.

An object a model:

    {"model", "logrows", "rows_of_circuit", "scales", "stages": {STAGE: {"cpu_s", "wall_s", "peak_mb"}},
     "prove_cpu_s", "setup_cpu_s", "verify_cpu_ms", "verify_wall_ms", "peak_mb", "proof_bytes",
     "proving_key_bytes", "verification_key_bytes",
     "accuracy": {"rows", "quantised", "float", "agreement", "max_error"}, "failed": null or {"stage", "reason"}}
"""

import argparse
import asyncio
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MODELS = ["risk-logreg", "digits-mlp-64-32-10", "digits-lenet", "digits-mlp784", "digits-block"]
STAGES = ["settings", "calibrate", "compile", "srs", "setup", "witness", "prove", "verify", "accuracy", "evm"]
# Small enough that we have a proof of the same model for any EVM.
EVM_MODELS = ["risk-logreg", "digits-mlp-64-32-10"]
VERIFICATIONS = 5
# Left to itself EZKL takes 2^11, a circuit of 2^20 rows with a proving key of 18 GB, whose proof was stopped at 39 GB of memory
# and swap. With 2^10 it has 2^19 rows; the accuracy is measured all the same.
SCALES = {"digits-block": [10]}
# Left to the rest of the machine: below it the kernel would choose what to end, and might choose another.
RESERVE_MB = 512
POLL_SECONDS = 0.1
REASON_LENGTH = 300


def say(*words):
    """A line for the person who waits."""
    print(*words, file=sys.stderr, flush=True)


# The stages, each run in a child process. They import what they need themselves.


class Stage:
    """One model's files, and EZKL's calls on them."""

    def __init__(self, options):
        import ezkl
        import numpy

        self.ezkl, self.numpy, self.options = ezkl, numpy, options
        self.work = pathlib.Path(options["work"])
        self.revision = pathlib.Path(options["revision"])
        self.onnx = str(self.revision / "model.onnx")
        self.srs_file = options.get("srs")

    def file(self, name):
        return str(self.work / name)

    def write_rows(self, name, rows):
        """Rows one after the other, as EZKL reads them."""
        data = {"input_data": [rows.reshape(-1).astype(float).tolist()]}
        pathlib.Path(self.file(name)).write_text(json.dumps(data))

    def settings(self):
        arguments = self.ezkl.PyRunArgs()
        arguments.input_visibility = arguments.output_visibility = "public"
        arguments.param_visibility = "fixed"
        arguments.variables = [("batch", 1)]
        assert self.ezkl.gen_settings(self.onnx, self.file("settings.json"), py_run_args=arguments)

    def calibrate(self):
        rows = self.numpy.load(self.revision / "zk" / "calibration.npy")[: self.options["calibration"]]
        self.write_rows("calibration.json", rows)
        scales = SCALES.get(self.revision.name)
        options = {"scales": scales} if scales else {}
        data, settings = self.file("calibration.json"), self.file("settings.json")
        assert self.ezkl.calibrate_settings(data, self.onnx, settings, "resources", **options)

    def compile(self):
        assert self.ezkl.compile_circuit(self.onnx, self.file("model.ezkl"), self.file("settings.json"))

    def srs(self):
        """Under its name only when it is whole."""
        self.ezkl.gen_srs(self.file("srs"), self.options["logrows"])
        os.makedirs(os.path.dirname(self.srs_file), exist_ok=True)
        shutil.move(self.file("srs"), self.srs_file)

    def setup(self):
        assert self.ezkl.setup(self.file("model.ezkl"), self.file("vk"), self.file("pk"), self.srs_file, None)

    def witness(self):
        self.write_rows("input.json", self.numpy.load(self.revision / "zk" / "test.npy")[:1])
        self.ezkl.gen_witness(self.file("input.json"), self.file("model.ezkl"), self.file("witness.json"), None, self.srs_file)

    def prove(self):
        self.ezkl.prove(self.file("witness.json"), self.file("model.ezkl"), self.file("pk"), self.file("proof.json"), self.srs_file)

    def verify(self):
        """Several times, since one takes a fraction of a second; the medians are what counts."""
        wall, cpu = [], []
        for _ in range(VERIFICATIONS):
            begin, used = time.perf_counter(), time.process_time()
            assert self.ezkl.verify(self.file("proof.json"), self.file("settings.json"), self.file("vk"), self.srs_file)
            wall.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - used)
        middle = VERIFICATIONS // 2
        return {"verify_wall_ms": round(sorted(wall)[middle] * 1e3, 2), "verify_cpu_ms": round(sorted(cpu)[middle] * 1e3, 2)}

    def evm(self):
        """The source of the verifier, and the call of it. EZKL writes the source before it downloads a compiler, which may fail."""
        source, calldata = (os.path.join(self.options["evm"], name) for name in ("evm.sol", "calldata.bin"))

        async def create():
            files = [self.file("vk"), self.file("settings.json"), source, self.file("evm.abi"), self.srs_file]
            return await self.ezkl.create_evm_verifier(*files, False)

        try:
            asyncio.run(create())
        except RuntimeError as error:
            say(f"after its source was written: {error}")
        assert os.path.getsize(source), "EZKL wrote no verifier"
        self.ezkl.encode_evm_calldata(self.file("proof.json"), calldata, None)

    def accuracy(self):
        """EZKL's quantised outputs and onnxruntime's on the same held-out rows, against the labels."""
        import onnxruntime

        rows = self.numpy.load(self.revision / "zk" / "test.npy")[: self.options["rows"]]
        labels = self.numpy.load(self.revision / "zk" / "labels.npy")[: len(rows)]
        settings = json.loads(pathlib.Path(self.file("settings.json")).read_text())
        scale = settings["model_output_scales"][0]
        run = onnxruntime.InferenceSession(self.onnx, providers=["CPUExecutionProvider"])
        exact = run.run(None, {run.get_inputs()[0].name: rows})[0].reshape(len(rows), -1)
        quantised = []
        for row in rows:
            self.write_rows("row.json", row)
            witness = self.ezkl.gen_witness(self.file("row.json"), self.file("model.ezkl"), self.file("row_witness.json"), None, None)
            quantised.append([self.ezkl.felt_to_float(value, scale) for value in witness["outputs"][0]])
        quantised = self.numpy.array(quantised)
        ours, theirs = self.classes(quantised), self.classes(exact)
        return {
            "rows": len(rows),
            "quantised": float((ours == labels).mean()),
            "float": float((theirs == labels).mean()),
            "agreement": float((ours == theirs).mean()),
            "max_error": float(abs(quantised - exact).max()),
        }

    def classes(self, scores):
        """The largest score, or of a single probability whether it is above one half."""
        return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(self.numpy.int64)


def used_seconds():
    """User and system time of all threads of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def child(options):
    """Runs one stage and leaves its figures in a file, since EZKL writes to both streams."""
    stage = Stage(options)
    begin, used = time.perf_counter(), used_seconds()
    found = getattr(stage, options["stage"])()
    figures = {"cpu_s": round(used_seconds() - used, 3), "wall_s": round(time.perf_counter() - begin, 3)}
    pathlib.Path(options["report"]).write_text(json.dumps({"figures": figures, "found": found}))
    sys.stderr.flush()
    # A thread that EZKL started for its compiler may still call into the interpreter, which then aborts at its end.
    os._exit(0)


# The parent.


class Failed(Exception):
    """A stage that did not end well, with the reason in words."""


def kilobytes(file, *names):
    """The sum of what a file of `name: number kB` has under these names; 0 if the file is gone."""
    try:
        lines = pathlib.Path(file).read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return sum(int(found[name].split()[0]) for name in names if name in found)


def available_mb():
    """Memory and swap that can still be had without taking it from others."""
    return kilobytes("/proc/meminfo", "MemAvailable", "SwapFree") // 1024


def wait(process, deadline):
    """Waits for the end of a child; returns its usage, its peak of memory and swap in MB, and why it was ended early or None."""
    stopped, peak = None, 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage, round(max(peak, usage.ru_maxrss) / 1024, 1), stopped
        peak = max(peak, kilobytes(f"/proc/{process.pid}/status", "VmRSS", "VmSwap"))
        if stopped is None and available_mb() < RESERVE_MB:
            stopped = f"out of memory: stopped when the machine had {RESERVE_MB} MB left"
        if stopped is None and time.monotonic() > deadline:
            stopped = "took longer than --timeout"
        if stopped:
            process.kill()
        time.sleep(POLL_SECONDS)


def why(code, log):
    """The reason of a failure in one line: what ended the process, or the last that it said."""
    if "memory allocation of" in log:
        return "out of memory: an allocation failed"
    if code == -signal.SIGKILL:
        return "killed, as the kernel does when memory runs out"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    said = lines[-1][:REASON_LENGTH] if lines else "said nothing"
    return f"ended by signal {-code}: {said}" if code < 0 else said


def run_stage(stage, options, timeout):
    """Runs a stage in its own process; returns its figures and what it found."""
    report = pathlib.Path(options["work"]) / "report.json"
    report.unlink(missing_ok=True)
    asked = json.dumps({**options, "stage": stage, "report": str(report)})
    environment = {**os.environ, "EZKL_REPO_PATH": options["work"]}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, __file__, "--child", asked], stdout=log, stderr=log, env=environment)
        usage, peak, stopped = wait(process, time.monotonic() + timeout)
        log.seek(0)
        said = log.read().decode(errors="replace")
    figures = {"peak_mb": peak}
    if stopped or process.returncode or not report.exists():
        figures["cpu_s"] = round(usage.ru_utime + usage.ru_stime, 3)
        return figures, None, stopped or why(process.returncode, said)
    result = json.loads(report.read_text())
    return {**result["figures"], **figures}, result["found"], None


def size(path):
    return os.path.getsize(path)


def gather(stage, result, work, found):
    """Takes what later stages or the reader need from the files that a stage left."""
    if stage == "calibrate":
        settings = json.loads((work / "settings.json").read_text())
        arguments = settings["run_args"]
        result["logrows"], result["rows_of_circuit"] = arguments["logrows"], settings["num_rows"]
        result["scales"] = {"input": arguments["input_scale"], "parameters": arguments["param_scale"]}
    elif stage == "setup":
        result["setup_cpu_s"] = result["stages"]["setup"]["cpu_s"]
        result["proving_key_bytes"], result["verification_key_bytes"] = size(work / "pk"), size(work / "vk")
    elif stage == "prove":
        proof = json.loads((work / "proof.json").read_text())
        result["prove_cpu_s"] = result["stages"]["prove"]["cpu_s"]
        result["peak_mb"] = result["stages"]["prove"]["peak_mb"]
        result["proof_bytes"] = (len(proof["hex_proof"]) - 2) // 2 if proof.get("hex_proof") else len(proof["proof"])
    elif stage == "verify":
        result.update(found)
    elif stage == "accuracy":
        result["accuracy"] = found


def pipeline(name, arguments, strings, work):
    """All stages of one model, up to the first that fails."""
    result = {"model": name, "stages": {}, "failed": None}
    options = {
        "work": str(work), "revision": str(arguments.corpus / name),
        "calibration": arguments.calibration, "rows": arguments.rows,
    }
    for stage in STAGES:
        if stage == "accuracy" and arguments.rows == 0 or stage == "evm" and (not arguments.evm or name not in EVM_MODELS):
            continue
        if stage == "evm":
            options["evm"] = str(arguments.evm / name)
            os.makedirs(options["evm"], exist_ok=True)
        if stage == "srs":
            options["logrows"] = result["logrows"]
            options["srs"] = str(strings / f"k{result['logrows']}.srs")
            if os.path.exists(options["srs"]):
                continue  # one string serves every circuit of its size
        figures, found, reason = run_stage(stage, options, arguments.timeout)
        result["stages"][stage] = figures
        say(f"{name}: {stage}: {figures}" + (f": {reason}" if reason else ""))
        if reason:
            result["failed"] = {"stage": stage, "reason": reason}
            break
        gather(stage, result, work, found)
    return result


def machine():
    """What the figures depend on, in words."""
    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(), "memory_mb": pages >> 20}


def versions():
    """Of everything that computes here."""
    from importlib.metadata import version

    return {"python": platform.python_version(), **{name: version(name) for name in ("ezkl", "onnxruntime", "numpy")}}


def parse():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="names, with commas between them")
    parser.add_argument("--corpus", type=pathlib.Path, default=here / "../../models", help="directory of the revisions")
    parser.add_argument("--rows", type=int, default=100, help="held-out rows for the accuracy; 0 leaves it out")
    parser.add_argument("--calibration", type=int, default=20, help="training rows for the calibration")
    parser.add_argument("--timeout", type=int, default=5400, help="seconds for one stage")
    parser.add_argument("--scratch", help="directory for keys, up to 15 GB; otherwise a temporary one")
    parser.add_argument("--evm", type=pathlib.Path, help="directory for EVM verifiers and calls; otherwise none are made")
    parser.add_argument("--srs", type=pathlib.Path, help="directory that keeps reference strings for the next run (170 CPU s for the largest)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.corpus = arguments.corpus.resolve()
    arguments.evm = arguments.evm and arguments.evm.resolve()
    return arguments


def main():
    arguments = parse()
    if arguments.child:
        return child(json.loads(arguments.child))
    names = arguments.models.split(",")
    for name in names:
        if not (arguments.corpus / name / "zk" / "test.npy").exists():
            sys.exit(f"error: {name} has no zk/test.npy\nhint: choose from {','.join(MODELS)}")
    results = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for name in names:
            work = pathlib.Path(scratch) / name
            work.mkdir()
            results.append(pipeline(name, arguments, arguments.srs or pathlib.Path(scratch), work))
            shutil.rmtree(work)  # a proving key has up to 9 GB
    print(json.dumps({"tool": "ezkl", "versions": versions(), "machine": machine(), "results": results}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
