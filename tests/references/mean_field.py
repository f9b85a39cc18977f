#!/usr/bin/env python3
"""The mean field of lesson 11's weather, and its ELBO in nats, written once more without Gradus.

A hidden Markov model of three days, rain or dry, of which umbrella, umbrella, none was seen. The
probability r_t of rain on each day is set to its best value for those of its neighbours, until all
stay as they are; the ELBO is a sum over all eight paths.

    python3 tests/references/mean_field.py

Needs the standard library only. Prints the ELBO, -2.170045074265554, and the three r_t.
"""
import itertools
import math

RAIN, DRY = 0, 1
START = [0.5, 0.5]
TRANSITION = [[0.7, 0.3], [0.3, 0.7]]  # [state][next state]
EMISSION = [[0.9, 0.2], [0.1, 0.8]]  # [umbrella or none][state]
SEEN = [0, 0, 1]
DAYS = len(SEEN)


def best_rain(rain, t):
    """The best r_t: its log-odds are those of what was seen, and of each neighbour's weather."""
    stay = math.log(0.7 / 0.3)
    log_odds = math.log(EMISSION[SEEN[t]][RAIN] / EMISSION[SEEN[t]][DRY])
    for neighbour in (t - 1, t + 1):
        if 0 <= neighbour < DAYS:
            log_odds += stay * (2 * rain[neighbour] - 1)
    return 1 / (1 + math.exp(-log_odds))


def joint(path):
    """p(x, z)."""
    p = START[path[0]] * EMISSION[SEEN[0]][path[0]]
    for t in range(1, DAYS):
        p *= TRANSITION[path[t - 1]][path[t]] * EMISSION[SEEN[t]][path[t]]
    return p


def independent(path, rain):
    """q(z)."""
    return math.prod(r if state == RAIN else 1 - r for state, r in zip(path, rain))


def main():
    rain = [0.5] * DAYS
    for _ in range(600):
        for t in range(DAYS):
            rain[t] = best_rain(rain, t)
    elbo = 0.0
    for path in itertools.product((RAIN, DRY), repeat=DAYS):
        q = independent(path, rain)
        elbo += q * (math.log(joint(path)) - math.log(q))
    print("ELBO", elbo)
    print("probability of rain", *rain)


main()
