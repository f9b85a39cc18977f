#!/usr/bin/env python3
"""Numbers of lesson 02, written once more without Gradus.

The toy has the covariance diag(4, 2, 1, 0.5, 0.25); with two latents pPCA's maximum is known. A step
of EM is a map of (W, sigma^2) to itself that leaves the maximum where it is. Near it, what is
missing is multiplied by the map's Jacobian: the eigenvalue 1 belongs to a rotation of the latents,
which changes nothing, and the largest one below it decides how fast EM arrives. The log-likelihood
is flat at its maximum, so its gap falls by the square of that.

And ten points whose covariance (with 1/n) has those variances exactly are scored by scikit-learn's
PCA, which divides by n - 1.

    python3 tests/references/ppca.py

Needs NumPy and scikit-learn (1.24.2 and 1.2.1 gave the numbers below, which it prints):
    log-likelihood of two latents     -7.3259186858
    slowest factor of EM               0.7540476, its square 0.5685878
    scikit-learn's score              -7.3393199749
"""
import numpy as np
from sklearn.decomposition import PCA

VARIANCES = np.array([4, 2, 1, 0.5, 0.25])
D, K, N = 5, 2, 10
S = np.diag(VARIANCES)


def log_likelihood(w, sigma2):
    c = w @ w.T + sigma2 * np.eye(D)
    return -0.5 * (D * np.log(2 * np.pi) + np.linalg.slogdet(c)[1] + np.trace(np.linalg.inv(c) @ S))


def em_step(w, sigma2):
    m_inverse = np.linalg.inv(w.T @ w + sigma2 * np.eye(K))
    yz = S @ w @ m_inverse
    zz = m_inverse @ w.T @ S @ w @ m_inverse + sigma2 * m_inverse
    new = yz @ np.linalg.inv(zz)
    return new, (np.trace(S) - 2 * np.sum(new * yz) + np.trace(new @ zz @ new.T)) / D


def flat_step(v):
    w, sigma2 = em_step(v[:-1].reshape(D, K), v[-1])
    return np.append(w.ravel(), sigma2)


def points_with(variances, n):
    noise = np.random.default_rng(0).normal(size=(n, D))
    centred = noise - noise.mean(axis=0)
    white = centred @ np.linalg.inv(np.linalg.cholesky(centred.T @ centred / n)).T
    return white * np.sqrt(variances)


def main():
    sigma2 = VARIANCES[K:].mean()
    w = np.zeros((D, K))
    w[range(K), range(K)] = np.sqrt(VARIANCES[:K] - sigma2)
    print("log-likelihood of two latents", log_likelihood(w, sigma2))

    best = np.append(w.ravel(), sigma2)
    h = 1e-5
    columns = [(flat_step(best + h * e) - flat_step(best - h * e)) / (2 * h) for e in np.eye(best.size)]
    factors = sorted(np.linalg.eigvals(np.array(columns).T).real, reverse=True)
    print("the factors of EM", np.round(factors, 6))
    print("slowest", factors[1], "its square", factors[1] ** 2)

    x = points_with(VARIANCES, N)
    print("scikit-learn's score", PCA(n_components=K, svd_solver="full").fit(x).score(x))


main()
