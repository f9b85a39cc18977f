#!/usr/bin/env python3
"""The divergences between lesson 10's two modes and a normal q, by quadrature, without Gradus.

p is 1/2 N(-c, 1/4) + 1/2 N(c, 1/4), with c = 2 unless said otherwise. Each integral is a sum over
equally spaced points, which for smooth functions that fall off so fast is right to rounding (the
trapezoidal rule; the sums from half as many points are compared at the end). Where reverse KL is
least, its two derivatives are zero: found by gradient descent.

    python3 tests/references/two_modes.py

Needs the standard library only. Takes about a minute.
"""
import math

LOW, HIGH, STEP = -30.0, 30.0, 1 / 64
VARIANCE = 0.25


def grid(step):
    n = round((HIGH - LOW) / step)
    return [LOW + step * i for i in range(n + 1)]


def log_normal(x, mean, variance):
    return -0.5 * (math.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)


def log_p(x, c):
    """ln p(x); the larger of the two terms is taken out, so that none underflows."""
    a = log_normal(x, -c, VARIANCE)
    b = log_normal(x, c, VARIANCE)
    largest = max(a, b)
    return largest + math.log(0.5 * (math.exp(a - largest) + math.exp(b - largest)))


class Modes:
    def __init__(self, c=2.0, step=STEP):
        self.step = step
        self.points = [(x, log_p(x, c)) for x in grid(step)]

    def forward(self, mean, variance):
        terms = (math.exp(l) * (l - log_normal(x, mean, variance)) for x, l in self.points)
        return self.step * math.fsum(terms)

    def reverse(self, mean, variance):
        terms = []
        for x, l in self.points:
            log_q = log_normal(x, mean, variance)
            terms.append(math.exp(log_q) * (log_q - l))
        return self.step * math.fsum(terms)

    def slopes(self, mean, log_variance):
        """d reverse KL / d mean and / d log variance."""
        variance = math.exp(log_variance)
        by_mean, by_log_variance = [], []
        for x, l in self.points:
            log_q = log_normal(x, mean, variance)
            if log_q < -100:
                continue
            term = math.exp(log_q) * (log_q - l)
            by_mean.append(term * (x - mean) / variance)
            by_log_variance.append(term * ((x - mean) ** 2 / variance - 1) / 2)
        return self.step * math.fsum(by_mean), self.step * math.fsum(by_log_variance)

    def rest(self, mean, log_variance=0.0):
        """Where descent on reverse KL ends: mean, variance and KL."""
        for _ in range(4000):
            by_mean, by_log_variance = self.slopes(mean, log_variance)
            mean -= 0.2 * by_mean
            log_variance -= 0.2 * by_log_variance
            if abs(by_mean) + abs(by_log_variance) < 1e-14:
                break
        variance = math.exp(log_variance)
        return mean, variance, self.reverse(mean, variance)


def bisect(low, high, is_high, digits=4):
    while high - low > 0.1 ** digits:
        middle = (low + high) / 2
        if is_high(middle):
            high = middle
        else:
            low = middle
    return high


def main():
    modes = Modes()
    print("forward KL of N(0, 4.25)", modes.forward(0, 4.25))
    print("reverse KL of N(0, 4.25)", modes.reverse(0, 4.25))
    print("reverse KL of N(2, 1/4)", modes.reverse(2, 0.25))
    for start in (1, 0):
        print("reverse KL rests, from N({}, 1), at".format(start), *modes.rest(start))
    coarse = Modes(step=2 * STEP)
    print("from half as many points", coarse.forward(0, 4.25), coarse.rest(1), coarse.rest(0))

    # From which start on does descent end on a side?
    half = Modes(step=1 / 16)
    print("watershed of starts", bisect(0.3, 0.5, lambda start: half.rest(start)[0] > 1))
    # Other distances: from which on is there a rest on a side, and one lower than in the middle?
    quarter = math.log(0.25)
    print("modes at -1 and 1 rest at", *Modes(1.0).rest(0))

    def has_side(c):
        return Modes(c, 1 / 16).rest(c, quarter)[0] > 0.5

    def side_wins(c):
        near = Modes(c, 1 / 16)
        return near.rest(c, quarter)[2] < near.rest(0.0)[2]

    print("a rest on a side from c =", bisect(1.2, 1.3, has_side))
    print("which is the lower from c =", bisect(1.3, 1.5, side_wins))


main()
