"""Trains the models of the zero-knowledge benchmark: five shapes for which the peers' figures are known.

    python -m venv .venv-torch && .venv-torch/bin/pip install -r requirements-torch.lock && .venv-torch/bin/python train_zk.py

Fitting and export are those of train_torch.py. Each revision carries, beside its test vectors, what a quantiser needs:
`zk/calibration.npy` (rows of the training split, from which it may choose scales), and `zk/test.npy` with
`zk/labels.npy` (held-out rows and their classes, on which the quantised model is measured and nothing is chosen).
"""

import numpy as np
import torch
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from torch import nn

import revision
import train_torch
from train_torch import LICENCE, ROWS, SEED

HELD_OUT = 360
CALIBRATION = 200
# Rows of 28x28 pixels are 3 KiB each, and the larger of their models is 2.7 MB without them.
LARGE_TEST = 200
RISK_LICENCE = "synthetic, `make_classification` of scikit-learn under a fixed seed; describes no one"


class RiskLogreg(nn.Module):
    """Logistic regression over 12 standardised features of an applicant: the probability of a default."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 1)

    def forward(self, x):
        return torch.sigmoid(self.linear(x))


class Mlp(nn.Module):
    """A multilayer perceptron with ReLU."""

    def __init__(self, *sizes):
        super().__init__()
        layers = []
        for size, following in zip(sizes, sizes[1:]):
            layers += [nn.Linear(size, following), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])
        self.__doc__ = f"A multilayer perceptron {'-'.join(map(str, sizes))} with ReLU."

    def forward(self, x):
        return self.body(x)


class LeNet(nn.Module):
    """LeNet-5 with ReLU and max pooling: two 5x5 convolutions and three dense layers, on enlarged digits."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)
        )

    def forward(self, image):
        return self.head(self.body(image))


class Block(nn.Module):
    """One pre-norm transformer block over the 16 patches of a digit: width 64, 4 heads, ReLU, mean pooling.

    The usual division by the root of a head's size is part of the query weights, and every shape but the batch is a
    constant, so that the graph has only arithmetic.
    """

    def __init__(self, width=64, heads=4, length=16):
        super().__init__()
        self.split = (-1, length, heads, width // heads)
        self.join = (-1, length, width)
        self.embed = nn.Linear(4, width, bias=False)
        self.place = nn.Parameter(torch.randn(length, width) * 0.1)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-3), nn.LayerNorm(width, eps=1e-3)
        self.query, self.key, self.value, self.out = [nn.Linear(width, width, bias=False) for _ in range(4)]
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.head = nn.Linear(width, 10)
        with torch.no_grad():
            self.query.weight /= (width // heads) ** 0.5

    def attend(self, x):
        query, key, value = [part(x).reshape(self.split) for part in (self.query, self.key, self.value)]
        weights = torch.softmax(query.permute(0, 2, 1, 3) @ key.permute(0, 2, 3, 1), dim=-1)
        return self.out((weights @ value.permute(0, 2, 1, 3)).permute(0, 2, 1, 3).reshape(self.join))

    def forward(self, patches):
        x = self.embed(patches) + self.place
        x = x + self.attend(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(dim=1))


def digits(shape):
    """Digits with pixels from 0 to 1, as flat rows, images or patches of 2x2, split into training and held-out rows."""
    data = load_digits()
    images = train_torch.enlarge(data.images) if np.prod(shape) == 784 else data.images
    if shape == (16, 4):
        images = images.reshape(-1, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4)
    x = (images / 16.0).reshape(-1, *shape).astype(np.float32)
    return train_test_split(x, data.target, test_size=HELD_OUT, random_state=SEED, stratify=data.target)


def risk():
    """Synthetic applicants, standardised, split into training and held-out rows."""
    x, y = make_classification(4000, 12, n_informative=8, n_redundant=2, class_sep=1.0, random_state=1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return train_test_split(x.astype(np.float32), y, test_size=HELD_OUT, random_state=SEED, stratify=y)


def fit_risk(model, x, y):
    """The optimum that scikit-learn finds, as the weights of `model`."""
    found = LogisticRegression(max_iter=1000).fit(x, y)
    with torch.no_grad():
        model.linear.weight.copy_(torch.from_numpy(found.coef_))
        model.linear.bias.copy_(torch.from_numpy(found.intercept_))
    return model.eval()


def classes(scores):
    """The class that a row of scores says: the largest, or of a single probability whether it is above one half."""
    return scores.argmax(axis=1) if scores.shape[1] > 1 else (scores[:, 0] > 0.5).astype(np.int64)


def card(model, source, score, stored, counts):
    """The card's text, from the numbers of this run."""
    parameters = sum(p.numel() for p in model.parameters())
    what = model.__doc__.split("\n")[0]
    return (
        f"{what} {parameters} parameters.\n\n"
        f"Trained by `models/train_zk.py` on {source} and exported by torch.onnx "
        f"(TorchScript, torch {torch.__version__.split('+')[0]}) for the zero-knowledge benchmark.\n\n"
        f"- Held-out accuracy: {score:.4f} on {counts[1]} rows; trained on {counts[0]} rows\n"
        f"- `zk/calibration.npy`: {counts[2]} training rows; `zk/test.npy`, `zk/labels.npy`: {counts[3]} held-out rows, "
        f"on which this model is {stored:.4f} accurate"
    )


def train(name, model, shape, epochs):
    """Fits, scores, exports and writes one model; without a shape it is the risk model."""
    train_x, test_x, train_y, test_y = digits(shape) if shape else risk()
    if shape:
        train_torch.fit(model, torch.from_numpy(train_x), torch.from_numpy(train_y), epochs)
    else:
        fit_risk(model, train_x, train_y)
    with torch.no_grad():
        scores = model(torch.from_numpy(test_x)).numpy()
    right = classes(scores) == test_y
    rows = LARGE_TEST if train_x[0].size == 784 else HELD_OUT
    more = {
        "zk/calibration.npy": train_x[:CALIBRATION],
        "zk/test.npy": test_x[:rows],
        "zk/labels.npy": test_y[:rows].astype(np.int64),
    }
    source = "scikit-learn's digits" if shape else "synthetic applicants"
    counts = (len(train_x), len(test_x), CALIBRATION, rows)
    text = card(model, source, right.mean(), right[:rows].mean(), counts)
    proto = train_torch.export(model, torch.from_numpy(test_x[:2]), True, False)
    task = "image-classification" if shape else "tabular-classification"
    labels = [str(label) for label in range(10)] if shape else None
    licence = LICENCE if shape else RISK_LICENCE
    outputs = revision.write(name, proto, [test_x[:ROWS]], task, text, labels, licence, more)
    assert np.allclose(outputs[0], scores[:ROWS], rtol=1e-3, atol=1e-5), name
    print(f"{name:24s} accuracy {right.mean():.4f} on {len(test_x)}, {right[:rows].mean():.4f} on {rows}", flush=True)


def main():
    """Smallest first; each starts from the same seed, so that one can be trained without the others."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, make, shape, epochs in [
        ("risk-logreg", RiskLogreg, None, 0),
        ("digits-mlp-64-32-10", lambda: Mlp(64, 32, 10), (64,), 60),
        ("digits-lenet", LeNet, (1, 28, 28), 25),
        ("digits-mlp784", lambda: Mlp(784, 512, 512, 10), (784,), 15),
        ("digits-block", Block, (16, 4), 60),
    ]:
        torch.manual_seed(SEED)
        train(name, make(), shape, epochs)


if __name__ == "__main__":
    main()
