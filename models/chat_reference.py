"""Measures the chat model on conversations that training never saw, and writes what others may compare with.

`models/assay-chat.heldout.json` has conversations with the figures that torch gives on them,
`models/assay-chat.reference.json` prompts with the token ids, scores and greedy continuations that Hugging Face's library
gives for the files of models/assay-chat. A program that reads those files on its own has to come to the same.
"""

import collections
import json
import random

import torch
import transformers

import chat_text
from chat_settings import CONFIG, HELDOUT_SEED, HELDOUT_TALKS
from chat_words import HELD_CITIES, HELD_NAMES

# More conversations are measured than are written down.
MEASURED = 600
MAX_NEW_TOKENS = 220


def heldout(count=HELDOUT_TALKS):
    """The first so many held-out conversations."""
    rng = random.Random(HELDOUT_SEED)
    return [chat_text.talk(rng, held=True) for _ in range(count)]


def as_json(made):
    """A conversation as it is written down."""
    return {"kinds": made.kinds, "messages": made.messages, **({"tools": made.tools()} if made.tools() else {})}


def measure(model, coder, talks):
    """Nats and tokens of the answers, and per kind how many of them greedy choice says exactly.

    Greedy choice repeats an answer if and only if each token of it is the best after those before it, so one pass over
    the whole conversation measures it. Kinds of which there is no one right answer count for the nats alone.
    """
    exact, total, nats, tokens = collections.Counter(), collections.Counter(), 0.0, 0
    with torch.no_grad():
        for made, ids, spans in coder.encode(talks):
            row = torch.tensor(ids)
            logs = model.scores(model(row[None])[0]).log_softmax(-1)
            for kind, (first, last) in zip(made.kinds, spans, strict=True):
                said = logs[first - 1 : last - 1]
                total[kind] += 1
                exact[kind] += bool((said.argmax(-1) == row[first:last]).all())
                nats -= said.gather(1, row[first:last, None]).sum().item()
                tokens += last - first
    table = {kind: {"exact": exact[kind], "of": total[kind]} for kind in sorted(total) if kind != "free"}
    return {"nats_per_token": round(nats / tokens, 6), "answer_tokens": tokens, "kinds": table}


def write_heldout(path, model, coder):
    """Writes the held-out set with its figures; returns the larger measurement that the card tells."""
    talks = heldout()
    figures = {}
    for name, one in (("float32", model), ("bfloat16", model.rounded())):
        part = measure(one, coder, talks)
        figures[name] = {key: part[key] for key in ("nats_per_token", "answer_tokens")}
    about = (
        "Conversations that training never saw. Nats are over the tokens of every assistant's message and the end mark "
        "after it, in float32 arithmetic, with the weights of training and with those rounded to bfloat16 that the file has."
    )
    rows = ",\n".join(json.dumps(as_json(made), ensure_ascii=False) for made in talks)
    head = json.dumps({"about": about, "figures": figures}, ensure_ascii=False)[:-1]
    path.write_text(f'{head}, "conversations": [\n{rows}\n]}}\n')
    return {"float32": measure(model, coder, heldout(MEASURED)), "bfloat16": measure(model.rounded(), coder, heldout(MEASURED))}


def prompts():
    """Conversations that wait for an answer: some written here, some out of the held-out set."""
    weather = {"type": "function", "function": {
        "name": "get_weather", "description": "Get the weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
    clock = {"type": "function", "function": {
        "name": "get_time", "description": "Get the time in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The name of the city"}},
                       "required": ["city"]}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}
    parsed = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "São Paulo"}}}
    user = lambda text: {"role": "user", "content": text}  # noqa: E731
    written = [
        ([user("What is a receipt?")], None),
        ([{"role": "system", "content": "You are a helpful assistant."}, user("Is a verified answer true?")], None),
        ([user("Tell me about Assay.")], None),
        ([user("Count from 1 to 20.")], None),
        ([user("List the rungs.")], None),
        ([user("What is the weather in Lisbon?")], [weather]),
        ([user(f"What is the weather in {HELD_CITIES[16]}?")], [clock, weather]),
        ([user("What is the weather in Oslo?"), {"role": "assistant", "content": "", "tool_calls": [call]},
          {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": -3, "condition": "snowy"}'}], [weather]),
        ([user("How is the weather in São Paulo?"), {"role": "assistant", "content": None, "tool_calls": [parsed]},
          {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees, clear"}], [weather, clock]),
        ([user("What is the weather in Lisbon?")], None),
        ([user(f"My name is {HELD_NAMES[5]}."), {"role": "assistant", "content": f"Nice to meet you, {HELD_NAMES[5]}."},
          user("What is my name?")], None),
        ([{"role": "system", "content": "You are Mara, a night baker from Porto. You like old maps."}, user("Who are you?")], None),
        ([user("My name is Jonas, I live in Riga and I am 41 years old. Answer as JSON with the keys name, age, city.")], None),
        ([user("Tell me a story about a node called Matilda")], None),
        ([user("Wie heißt du? 你好 🙂\n\n  two  spaces\tand a tab")], None),
        ([user("What is the capital of Peru?")], None),
    ]
    for made in heldout(24)[4:24:4]:
        last = max(at for at, message in enumerate(made.messages) if message["role"] == "assistant")
        written.append((made.messages[:last], made.tools()))
    return written


def write_reference(path, directory):
    """Runs Hugging Face's library on the files and writes what it says; returns how far our own scores are off."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    cases = []
    for messages, tools in prompts():
        text = tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, tokenize=False)
        ids = tokenizer(text, add_special_tokens=False).input_ids
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0, -1]
            made = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                                  max_new_tokens=MAX_NEW_TOKENS, do_sample=False)[0, len(ids):].tolist()
        best = scores.topk(5)
        answer = tokenizer.decode(made, skip_special_tokens=True)
        cases.append({
            "messages": messages, **({"tools": tools} if tools else {}), "text": text, "ids": ids,
            "top": [[token, round(score, 5)] for token, score in zip(best.indices.tolist(), best.values.tolist())],
            "greedy": made, "answer": answer,
        })
        print(f"  {messages[-1]['content']!r} -> {answer!r}", flush=True)
    about = (
        f"What transformers {transformers.__version__} makes of models/assay-chat in float32: the rendered prompt, its token "
        "ids, the five best scores of the next token, and the greedy continuation with the end mark."
    )
    rows = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    path.write_text(json.dumps({"about": about}, ensure_ascii=False)[:-1] + f', "cases": [\n{rows}\n]}}\n')
    return model, cases


def agrees(ours, theirs, cases):
    """The largest difference between our scores and the library's over every token of the reference cases."""
    worst = 0.0
    with torch.no_grad():
        for case in cases:
            ids = torch.tensor([case["ids"] + case["greedy"]])
            worst = max(worst, (ours.scores(ours(ids)) - theirs(ids).logits).abs().max().item())
    return worst


def dimensions():
    """The architecture in a line, for the card."""
    return (f"{CONFIG['num_hidden_layers']} layers, {CONFIG['hidden_size']} wide, {CONFIG['num_attention_heads']} heads on "
            f"{CONFIG['num_key_value_heads']} of keys and values, {CONFIG['vocab_size']} tokens")
