#!/usr/bin/env python3
"""The mean field of lesson 11's weather, and its ELBO in nats, written once more without Gradus.

A hidden Markov model of three days, rain or dry, of which umbrella, umbrella, none was seen. The
probability r_t of rain on each day is set to its best value for those of its neighbours, until all
stay as they are; the ELBO is a sum over all eight paths. Then the same for twelve days whose weather
stays with probability 0.95, from 300 random beginnings: the different places where they end.

    python3 tests/references/mean_field.py

Needs the standard library only. Prints the ELBO, -2.170045074265554, and the three r_t; then ln p(x)
less the ELBO of each of the other's resting places.
"""
import itertools
import math
import random

RAIN, DRY = 0, 1
START = [0.5, 0.5]
TRANSITION = [[0.7, 0.3], [0.3, 0.7]]  # [state][next state]
EMISSION = [[0.9, 0.2], [0.1, 0.8]]  # [umbrella or none][state]
SEEN = [0, 0, 1]
DAYS = len(SEEN)


TWELVE_DAYS = [0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0]


def best_rain(rain, t, seen=SEEN, stay=TRANSITION[0][0]):
    """The best r_t: its log-odds are those of what was seen, and of each neighbour's weather."""
    coupling = math.log(stay / (1 - stay))
    log_odds = math.log(EMISSION[seen[t]][RAIN] / EMISSION[seen[t]][DRY])
    for neighbour in (t - 1, t + 1):
        if 0 <= neighbour < len(seen):
            log_odds += coupling * (2 * rain[neighbour] - 1)
    return 1 / (1 + math.exp(-log_odds))


def joint(path, seen=SEEN, stay=TRANSITION[0][0]):
    """p(x, z)."""
    p = START[path[0]] * EMISSION[seen[0]][path[0]]
    for t in range(1, len(seen)):
        p *= (stay if path[t] == path[t - 1] else 1 - stay) * EMISSION[seen[t]][path[t]]
    return p


def independent(path, rain):
    """q(z)."""
    return math.prod(r if state == RAIN else 1 - r for state, r in zip(path, rain))


def elbo_of(rain, seen=SEEN, stay=TRANSITION[0][0]):
    total = 0.0
    for path in itertools.product((RAIN, DRY), repeat=len(seen)):
        q = independent(path, rain)
        total += q * (math.log(joint(path, seen, stay)) - math.log(q))
    return total


def rest(rain, seen, stay):
    for _ in range(5000):
        before = list(rain)
        for t in range(len(seen)):
            rain[t] = best_rain(rain, t, seen, stay)
        if max(abs(a - b) for a, b in zip(before, rain)) < 1e-14:
            break
    return rain


def main():
    rain = [0.5] * DAYS
    for _ in range(600):
        for t in range(DAYS):
            rain[t] = best_rain(rain, t)
    print("ELBO", elbo_of(rain))
    print("probability of rain", *rain)

    stay = 0.95
    random.seed(0)
    rests = {}
    for _ in range(300):
        rain = rest([random.random() for _ in TWELVE_DAYS], TWELVE_DAYS, stay)
        rests.setdefault(tuple(round(r, 4) for r in rain), list(rain))
    paths = itertools.product((RAIN, DRY), repeat=len(TWELVE_DAYS))
    evidence = math.log(math.fsum(joint(path, TWELVE_DAYS, stay) for path in paths))
    costs = sorted(evidence - elbo_of(rain, TWELVE_DAYS, stay) for rain in rests.values())
    print(len(costs), "resting places on twelve days, which cost", *costs)


main()
