#!/usr/bin/env python3
"""Lesson 17's exact numbers once more without Gradus, by NumPy.

The toy of lessons 02, 04 and 14 with two latents: for each price beta, the rate and the distortion
of the best linear VAE, by gradient descent on E|x - W z|^2 / (2 sigma^2) + beta KL along each
eigenvector (w, a and ln v of x = w z, z | x ~ N(a x, v)), beside the formulas. And the MIG of codes
that are made by hand from two factors with four values each, by counting. And the walls of the two
sets of discs: the entropy of their pixels, what the mean image costs, and what a nat saves of it at
rate 0.

    python3 tests/references/beta_vae.py

Needs NumPy, and some seconds.
"""
import math

import numpy as np

VARIANCES = np.array([4, 2, 1, 0.5, 0.25])
LATENTS = 2
NOISE = VARIANCES[LATENTS:].mean()


def formula(beta):
    kept, rest = VARIANCES[:LATENTS], VARIANCES[LATENTS:]
    rate = 0.5 * np.log(np.maximum(kept / (beta * NOISE), 1)).sum()
    left = np.minimum(kept, beta * NOISE).sum() + rest.sum()
    return rate, left / (2 * NOISE)


def descent(beta, steps=200_000, rate=0.01):
    """Rate and distortion at the end of gradient descent on each direction that has a latent."""
    nats, left = 0, VARIANCES[LATENTS:].sum()
    for l in VARIANCES[:LATENTS]:
        w, a, log_v = 1.0, 0.3, 0.0
        for _ in range(steps):
            v = math.exp(log_v)
            second = a * a * l + v  # E[z^2]
            slope_w = (-2 * a * l + 2 * w * second) / (2 * NOISE)
            slope_a = (-2 * w * l + 2 * w * w * a * l) / (2 * NOISE) + beta * a * l
            slope_log_v = w * w * v / (2 * NOISE) + beta / 2 * (v - 1)
            w, a, log_v = w - rate * slope_w, a - rate * slope_a, log_v - rate * slope_log_v
        v = math.exp(log_v)
        nats += 0.5 * (a * a * l + v - 1 - log_v)
        left += l - 2 * w * a * l + w * w * (a * a * l + v)
    return nats, left / (2 * NOISE)


def information(code, factor):
    """I(code; factor) in nats, of pairs that are equally likely."""
    total, n = 0, len(code)
    for c in set(code):
        for f in set(factor):
            both = sum(1 for x, y in zip(code, factor) if (x, y) == (c, f)) / n
            if both > 0:
                total += both * math.log(both / (code.count(c) / n * factor.count(f) / n))
    return total


def gaps(codes, factors):
    result = []
    for factor in factors:
        nats = sorted((information(code, factor) for code in codes), reverse=True)
        result.append((nats[0] - nats[1]) / math.log(len(set(factor))))
    return result


def discs(across, down):
    """(N, 256): soft discs at all places, with eight radii from 2 to 4."""
    centres = np.arange(16) + 0.5
    x, y, r = np.meshgrid(across, down, np.linspace(2, 4, 8), indexing="ij")
    x, y, r = (each.reshape(-1, 1, 1) for each in (x, y, r))
    distance = np.hypot(centres[None, None, :] - x, centres[None, :, None] - y)
    return np.clip((r - distance) / 3 + 0.5, 0, 1).reshape(-1, 256)


def cost(x, p):
    """The mean over images of -ln p(x), pixels being coins with the probabilities p."""
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = -np.where(x > 0, x * np.log(p), 0) - np.where(x < 1, (1 - x) * np.log(1 - p), 0)
    return nats.sum(1).mean()


def first_slope(x):
    """What a small code saves for each nat: the largest eigenvalue of pixels as coins."""
    p = x.mean(0)
    lit = (p > 0) & (p < 1)
    y = (x - p)[:, lit] / np.sqrt(p * (1 - p))[lit]
    return np.linalg.svd(y, compute_uv=False)[0] ** 2 / len(y)


def main():
    before = None
    for beta in (1, 2, 4, 8):
        rate, distortion = formula(beta)
        found = descent(beta)
        print(f"beta {beta}: R {rate:.8f}, D {distortion:.8f}; "
              f"by descent R {found[0]:.6f}, D {found[1]:.6f}")
        if before:
            print(f"  a nat saves {(distortion - before[1]) / (before[0] - rate):.8f}")
        before = rate, distortion
    v1 = [a for a in range(4) for _ in range(4)]
    v2 = [b for _ in range(4) for b in range(4)]
    plus = [a + b for a, b in zip(v1, v2)]
    minus = [a - b for a, b in zip(v1, v2)]
    both = [4 * a + b for a, b in zip(v1, v2)]
    nothing = [0] * 16
    for name, codes in (("v1, v2", (v1, v2)), ("v1, v2 twice", (v1, v2, v1, v2)),
                        ("v1, v1 + v2", (v1, plus)), ("v1 + v2, v1 - v2", (plus, minus)),
                        ("4 v1 + v2, 0", (both, nothing))):
        each = gaps(codes, (v1, v2))
        print(f"MIG of ({name}): {np.mean(each):.8f}, by factor {each[0]:.8f} {each[1]:.8f}")
    wide = discs(np.linspace(3.5, 12.5, 16), np.linspace(6, 10, 8))
    square = discs(np.linspace(5, 11, 12), np.linspace(5, 11, 12))
    for name, images in (("wide", wide), ("square", square)):
        mean = np.broadcast_to(images.mean(0), images.shape)
        print(f"{name}: entropy {cost(images, images):.4f}, mean image {cost(images, mean):.4f}, "
              f"at rate 0 a nat saves {first_slope(images):.5f}")


if __name__ == "__main__":
    main()
