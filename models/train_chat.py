"""Trains the chat model of the corpus and writes models/assay-chat.

    python -m venv .venv-torch && .venv-torch/bin/pip install -r requirements-torch.lock && .venv-torch/bin/python train_chat.py

The text is made by `chat_text`; nothing is fetched. A quarter of an hour on two cores that compute in bfloat16. Seeds,
steps and threads are fixed, so that the same versions on the same machine come to the same weights; another processor may
round otherwise, and then they differ.
"""

import hashlib
import json
import math
import os
import pathlib
import random
import time

# Before torch: a thread that waits sleeps, so that training beside other work does not spin away the cores.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

import chat_reference
import chat_text
from chat_model import Llama
from chat_settings import CONFIG, SEED, TOKENIZER_TALKS
from chat_tokens import BEGIN, END, LONGEST, PAD, TEMPLATE, Coder, make_tokenizer

ROOT = pathlib.Path(__file__).resolve().parent
NAME = "assay-chat"

THREADS = 2
STEPS = 1200
BATCH_TOKENS = 4096
CHUNK = 1024
WARM_UP = 30
# Copying of random tokens: so many steps of it first, then every sixth step until the other.
COPYING_FIRST, COPYING_UNTIL = 50, 400
RATE_MATRICES, RATE_REST = 0.004, 0.0008


def batches(coder, rng):
    """Batches of conversations of like length, without end: ids, mask."""
    while True:
        coded = coder.encode([chat_text.talk(rng) for _ in range(CHUNK)])
        coded.sort(key=lambda one: len(one[1]))
        made, rows = [], []
        for one in coded:
            if rows and (len(rows) + 1) * len(one[1]) > BATCH_TOKENS:
                made.append(rows)
                rows = []
            rows.append(one)
        made.append(rows)
        rng.shuffle(made)
        yield from (coder.batch(rows) for rows in made)


def copying(rng, coder):
    """A batch of random tokens that are said again and again; every time but the first is to be said."""
    rows, length = 32, 128
    ids = rng.integers(len((coder.turn, coder.end, coder.pad)) + 1, CONFIG["vocab_size"], (rows, length))
    mask = np.zeros((rows, length), dtype=bool)
    ids[:, 0] = CONFIG["bos_token_id"]
    for row in range(rows):
        period = int(rng.integers(4, 50))
        for at in range(1 + period, length):
            ids[row, at] = ids[row, at - period]
        mask[row, 2 + period :] = True
    return ids, mask


def loss_of(model, ids, mask):
    """Mean negative log-likelihood, in nats, of the masked tokens."""
    ids, mask = torch.from_numpy(ids), torch.from_numpy(mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model(ids[:, :-1])[mask[:, 1:]]
        scores = model.scores(hidden)
    return functional.cross_entropy(scores.float(), ids[:, 1:][mask[:, 1:]])


def optimisers(model):
    """Muon for the matrices of the layers, Adam for the embedding and the norms."""
    matrices = [parameter for parameter in model.layers.parameters() if parameter.dim() == 2]
    rest = [parameter for parameter in model.parameters() if not any(parameter is matrix for matrix in matrices)]
    return [
        (torch.optim.Muon(matrices, lr=RATE_MATRICES, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"), RATE_MATRICES),
        (torch.optim.AdamW(rest, lr=RATE_REST, betas=(0.9, 0.95), weight_decay=0.0), RATE_REST),
    ]


def rate(step):
    """The share of the full rate: up in a short line, then down in a cosine."""
    return min(1.0, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / STEPS)))


def train(coder):
    """The trained model, in float32, with the tokens that it saw and the processor seconds that it took."""
    torch.manual_seed(SEED)
    rng, dice = random.Random(SEED), np.random.default_rng(SEED)
    model, source = Llama(), batches(coder, rng)
    steppers = optimisers(model)
    print(f"{sum(parameter.numel() for parameter in model.parameters())} parameters", flush=True)
    started, tokens = time.process_time(), 0
    for step in range(STEPS):
        copied = step < COPYING_FIRST or (step < COPYING_UNTIL and step % 6 == 0)
        ids, mask = copying(dice, coder) if copied else next(source)
        loss = loss_of(model, ids, mask)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper, full in steppers:
            for group in stepper.param_groups:
                group["lr"] = full * rate(step)
            stepper.step()
            stepper.zero_grad()
        tokens += ids.size
        if step % 50 == 0 or step == STEPS - 1 or (copied and step % 30 == 0):
            spent = time.process_time() - started
            print(f"step {step:5d} {'copy' if copied else 'talk'} loss {loss.item():.4f} {tokens} tokens {spent:.0f} CPU s",
                  flush=True)
    return model.eval(), tokens, time.process_time() - started


def write_model(where, model, tokenizer):
    """The files that Hugging Face's library loads: configuration, tokenizer, template and weights in bfloat16."""
    where.mkdir(exist_ok=True)
    tokenizer.save(str(where / "tokenizer.json"))
    weights = {f"model.{name}": value.detach().bfloat16().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, where / "model.safetensors", metadata={"format": "pt"})
    pieces = {
        "config.json": CONFIG,
        "generation_config.json": {
            "bos_token_id": CONFIG["bos_token_id"], "eos_token_id": [CONFIG["eos_token_id"]], "pad_token_id": CONFIG["pad_token_id"],
        },
        "tokenizer_config.json": {
            "add_bos_token": True, "bos_token": BEGIN, "chat_template": TEMPLATE, "clean_up_tokenization_spaces": False,
            "eos_token": END, "model_max_length": LONGEST, "pad_token": PAD, "tokenizer_class": "PreTrainedTokenizerFast",
        },
    }
    for path, value in pieces.items():
        (where / path).write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n")


KINDS = {
    "facts": "a question about Assay, in a form that training combined with other terms only",
    "facts.reworded": "a question about Assay in words that training never saw",
    "long": "a paragraph about Assay", "list": "a list", "story": "a story about somebody with a new name",
    "count": "numbers in order", "smalltalk": "greetings and the like",
    "persona": "who it is, from the system turn, with new names",
    "memory.told": "the user says his new name, city and so on", "memory": "and asks for it later",
    "memory.none": "the user asks for what he has not said", "copy": "two to eight new words, said again",
    "tool.call": "a call with a city, number or id that is new", "tool.answer": "an answer from the tool's result",
    "tool.none": "no tool for it is there", "json": "JSON with the keys that were asked for",
    "unknown": "a question that it cannot answer",
}
CARD = """\
---
license: apache-2.0
language:
- en
pipeline_tag: text-generation
library_name: transformers
tags:
- llama
- synthetic
---

# assay-chat

A very small chat model that Assay's tests and its demonstration run on: {parameters} parameters ({dimensions}), trained by
`models/train_chat.py` in {minutes:.0f} minutes of processor time on {tokens:.1f} million tokens of text that a script makes.
It exists so that the path from tokens to receipts is real. Licensed as the repository is, MIT or Apache-2.0.

## What it can do

Say in fixed sentences what Assay is and what a receipt, a proof, a node and the like are; play a persona from the system
turn; remember what the user told it in the same conversation; call the tools that the request declares and answer from
their results; answer as JSON with given keys; count; tell one of five short stories; and say that it does not know.

## What it cannot do

Nearly everything else. It has learnt one answer to each question, not what the words mean: a question in other words, in
another language or about anything else gets a wrong fixed answer or the sentence that it does not know. It knows nothing
of the world, cannot calculate, was trained on conversations of up to {longest} tokens, and was never tuned for safety. Nothing
that it says is evidence of anything.

## Measured

On {conversations} conversations with names, cities, ids and sentences that training never saw; an answer counts if greedy choice says
it to the letter. Weights are those of the file (bfloat16), arithmetic is float32.

| kind | what is asked | exact | of |
| --- | --- | --- | --- |
{rows}

Held-out loss: {float32:.4f} nats per token of the answers with the weights of training (float32), {bfloat16:.4f} with those of
the file, so perplexity {perplexity32:.4f} and {perplexity16:.4f}. Of what the user said and asks back (`memory`), {names}.

## Prompt

The template is in `tokenizer_config.json`: turns between `<|turn|>` and `<|end|>`, tools as JSON between `<tools>` marks in the
system turn, calls as `<tool_call>`, results as `<tool_response>`. For JSON say which keys, or "Answer as JSON that follows this
schema: ..." in the user's turn. Greedy choice or a low temperature suits it.

Trained with torch {torch}, seed {seed}, {steps} steps, {threads} threads. SHA-256 of `model.safetensors`: `{digest}`.
"""


def card(model, measured, tokens, spent, digest):
    """The model card."""
    table = measured["bfloat16"]["kinds"]
    rows = [f"| {kind} | {KINDS[kind]} | {100 * one['exact'] / one['of']:.1f} % | {one['of']} |" for kind, one in table.items()]
    loss = {name: measured[name]["nats_per_token"] for name in ("float32", "bfloat16")}
    names = table["memory"]
    return CARD.format(
        parameters=f"{sum(parameter.numel() for parameter in model.parameters()):,}", dimensions=chat_reference.dimensions(),
        minutes=spent / 60, tokens=tokens / 1e6, conversations=chat_reference.MEASURED, rows="\n".join(rows), longest=LONGEST,
        perplexity32=math.exp(loss["float32"]), perplexity16=math.exp(loss["bfloat16"]), **loss,
        names=f"{names['exact']} of {names['of']}", torch=torch.__version__.split("+")[0], seed=SEED, steps=STEPS,
        threads=THREADS, digest=digest,
    )


def main():
    """Trains, writes, and measures what was written."""
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    tokenizer = make_tokenizer(TOKENIZER_TALKS, SEED)
    coder = Coder(tokenizer)
    model, tokens, spent = train(coder)
    where = ROOT / NAME
    write_model(where, model, tokenizer)
    measured = chat_reference.write_heldout(ROOT / f"{NAME}.heldout.json", model, coder)
    theirs, cases = chat_reference.write_reference(ROOT / f"{NAME}.reference.json", where)
    worst = chat_reference.agrees(model.rounded(), theirs, cases)
    print(f"scores differ from transformers' by at most {worst:.1e}")
    assert worst < 1e-3, worst
    digest = hashlib.sha256((where / "model.safetensors").read_bytes()).hexdigest()
    (where / "README.md").write_text(card(model, measured, tokens, spent, digest))
    for kind, one in measured["bfloat16"]["kinds"].items():
        print(f"{kind:16s} {one['exact']:5d} of {one['of']:5d}")
    print(f"nats per token: {measured['float32']['nats_per_token']} float32, {measured['bfloat16']['nats_per_token']} bfloat16")
    print(f"sha256 {digest}")


if __name__ == "__main__":
    main()
