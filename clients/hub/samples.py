"""What the checks publish: models of random weights, made quickly from a seed, and their small files."""

import json
import pathlib
import zlib

import numpy as np
from safetensors.numpy import save, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

# Tensors of the large file; 200 MB in ten layers.
LARGE_LAYERS = 10
LARGE_VALUES = 5_000_000

CARD = """---
license: apache-2.0
language:
- en
- de
library_name: transformers
pipeline_tag: text-classification
tags:
- {tag}
- sentiment
datasets:
- imdb
base_model: bert-base-uncased
---

# {title}

A sample with random weights, for tests.
"""


def random(*name):
    """A generator that depends on the name alone."""
    return np.random.default_rng(zlib.crc32(repr(name).encode()))


def weights(generator, layers, values):
    """Layers of that many random floats each."""
    return {f"layer.{index}.weight": generator.random(values, dtype=np.float32) for index in range(layers)}


def write_large(path, *name):
    """The safetensors file of 200 MB."""
    save_file(weights(random(*name), LARGE_LAYERS, LARGE_VALUES), path, metadata={"format": "pt"})


def small_tensors(*name):
    """A few tensors of several types."""
    generator = random(*name)
    return {
        "embedding.weight": generator.random((64, 32), dtype=np.float32),
        "classifier.bias": generator.random(4).astype(np.float16),
        "position_ids": np.arange(64, dtype=np.int64),
    }


def write_model(folder, tag, title="A small model", name=()):
    """A model as transformers stores one: card, configuration, tokenizer, weights, and a file in a folder; its paths."""
    folder = pathlib.Path(folder)
    (folder / "extra/notes").mkdir(parents=True)
    (folder / "README.md").write_text(CARD.format(tag=tag, title=title))
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 64, "max_position_embeddings": 64,
    }, indent=2))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", "model_max_length": 64,
    }))
    vocabulary = {word: index for index, word in enumerate(["[UNK]", "a", "plain", "sentence", "is", "good"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(small_tensors(tag, *name), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "extra/notes/how to use.txt").write_text("Übung: α\n")
    return files_of(folder)


def write_sharded(folder, *name):
    """The same weights in two files with their index."""
    tensors = small_tensors(*name)
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    for file, part in shards.items():
        save_file({one: tensors[one] for one in part}, pathlib.Path(folder) / file, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {one: file for file, part in shards.items() for one in part},
    }
    (pathlib.Path(folder) / "model.safetensors.index.json").write_text(json.dumps(index))
    return tensors, index["weight_map"]


def files_of(folder):
    """{path with slashes: bytes} of every file below the folder, hidden ones left out."""
    folder = pathlib.Path(folder)
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = ((path.relative_to(folder).as_posix(), path) for path in files)
    return {name: path.read_bytes() for name, path in named if not name.startswith(".")}


def bytes_of(size, *name):
    """That many random bytes."""
    return random(*name).bytes(size)


def packed(tensors):
    """A safetensors file as bytes."""
    return save(tensors, metadata={"format": "pt"})
