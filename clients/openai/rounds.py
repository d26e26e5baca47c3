"""Streams that nodes disturb: killed, stopped, or cut off at random moments; each has to end as an undisturbed one.

    rounds.py GATEWAY ROUNDS SEED CHECK PID...

CHECK is none or streaming. The processes are those of inference nodes. A killed one is started again with its own command line before the next round.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
import tomllib
import urllib.request

import openai

QUESTIONS = ["Tell me a story.", "Describe a hub at length", "Tell me about receipts.", "What can you do?"]
LONGEST = 30


class Node:
    """An inference node as a process of its own."""

    def __init__(self, pid):
        self.pid = pid
        self.command = open(f"/proc/{pid}/cmdline", "rb").read().decode().split("\0")[:-1]
        self.where = os.readlink(f"/proc/{pid}/cwd")
        config = pathlib.Path(self.where, self.command[self.command.index("--config") + 1]).read_text()
        self.health = f"http://{tomllib.loads(config)['listen']}/health"
        self.child = None

    def answers(self):
        try:
            with urllib.request.urlopen(self.health, timeout=1):
                return True
        except OSError:
            return False

    def disturb(self, how):
        os.kill(self.pid, how)

    def mend(self, how):
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


def main():
    gateway, rounds, seed, check = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    nodes = [Node(int(pid)) for pid in sys.argv[5:]]
    draw = random.Random(seed)
    client = openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0, timeout=LONGEST)
    expected, passed, failed, gaps, moved = {}, 0, 0, [], 0
    for question in QUESTIONS:
        for how in ("none", "streaming"):
            text, _, _ = ask(client, question, 7, how)
            assert expected.setdefault(question, text) == text, "two undisturbed answers differ"
    for number in range(rounds):
        question = draw.choice(QUESTIONS)
        how, node = draw.choice([signal.SIGKILL, signal.SIGSTOP]), draw.choice(nodes)
        timer = threading.Timer(draw.uniform(0.0, 0.25), node.disturb, [how])
        timer.start()
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
            print(f"FAIL {number} {how.name} {check}: {complaint}", flush=True)
        else:
            passed += 1
            shares = evidence["shares"]
            moved += len({share["node"] for share in shares}) > 1 or bool(evidence["parts"])
            gaps.append(gap)
        wait_for(client, nodes)
    gaps.sort()
    if gaps:
        at = lambda share: gaps[min(len(gaps) - 1, int(share * len(gaps)))]
        print(f"longest gap of a stream: median {at(0.5):.3f} s, p95 {at(0.95):.3f} s, most {gaps[-1]:.3f} s; {moved} answers by several nodes")
    print(f"{passed} passed, {failed} failed")
    for node in nodes:
        if node.child:
            node.child.terminate()
    sys.exit(failed > 0)


main()
