"""Trains the PyTorch half of the corpus on scikit-learn's digits and exports it with torch.onnx.

    python -m venv .venv-torch && .venv-torch/bin/pip install -r requirements-torch.lock && .venv-torch/bin/python train_torch.py

The files are what torch.onnx emits, unedited. Scores in the cards are computed here, on rows that training never saw.
"""

import io

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import revision

ROWS = 16
SEED = 0
LICENCE = "UCI Optical Recognition of Handwritten Digits (CC BY 4.0), as shipped in scikit-learn"


class Cnn(nn.Module):
    """Two convolutions, pooling and a dense head: the tutorial network."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 10))

    def forward(self, image):
        return self.head(self.body(image / 16.0))


class Cnn28(nn.Module):
    """The two-convolution network of the tutorials at their 28x28 size, on enlarged digits."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(32 * 14 * 14, 10)

    def forward(self, image):
        return self.head(self.body(image / 16.0).flatten(1))


class Block(nn.Module):
    """A pre-activation residual block: its batch normalisations cannot be folded into a convolution."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels), nn.LeakyReLU(0.1), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        )

    def forward(self, x):
        return x + self.body(x)


class ResNet(nn.Module):
    """A small pre-activation ResNet with a strided and a depthwise convolution, average pooling and softmax."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.blocks = nn.Sequential(Block(16), nn.Conv2d(16, 32, 3, stride=2, padding=1), Block(32))
        self.depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
        self.head = nn.Linear(32, 10)

    def forward(self, image):
        x = self.depthwise(self.blocks(self.stem(image / 16.0)))
        return torch.softmax(self.head(torch.relu(x).mean(dim=(2, 3))), dim=1)


class Attention(nn.Module):
    """Multi-head self-attention written out, as transformer libraries do."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, self.size).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(q @ k.transpose(-2, -1) / self.size**0.5, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, width))


class Layer(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, 4)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """A sequence classifier over tokens: the 64 pixels of a digit, each one of 17 grey levels."""

    def __init__(self, width=48):
        super().__init__()
        self.embed = nn.Embedding(17, width)
        self.place = nn.Parameter(torch.randn(64, width) * 0.02)
        self.layers = nn.Sequential(Layer(width), Layer(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens):
        x = self.embed(tokens) + self.place
        return torch.log_softmax(self.head(self.norm(self.layers(x)).mean(dim=1)), dim=-1)


class Vit(nn.Module):
    """A vision transformer: 2x2 patches by a strided convolution, a class token, tanh head."""

    def __init__(self, width=32):
        super().__init__()
        self.patch = nn.Conv2d(1, width, 2, stride=2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.randn(17, width) * 0.02)
        self.layers = nn.Sequential(Layer(width), Layer(width))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 10))

    def forward(self, image):
        patches = self.patch(image / 16.0).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(image.shape[0], -1, -1), patches], dim=1) + self.place
        return self.head(self.layers(x)[:, 0])


def fit(model, x, y, epochs):
    """Adam with a one-cycle schedule on shuffled batches of 64."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    steps = epochs * ((len(x) + 63) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def export(model, sample, dynamic, dynamo):
    """torch.onnx.export with the exporter asked for; returns the parsed ONNX model."""
    where = io.BytesIO()
    options = {"input_names": ["x"], "output_names": ["scores"], "dynamo": dynamo}
    if dynamo:
        program = torch.onnx.export(
            model, (sample,), opset_version=18, external_data=False, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch")},) if dynamic else None, **options
        )
        return strip(program.model_proto)
    axes = {"x": {0: "batch"}, "scores": {0: "batch"}} if dynamic else None
    torch.onnx.export(model, (sample,), where, opset_version=17, dynamic_axes=axes, **options)
    return onnx.load_from_string(where.getvalue())


def strip(model):
    """Drops the exporter's notes (source paths, stack traces); the graph itself stays as exported."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer]:
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    return model


def enlarge(images):
    """Each pixel three times in both directions, with a margin of two: 8x8 becomes 28x28."""
    return np.pad(np.kron(images, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))


def train(name, model, shape, kind, epochs, dynamic=True, dynamo=False):
    """Fits, scores, exports and writes one model."""
    digits = load_digits()
    x = enlarge(digits.images)[:, None] if shape[-1] == 28 else digits.data.reshape(-1, *shape)
    x = x.astype(kind)
    parts = train_test_split(x, digits.target, test_size=0.3, random_state=SEED, stratify=digits.target)
    train_x, test_x, train_y, test_y = [torch.from_numpy(np.ascontiguousarray(part)) for part in parts]
    fit(model, train_x, train_y, epochs)
    with torch.no_grad():
        score = (model(test_x).argmax(dim=1) == test_y).float().mean().item()
    rows = ROWS if dynamic else 1  # a static batch takes exactly the rows it was exported for
    proto = export(model, test_x[:2] if dynamic else test_x[:1], dynamic, dynamo)
    exporter = "torch.export" if dynamo else "TorchScript"
    text = (
        f"{model.__doc__}\n\nTrained by `models/train_torch.py` on scikit-learn's digits and exported by torch.onnx "
        f"({exporter}, torch {torch.__version__.split('+')[0]}).\n\n"
        f"- Held-out accuracy: {score:.4f} on {len(test_x)} rows; trained on {len(train_x)} rows"
    )
    labels = [str(label) for label in range(10)]
    outputs = revision.write(name, proto, [test_x[:rows].numpy()], "image-classification", text, labels, LICENCE)
    with torch.no_grad():
        assert np.allclose(outputs[0], model(test_x[:rows]).numpy(), rtol=1e-3, atol=1e-5), name


def main():
    """Both exporters, static and dynamic batch."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, make, shape, kind, epochs, dynamic, dynamo in [
        ("digits-cnn", Cnn, (1, 8, 8), np.float32, 12, True, False),
        ("digits-cnn-static", Cnn, (1, 8, 8), np.float32, 6, False, True),
        ("digits-cnn28", Cnn28, (1, 28, 28), np.float32, 4, True, False),
        ("digits-resnet", ResNet, (1, 8, 8), np.float32, 12, True, False),
        ("digits-transformer", Transformer, (64,), np.int64, 25, True, False),
        ("digits-vit", Vit, (1, 8, 8), np.float32, 30, True, True),
    ]:
        torch.manual_seed(SEED)
        train(name, make(), shape, kind, epochs, dynamic, dynamo)


if __name__ == "__main__":
    main()
