#!/usr/bin/env python3
"""Answers to two exercises of lesson 02, about Fashion-MNIST, written without Gradus.

EM for 10 latents, from random normal weights and from a tenth of them: how many nats per image the
log-likelihood lacks of its maximum after so many steps. And Bayes' rule as a classifier: one pPCA
for each class, and the share of test images that are likeliest under the model of their own.

    python3 tests/references/ppca_images.py [DIR]

DIR holds the four files of Fashion-MNIST, by default where Debian's package dataset-fashion-mnist
puts them. Needs NumPy (1.24.2 was used), and some minutes.
"""
import gzip
import os
import sys

import numpy as np

DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"
D = 784
LOG_TWO_PI = np.log(2 * np.pi)


def read(part):
    with gzip.open(os.path.join(DIRECTORY, part + "-images-idx3-ubyte.gz")) as file:
        images = np.frombuffer(file.read()[16:], np.uint8).reshape(-1, D) / 255.0
    with gzip.open(os.path.join(DIRECTORY, part + "-labels-idx1-ubyte.gz")) as file:
        labels = np.frombuffer(file.read()[8:], np.uint8)
    return images, labels


def pca(x):
    mean = x.mean(axis=0)
    y = x - mean
    values, vectors = np.linalg.eigh(y.T @ y / len(x))
    return mean, values[::-1], vectors[:, ::-1]


def em(s, k, scale, steps, shown):
    """Prints what is missing after each number of steps in `shown`."""
    values = np.linalg.eigvalsh(s)[::-1]
    sigma2 = values[k:].mean()
    best = -0.5 * (D * LOG_TWO_PI + np.log(values[:k]).sum() + (D - k) * np.log(sigma2) + D)
    w = scale * np.random.default_rng(0).normal(size=(D, k))
    sigma2 = 1.0
    for step in range(steps + 1):
        m = w.T @ w + sigma2 * np.eye(k)
        yz = s @ np.linalg.solve(m, w.T).T
        if step in shown:
            log_det = np.linalg.slogdet(m)[1] + (D - k) * np.log(sigma2)
            distance = (np.trace(s) - np.sum(yz * w)) / sigma2
            print("  after", step, best + 0.5 * (D * LOG_TWO_PI + log_det + distance))
        zz = np.linalg.solve(m, w.T @ yz) + sigma2 * np.linalg.inv(m)
        w = np.linalg.solve(zz.T, yz.T).T
        sigma2 = (np.trace(s) - np.sum(w * yz)) / D


def main():
    x, x_labels = read("train")
    test, test_labels = read("t10k")
    y = x - x.mean(axis=0)
    s = y.T @ y / len(x)
    print("EM with 10 latents, nats missing, from normal weights:")
    em(s, 10, 1.0, 2000, {100, 1000, 2000})
    print("from a tenth of them:")
    em(s, 10, 0.1, 50, {20, 50})

    counts = (10, 20, 50, 100, 200)
    scores = {k: [] for k in counts}
    for label in range(10):
        mean, values, vectors = pca(x[x_labels == label])
        squares = ((test - mean) @ vectors) ** 2
        for k in counts:
            variances = np.where(np.arange(D) < k, values, values[k:].mean())
            scores[k].append(-0.5 * (np.log(variances).sum() + (squares / variances).sum(axis=1)))
    for k in counts:
        right = np.argmax(scores[k], axis=0) == test_labels
        print("one pPCA a class,", k, "latents:", right.mean(), "right")


main()
