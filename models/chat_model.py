"""The chat model's network: a llama, with the names of tensors that Hugging Face's library gives them."""

import torch
from torch import nn
from torch.nn import functional

from chat_settings import CONFIG

WIDTH, HEAD = CONFIG["hidden_size"], CONFIG["head_dim"]
HEADS, SHARED = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"]


class Norm(nn.Module):
    """Division by the root of the mean square, in float32."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return functional.rms_norm(x.float(), (WIDTH,), self.weight, CONFIG["rms_norm_eps"])


def linear(inputs, outputs):
    """A matrix without a bias."""
    return nn.Linear(inputs, outputs, bias=False)


class Attention(nn.Module):
    """Causal attention in which two query heads share one key and value head."""

    def __init__(self):
        super().__init__()
        self.q_proj, self.o_proj = linear(WIDTH, HEADS * HEAD), linear(HEADS * HEAD, WIDTH)
        self.k_proj, self.v_proj = linear(WIDTH, SHARED * HEAD), linear(WIDTH, SHARED * HEAD)

    def forward(self, x, cosine, sine):
        rows, length, _ = x.shape
        q = rotate(self.q_proj(x).view(rows, length, HEADS, HEAD).transpose(1, 2), cosine, sine)
        k = rotate(self.k_proj(x).view(rows, length, SHARED, HEAD).transpose(1, 2), cosine, sine)
        v = self.v_proj(x).view(rows, length, SHARED, HEAD).transpose(1, 2)
        q, k = q.to(v.dtype), k.to(v.dtype)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.o_proj(mixed.transpose(1, 2).reshape(rows, length, HEADS * HEAD))


def rotate(x, cosine, sine):
    """Rotary positions: the halves of a head are the two parts of complex numbers."""
    low, high = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-high, low], dim=-1) * sine


class Mlp(nn.Module):
    """The gated feed-forward part."""

    def __init__(self):
        super().__init__()
        inner = CONFIG["intermediate_size"]
        self.gate_proj, self.up_proj, self.down_proj = linear(WIDTH, inner), linear(WIDTH, inner), linear(inner, WIDTH)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One layer."""

    def __init__(self):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = Norm(), Norm()
        self.self_attn, self.mlp = Attention(), Mlp()

    def forward(self, x, cosine, sine):
        x = x + self.self_attn(self.input_layernorm(x), cosine, sine)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """Token ids [rows, length] to hidden states [rows, length, width]; `scores` makes scores of them."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = Norm()
        steps = 1.0 / CONFIG["rope_theta"] ** (torch.arange(0, HEAD, 2).float() / HEAD)
        angles = torch.outer(torch.arange(CONFIG["max_position_embeddings"]).float(), steps)
        angles = torch.cat([angles, angles], dim=-1)
        self.cosine, self.sine = angles.cos(), angles.sin()
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=CONFIG["initializer_range"])
        for layer in self.layers:
            for matrix in (layer.self_attn.o_proj, layer.mlp.down_proj):
                nn.init.normal_(matrix.weight, std=CONFIG["initializer_range"] / (2 * len(self.layers)) ** 0.5)
        with torch.no_grad():
            begin_with_copying(self)

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine[:length], self.sine[:length])
        return self.norm(x)

    def scores(self, hidden):
        """Scores of every token of the vocabulary: the head is the embedding."""
        return functional.linear(hidden, self.embed_tokens.weight)

    def rounded(self):
        """A copy whose weights are those that the file holds: bfloat16, in float32 arithmetic."""
        other = Llama()
        other.load_state_dict({key: value.bfloat16().float() for key, value in self.state_dict().items()})
        return other.eval()


def begin_with_copying(model):
    """Lays a circuit that copies into the first weights: a run of this length would hardly find it by itself.

    A head of the first layer looks one token back and writes a part of that token beside the present one. Heads of the
    second layer look for places whose token before was the present one, and write the token that stands there: what
    came after it last time. Parts of the embedding space that are orthogonal keep these apart. Training starts from here
    and is free to change all of it.
    """
    basis = torch.linalg.qr(torch.randn(WIDTH, WIDTH))[0].T
    always, part, beside, contents = basis[0], basis[1:25], basis[25:49], (basis[49:113], basis[113:177])
    spread, sharpness, match, strength = 0.08, 40.0, 3.0, 3.0
    embedding = model.embed_tokens.weight
    nn.init.normal_(embedding, std=spread)
    embedding -= embedding @ beside.T @ beside
    # What all tokens share gives the first layer a query and a key that depend on nothing but the place.
    embedding += torch.outer(spread * WIDTH**0.5 - embedding @ always, always)
    shared = (WIDTH / 2) ** 0.5
    key = torch.full((HEAD,), sharpness**0.5)
    step = torch.cat([1.0 / CONFIG["rope_theta"] ** (torch.arange(0, HEAD, 2).float() / HEAD)] * 2)
    query = rotate(key, torch.cos(-step), torch.sin(-step))
    first, second = model.layers[0].self_attn, model.layers[1].self_attn
    first.q_proj.weight[:HEAD] = torch.outer(query, always) / shared
    first.k_proj.weight[:HEAD] = torch.outer(key, always) / shared
    first.v_proj.weight[: len(part)] = part
    first.o_proj.weight[:, : len(part)] = beside.T * (2 * spread / 0.7)
    # The slow half of the rotation: content is compared whatever the distance.
    slow = [*range(20, 32), *range(52, 64)]
    for shared_head, content in enumerate(contents):
        at = shared_head * HEADS // SHARED * HEAD
        second.q_proj.weight[at : at + HEAD][slow] = part * match
        second.k_proj.weight[shared_head * HEAD : (shared_head + 1) * HEAD][slow] = beside * match
        second.v_proj.weight[shared_head * HEAD : (shared_head + 1) * HEAD] = content
        second.o_proj.weight[:, at : at + HEAD] = content.T * (strength * spread / 0.7)
