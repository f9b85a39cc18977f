#!/usr/bin/env python3
"""What lesson 20 states of pPCA as a score of strangeness, computed without this project: AUROC of
-ln p(x) under pPCA with 20 latents (Tipping and Bishop 1999, by numpy.linalg.eigh), for strangers
that are made of the first 2,000 test images of Fashion-MNIST, and for each class held out.

    anomalies.py [DIRECTORY]

Functions of the files alone. Measured with NumPy 1.24.2.
"""
import gzip
import sys

import numpy as np

DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"
LATENTS = 20


def read(name, header):
    with gzip.open(f"{DIRECTORY}/{name}.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def images(part):
    return read(f"{part}-images-idx3-ubyte", 16).reshape(-1, 784) / 255.0


def labels(part):
    return read(f"{part}-labels-idx1-ubyte", 8)


def fit(moments):
    """ln p(x) of the likeliest pPCA of images with this count, sum and sum of x x^T."""
    count, total, scatter = moments
    mean = total / count
    values, vectors = np.linalg.eigh(scatter / count - np.outer(mean, mean))
    values, vectors = values[::-1], vectors[:, ::-1]
    variances = np.full(784, values[LATENTS:].mean())
    variances[:LATENTS] = values[:LATENTS]
    return lambda x: 0.5 * ((((x - mean) @ vectors) ** 2 / variances).sum(1)
                            + np.log(2 * np.pi * variances).sum())


def moments_of(x):
    return len(x), x.sum(0), x.T @ x


def auroc(out, kind):
    """P(out > kind) + 1/2 P(out = kind), by ranks, those of equal scores shared."""
    every = np.concatenate([out, kind])
    _, place, count = np.unique(every, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    n = len(out)
    return (rank[:n].sum() - n * (n + 1) / 2) / (n * len(kind))


train, test = images("train"), images("t10k")
train_labels, test_labels = labels("train"), labels("t10k")
of_class = [moments_of(train[train_labels == k]) for k in range(10)]
every = [sum(m[i] for m in of_class) for i in range(3)]

score = fit(every)
x = test[:2000]
square = x.reshape(-1, 28, 28)
strangers = {
    "mirrored": square[:, :, ::-1],
    "flipped": square[:, ::-1],
    "turned": np.rot90(square, 1, (1, 2)),
    "shifted": np.roll(square, 4, 2),
    "dimmed": 0.5 * x,
    "binary": (x >= 0.5).astype(float),
    "inverted": 1 - x,
    "blended": 0.5 * (x + x[::-1]),
    "black": np.zeros((1, 784)),
}
for name, out in strangers.items():
    print(f"{name} {auroc(score(out.reshape(-1, 784)), score(x)):.6f}")

for k in range(10):
    score = fit([every[i] - of_class[k][i] for i in range(3)])
    s = score(test)
    print(f"held out {k}: {auroc(s[test_labels == k], s[test_labels != k]):.6f}")
