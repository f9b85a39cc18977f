"""Writes oracle.txt: values and gradients of composite functions, by PyTorch in float64.

    python3 make_oracle.py > oracle.txt       (Debian: python3-torch)

A case is a scalar function of some tensors. Its lines are

    case NAME
    input SHAPE : NUMBERS        one for each argument, in order; SHAPE is like 2x3, or scalar
    value : NUMBER
    gradient SHAPE : NUMBERS     one for each argument, in order

with all digits of a double. oracle_test.cpp computes the same functions with Gradus, by their
names. The formulas here are written out from PyTorch's own parts (torch.distributions,
torch.nn.functional, torch.linalg) wherever it has them.
"""

import math

import torch
import torch.distributions as D
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)

CASES = []


def case(*inputs):
    """Registers a function with tensors at which to evaluate it."""

    def register(f):
        CASES.append((f.__name__, f, [x.detach().clone() for x in inputs]))
        return f

    return register


def n(*shape):
    return torch.randn(shape)


def u(*shape):
    return 0.3 + torch.rand(shape)


def spd(k):
    a = torch.randn(k, k)
    return a @ a.T + k * torch.eye(k)


# ---- Networks ----------------------------------------------------------------------------------


def mlp(name, activation):
    def f(x, w1, b1, w2, b2, target):
        h = activation(F.linear(x, w1, b1))
        return ((F.linear(h, w2, b2) - target) ** 2).sum(1).mean()

    f.__name__ = "mlp_" + name
    case(n(4, 3), n(5, 3), n(5), n(2, 5), n(2), n(4, 2))(f)


mlp("tanh", torch.tanh)
mlp("relu", torch.relu)
mlp("sigmoid", torch.sigmoid)
mlp("softplus", F.softplus)
mlp("exp", torch.exp)
mlp("expm1", torch.expm1)
mlp("abs", torch.abs)
mlp("square", torch.square)


@case(torch.rand(4, 6), n(5, 6), n(5), n(2, 5), n(2), n(2, 5), n(2), n(5, 2), n(5), n(6, 5), n(6), n(4, 2))
def vae_negative_elbo(x, we, be, wm, bm, wv, bv, wd, bd, wl, bl, noise):
    h = torch.relu(F.linear(x, we, be))
    mean, log_var = F.linear(h, wm, bm), F.linear(h, wv, bv)
    z = mean + torch.exp(0.5 * log_var) * noise
    logits = F.linear(torch.relu(F.linear(z, wd, bd)), wl, bl)
    reconstruction = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
    q = D.Normal(mean, torch.exp(0.5 * log_var))
    return (D.kl_divergence(q, D.Normal(0.0, 1.0)).sum(1) - reconstruction).mean()


@case(n(5, 3), n(4, 3), n(4))
def softmax_cross_entropy(x, w, b):
    return F.cross_entropy(F.linear(x, w, b), torch.tensor([2, 0, 3, 1, 2]))


@case(n(3, 4), n(5, 4), n(5, 2))
def attention(q, k, v):
    return (torch.softmax(q @ k.T / math.sqrt(4), 1) @ v).square().sum()


@case(n(4, 5), n(5), n(5), n(4, 5))
def layer_norm(x, gain, bias, weights):
    return (F.layer_norm(x, (5,), gain, bias, eps=1e-5) * weights).sum()


@case(n(3, 2), n(3, 2), n(3, 2), n(4, 2), n(4, 4), n(4))
def recurrent(x1, x2, x3, wx, wh, b):
    h = torch.zeros(3, 4)
    for x in (x1, x2, x3):
        h = torch.tanh(x @ wx.T + h @ wh.T + b)
    return h.square().sum(1).mean()


@case(n(6, 3), n(3, 3))
def embedding(table, w):
    return torch.logsumexp(table[[4, 0, 4, 2]] @ w, 1).sum()


@case(n(3, 6), n(3, 3))
def gated_linear_unit(x, weights):
    return (F.glu(x, 1) * weights).sum()


@case(n(3, 4, 2), n(3, 2))
def max_pool(x, weights):
    return (x.amax(1) * weights).sum()


@case(u(6), n(6))
def clipped_ratio(ratio, advantage):
    return torch.minimum(ratio * advantage, torch.clamp(ratio, 0.8, 1.2) * advantage).mean()


# ---- Densities ---------------------------------------------------------------------------------


@case(n(4, 3), n(3, 5), n(5))
def logsumexp_of_matmul(x, w, weights):
    return (torch.logsumexp(x @ w, 0) * weights).sum()


@case(n(7, 4), n(4), n(4, 2), u())
def ppca_log_likelihood(x, mean, w, sigma2):
    covariance = w @ w.T + sigma2 * torch.eye(4)
    return D.MultivariateNormal(mean, covariance).log_prob(x).mean()


@case(n(6, 3), n(3), spd(3))
def normal_full_covariance(x, mean, covariance):
    covariance = (covariance + covariance.T) / 2
    return D.MultivariateNormal(mean, covariance).log_prob(x).sum()


@case(n(4, 3), n(4, 3), n(4, 3))
def normal_log_prob(mean, log_var, x):
    return D.Normal(mean, torch.exp(0.5 * log_var)).log_prob(x).sum(1).square().sum()


@case(n(4, 3), n(4, 3), n(4, 3), n(4, 3))
def kl_of_normals(m1, v1, m2, v2):
    p, q = D.Normal(m1, torch.exp(0.5 * v1)), D.Normal(m2, torch.exp(0.5 * v2))
    return D.kl_divergence(p, q).sum(1).square().sum()


@case(n(4, 3), n(4, 3))
def kl_of_bernoullis(a, b):
    return D.kl_divergence(D.Bernoulli(logits=a), D.Bernoulli(logits=b)).sum(1).square().sum()


@case(n(4, 3), n(4, 3))
def kl_of_categoricals(a, b):
    return D.kl_divergence(D.Categorical(logits=a), D.Categorical(logits=b)).square().sum()


@case(n(4, 3), n(4, 3), n(4, 3))
def entropies(log_var, logits, classes):
    normal = D.Normal(0.0, torch.exp(0.5 * log_var)).entropy().sum(1)
    bernoulli = D.Bernoulli(logits=logits).entropy().sum(1)
    return (normal * bernoulli * D.Categorical(logits=classes).entropy()).sum()


@case(n(8), n(3), n(3), n(3))
def mixture_log_likelihood(x, mean, log_var, logits):
    parts = D.Normal(mean, torch.exp(0.5 * log_var))
    return D.MixtureSameFamily(D.Categorical(logits=logits), parts).log_prob(x).mean()


@case(u(), n(), n(), n(6))
def importance_weighted_bound(x, mean, log_var, noise):
    q = D.Normal(mean, torch.exp(0.5 * log_var))
    z = mean + torch.exp(0.5 * log_var) * noise
    log_w = D.Normal(z, 1.0).log_prob(x) + D.Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
    return torch.logsumexp(log_w, 0) - math.log(6)


# ---- Linear algebra ----------------------------------------------------------------------------


@case(spd(4), n(4, 4))
def weighted_cholesky(a, weights):
    a = (a + a.T) / 2
    return (torch.linalg.cholesky(a) * weights).sum()


@case(n(6, 3), n(6), u(), n(4, 3), n(4))
def ridge_regression(x, y, penalty, x_test, y_test):
    w = torch.linalg.solve(x.T @ x + penalty * torch.eye(3), x.T @ y)
    return (x_test @ w - y_test).square().mean()


@case(n(5, 2), n(5), u())
def gaussian_process_evidence(x, y, width):
    k = torch.exp(-(x[:, None, :] - x[None, :, :]).square().sum(2) / width)
    return D.MultivariateNormal(torch.zeros(5), k + 0.1 * torch.eye(5)).log_prob(y)


@case(n(3, 3) + 3 * torch.eye(3), n(3, 2), n(3, 2))
def triangular_solves(l, b, weights):
    z = torch.linalg.solve_triangular(l, b, upper=False)
    return (torch.linalg.solve_triangular(l.T, z, upper=True) * weights).sum()


# ---- Elementwise, broadcasting, layout -----------------------------------------------------------


@case(u(3, 1), u(1, 4))
def rational(x, y):
    return ((x**3 * y - y / x) / (1 + x**2)).sum()


@case(u(2, 3), n(3))
def powers(x, y):
    return (torch.pow(x, y) * torch.log(x) - torch.log1p(x) * torch.sqrt(x)).sum()


@case(n(2, 3, 2), n(3, 1))
def standardised(x, scale):
    centred = x - x.mean((0, 2), keepdim=True)
    return (scale * centred / (centred.square().mean((0, 2), keepdim=True) + 0.1).sqrt()).pow(3).sum()


@case(n(3, 2), n(2, 2), n(2, 4))
def stacked_and_cut(a, b, weights):
    joined = torch.cat([a, b], 0)
    return (joined.T[:, 1:5] * weights).exp().sum() + joined.reshape(2, 5).prod(0).sum()


# ---- Gradients of gradients ----------------------------------------------------------------------


@case(n(4, 3), n(5, 3), n(5), n(5))
def gradient_penalty(x, w, b, v):
    x.requires_grad_(True)
    y = (torch.tanh(F.linear(x, w, b)) @ v).sum()
    (dx,) = torch.autograd.grad(y, x, create_graph=True)
    return (dx.square().sum(1).sqrt() - 1).square().mean()


@case(n(4), n(4))
def hessian_vector_product(x, v):
    x.requires_grad_(True)
    y = torch.logsumexp(x, 0) + (x**3).sum() * torch.sigmoid(x.sum())
    (dx,) = torch.autograd.grad(y, x, create_graph=True)
    (hv,) = torch.autograd.grad((dx * v).sum(), x, create_graph=True)
    return hv.square().sum()


# ---- Convolutions, of images (N, C, H, W) --------------------------------------------------------


@case(n(2, 2, 7, 6), n(3, 2, 3, 3), n(3), n(2, 3, 4, 3))
def conv2d_k3_s2_p1(x, w, b, weights):
    return (F.conv2d(x, w, b, stride=2, padding=1) * weights).sum()


@case(n(1, 3, 8, 9), n(2, 3, 5, 5), n(2))
def conv2d_k5_s3_p2(x, w, b):
    return F.conv2d(x, w, b, stride=3, padding=2).square().sum()


@case(n(2, 1, 5, 4), n(2, 1, 2, 2), n(2))
def conv2d_k2_s1_p0(x, w, b):
    return torch.tanh(F.conv2d(x, w, b)).square().sum()


@case(n(2, 3, 4, 3), n(3, 2, 3, 3), n(2), n(2, 2, 8, 5))
def conv_transpose2d_k3_s2_p1_output_padding_1_0(x, w, b, weights):
    return (F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=(1, 0)) * weights).sum()


@case(n(1, 2, 3, 3), n(2, 3, 4, 4), n(3))
def conv_transpose2d_k4_s2_p1(x, w, b):
    return F.conv_transpose2d(x, w, b, stride=2, padding=1).square().sum()


@case(n(2, 1, 6, 8), n(2, 1, 4, 4), n(2), n(2, 1, 4, 4), n(1))
def convolutional_autoencoder(x, w, b, v, c):
    h = F.softplus(F.conv2d(x, w, b, stride=2, padding=1))
    return (F.conv_transpose2d(h, v, c, stride=2, padding=1) - x).square().sum((1, 2, 3)).mean()


# The second derivative takes dz through the rules of both.
@case(n(1, 1, 5, 6), n(2, 1, 3, 3), n(2))
def convolution_gradient_penalty(x, w, b):
    x.requires_grad_(True)
    y = torch.tanh(F.conv2d(x, w, b, stride=2, padding=1)).square().sum()
    (dx,) = torch.autograd.grad(y, x, create_graph=True)
    return dx.square().sum()


# ---- A gated recurrent unit ----------------------------------------------------------------------


@case(n(3, 2), n(3, 2), n(3, 2), n(3, 2), n(3, 4), n(12, 2), n(12, 4), n(12), n(12))
def gru(x1, x2, x3, x4, h, weight_ih, weight_hh, bias_ih, bias_hh):
    flat = (weight_ih, weight_hh, bias_ih, bias_hh)
    inputs = torch.stack((x1, x2, x3, x4))
    _, last = torch.gru(inputs, h[None], flat, True, 1, 0.0, False, False, False)
    return last.square().sum(2).mean()


def numbers(x):
    return " ".join(repr(float(v)) for v in x.detach().reshape(-1))


def shape(x):
    return "x".join(str(k) for k in x.shape) or "scalar"


for name, f, inputs in CASES:
    for x in inputs:
        x.requires_grad_(True)
    value = f(*inputs)
    gradients = torch.autograd.grad(value, inputs)
    print("case", name)
    for x in inputs:
        print("input", shape(x), ":", numbers(x))
    print("value :", numbers(value))
    for g in gradients:
        print("gradient", shape(g), ":", numbers(g))
