#!/usr/bin/env python3
"""Lesson 19's VQ-VAE and its prior in PyTorch, without Gradus: trained there, or with the weights
that lesson 19 has written, read unchanged into modules of the same names.

Windows of 4 x 4 pixels in steps of 2 (1 -> 16 -> 32 channels, relu), 1 x 1 to 16 numbers at 7 x 7
places, each of which becomes the nearest of 64 words; 3 x 3 to 32 channels and back. Bernoulli
pixels, commitment 0.25, Adam 1e-3, minibatches of 128. Words are running averages (0.99), begin at
rows of the first batch, and every 100 steps those that fewer than 3 % of a fair share of the last 100
steps' rows have chosen go to rows of the batch, but not in the last epoch. The prior sees the words
two rows above and two columns to the left and right; Adam 3e-3, falling along half a cosine.

    python3 tests/references/vq_vae.py train [--seed 0] [--epochs 3] [DIR]
    python3 tests/references/vq_vae.py weights --file vq_vae.safetensors [DIR]
    python3 tests/references/vq_vae.py numbers

`numbers`: the best words for a standard normal number, by Lloyd's algorithm. DIR holds the four files
of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist puts them. Needs NumPy
(1.24.2 was used) and PyTorch (1.13.0).
"""
import argparse
import math

import numpy as np
import torch
import torch.nn.functional as F

from files import images, safetensors

WORDS, DIMENSION, PLACES, BATCH = 64, 16, 49, 128


class VqVae(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 16, 4, 2, 1)
        self.conv2 = torch.nn.Conv2d(16, 32, 4, 2, 1)
        self.to_code = torch.nn.Conv2d(32, DIMENSION, 1)
        self.from_code = torch.nn.Conv2d(DIMENSION, 32, 3, 1, 1)
        self.transposed1 = torch.nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.transposed2 = torch.nn.ConvTranspose2d(16, 1, 4, 2, 1)
        self.words = torch.empty(WORDS, DIMENSION).uniform_(-1 / WORDS, 1 / WORDS)

    def encode(self, x):
        maps = self.conv2(self.conv1(x.view(-1, 1, 28, 28)).relu()).relu()
        return self.to_code(maps).permute(0, 2, 3, 1).reshape(-1, PLACES, DIMENSION)

    def decode(self, code):
        maps = self.from_code(code.view(-1, 7, 7, DIMENSION).permute(0, 3, 1, 2)).relu()
        return self.transposed2(self.transposed1(maps).relu()).flatten(1)

    def nearest(self, z):
        rows = z.reshape(-1, DIMENSION)
        distances = self.words.square().sum(1) - 2 * rows @ self.words.T
        return distances.argmin(1).view(z.shape[:2])


def cost(x, logits):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def maps_of(model, x):
    with torch.no_grad():
        return torch.cat([model.nearest(model.encode(part)) for part in x.split(1000)])


def report(model, test):
    total = error = 0
    words = maps_of(model, test)
    with torch.no_grad():
        for x, w in zip(test.split(1000), words.split(1000)):
            logits = model.decode(model.words[w])
            total += cost(x, logits).sum().item()
            error += (logits.sigmoid() - x).square().sum().item()
    p = torch.bincount(words.flatten(), minlength=WORDS).double() / words.numel()
    perplexity = torch.exp(-torch.xlogy(p, p).sum()).item()
    print(f"-ln p(x|e) {total / len(test):.3f}  squared error {error / test.numel():.5f}  "
          f"perplexity {perplexity:.2f}", flush=True)


def train(train_images, test, epochs, seed):
    torch.manual_seed(seed)
    model = VqVae()
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    counts = torch.ones(WORDS)
    sums = None
    step = 0
    for epoch in range(epochs):
        used = torch.zeros(WORDS)
        for rows in torch.randperm(len(train_images)).split(BATCH):
            x = train_images[rows]
            z = model.encode(x)
            flat = z.detach().reshape(-1, DIMENSION)
            if step == 0:
                model.words = flat[torch.randperm(len(flat))[:WORDS]].clone()
                sums = model.words.clone()
            words = model.nearest(z)
            e = model.words[words]
            logits = model.decode(z + (e - z).detach())
            loss = (cost(x, logits) + 0.25 * (z - e).square().sum((1, 2))).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            n = torch.bincount(words.flatten(), minlength=WORDS).float()
            used += n
            counts = 0.99 * counts + 0.01 * n
            sums = (0.99 * sums).index_add(0, words.flatten(), flat, alpha=0.01)
            model.words = sums / counts[:, None].clamp(min=1e-5)
            step += 1
            if step % 100 == 0 and epoch < epochs - 1:
                dead = torch.nonzero(used < 0.03 * BATCH * PLACES * 100 / WORDS)[:, 0]
                taken = torch.randperm(len(flat))[: len(dead)]
                model.words[dead] = sums[dead] = flat[taken]
                counts[dead] = 1.0
                used.zero_()
        report(model, test)
    return model


class Prior(torch.nn.Module):
    SEEN = [(-r, c) for r in (2, 1) for c in range(-2, 3)] + [(0, -2), (0, -1)]

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(WORDS + 1, 16)
        self.place = torch.nn.Parameter(torch.zeros(PLACES, 256))
        self.hidden = torch.nn.Linear(len(self.SEEN) * 16, 256)
        self.to_logits = torch.nn.Linear(256, WORDS)

    def cost(self, maps):
        padded = F.pad(maps.view(-1, 7, 7), (2, 2, 2, 0), value=WORDS)
        seen = [padded[:, 2 + r : 9 + r, 2 + c : 9 + c] for r, c in self.SEEN]
        rows = self.embedding(torch.stack(seen, -1)).reshape(-1, PLACES, len(self.SEEN) * 16)
        logits = self.to_logits((self.hidden(rows) + self.place).relu())
        return F.cross_entropy(logits.flatten(0, 1), maps.flatten(), reduction="sum") / len(maps)


def train_prior(maps, test, epochs):
    prior = Prior()
    adam = torch.optim.Adam(prior.parameters(), 3e-3)
    step, steps = 0, epochs * -(-len(maps) // BATCH)
    for _ in range(epochs):
        for rows in torch.randperm(len(maps)).split(BATCH):
            adam.param_groups[0]["lr"] = 3e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
            adam.zero_grad()
            prior.cost(maps[rows]).backward()
            adam.step()
            step += 1
        with torch.no_grad():
            costs = [prior.cost(part).item() for part in test.split(1000)]
        print(f"-ln P(words) {np.mean(costs):.3f}", flush=True)


def numbers():
    def integral(x):
        return 0.5 * math.erfc(-x / math.sqrt(2))

    def density(x):
        return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    for size in (2, 3, 4, 8):
        words = np.linspace(-1.5, 1.5, size)
        for _ in range(20000):
            borders = [-50, *((words[1:] + words[:-1]) / 2), 50]
            pairs = list(zip(borders, borders[1:]))
            shares = np.array([integral(b) - integral(a) for a, b in pairs])
            words = np.array([density(a) - density(b) for a, b in pairs]) / shares
        print(f"{size} words {np.round(words, 8)}  error {1 - (shares * words**2).sum():.10f}  "
              f"entropy {-(shares * np.log(shares)).sum():.8f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "weights", "numbers"])
    parser.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--file")
    arguments = parser.parse_args()
    if arguments.what == "numbers":
        numbers()
        return
    torch.set_num_threads(1)
    test = torch.tensor(images(arguments.directory, "t10k"), dtype=torch.float32)
    if arguments.what == "weights":
        model = VqVae()
        tensors = {name: torch.tensor(t) for name, t in safetensors(arguments.file).items()}
        model.words = tensors.pop("codebook.words")
        tensors.pop("codebook.shares")
        tensors.pop("codebook.sums")
        model.load_state_dict(tensors)
        report(model, test)
        return
    x = torch.tensor(images(arguments.directory, "train"), dtype=torch.float32)
    model = train(x, test, arguments.epochs, arguments.seed)
    train_prior(maps_of(model, x), maps_of(model, test), (arguments.epochs + 1) // 2)


if __name__ == "__main__":
    main()
