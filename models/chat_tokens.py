"""The chat model's tokenizer and chat template, and how a conversation becomes token ids with a mask."""

import json
import random

import numpy as np
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

import chat_text
from chat_settings import CONFIG

BEGIN, TURN, END, PAD = "<|begin|>", "<|turn|>", "<|end|>", "<|pad|>"
MARKS = ["<tools>", "</tools>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"]
VOCABULARY, LONGEST = CONFIG["vocab_size"], CONFIG["max_position_embeddings"]
# A capital never takes the space before it, so that a name has the same tokens in a sentence and in quotation marks and
# can be copied token by token. Digits stand alone for the same reason.
PIECES = r" ?\p{Ll}+|\p{Lu}+\p{Ll}*|\p{N}| ?[^\s\p{L}\p{N}]+|\p{L}+|\n+|[^\S\n]+"
TEMPLATE = """\
{{- bos_token }}
{%- set first = messages[0] %}
{%- if first.role in ['system', 'developer'] %}
    {%- set system = first.content %}
    {%- set turns = messages[1:] %}
{%- else %}
    {%- set system = 'DEFAULT' %}
    {%- set turns = messages %}
{%- endif %}
{{- '<|turn|>system\\n' + system }}
{%- if tools %}
    {{- '\\n\\nYou may call these functions:\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson) }}
    {%- endfor %}
    {{- '\\n</tools>\\nA call is written like this:\\n<tool_call>\\n{"name": "...", "arguments": {...}}\\n</tool_call>' }}
{%- endif %}
{{- '<|end|>\\n' }}
{%- for message in turns %}
    {%- if message.role == 'tool' %}
        {{- '<|turn|>tool\\n<tool_response>\\n' + message.content + '\\n</tool_response><|end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|turn|>assistant\\n' }}
        {%- if message.content %}
            {{- message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls or [] %}
            {%- if message.content or not loop.first %}
                {{- '\\n' }}
            {%- endif %}
            {{- '<tool_call>\\n{"name": "' + tool_call.function.name + '", "arguments": ' }}
            {%- if tool_call.function.arguments is string %}
                {{- tool_call.function.arguments }}
            {%- else %}
                {{- tool_call.function.arguments | tojson }}
            {%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|end|>\\n' }}
    {%- elif message.role in ['user', 'system', 'developer'] %}
        {{- '<|turn|>' + message.role + '\\n' + message.content + '<|end|>\\n' }}
    {%- else %}
        {{- raise_exception('the roles are system, user, assistant and tool, not ' + message.role) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|turn|>assistant\\n' }}
{%- endif %}
""".replace("DEFAULT", chat_text.DEFAULT_SYSTEM)


def environment():
    """Jinja as transformers sets it up."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    made.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return made


COMPILED = environment().from_string(TEMPLATE)


def render(messages, tools=None, add_generation_prompt=False):
    """The text of a conversation."""
    return COMPILED.render(messages=messages, tools=tools, bos_token=BEGIN, add_generation_prompt=add_generation_prompt)


def make_tokenizer(talks, seed):
    """Byte-level byte-pair encoding, learnt from that many conversations."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    rng = random.Random(seed)
    texts = [render(made.messages, made.tools()) for made in (chat_text.talk(rng) for _ in range(talks))]
    special = [AddedToken(text, special=True, normalized=False) for text in (BEGIN, TURN, END, PAD)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKS), special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    for mark in (BEGIN, TURN, END, *MARKS):
        texts = [text.replace(mark, "\n") for text in texts]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKS])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A", pair=f"{BEGIN} $A $B", special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))]
    )
    assert tokenizer.get_vocab_size() == VOCABULARY, tokenizer.get_vocab_size()
    return tokenizer


class Coder:
    """Conversations to token ids, with a mask of the tokens that the assistant has to say."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.turn, self.end, self.pad = (tokenizer.token_to_id(mark) for mark in (TURN, END, PAD))
        self.header = tokenizer.encode("assistant\n", add_special_tokens=False).ids

    def answers(self, ids):
        """The spans of the assistant's messages: first token after the header, first token after the end mark."""
        spans, width = [], len(self.header)
        for at, token in enumerate(ids):
            if token == self.turn and ids[at + 1 : at + 1 + width] == self.header:
                first = at + 1 + width
                spans.append((first, ids.index(self.end, first) + 1))
        return spans

    def encode(self, talks):
        """Per conversation: its ids, and the spans of the answers; those that are too long are left out."""
        texts = [render(made.messages, made.tools()) for made in talks]
        coded = []
        for made, one in zip(talks, self.tokenizer.encode_batch(texts, add_special_tokens=False)):
            if len(one.ids) <= LONGEST:
                coded.append((made, one.ids, self.answers(one.ids)))
        return coded

    def batch(self, coded):
        """A batch: ids [rows, longest], padded on the right, and whether a position holds a token to be said."""
        longest = max(len(ids) for _, ids, _ in coded)
        ids = np.full((len(coded), longest), self.pad, dtype=np.int64)
        mask = np.zeros((len(coded), longest), dtype=bool)
        for row, (_, tokens, spans) in enumerate(coded):
            ids[row, : len(tokens)] = tokens
            for first, last in spans:
                mask[row, first:last] = True
        return ids, mask
