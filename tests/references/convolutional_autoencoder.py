#!/usr/bin/env python3
"""Lesson 08's autoencoder in PyTorch, without Gradus: trained there, or with the weights that lesson
08 has written, read unchanged into modules of the same names.

Two convolutions (windows of 4 x 4 pixels in steps of 2, 1 -> 16 -> 32 channels, relu), a linear layer
to a code of 32 numbers, and the same backwards; Adam with a learning rate that falls from 2e-3 to 0
along half a cosine, minibatches of 128. Lesson 08's images are (N, H, W, C), so that the second maps
are put into this order before they become rows.

    python3 tests/references/convolutional_autoencoder.py train [--seed 0] [--epochs 10] [DIR]
    python3 tests/references/convolutional_autoencoder.py weights --file FILE [DIR]

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2 was used) and PyTorch (1.13.0).
"""
import argparse
import math
import time

import numpy as np
import torch

from files import images, safetensors

RATE = 2e-3


class ConvolutionalAutoencoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 16, 4, 2, 1)
        self.conv2 = torch.nn.Conv2d(16, 32, 4, 2, 1)
        self.to_code = torch.nn.Linear(1568, 32)
        self.from_code = torch.nn.Linear(32, 1568)
        self.transposed1 = torch.nn.ConvTranspose2d(32, 16, 4, 2, 1)
        self.transposed2 = torch.nn.ConvTranspose2d(16, 1, 4, 2, 1)

    def forward(self, x):
        maps = self.conv1(x.view(-1, 1, 28, 28)).relu()
        maps = self.conv2(maps).relu()
        code = self.to_code(maps.permute(0, 2, 3, 1).flatten(1))
        maps = self.from_code(code).relu().view(-1, 7, 7, 32).permute(0, 3, 1, 2)
        maps = self.transposed1(maps).relu()
        return self.transposed2(maps).flatten(1)


def begin(net, mean_pixel):
    fans = {"conv1": 16, "conv2": 256, "from_code": 32, "transposed1": 128}
    with torch.no_grad():
        for name, fan in fans.items():
            layer = getattr(net, name)
            layer.weight.normal_(0, math.sqrt(2 / fan))
            layer.bias.zero_()
        net.transposed2.weight.uniform_(-1 / 8, 1 / 8)
        net.transposed2.bias.fill_(mean_pixel)


def test_error(net, test):
    with torch.no_grad():
        return sum((net(x) - x).square().sum().item() for x in test.split(500)) / test.numel()


def train_model(net, train, test, epochs):
    begin(net, train.mean())
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    steps = epochs * math.ceil(len(train) / 128)
    step = 0
    for epoch in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(train)).split(128):
            x = train[rows]
            adam.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = (net(x) - x).square().sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            step += 1
        seconds = time.perf_counter() - start
        print("epoch %d: %.3f s, test error %.6f" % (epoch + 1, seconds, test_error(net, test)),
              flush=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("what", choices=["train", "weights"])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--file")
    options.add_argument("directory", nargs="?", default="/usr/share/datasets/fashion-mnist")
    given = options.parse_args()
    train, test = [torch.from_numpy(images(given.directory, part).astype(np.float32))
                   for part in ("train", "t10k")]
    torch.manual_seed(given.seed)
    net = ConvolutionalAutoencoder()
    if given.what == "weights":
        weights = safetensors(given.file)
        net.load_state_dict({name: torch.from_numpy(x) for name, x in weights.items()})
        print("test error %.6f" % test_error(net, test))
    else:
        train_model(net, train, test, given.epochs)


if __name__ == "__main__":
    main()
