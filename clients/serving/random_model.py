"""One model of random weights in both forms: a revision for Assay's engine, GGUF files for llama.cpp.

    python random_model.py DIRECTORY [--seed 7] [--layers 12]

A model of the Llama family: 768 numbers a token, 12 heads of 64, 2,048 behind the gate, 32,000 tokens whose embeddings give
the scores, too; with 12 layers 109.5 million weights. Weights are normal numbers with the variance that keeps that of
what they are multiplied with, rounded to half precision. From the same numbers DIRECTORY gets

    revision/           safetensors in half precision, with a tokenizer whose tokens mean nothing, and the manifest
    model-q8_0.gguf     eight bits in blocks of 32 with a scale each, as the `gguf` package quantises them
    model-f16.gguf      the numbers as they are

What is there already and was made by this file with these arguments is left as it is.
"""

import argparse
import hashlib
import json
import pathlib

import gguf
import numpy as np
from blake3 import blake3
from safetensors.numpy import save_file

WIDTH, HEADS, HEAD, GATED, VOCABULARY, CONTEXT = 768, 12, 64, 2048, 32000, 1024
EPSILON, THETA = 1e-5, 10000.0
END = 0


def tensors(seed, layers):
    """The weights by Hugging Face's names, in half precision."""
    generator = np.random.default_rng(seed)

    def matrix(rows, inner):
        return (generator.standard_normal((rows, inner), dtype=np.float32) / np.float32(inner**0.5)).astype(np.float16)

    named = {"model.embed_tokens.weight": matrix(VOCABULARY, WIDTH)}
    for layer in range(layers):
        of = f"model.layers.{layer}"
        named[f"{of}.input_layernorm.weight"] = np.ones(WIDTH, dtype=np.float16)
        for part in ("q", "k", "v", "o"):
            named[f"{of}.self_attn.{part}_proj.weight"] = matrix(WIDTH, WIDTH)
        named[f"{of}.post_attention_layernorm.weight"] = np.ones(WIDTH, dtype=np.float16)
        named[f"{of}.mlp.gate_proj.weight"] = matrix(GATED, WIDTH)
        named[f"{of}.mlp.up_proj.weight"] = matrix(GATED, WIDTH)
        named[f"{of}.mlp.down_proj.weight"] = matrix(WIDTH, GATED)
    named["model.norm.weight"] = np.ones(WIDTH, dtype=np.float16)
    return named


def config(layers):
    """The file of this name."""
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": WIDTH,
        "intermediate_size": GATED, "vocab_size": VOCABULARY, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "head_dim": HEAD, "rms_norm_eps": EPSILON, "rope_theta": THETA,
        "max_position_embeddings": CONTEXT, "tie_word_embeddings": True, "eos_token_id": END,
    }


def tokenizer():
    """A token for the end, one for each byte, and many that no text has."""
    plain = [chr(byte) for byte in [*range(33, 127), *range(161, 173), *range(174, 256)]]
    moved = [chr(256 + at) for at in range(256 - len(plain))]
    names = ["<end>", *plain, *moved]
    names += [f"token{at}" for at in range(len(names), VOCABULARY)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None,
        "added_tokens": [{"id": END, "content": "<end>", **flags}],
        "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "vocab": {name: at for at, name in enumerate(names)}, "merges": [],
        },
    }


def write_revision(where, named, layers):
    """The directory, with the canonical manifest that `assay-inference` checks."""
    where.mkdir(parents=True, exist_ok=True)
    save_file(named, str(where / "model.safetensors"))
    (where / "config.json").write_text(json.dumps(config(layers), indent=2))
    (where / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False))
    files = []
    for path in sorted(path for path in where.iterdir() if path.name != "manifest.json"):
        body = path.read_bytes()
        files.append({"blake3": blake3(body).hexdigest(), "path": path.name, "size": len(body)})
    manifest = {
        "engine": "language", "files": files, "format": 1, "licence": "MIT OR Apache-2.0", "name": "random",
        "inputs": [{"dtype": "string", "name": "prompt", "shape": []}],
        "outputs": [{"dtype": "string", "name": "text", "shape": []}], "task": "text-generation",
    }
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (where / "manifest.json").write_bytes(text.encode())


def neighbours(matrix):
    """Rows of a projection to queries or keys as llama.cpp has them for this family: the two numbers of a head that turn
    together stand side by side, not half a head apart."""
    halves = matrix.reshape(HEADS, 2, HEAD // 2, matrix.shape[1])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(matrix.shape)


def places(layers):
    """Hugging Face's names and GGUF's of every tensor."""
    yield "model.embed_tokens.weight", "token_embd.weight"
    yield "model.norm.weight", "output_norm.weight"
    parts = {
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    }
    for layer in range(layers):
        for theirs, ours in parts.items():
            yield f"model.layers.{layer}.{theirs}.weight", f"blk.{layer}.{ours}.weight"


def write_gguf(path, named, layers, kind):
    """One file for llama.cpp; norms stay in single precision, as its own converter leaves them."""
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(GATED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(THETA)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("none")
    for theirs, name in places(layers):
        values = named[theirs]
        if values.ndim == 1:
            writer.add_tensor(name, values.astype(np.float32))
            continue
        if name.endswith(("attn_q.weight", "attn_k.weight")):
            values = neighbours(values)
        if kind == gguf.GGMLQuantizationType.F16:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, gguf.quants.quantize(values.astype(np.float32), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(where, seed, layers):
    """All three, unless they are there."""
    where.mkdir(parents=True, exist_ok=True)
    by = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    mark, made = where / "made-by", f"{by} seed {seed} layers {layers}\n"
    if mark.exists() and mark.read_text() == made:
        return
    named = tensors(seed, layers)
    write_revision(where / "revision", named, layers)
    write_gguf(where / "model-q8_0.gguf", named, layers, gguf.GGMLQuantizationType.Q8_0)
    write_gguf(where / "model-f16.gguf", named, layers, gguf.GGMLQuantizationType.F16)
    mark.write_text(made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--layers", type=int, default=12)
    arguments = parser.parse_args()
    make(arguments.directory, arguments.seed, arguments.layers)


if __name__ == "__main__":
    main()
