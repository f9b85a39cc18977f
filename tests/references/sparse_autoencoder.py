#!/usr/bin/env python3
"""Lesson 07's reference numbers about Fashion-MNIST, without Gradus.

Of PCA's axes, by numpy.linalg.eigh: the mean squared error of a pixel of the test images when the
first k or, for each image, its k largest coordinates are kept; and the mean lasso objective in their
basis. Then a sparse autoencoder trained by PyTorch: 784-1024-784, relu, the decoder's bias taken
from the input first, columns of the decoder held at length 1, Adam with a learning rate that falls
from 1e-3 to 0 along half a cosine, minibatches of 128; with a price for the code or its k largest
numbers kept. Or, with --weights, no training: the weights that lesson 07 has written, read into
torch.nn.Linear modules of the same names, and their error.

    python3 tests/references/sparse_autoencoder.py pca [DIR]
    python3 tests/references/sparse_autoencoder.py train [--price 0.3] [--keep K] [--seed 0] [DIR]
    python3 tests/references/sparse_autoencoder.py weights --file FILE [--price 0.3] [--keep K] [DIR]

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2 was used) and, but for pca, PyTorch (1.13.0).
"""
import argparse
import math

import numpy as np

from files import images, safetensors

UNITS, BATCH, EPOCHS = 1024, 128, 3


def pca(train, test):
    mean = train.mean(0)
    _, axes = np.linalg.eigh((train - mean).T @ (train - mean) / len(train))
    coordinates = (test - mean) @ axes[:, ::-1]
    squares = coordinates ** 2
    ordered = -np.sort(-squares, axis=1)
    for k in (16, 32, 64, 112):
        print("k %3d: first %.8f, largest %.8f"
              % (k, squares[:, k:].sum() / test.size, ordered[:, k:].sum() / test.size))
    for price in (0.1, 0.3, 1):
        code = np.sign(coordinates) * np.maximum(np.abs(coordinates) - price / 2, 0)
        losses = ((coordinates - code) ** 2).sum(1) + price * np.abs(code).sum(1)
        print("price %.1f: objective %.10f" % (price, losses.mean()))


def model(torch):
    class SparseAutoencoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.Linear(784, UNITS)
            self.decoder = torch.nn.Linear(UNITS, 784)

        def code(self, x, keep):
            h = self.encoder(x - self.decoder.bias).relu()
            if not keep:
                return h
            values, places = h.topk(keep, dim=1)
            return torch.zeros_like(h).scatter(1, places, values)

    return SparseAutoencoder()


def report(torch, net, x, price, keep):
    with torch.no_grad():
        h = net.code(x, keep)
        squares = (net.decoder(h) - x).square()
        print("test error %.6f, numbers not 0 %.2f, objective %.4f"
              % (squares.mean(), (h > 0).float().sum(1).mean(),
                 squares.sum(1).mean() + price * h.sum(1).mean()))


def train_model(torch, net, train, price, keep):
    with torch.no_grad():
        atoms = torch.randn(784, UNITS)
        net.decoder.weight.copy_(atoms / atoms.norm(dim=0))
        net.encoder.weight.copy_(net.decoder.weight.t())
        net.encoder.bias.zero_()
        net.decoder.bias.copy_(train.mean(0))
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    steps = EPOCHS * math.ceil(len(train) / BATCH)
    step = 0
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(train)).split(BATCH):
            x = train[rows]
            adam.param_groups[0]["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
            h = net.code(x, keep)
            loss = (net.decoder(h) - x).square().sum(1).mean() + price * h.sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            with torch.no_grad():
                net.decoder.weight /= net.decoder.weight.norm(dim=0)
            step += 1


def main():
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["pca", "train", "weights"])
    options.add_argument("--price", type=float, default=None)
    options.add_argument("--keep", type=int, default=0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--file")
    options.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    given = options.parse_args()
    train, test = images(given.directory, "train"), images(given.directory, "t10k")
    if given.what == "pca":
        pca(train, test)
        return
    import torch
    price = given.price if given.price is not None else 0 if given.keep else 0.3
    torch.manual_seed(given.seed)
    net = model(torch)
    if given.what == "weights":
        weights = safetensors(given.file)
        net.load_state_dict({name: torch.from_numpy(x) for name, x in weights.items()})
    else:
        train_model(torch, net, torch.from_numpy(train.astype(np.float32)), price, given.keep)
    report(torch, net, torch.from_numpy(test.astype(np.float32)), price, given.keep)


if __name__ == "__main__":
    main()
