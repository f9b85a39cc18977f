#!/usr/bin/env python3
"""Lesson 06's trained weights, read by PyTorch 1.13 under the names that they have, and tried.

    python3 tests/references/denoiser_weights.py [out/06_denoising_autoencoder/denoiser.safetensors]

Prints the mean squared error of a pixel that PyTorch's modules with these weights make on the test
images of Fashion-MNIST with Gaussian noise of standard deviation 1/2 (its own): 0.0154 after a
default run. Needs NumPy and PyTorch (Debian's python3-torch, 1.13.0), and the images where Debian's
package dataset-fashion-mnist puts them. Fails where a name or a shape is not that of the module.
"""
import gzip
import json
import sys

import numpy as np
import torch
from torch import nn

IMAGES = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.to_code = nn.Linear(784, 512), nn.Linear(512, 128)
        self.decoder, self.to_pixels = nn.Linear(128, 512), nn.Linear(512, 784)

    def forward(self, x):
        code = self.to_code(torch.relu(self.encoder(x)))
        return self.to_pixels(torch.relu(self.decoder(code)))


def tensors_in(path):
    """Of a safetensors file: 8 bytes with the header's length, the header in JSON, the numbers."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        numbers = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, about in header.items():
        assert about["dtype"] == "F32", about
        begin, end = about["data_offsets"]
        values = np.frombuffer(numbers[begin:end], np.float32).reshape(about["shape"])
        tensors[name] = torch.from_numpy(values.copy())
    return tensors


def main():
    default = "out/06_denoising_autoencoder/denoiser.safetensors"
    net = Denoiser()
    net.load_state_dict(tensors_in(sys.argv[1] if len(sys.argv) > 1 else default), strict=True)
    with gzip.open(IMAGES) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    x = torch.from_numpy(pixels.astype(np.float32) / 255)
    torch.manual_seed(0)
    with torch.no_grad():
        print(f"{float((net(x + 0.5 * torch.randn(x.shape)) - x).square().mean()):.4f}")


if __name__ == "__main__":
    main()
