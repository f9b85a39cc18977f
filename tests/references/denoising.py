#!/usr/bin/env python3
"""What lesson 06's networks are held against, without Gradus: the errors of the best affine map and
of PCA on Fashion-MNIST with noise, on average over the noise, in double precision.

    python3 tests/references/denoising.py [DIR]

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2 gave the numbers that lessons/06_denoising_autoencoder names), and
less than a minute.
"""
import sys

import numpy as np

from files import images


def affine(test, mean, covariance, q, variance):
    """A pixel x is seen with mean q x + c and variance(x, x^2): the error of the best affine map.
    (c moves what is seen and the map alike.)"""
    mean_square = np.diag(covariance) + mean**2
    seen = q * q * covariance + np.diag(variance(mean, mean_square) + 1e-12)
    gain = np.linalg.solve(seen, q * covariance).T
    z = test - mean
    kept = ((z - q * z @ gain.T)**2).sum(1).mean()
    let_in = (variance(test, test**2) @ (gain**2).sum(0)).mean()
    return (kept + let_in) / 784


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"
    train, test = images(directory, "train"), images(directory, "t10k")
    mean = train.mean(0)
    covariance = (train - mean).T @ (train - mean) / len(train)
    values, vectors = np.linalg.eigh(covariance)
    along = (((test - mean) @ vectors)**2).mean(0)  # of the test images, by component
    for s in (0.25, 0.5, 1.0):
        wiener = affine(test, mean, covariance, 1, lambda x, x2: np.full_like(x, s * s))
        kept = values > s * s
        pca = (along[~kept].sum() + s * s * kept.sum()) / 784
        print(f"Gaussian {s}: Wiener {wiener:.7f}, PCA with {kept.sum()} components {pca:.7f}")
    for p in (0.25, 0.5):
        error = affine(test, mean, covariance, 1 - p, lambda x, x2: p * (1 - p) * x2)
        print(f"masking {p}: {error:.7f}")
    p = 0.25
    error = affine(test, mean, covariance, 1 - p,
                   lambda x, x2: p * (1 - p) * (x2 - x) + p / 2 - p * p / 4)
    print(f"salt and pepper {p}: {error:.7f}")


if __name__ == "__main__":
    main()
