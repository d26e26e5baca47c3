"""Streams whose nodes are killed, stopped, or made to lie at random moments; each has to end as an undisturbed one.

    rounds.py ASSAY NETWORK.json GATEWAY ROUNDS SEED PID...

Every other answer is checked on its way; in those rounds nodes are made to lie, too. The processes are those of inference nodes of a
local network. A killed one is started again with its own command line before the next round. In the end ASSAY verifies the
receipt of every answer, as it settled, with the network's public key alone.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.request

import openai

QUESTIONS = ["Tell me a story.", "Describe a hub at length", "Tell me about receipts.", "What can you do?"]
LONGEST = 30
# A node that lies as the maker of an answer, and as one that checks another's.
LIES = ("digest", "verdict")
KILLS = (signal.SIGKILL, signal.SIGSTOP)


class Node:
    """An inference node as a process of its own."""

    def __init__(self, pid):
        self.pid = pid
        self.command = open(f"/proc/{pid}/cmdline", "rb").read().decode().split("\0")[:-1]
        self.where = os.readlink(f"/proc/{pid}/cwd")
        path = pathlib.Path(self.where, self.command[self.command.index("--config") + 1])
        config = tomllib.loads(path.read_text())
        self.health = f"http://{config['listen']}/health"
        self.lie = path.parent / config["lie_while"]
        self.child = None

    def answers(self):
        try:
            with urllib.request.urlopen(self.health, timeout=1):
                return True
        except OSError:
            return False

    def disturb(self, how):
        if how in LIES:
            self.lie.write_text(how)
        else:
            os.kill(self.pid, how)

    def mend(self, how):
        if how in LIES:
            self.lie.unlink()
            return
        if how == signal.SIGSTOP:
            os.kill(self.pid, signal.SIGCONT)
            return
        if self.child:
            self.child.wait()
        log = open(os.devnull, "w")
        self.child = subprocess.Popen(self.command, cwd=self.where, stdin=subprocess.PIPE, stdout=log, stderr=log)
        self.pid = self.child.pid


def ask(client, question, seed, check):
    """The answer's text, its evidence, and the longest time between two chunks, seconds."""
    text, evidence, last, gap = "", None, time.monotonic(), 0.0
    stream = client.chat.completions.create(
        model="assay-chat",
        messages=[{"role": "user", "content": question}],
        stream=True,
        seed=seed,
        temperature=0.7,
        extra_body={"assay": {"check": check}},
    )
    for chunk in stream:
        now = time.monotonic()
        gap, last = max(gap, now - last), now
        if chunk.choices and chunk.choices[0].delta.content:
            text += chunk.choices[0].delta.content
        evidence = (chunk.model_extra or {}).get("assay") or evidence
    return text, evidence, gap


def live(client):
    return next((m.model_extra["assay"]["nodes"] for m in client.models.list()), 0)


def wait_for(client, nodes):
    """Until the nodes answer and the gateway knows: what is disturbed next is one of three, not the second of two."""
    end = time.monotonic() + LONGEST
    while not (all(node.answers() for node in nodes) and live(client) >= len(nodes)):
        if time.monotonic() > end:
            raise SystemExit("the nodes do not come back")
        time.sleep(0.1)


def verified(assay, network, gateway, receipt):
    """Whether the receipt settles, and its proof holds."""
    end = time.monotonic() + 2 * LONGEST
    while time.monotonic() < end:
        with urllib.request.urlopen(f"{gateway}/assay/v1/receipts/{receipt}?proof=1", timeout=LONGEST) as reply:
            proof = json.load(reply).get("proof")
        if not proof:
            time.sleep(0.1)
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(proof, file)
            file.flush()
            run = subprocess.run([assay, "receipt", "verify", file.name, "--network", network], capture_output=True, text=True)
        if run.returncode:
            print(f"{receipt}: {run.stdout}{run.stderr}")
        return run.returncode == 0
    print(f"{receipt}: it does not settle")
    return False


def main():
    assay, network, gateway, rounds, seed = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
    nodes = [Node(int(pid)) for pid in sys.argv[6:]]
    draw = random.Random(seed)
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0, timeout=LONGEST)
    receipts, expected, usual, passed, failed, gaps, moved, told = [], {}, {}, 0, 0, [], 0, 0
    for question in QUESTIONS:
        for how in ("none", "streaming"):
            begun = time.monotonic()
            text, _, _ = ask(client, question, 7, how)
            usual[question, how] = time.monotonic() - begun
            assert expected.setdefault(question, text) == text, "two undisturbed answers differ"
    for number in range(rounds):
        question, check = draw.choice(QUESTIONS), ("none", "streaming")[number % 2]
        how, node = draw.choice(KILLS + LIES if check == "streaming" else KILLS), draw.choice(nodes)
        timer = threading.Timer(draw.uniform(0.0, usual[question, check]), node.disturb, [how])
        timer.start()
        begun = time.time()
        try:
            text, evidence, gap = ask(client, question, 7, check)
            complaint = "" if text == expected[question] else f"another answer: {text!r}"
            complaint = complaint or ("" if evidence and evidence["receipt"] else "no receipt")
        except openai.OpenAIError as error:
            complaint, evidence, gap = f"{type(error).__name__}: {error}", None, 0.0
        timer.join()
        node.mend(how)
        if complaint:
            failed += 1
            print(f"FAIL {number} at {begun:.1f} {how!r} {check}: {complaint}", flush=True)
        else:
            passed += 1
            shares = evidence["shares"]
            moved += len({share["node"] for share in shares}) > 1 or bool(evidence["parts"])
            receipts.append(evidence["receipt_id"])
            told += bool(evidence["convictions"])
            gaps.append(gap)
        wait_for(client, nodes)
    gaps.sort()
    if gaps:
        at = lambda share: gaps[min(len(gaps) - 1, int(share * len(gaps)))]
        print(f"longest gap of a stream: median {at(0.5):.3f} s, p95 {at(0.95):.3f} s, most {gaps[-1]:.3f} s")
        print(f"{moved} answers by several nodes; in {told} a node was shown to have lied")
        bad = [receipt for receipt in receipts if not verified(assay, network, gateway, receipt)]
        print(f"{len(receipts) - len(bad)} of {len(receipts)} receipts settled and verified")
        passed, failed = passed - len(bad), failed + len(bad)
    print(f"{passed} passed, {failed} failed")
    for node in nodes:
        if node.child:
            node.child.terminate()
    sys.exit(failed > 0)


main()
