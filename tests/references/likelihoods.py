#!/usr/bin/env python3
"""Lesson 16's numbers that are not Gradus' own, computed once more without it.

    python3 tests/references/likelihoods.py [DIR]
        closed forms and integrals: -ln p with the best variance and with variance 1, the continuous
        Bernoulli's constant, mean and variance by quadrature, single pixels in bits; and of the
        images in DIR the share of black pixels and the bits per pixel of one histogram for each.

    python3 tests/references/likelihoods.py --train NAME [--epochs 5] [--seed 0] [DIR]
        one of the lesson's VAEs (784-400-20-400-784, relu, Adam 1e-3, minibatches of 128), trained
        by PyTorch 1.13 and measured on the test images. NAME is one of normal_1, normal_0_1,
        normal_0_01, normal_0_001, normal_learned, normal_per_pixel, bernoulli, binarised and
        continuous.

    python3 tests/references/likelihoods.py --train memorised [--seed 0] [DIR]
        the same with a learned variance and 500 training images only, by 4,000 steps of 100 images,
        measured on these 500.

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2) and, to train, PyTorch (Debian's python3-torch, 1.13.1): some
seconds an epoch.
"""
import argparse
import math

import numpy as np

from files import images

LEVELS = 256
START = 0.018705  # where a learned variance begins: the error of 20 principal components


def best_nll(error, pixels=784):
    return pixels / 2 * (1 + math.log(2 * math.pi * error))


def continuous_bernoulli(lam, points=200):
    """Constant, mean and variance of c lam^x (1 - lam)^(1 - x) by Gauss and Legendre's quadrature."""
    x, w = np.polynomial.legendre.leggauss(points)
    x, w = (x + 1) / 2, w / 2
    f = w * lam**x * (1 - lam) ** (1 - x)
    mean = (f * x).sum() / f.sum()
    return 1 / f.sum(), mean, (f * (x - mean) ** 2).sum() / f.sum()


def bits_normal(k, m, s):
    def below(level):  # the mass below its upper edge
        return 1.0 if level == 255 else 0.5 * math.erfc(-((level + 0.5) / 255 - m) / s / math.sqrt(2))
    return -math.log2(below(k) - (below(k - 1) if k > 0 else 0))


def bits_exponential(k, logit):
    weights = np.exp(logit * np.arange(LEVELS) / 255)
    return -math.log2(weights[k] / weights.sum())


def bits_of_histograms(train, test):
    total = 0
    for d in range(train.shape[1]):
        counts = np.bincount(train[:, d], minlength=LEVELS) + 1 / LEVELS
        total -= np.log2(counts / counts.sum())[test[:, d]].sum()
    return total / test.size


def exact(directory):
    for error in (0.01, 0.005):
        print("-ln p, error", error, best_nll(error))
    print("-ln p, error 0.01, variance 1", 392 * (math.log(2 * math.pi) + 0.01))
    half = 0.5 * math.log(2 * math.pi)
    print("two images: best", half + 0.5, "mean 1", half + 1, "variance 1/4", half + math.log(0.5) + 2)
    for lam in (0.2, 0.5, 0.9):
        print("lambda", lam, "constant, mean, variance", *continuous_bernoulli(lam))
    print("level 128, N(1/2, 0.1^2)", bits_normal(128, 0.5, 0.1))
    print("black, N(0, 0.1^2)", bits_normal(0, 0, 0.1))
    for logit in (-10, -100):
        print("black, e^(l x), l =", logit, bits_exponential(0, logit))
    print("z beyond 3 and within 1/2", math.erfc(3 / math.sqrt(2)), math.erf(0.5 / math.sqrt(2)))
    train, test = levels(directory)
    print("black pixels", (train == 0).mean())
    print("bits of histograms", bits_of_histograms(train, test))


def levels(directory):
    return [np.rint(images(directory, part) * 255).astype(np.int64) for part in ("train", "t10k")]


def steps_between_neighbours(x):
    x = x.reshape(-1, 28, 28)
    return x[:, :, 1:] - x[:, :, :-1]


def train(given):
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(given.seed)
    name = given.train
    normal = name.startswith("normal") or name == "memorised"

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.to_mean, self.to_log_var = (
                nn.Linear(784, 400), nn.Linear(400, 20), nn.Linear(400, 20))
            self.decoder, self.to_pixels = nn.Linear(20, 400), nn.Linear(400, 784)
            fixed = {"normal_1": 1, "normal_0_1": 0.1, "normal_0_01": 0.01, "normal_0_001": 0.001}
            size = 784 if name == "normal_per_pixel" else 1
            start = torch.full((size,), math.log(fixed.get(name, START)))
            self.log_var = nn.Parameter(start, requires_grad=name not in fixed)

        def forward(self, x):
            h = functional.relu(self.encoder(x))
            m, log_var = self.to_mean(h), self.to_log_var(h)
            z = m + torch.exp(log_var / 2) * torch.randn_like(m)
            kl = 0.5 * (m * m + log_var.exp() - 1 - log_var).sum(1)
            return self.decode(z), kl

        def decode(self, z):
            return self.to_pixels(functional.relu(self.decoder(z)))

        def log_prob(self, a, x):
            if normal:
                z2 = (x - a) ** 2 * torch.exp(-self.log_var)
                return -0.5 * (math.log(2 * math.pi) + self.log_var + z2).sum(1)
            if name == "continuous":
                return (x * a - log_constant(a)).sum(1)
            return (x * a - functional.softplus(a)).sum(1)

        def mean(self, a):
            if normal:
                return a
            if name == "continuous":
                safe = torch.where(a.abs() < 0.01, torch.full_like(a, 0.01), a)
                return torch.where(a.abs() < 0.01, 0.5 + a / 12, -1 / torch.expm1(-safe) - 1 / safe)
            return torch.sigmoid(a)

    def log_constant(a):
        size = a.abs().clamp(min=0.01)
        far = functional.relu(a) + torch.log(-torch.expm1(-size) / size)
        return torch.where(a.abs() < 0.01, a / 2 + a * a / 24, far)

    def seen(x):
        if name == "binarised":
            return (x > 0.5).float()
        if name == "continuous":
            return (x * 255 + torch.rand_like(x)) / 256
        return x

    def nats_of_levels(a, k):
        """-ln of the probability of each level, in double."""
        a = a.double()
        if normal:
            s = torch.exp(model.log_var.double() / 2)
            low, high = ((k - 0.5) / 255 - a) / s, ((k + 0.5) / 255 - a) / s
            low = torch.where(k == 0, torch.full_like(low, -1e4), low)
            high = torch.where(k == 255, torch.full_like(high, 1e4), high)
            right = low + high > 0  # mirrored, so that what is subtracted are small tails
            low, high = torch.where(right, -high, low), torch.where(right, -low, high)
            big, small = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
            return -(big + torch.log(-torch.expm1((small - big).clamp(max=-1e-12))))
        t = a / (256 if name == "continuous" else 255)
        weights = t.unsqueeze(-1) * torch.arange(LEVELS, dtype=torch.float64)
        return torch.logsumexp(weights, -1) - t * k

    train_levels, test_levels = levels(given.directory)
    x_train = torch.from_numpy(train_levels).float() / 255
    x_test = torch.from_numpy(test_levels).float() / 255
    memorised = name == "memorised"
    if memorised:
        x_train, x_test, test_levels = x_train[:500], x_train[:500], train_levels[:500]
    batch = 100 if memorised else 128
    per_epoch = math.ceil(len(x_train) / batch)
    epochs = 4000 // per_epoch if memorised else given.epochs

    model = Vae()
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x_train)).split(batch):
            x = seen(x_train[rows])
            adam.zero_grad()
            a, kl = model(x)
            (kl - model.log_prob(a, x)).mean().backward()
            adam.step()

    totals = {}

    def add(key, value):
        totals[key] = totals.get(key, 0) + float(value) * len(x) / len(x_test)

    with torch.no_grad():
        for rows in torch.arange(len(x_test)).split(100):
            x = seen(x_test[rows])
            a, kl = model(x)
            m = model.mean(a)
            nats = -model.log_prob(a, x)
            add("-ELBO", (kl + nats).mean())
            add("KL", kl.mean())
            add("error", (x - m).square().mean())
            add("sharpness of means", steps_between_neighbours(m).square().mean())
            add("sharpness of images", steps_between_neighbours(x).square().mean())
            if normal:
                z = (x - m) * torch.exp(-model.log_var / 2)
                for power in (2, 4):
                    add("E z^%d" % power, (z**power).mean())
                add("|z| > 3", (z.abs() > 3).float().mean())
                draws = m + torch.exp(model.log_var / 2) * torch.randn_like(m)
            elif name == "continuous":
                draws = None
            else:
                draws = (torch.rand_like(m) < m).float()
                add("predicted variance", (m * (1 - m)).mean())
            if draws is not None:
                add("sharpness of draws", steps_between_neighbours(draws).square().mean())
            if name != "binarised":
                k = torch.from_numpy(test_levels)[rows]
                nats = nats_of_levels(a, k).sum(1)
                add("bits", (nats + kl).mean() / (784 * math.log(2)))
        prior = model.mean(model.decode(torch.randn(2000, 20)))
        totals["sharpness of the prior's means"] = float(
            steps_between_neighbours(prior).square().mean())
        if normal:
            totals["sigma^2"] = float(model.log_var.exp().mean())
        if memorised:
            totals["KL(q(z)||p(z)) at least"] = totals["KL"] - math.log(500)
    for key, value in totals.items():
        print(name, key, value, flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--train")
    options.add_argument("--epochs", type=int, default=5)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    given = options.parse_args()
    if given.train:
        train(given)
    else:
        exact(given.directory)


main()
