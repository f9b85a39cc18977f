#!/usr/bin/env python3
"""Lesson 15's reference numbers, without Gradus: the evidence of black and white test images.

The VAE by PyTorch, as lesson 15 trains it: 784-400-2, 2-400-784, relu, Bernoulli pixels (white where
a grey level is 128 or more), one draw of z, Adam at 1e-3, minibatches of 128. Then, of the first
1,000 test images, the mean ELBO by 50 draws each and the mean ln p(x), by a sum over a grid of
400 x 400 points from -6 to 6.

Before that, L_k where all is known: z ~ N(0, 1), x | z ~ N(z, 1), x = 1, the prior as q. With
w = p(x|z) and phi(t) = E e^(-t w), ln s = int_0^inf (e^-t - e^(-t s)) / t dt gives
L_k = int (e^-t - phi(t / k)^k) / t dt, by the trapezoidal rule over ln t.

    python3 tests/references/evidence.py [--epochs 10] [--seeds 3] [DIR]

DIR holds the files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist puts
them. Needs NumPy (1.24.2 was used) and PyTorch (1.13.0).
"""
import argparse
import math

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from files import images

PIXELS, HIDDEN, LATENTS, BATCH = 784, 400, 2, 128


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(PIXELS, HIDDEN)
        self.mean = nn.Linear(HIDDEN, LATENTS)
        self.log_var = nn.Linear(HIDDEN, LATENTS)
        self.decoder = nn.Sequential(nn.Linear(LATENTS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))

    def elbo(self, x):
        h = torch.relu(self.hidden(x))
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        logits = self.decoder(z)
        reconstruction = (x * logits - softplus(logits)).sum(1)
        kl = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(1)
        return reconstruction - kl


def log_evidence(vae, x, end=6.0, side=400):
    step = 2 * end / side
    at = -end + step * (torch.arange(side) + 0.5)
    grid = torch.cartesian_prod(at, at)
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for z in grid.split(1000):
        logits = vae.decoder(z)
        joint = logits @ x.T - softplus(logits).sum(1, keepdim=True)
        joint = joint - 0.5 * (z**2).sum(1, keepdim=True) - math.log(2 * math.pi)
        total = torch.logaddexp(total, torch.logsumexp(joint.double(), 0))
    return total + 2 * math.log(step)


def ladder(k):
    z = np.linspace(-12, 12, 4001)
    prior = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    w = np.exp(-0.5 * (1 - z) ** 2) / math.sqrt(2 * math.pi)
    u = np.linspace(-40, 90, 13001)
    t = np.exp(u)
    phi = np.array([(prior * np.exp(-s / k * w)).sum() for s in t])
    return ((np.exp(-t) - phi**k) * (u[1] - u[0])).sum()


def main():
    for k in (1, 2, 5, 50):
        print("L_%d %.9f" % (k, ladder(k)))
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    train, test = (
        torch.from_numpy((images(options.directory, part) >= 127.5 / 255).astype(np.float32))
        for part in ("train", "t10k")
    )
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        vae = Vae()
        adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
        for _ in range(options.epochs):
            for rows in torch.randperm(len(train)).split(BATCH):
                adam.zero_grad()
                (-vae.elbo(train[rows]).mean()).backward()
                adam.step()
        with torch.no_grad():
            x = test[:1000]
            elbo = torch.stack([vae.elbo(x) for _ in range(50)]).mean().item()
            evidence = log_evidence(vae, x).mean().item()
        print("seed %d: ELBO %.2f, ln p(x) %.2f" % (seed, elbo, evidence), flush=True)


if __name__ == "__main__":
    main()
