#!/usr/bin/env python3
"""The peer of vae_epoch: the same VAE, trained on the same images in the same way, in PyTorch.

    usage: vae_pytorch.py [EPOCHS] [SEED] [LATENT]      (by default 1 0 20)

784-400-LATENT, Bernoulli pixels, one draw of z, Adam at 1e-3, batches of 128; the output has
vae_epoch's form. OMP_NUM_THREADS is the number of threads. How fast it is depends on the BLAS and
its kernels: compare.sh tries what there is. Needs Debian's python3-torch, python3-numpy and
dataset-fashion-mnist.
"""

import gzip
import os
import re
import sys
import time

import numpy
import torch
from torch.nn import Linear
from torch.nn.functional import binary_cross_entropy_with_logits, relu

IMAGES = "/usr/share/datasets/fashion-mnist/{}-images-idx3-ubyte.gz"
PIXELS, HIDDEN, BATCH = 784, 400, 128


def load(part):
    """The images of an IDX file as (N, 784) numbers in [0, 1]."""
    with gzip.open(IMAGES.format(part)) as file:
        magic, n, height, width = numpy.frombuffer(file.read(16), ">i4")
        pixels = numpy.frombuffer(file.read(), numpy.uint8)
    if magic != 0x803 or height * width != PIXELS or pixels.size != n * PIXELS:
        sys.exit(f"{IMAGES.format(part)}: not an IDX file of images of {PIXELS} pixels")
    return torch.from_numpy(pixels.reshape(n, PIXELS).astype(numpy.float32) / 255)


class Vae(torch.nn.Module):
    def __init__(self, latents):
        super().__init__()
        self.encoder = Linear(PIXELS, HIDDEN)
        self.to_mean = Linear(HIDDEN, latents)
        self.to_log_var = Linear(HIDDEN, latents)
        self.decoder = Linear(latents, HIDDEN)
        self.to_logits = Linear(HIDDEN, PIXELS)

    def forward(self, x):
        """-ELBO in nats, the mean over the images."""
        h = relu(self.encoder(x))
        mean, log_var = self.to_mean(h), self.to_log_var(h)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        logits = self.to_logits(relu(self.decoder(z)))
        distortion = binary_cross_entropy_with_logits(logits, x, reduction="sum")
        rate = 0.5 * (log_var.exp() - 1 - log_var + mean.square()).sum()
        return (distortion + rate) / x.shape[0]


def train_epoch(vae, adam, images):
    total = 0.0
    for indices in torch.randperm(images.shape[0]).split(BATCH):
        x = images[indices]
        loss = vae(x)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        total += loss.item() * x.shape[0]
    return total / images.shape[0]


def blas():
    """The OpenBLAS libraries that this process has loaded, by folder."""
    with open("/proc/self/maps") as maps:
        found = set(re.findall(r"/(openblas-\w+)/", maps.read()))
    return ", ".join(sorted(found)) or "another BLAS"


def main():
    arguments = [int(a) for a in sys.argv[1:]]
    epochs, seed, latents = arguments + [1, 0, 20][len(arguments) :]
    threads = int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads())
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    train, test = load("train"), load("t10k")
    print(f"PyTorch {torch.__version__}, {blas()}, {threads} threads")
    vae = Vae(latents)
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(vae, adam, train)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch}: {seconds:.3f} s, train -ELBO {loss:.3f}", flush=True)
    with torch.no_grad():
        print(f"test -ELBO {vae(test).item():.3f}")


if __name__ == "__main__":
    main()
