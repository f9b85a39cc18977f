#!/usr/bin/env python3
"""What follows from the bytes of Fashion-MNIST alone, written without Gradus.

Of the 60,000 training images: the mean of a pixel from 0 to 1, and the total variance per image
and per pixel, from sums over the bytes in whole numbers. Of the 10,000 test images, in nats per
image: the entropy of the pixels, sum_d H(x_d), and what it costs to say the mean training image
of every one (a VAE whose latents are all dead can do no better).

    python3 tests/references/fashion_mnist.py [DIR]

DIR holds train-images-idx3-ubyte.gz and t10k-images-idx3-ubyte.gz, by default where Debian's
package dataset-fashion-mnist puts them. Needs the standard library only, and about a minute.
lessons/common/fashion_mnist.hpp has its numbers.
"""
import gzip
import math
import os
import sys

HEADER = 16  # bytes of an IDX file before the first pixel
PIXELS = 28 * 28


def columns(directory, part):
    """The bytes of each pixel over all images of a part."""
    with gzip.open(os.path.join(directory, part + "-images-idx3-ubyte.gz")) as file:
        data = file.read()[HEADER:]
    return [data[pixel::PIXELS] for pixel in range(PIXELS)]


def xlogy(a, b):
    return 0.0 if a == 0 else a * math.log(b)


def cross_entropy(x, p):
    return -xlogy(x, p) - xlogy(1 - x, 1 - p)


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist"
    train = columns(directory, "train")
    test = columns(directory, "t10k")
    n, m = len(train[0]), len(test[0])

    sums = [sum(column) for column in train]
    squares = sum(sum(value * value for value in column) for column in train)
    variance = (n * squares - sum(s * s for s in sums)) / (255 * 255 * n * n)
    print("mean pixel", sum(sums) / (255 * n * PIXELS))
    print("total variance", variance, "per pixel", variance / PIXELS)

    counts = [sum(column.count(value) for column in test) for value in range(256)]
    entropy = sum(counts[v] * cross_entropy(v / 255, v / 255) for v in range(256)) / m
    print("entropy of the pixels", entropy)

    # The cost is linear in the image, so the mean test image is enough.
    train_means = [s / (255 * n) for s in sums]
    test_means = [sum(column) / (255 * m) for column in test]
    print("cost of the mean image", sum(map(cross_entropy, test_means, train_means)))


main()
