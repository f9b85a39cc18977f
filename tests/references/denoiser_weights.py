#!/usr/bin/env python3
"""Lesson 06's trained weights, read by PyTorch 1.13 under the names that they have, and tried.

    python3 tests/references/denoiser_weights.py [out/06_denoising_autoencoder/denoiser.safetensors]

Prints the mean squared error of a pixel that PyTorch's modules with these weights make on the test
images of Fashion-MNIST with Gaussian noise of standard deviation 1/2 (its own): 0.0154 after a
default run. Needs NumPy and PyTorch (Debian's python3-torch, 1.13.0), and the images where Debian's
package dataset-fashion-mnist puts them. Fails where a name or a shape is not that of the module.
"""
import sys

import numpy as np
import torch
from torch import nn

from files import images, safetensors

DIRECTORY = "/usr/share/datasets/fashion-mnist"


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.to_code = nn.Linear(784, 512), nn.Linear(512, 128)
        self.decoder, self.to_pixels = nn.Linear(128, 512), nn.Linear(512, 784)

    def forward(self, x):
        code = self.to_code(torch.relu(self.encoder(x)))
        return self.to_pixels(torch.relu(self.decoder(code)))


def main():
    default = "out/06_denoising_autoencoder/denoiser.safetensors"
    net = Denoiser()
    weights = safetensors(sys.argv[1] if len(sys.argv) > 1 else default)
    net.load_state_dict({name: torch.from_numpy(x) for name, x in weights.items()}, strict=True)
    x = torch.from_numpy(images(DIRECTORY, "t10k").astype(np.float32))
    torch.manual_seed(0)
    with torch.no_grad():
        print(f"{float((net(x + 0.5 * torch.randn(x.shape)) - x).square().mean()):.4f}")


if __name__ == "__main__":
    main()
