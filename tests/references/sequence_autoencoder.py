#!/usr/bin/env python3
"""Lesson 09's sequence autoencoder in PyTorch, without Gradus.

With `weights`, the weights that the lesson has written are read into torch.nn.GRU, Linear and
Embedding of the same names; it prints the loss of the held-out words and how many come back whole,
when the decoder is alone and with a teacher. With `train`, PyTorch trains such a model itself:
orthogonal starts, Adam with a learning rate that rises for 100 steps to 0.005 and falls along half a
cosine, gradients clipped to 1, minibatches of 128.

    python3 tests/references/sequence_autoencoder.py weights FILE
    python3 tests/references/sequence_autoencoder.py train [--epochs 7] [--forwards] [--seed 0]

Needs NumPy (1.24.2 was used) and PyTorch (1.13.1).
"""
import argparse
import math
import os
import time

import torch
from torch import nn
from torch.nn import functional

from files import safetensors

SYMBOLS, EMBEDDING, HIDDEN, CODE, STEPS, BATCH = 27, 32, 128, 32, 11, 128


def words():
    path = os.path.join(os.path.dirname(__file__), "../../lessons/data/words.txt")
    with open(path) as file:
        lines = file.read().split()
    rows = [[ord(c) - ord("a") for c in w] + [26] * (STEPS - len(w)) for w in lines]
    x = torch.tensor(rows)
    held_out = torch.arange(len(lines)) % 25 == 24
    return x[~held_out], x[held_out]


class SequenceAutoencoder(nn.Module):
    def __init__(self, backwards=True):
        super().__init__()
        self.backwards = backwards
        self.embedding = nn.Embedding(SYMBOLS + 1, EMBEDDING)
        self.encoder = nn.GRU(EMBEDDING, HIDDEN)
        self.to_code = nn.Linear(HIDDEN, CODE)
        self.from_code = nn.Linear(CODE, HIDDEN)
        self.decoder = nn.GRU(EMBEDDING + CODE, HIDDEN)
        self.out = nn.Linear(HIDDEN, SYMBOLS)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        for gru in (self.encoder, self.decoder):
            bound = math.sqrt(6 / (gru.weight_ih_l0.shape[1] + HIDDEN))
            nn.init.uniform_(gru.weight_ih_l0, -bound, bound)
            for gate in range(3):
                nn.init.orthogonal_(gru.weight_hh_l0.data[gate * HIDDEN:(gate + 1) * HIDDEN])
            nn.init.zeros_(gru.bias_ih_l0)
            nn.init.zeros_(gru.bias_hh_l0)

    def encode(self, x):
        read = x.flip(1) if self.backwards else x
        return self.to_code(self.encoder(self.embedding(read.t()))[1][0])

    def logits(self, code, x):
        nothing = torch.full((len(x), 1), SYMBOLS)
        before = self.embedding(torch.cat([nothing, x[:, :-1]], 1).t())
        inputs = torch.cat([before, code[None].expand(STEPS, -1, -1)], 2)
        return self.out(self.decoder(inputs, torch.tanh(self.from_code(code))[None])[0])

    def loss(self, x):
        logits = self.logits(self.encode(x), x)
        return functional.cross_entropy(logits.reshape(-1, SYMBOLS), x.t().reshape(-1))

    def alone(self, code):
        h, written = torch.tanh(self.from_code(code))[None], []
        before = torch.full((len(code),), SYMBOLS)
        for _ in range(STEPS):
            state, h = self.decoder(torch.cat([self.embedding(before), code], 1)[None], h)
            before = self.out(state[0]).argmax(1)
            written.append(before)
        return torch.stack(written, 1)


def report(model, x):
    with torch.no_grad():
        code = model.encode(x)
        alone = (model.alone(code) == x)
        taught = (model.logits(code, x).argmax(2).t() == x)
        print("loss %.8f, whole words %.5f %%, with a teacher %.5f %%, symbols %.5f %% and %.5f %%"
              % (model.loss(x), 100 * alone.all(1).double().mean(),
                 100 * taught.all(1).double().mean(), 100 * alone.double().mean(),
                 100 * taught.double().mean()), flush=True)


def train(epochs, backwards, seed):
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)  # else products with tiny numbers are very slow
    x, held_out = words()
    model = SequenceAutoencoder(backwards)
    adam = torch.optim.Adam(model.parameters())
    report(model, held_out)
    steps, step = epochs * math.ceil(len(x) / BATCH), 0
    for epoch in range(epochs):
        start = time.perf_counter()
        for rows in torch.randperm(len(x)).split(BATCH):
            rate = 0.005 * 0.5 * (1 + math.cos(math.pi * step / steps)) * min(1, (step + 1) / 100)
            adam.param_groups[0]["lr"] = rate
            adam.zero_grad()
            model.loss(x[rows]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1)
            adam.step()
            step += 1
        print("epoch %d: %.3f s," % (epoch + 1, time.perf_counter() - start), end=" ")
        report(model, held_out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["weights", "train"])
    parser.add_argument("file", nargs="?")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--forwards", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "train":
        return train(options.epochs, not options.forwards, options.seed)
    model = SequenceAutoencoder()
    weights = safetensors(options.file)
    model.load_state_dict({name: torch.from_numpy(x) for name, x in weights.items()})
    report(model, words()[1])


if __name__ == "__main__":
    main()
