"""Assay's language engine beside llama.cpp: the same weights, the same threads, in turns; JSON on stdout.

    python llama_bench.py MODELS SERVING_SPEED [--threads 2] [--rounds 5] > engine.json

MODELS is a directory that random_model.py makes; SERVING_SPEED the built example of crates/inference. Each side is a
process of its own that waits while the other works. A round measures every case on every engine:

    prefill             512 tokens of one prompt, scores after the last
    decode 1, decode 16 a token after the other for so many answers at once, each of the best token, after prompts of 32
                        tokens up to 256: from when every answer has its first token

and for ours `generate`, `check`: answers with their prompts, and one pass over them that confirms each token; and how fast
memory is read. Ours computes the digest of the scores of every token, too. llama.cpp runs with its defaults: half-precision
keys and values, flash attention where it chooses. Before, both read one prompt, and their scores are compared with those of the half-precision
weights that both were quantised from.
"""

import argparse
import ctypes
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version

import numpy as np

VOCABULARY = 32000
CONTEXT = 1024
PROMPT, ANSWER, LONG = 32, 256, 512
STREAMS = [1, 16]
FIDELITY_TOKENS = 256
# How often the example reads memory of the size of the weights.
READINGS = 20


class Llama:
    """llama.cpp through its C interface; its greedy sampler chooses, within the time that is taken."""

    def __init__(self, path, threads):
        import llama_cpp

        self.lib = llama_cpp
        llama_cpp.llama_log_set(silent(llama_cpp), ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        parameters = llama_cpp.llama_model_default_params()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        assert self.model, path
        self.threads, self.context = threads, None
        self.generator = np.random.default_rng(11)
        self.sampler = llama_cpp.llama_sampler_init_greedy()

    def fresh(self, streams, length):
        """A context that has read nothing."""
        if self.context:
            self.lib.llama_free(self.context)
        parameters = self.lib.llama_context_default_params()
        parameters.n_ctx = streams * length
        parameters.n_batch = max(2048, streams * length)
        parameters.n_seq_max = streams
        parameters.n_threads = parameters.n_threads_batch = self.threads
        parameters.no_perf = True
        self.context = self.lib.llama_init_from_model(self.model, parameters)
        assert self.context

    def batch(self, rows):
        """A batch of (token, position, stream, whether scores are wanted)."""
        batch = self.lib.llama_batch_init(len(rows), 0, 1)
        batch.n_tokens = len(rows)
        for at, (token, position, stream, wanted) in enumerate(rows):
            batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position, 1
            batch.seq_id[at][0], batch.logits[at] = stream, wanted
        return batch

    def decode(self, batch):
        failed = self.lib.llama_decode(self.context, batch)
        assert failed == 0, failed

    def best(self, count):
        """The best token by each of the last scores."""
        return [self.lib.llama_sampler_sample(self.sampler, self.context, at) for at in range(count)]

    def prompts(self, streams, length):
        return self.generator.integers(1, VOCABULARY, (streams, length)).tolist()

    def prompt_only(self, streams, length):
        self.fresh(streams, length)
        self.warm()
        rows = [
            (token, at, stream, at == length - 1)
            for stream, prompt in enumerate(self.prompts(streams, length)) for at, token in enumerate(prompt)
        ]
        batch = self.batch(rows)
        moment = Moment()
        self.decode(batch)
        self.lib.llama_synchronize(self.context)
        return moment.until(len(rows))

    def warm(self):
        """The first pass of a context sets its buffers up."""
        self.decode(self.batch([(1, 0, 0, True)]))
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)

    def answers(self, streams, length, answer):
        self.fresh(streams, length + answer)
        self.warm()
        rows, last = [], []
        for stream, prompt in enumerate(self.prompts(streams, length)):
            rows += [(token, at, stream, at == length - 1) for at, token in enumerate(prompt)]
            last.append(len(rows) - 1)
        self.decode(self.batch(rows))
        tokens = [self.lib.llama_sampler_sample(self.sampler, self.context, at) for at in last]
        batch = self.batch([(token, length, stream, True) for stream, token in enumerate(tokens)])
        moment = Moment()
        for step in range(answer - 1):
            for stream, token in enumerate(tokens):
                batch.token[stream], batch.pos[stream] = token, length + step
            self.decode(batch)
            tokens = self.best(streams)
        return moment.until(streams * (answer - 1))

    def scores(self, tokens):
        self.fresh(1, len(tokens))
        self.decode(self.batch([(token, at, 0, True) for at, token in enumerate(tokens)]))
        found = self.lib.llama_get_logits(self.context)
        return np.ctypeslib.as_array(found, (len(tokens), VOCABULARY)).copy()


def silent(llama_cpp):
    """A log that keeps nothing."""
    callback = llama_cpp.llama_log_callback(lambda level, text, data: None)
    silent.kept = callback
    return callback


class Moment:
    def __init__(self):
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def until(self, tokens):
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {"tokens": tokens, "wall_s": wall, "cpu_s": cpu}


def serve(path, threads):
    """What the child for llama.cpp does: as the example of crates/inference, a line of JSON for each line."""
    llama = Llama(path, threads)
    for line in sys.stdin:
        wanted = json.loads(line)
        if wanted["measure"] == "prompts":
            found = {"prefill": llama.prompt_only(wanted["streams"], wanted["prompt"])}
        elif wanted["measure"] == "answers":
            found = {"decode": llama.answers(wanted["streams"], wanted["prompt"], wanted["answer"])}
        else:
            llama.scores(wanted["tokens"]).astype("<f4").tofile(wanted["file"])
            found = {}
        print(json.dumps(found), flush=True)


class Child:
    """A process that measures what it is told."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **wanted):
        self.process.stdin.write(json.dumps(wanted) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def compared(engines):
    """Scores of each engine beside those of half-precision weights, after each token of one prompt."""
    tokens = np.random.default_rng(5).integers(1, VOCABULARY, FIDELITY_TOKENS).tolist()
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name, child in engines.items():
            file = os.path.join(scratch, "scores")
            child.ask(measure="scores", tokens=tokens, file=file)
            found[name] = np.fromfile(file, dtype="<f4").reshape(len(tokens), VOCABULARY)
    exact = found["llama.cpp f16"]
    rows = {}
    for name, scores in found.items():
        if scores is not exact:
            alike = [float(np.corrcoef(a, b)[0, 1]) for a, b in zip(scores, exact)]
            same = float((scores.argmax(axis=1) == exact.argmax(axis=1)).mean())
            rows[name] = {"same_best_token": same, "least_correlation": min(alike), "mean_correlation": sum(alike) / len(alike)}
    return rows


def measure(engines, rounds):
    """All rounds: by engine and case the figures of each; and how fast memory was read."""
    found, memory = {name: {} for name in engines}, []

    def note(name, case, figures):
        found[name].setdefault(case, []).append(figures)
        speed = figures["tokens"] / figures["wall_s"]
        print(f"{name}: {case}: {speed:.0f} tokens/s, {figures['cpu_s'] / figures['tokens'] * 1e3:.3f} ms CPU", file=sys.stderr)

    for _ in range(rounds):
        memory.append(engines["assay"].ask(measure="memory")["memory"])
        for name, child in engines.items():
            note(name, "prefill", child.ask(measure="prompts", streams=1, prompt=LONG)["prefill"])
        for streams in STREAMS:
            for name, child in engines.items():
                for case, figures in child.ask(measure="answers", streams=streams, prompt=PROMPT, answer=ANSWER).items():
                    note(name, f"{case} {streams}", figures)
    return found, memory


def summary(runs):
    """Medians of what each run says of a token."""
    middle = statistics.median
    passes = [run["pass_s"] / run["wall_s"] for run in runs if "pass_s" in run]
    return {
        **({"share_of_passes": middle(passes)} if passes else {}),
        "tokens_per_s": middle(run["tokens"] / run["wall_s"] for run in runs),
        "least_tokens_per_s": min(run["tokens"] / run["wall_s"] for run in runs),
        "most_tokens_per_s": max(run["tokens"] / run["wall_s"] for run in runs),
        "wall_ms": middle(run["wall_s"] / run["tokens"] * 1e3 for run in runs),
        "cpu_ms": middle(run["cpu_s"] / run["tokens"] * 1e3 for run in runs),
    }


def machine():
    """What the figures depend on, in words."""
    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("program", help="the built example serving_speed; `llama` for the child itself")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-llama", action="store_true", help="ours alone")
    arguments = parser.parse_args()
    if arguments.program == "llama":
        return serve(str(arguments.models), arguments.threads)
    threads = str(arguments.threads)
    engines = {"assay": Child(arguments.program, str(arguments.models / "revision"), threads)}
    if not arguments.no_llama:
        for kind in ("q8_0", "f16"):
            file = arguments.models / f"model-{kind}.gguf"
            engines[f"llama.cpp {kind}"] = Child(sys.executable, __file__, str(file), "llama", "--threads", threads)
    report = {"machine": machine(), "threads": arguments.threads, "rounds": arguments.rounds}
    if not arguments.no_llama:
        report["llama_cpp_python"] = version("llama-cpp-python")
        report["fidelity"] = compared(engines)
    found, memory = measure(engines, arguments.rounds)
    report["memory_gb_per_s"] = statistics.median(read["bytes"] / read["wall_s"] / 1e9 for read in memory)
    report["weight_bytes"] = {"assay": memory[0]["bytes"] // READINGS}
    for name in list(engines)[1:]:
        file = f"model-{name.split()[-1]}.gguf"
        report["weight_bytes"][name] = os.path.getsize(arguments.models / file)
    for child in engines.values():
        child.end()
    report["engines"] = {name: {case: summary(runs) for case, runs in cases.items()} for name, cases in found.items()}
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
