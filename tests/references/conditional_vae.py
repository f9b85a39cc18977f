#!/usr/bin/env python3
"""Lesson 18's reference numbers, without Gradus.

Dogs and cats, whose sizes are N(1, 1) and N(-1, 1): what the kind tells of the size on average (the
mutual information, by the trapezoidal rule) where a half are dogs, and where 0.3 are, and the
accuracy of Bayes' rule. Then, with train, the conditional VAE by PyTorch: 784+10-400-20,
20+10-400-784, Bernoulli pixels, one draw of z, Adam at 1e-3, minibatches of 128; its -ELBO on the
test images by one draw each, with their labels.

    python3 tests/references/conditional_vae.py
    python3 tests/references/conditional_vae.py train [--epochs 10] [--seed 0] [DIR]

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2 was used) and, to train, PyTorch (1.13.0).
"""
import argparse
import gzip
import math
import os

import numpy as np

from files import images

PIXELS, HIDDEN, LATENTS, CLASSES, BATCH = 784, 400, 20, 10, 128


def dogs_and_cats():
    x = np.linspace(-12, 14, 2000001)
    density = np.exp(-0.5 * (x - 1) ** 2) / math.sqrt(2 * math.pi)
    for dogs in (0.5, 0.3):
        of_dog = -np.log(dogs + (1 - dogs) * np.exp(-2 * x))  # ln p(x|dog) - ln p(x)
        of_cat = -np.log(1 - dogs + dogs * np.exp(-2 * x))  # the same at -x
        worth = dogs * of_dog + (1 - dogs) * of_cat
        print("worth of the kind, dogs %.1f: %.10f" % (dogs, np.trapz(density * worth, x)))
    print("accuracy %.10f" % (0.5 * math.erfc(-1 / math.sqrt(2))))


def labels(directory, part):
    with gzip.open(os.path.join(directory, part + "-labels-idx1-ubyte.gz")) as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=8).astype(np.int64)


def train(directory, epochs, seed):
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, one_hot

    class Cvae(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.Linear(PIXELS + CLASSES, HIDDEN)
            self.to_mean = torch.nn.Linear(HIDDEN, LATENTS)
            self.to_log_var = torch.nn.Linear(HIDDEN, LATENTS)
            self.decoder = torch.nn.Linear(LATENTS + CLASSES, HIDDEN)
            self.to_logits = torch.nn.Linear(HIDDEN, PIXELS)

        def negative_elbo(self, x, y):
            h = self.encoder(torch.cat([x, y], 1)).relu()
            mean, log_var = self.to_mean(h), self.to_log_var(h)
            z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
            logits = self.to_logits(self.decoder(torch.cat([z, y], 1)).relu())
            loss = binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
            return loss, 0.5 * (mean ** 2 + log_var.exp() - 1 - log_var).sum(1)

    def load(part):
        x = torch.tensor(images(directory, part), dtype=torch.float32)
        y = one_hot(torch.tensor(labels(directory, part)), CLASSES).float()
        return x, y

    torch.manual_seed(seed)
    (x, y), (test_x, test_y) = load("train"), load("t10k")
    model = Cvae()
    print("parameters %d" % sum(p.numel() for p in model.parameters()))
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(x))
        for begin in range(0, len(x), BATCH):
            chosen = order[begin:begin + BATCH]
            loss, kl = model.negative_elbo(x[chosen], y[chosen])
            adam.zero_grad()
            (loss + kl).mean().backward()
            adam.step()
        with torch.no_grad():
            loss, kl = model.negative_elbo(test_x, test_y)
        print("epoch %d: -ELBO %.3f, KL %.3f" % (epoch, (loss + kl).mean(), kl.mean()), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=["train"])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    arguments = parser.parse_args()
    if arguments.what == "train":
        train(arguments.directory, arguments.epochs, arguments.seed)
    else:
        dogs_and_cats()


main()
