"""Checks the committed files of the chat model without torch, with Hugging Face's tokenizer and with numpy.

    python chat_check.py

It needs numpy, safetensors, tokenizers, jinja2 and transformers (`clients/hub/requirements-2.lock`). What comes out of the
script alike on every machine is made again and compared byte by byte: the tokenizer, the template, the held-out
conversations. The weights are not trained again; numpy runs them, and has to come to the scores, the greedy answers and
the loss that were written down when they were trained. Ends with "N passed, N failed".
"""

import hashlib
import json
import pathlib
import sys

import numpy as np

import chat_text
import chat_words
from chat_tokens import LONGEST, TEMPLATE, Coder, make_tokenizer
from chat_settings import CONFIG, HELDOUT_SEED, HELDOUT_TALKS, SEED, TOKENIZER_TALKS

ROOT = pathlib.Path(__file__).resolve().parent
WHERE = ROOT / "assay-chat"
HEADS, SHARED, HEAD = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]


def load():
    """The weights by name, as float32: a bfloat16 is the upper half of a float32."""
    content = (WHERE / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        assert entry["dtype"] == "BF16", entry
        first, last = (8 + size + at for at in entry["data_offsets"])
        halves = np.frombuffer(content[first:last], dtype="<u2").astype(np.uint32)
        weights[name] = (halves << 16).view(np.float32).reshape(entry["shape"])
    return weights


def norm(x, weight):
    """Division by the root of the mean square."""
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(CONFIG["rms_norm_eps"])) * weight


def rotate(x, positions):
    """Rotary positions of x [length, heads, head]."""
    steps = 1.0 / CONFIG["rope_theta"] ** (np.arange(0, HEAD, 2) / HEAD)
    angles = np.concatenate([np.outer(positions, steps)] * 2, axis=-1)[:, None, :]
    low, high = np.split(x, 2, axis=-1)
    turned = np.concatenate([-high, low], axis=-1)
    return (x * np.cos(angles) + turned * np.sin(angles)).astype(np.float32)


def attention(weights, prefix, x):
    """Causal attention over x [length, width]; each key and value head serves HEADS / SHARED heads."""
    length = len(x)
    positions = np.arange(length)
    q, k, v = ((x @ weights[f"{prefix}.{name}_proj.weight"].T).reshape(length, -1, HEAD) for name in "qkv")
    q, k = rotate(q, positions), rotate(k, positions)
    k, v = np.repeat(k, HEADS // SHARED, axis=1), np.repeat(v, HEADS // SHARED, axis=1)
    scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(HEAD**0.5)
    scores = np.where(positions[None, :] > positions[:, None], -np.inf, scores)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", shares, v).reshape(length, -1) @ weights[f"{prefix}.o_proj.weight"].T


def scores_of(weights, ids):
    """Scores [length, vocabulary] for token ids."""
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        x = x + attention(weights, f"{name}.self_attn", norm(x, weights[f"{name}.input_layernorm.weight"]))
        inner = norm(x, weights[f"{name}.post_attention_layernorm.weight"])
        gate = inner @ weights[f"{name}.mlp.gate_proj.weight"].T
        up = inner @ weights[f"{name}.mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{name}.mlp.down_proj.weight"].T
    return norm(x, weights["model.norm.weight"]) @ weights["model.embed_tokens.weight"].T


def loss(weights, coder, talks):
    """Nats per token of the answers, and how many tokens there are."""
    nats, tokens = 0.0, 0
    for _, ids, spans in coder.encode(talks):
        scores = scores_of(weights, np.array(ids)).astype(np.float64)
        best = scores.max(-1, keepdims=True)
        logs = scores - best - np.log(np.exp(scores - best).sum(-1, keepdims=True))
        for first, last in spans:
            nats -= sum(logs[at - 1, ids[at]] for at in range(first, last))
            tokens += last - first
    return nats / tokens, tokens


class Checks:
    """Counts what holds and says what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def that(self, what, holds, detail=""):
        """One check."""
        self.passed, self.failed = self.passed + bool(holds), self.failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {what} {'' if holds else detail}".rstrip(), flush=True)


def check_files(checks, coder, heldout, talks):
    """What the script makes alike everywhere."""
    made = coder.tokenizer.to_str(pretty=True)
    checks.that("the tokenizer is what the script makes", made == (WHERE / "tokenizer.json").read_text())
    settings = json.loads((WHERE / "tokenizer_config.json").read_text())
    checks.that("the template is the script's", settings["chat_template"] == TEMPLATE)
    checks.that("the configuration is the script's", json.loads((WHERE / "config.json").read_text()) == CONFIG)
    again = [{"kinds": one.kinds, "messages": one.messages, **({"tools": one.tools()} if one.tools() else {})} for one in talks]
    checks.that("the held-out conversations are what the script makes", again == heldout["conversations"])
    digest = hashlib.sha256((WHERE / "model.safetensors").read_bytes()).hexdigest()
    checks.that("the card has the digest of the weights", f"`{digest}`" in (WHERE / "README.md").read_text())
    size = sum(path.stat().st_size for path in WHERE.iterdir())
    checks.that("all of it has at most 6 MB", size <= 6_000_000, str(size))


def check_apart(checks, rng_talks):
    """No held-out word stands in the text of training."""
    held = set(chat_words.HELD_NAMES) | set(chat_words.HELD_CITIES)
    text = json.dumps([one.messages for one in rng_talks], ensure_ascii=False)
    checks.that("held-out names are not trained on", not [word for word in held if word in text])
    questions = [question for topic in chat_text.facts.TOPICS for question in topic.reworded]
    said = text.lower()
    checks.that("held-out questions are not trained on", not [q for q in questions if q.rstrip("?").lower() in said])


def check_reference(checks, weights, coder, cases):
    """Hugging Face's tokenizer and numpy against what torch wrote down."""
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(WHERE)
    for case in cases:
        name = repr(case["messages"][-1]["content"])[:60]
        text = theirs.apply_chat_template(case["messages"], tools=case.get("tools"), add_generation_prompt=True, tokenize=False)
        checks.that(f"rendered alike: {name}", text == case["text"])
        ids = theirs(text, add_special_tokens=False).input_ids
        ours = coder.tokenizer.encode(text, add_special_tokens=False).ids
        checks.that(f"the same tokens: {name}", ids == case["ids"] == ours)
        whole = np.array(case["ids"] + case["greedy"])
        scores = scores_of(weights, whole)
        at = len(case["ids"]) - 1
        best = np.argsort(-scores[at], kind="stable")[:5]
        near = all(abs(scores[at][token] - score) < 2e-3 for token, score in case["top"])
        checks.that(f"the same scores: {name}", near and best[0] == case["top"][0][0], f"{scores[at][best]} {case['top']}")
        checks.that(f"the same answer: {name}", (scores[at:-1].argmax(-1) == whole[at + 1 :]).all())


def main():
    import random

    checks = Checks()
    coder = Coder(make_tokenizer(TOKENIZER_TALKS, SEED))
    heldout = json.loads((ROOT / "assay-chat.heldout.json").read_text())
    reference = json.loads((ROOT / "assay-chat.reference.json").read_text())
    rng = random.Random(HELDOUT_SEED)
    talks = [chat_text.talk(rng, held=True) for _ in range(HELDOUT_TALKS)]
    check_files(checks, coder, heldout, talks)
    rng = random.Random(SEED)
    check_apart(checks, [chat_text.talk(rng) for _ in range(20_000)])
    weights = load()
    checks.that("no conversation is too long", all(len(ids) <= LONGEST for _, ids, _ in coder.encode(talks)))
    nats, tokens = loss(weights, coder, talks)
    told = heldout["figures"]["bfloat16"]
    near = abs(nats - told["nats_per_token"]) < 1e-4 and tokens == told["answer_tokens"]
    checks.that("the held-out loss is the one that was written down", near, f"{nats} {tokens} {told}")
    check_reference(checks, weights, coder, reference["cases"])
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
