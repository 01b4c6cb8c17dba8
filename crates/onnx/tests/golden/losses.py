#!/usr/bin/env python3
"""Writes `losses.safetensors`: losses of a small network by torch, and influences by dense matrices, all in float64.

    python losses.py            # make
    python losses.py --check    # compute again and compare

The network is `relu(x W1 + b1) W2 + b2`. For each case NAME the file holds

- `NAME/loss`: the training loss of each training sample;
- `NAME/influence/MEASUREMENT`: `∇m_test (G + λ)⁻¹ ∇ℓ_train` with the Gauss-Newton matrix `G`, the mean of `Jᵀ H J`, for each measurement;
- `NAME/kfac`: the same for the loss, with `A ⊗ S` of each layer in place of `G`;
- `NAME/damping`: λ, a twentieth of the largest eigenvalue of `G`.

Losses are those of `torch.nn.functional`, one sample at a time, with reduction "mean" over what counts of it, and "none" where a sample has one
class. A sample of which nothing counts has a loss of 0.
"""

import argparse
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

FILE = pathlib.Path(__file__).resolve().parent / "losses.safetensors"
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

WIDTH, HIDDEN, CLASSES, POSITIONS, TRAIN, TEST = 3, 4, 3, 4, 6, 2
# Not exact in 32 bits.
WEIGHTS = [0.3, 1.7, 0.9]
SMOOTHING = 0.15
IGNORED = -100


def wave(*shape, phase):
    numbers = torch.arange(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.sin(1.3 * numbers + phase).float().double().reshape(shape)


SHAPES = {"first.weight": (WIDTH, HIDDEN), "first.bias": (HIDDEN,), "last.weight": (HIDDEN, CLASSES), "last.bias": (CLASSES,)}
NETWORK = {name: wave(*shape, phase=index) for index, (name, shape) in enumerate(SHAPES.items())}
SIZES = [torch.Size(shape).numel() for shape in SHAPES.values()]
POINT = torch.cat([value.flatten() for value in NETWORK.values()])


def forward(parameters, x):
    w1, b1, w2, b2 = (part.reshape(shape) for part, shape in zip(parameters.split(SIZES), SHAPES.values()))
    return torch.relu(x @ w1 + b1) @ w2 + b2


def labels(*shape):
    numbers = torch.arange(torch.Size(shape).numel())
    return ((numbers * numbers + 5 * numbers // 2 + 1) % CLASSES).reshape(shape)


def one_class(x, y, weight=None, smoothing=0.0, ignore=None):
    extra = {} if ignore is None else {"ignore_index": ignore}
    return F.cross_entropy(x[None], y[None], weight, reduction="none", label_smoothing=smoothing, **extra)[0]


def sequence(x, y, weight=None, smoothing=0.0, ignore=None):
    if ignore is not None and bool((y == ignore).all()):
        return (x * 0).sum()
    extra = {} if ignore is None else {"ignore_index": ignore}
    return F.cross_entropy(x, y, weight, reduction="mean", label_smoothing=smoothing, **extra)


def numbers(one_by_one):
    def loss(x, y, ignore=None):
        counted = torch.ones_like(y, dtype=torch.bool) if ignore is None else y != ignore
        if not bool(counted.any()):
            return (x * 0).sum()
        return one_by_one(x[counted], y[counted], reduction="mean")

    return loss


squares, binary = numbers(F.mse_loss), numbers(F.binary_cross_entropy_with_logits)


def counted_mean(values, y, ignore):
    counted = torch.ones(y.shape, dtype=torch.bool) if ignore is None else y != ignore
    return values[counted].mean() if bool(counted.any()) else (values * 0).sum()


def of_classes(x, y, ignore=None, **_):
    x, y = x.reshape(-1, CLASSES), y.reshape(-1)
    own = torch.nn.functional.one_hot(y.clamp(min=0), CLASSES).bool()
    logs = x.log_softmax(1)
    others = torch.where(own, -torch.inf, logs).logsumexp(1)
    return {
        "margin": counted_mean(logs[own] - others, y, ignore),
        "logit": counted_mean(x[own], y, ignore),
        "logit-1": counted_mean(x[:, 1], y, ignore),
        "log-probability": counted_mean(logs[own], y, ignore),
    }


def of_labels(x, y, ignore=None):
    p = torch.sigmoid(x)
    own = torch.where(y == 1, p, 1 - p)
    return {
        "margin": counted_mean((own / (1 - own)).log(), y, ignore),
        "logit-1": x[1],
        "log-probability": counted_mean(own.log(), y, ignore),
    }


def of_numbers(x, y, ignore=None):
    return {"logit-1": x[1]}


def masked(targets, value):
    """Some of the second and the last row do not count, and none of the fourth."""
    targets = targets.clone()
    targets[1, ::2] = value
    targets[-1, 1] = value
    targets[3] = value
    return targets


def cases():
    flat, long = wave(TRAIN + TEST, WIDTH, phase=2), wave(TRAIN + TEST, POSITIONS, WIDTH, phase=3)
    classes, tokens = labels(TRAIN + TEST), labels(TRAIN + TEST, POSITIONS)
    without = classes.clone()
    without[3] = IGNORED
    weight = torch.tensor(WEIGHTS)
    options = {
        "plain": {},
        "ignore": {"ignore": IGNORED},
        "weights": {"weight": weight},
        "smoothing": {"smoothing": SMOOTHING},
        "both": {"weight": weight, "smoothing": SMOOTHING},
        "all": {"weight": weight, "smoothing": SMOOTHING, "ignore": IGNORED},
        "class": {"ignore": 2},
    }
    for name, chosen in options.items():
        hidden = chosen.get("ignore") == IGNORED
        yield f"cross-entropy/{name}", flat, without if hidden else classes, one_class, of_classes, chosen
        yield f"sequence-cross-entropy/{name}", long, masked(tokens, IGNORED) if hidden else tokens, sequence, of_classes, chosen
    yes, numbers = (labels(TRAIN + TEST, CLASSES) % 2).double(), wave(TRAIN + TEST, CLASSES, phase=4)
    for name, loss, targets, measured in [("binary-cross-entropy", binary, yes, of_labels), ("mse", squares, numbers, of_numbers)]:
        yield f"{name}/plain", flat, targets, loss, measured, {}
        yield f"{name}/ignore", flat, masked(targets, IGNORED), loss, measured, {"ignore": IGNORED}


def layer_factors(x, second):
    """The input and output-gradient covariances of both layers, for second derivatives `(n, t·c, t·c)` of each sample."""
    w1, b1, w2, b2 = (part.reshape(shape) for part, shape in zip(POINT.split(SIZES), SHAPES.values()))
    n = len(x)
    x = x.reshape(n, -1, WIDTH)
    positions = x.shape[1]
    before = x @ w1 + b1
    ones = torch.ones(n, positions, 1)
    factors = []
    for inputs, back in [(x, torch.einsum("ntj,jc->ntjc", (before > 0).double(), w2)), (torch.relu(before), torch.eye(CLASSES).expand(n, positions, -1, -1))]:
        rows = torch.cat([inputs, ones], 2).reshape(n * positions, -1)
        a = rows.T @ rows / (n * positions)
        s = 0
        for j in range(positions):
            own = second[:, j * CLASSES : (j + 1) * CLASSES, j * CLASSES : (j + 1) * CLASSES]
            s = s + torch.einsum("njc,ncd,nkd->jk", back[:, j], own, back[:, j]) / n
        factors.append((a, s))
    return factors


def kfac(factors, damping, train, test):
    """Influences with `A ⊗ S` of each layer, a weight `(in, out)` followed by its bias."""
    first, last = SIZES[0] + SIZES[1], SIZES[2] + SIZES[3]
    total = 0
    for (a, s), columns in zip(factors, [slice(0, first), slice(first, first + last)]):
        matrix = torch.kron(a, s) + damping * torch.eye(a.shape[0] * s.shape[0])
        total = total + test[:, columns] @ torch.linalg.solve(matrix, train[:, columns].T)
    return total


def made():
    tensors = dict(NETWORK)
    for name, x, y, loss, measured, options in cases():
        def loss_of(parameters, sample):
            return loss(forward(parameters, x[sample]), y[sample], **options)

        def gradient(function):
            return torch.func.grad(function)(POINT)

        train, test = range(TRAIN), range(TRAIN, TRAIN + TEST)
        losses = torch.stack([loss_of(POINT, sample) for sample in train])
        by_train = torch.stack([gradient(lambda p: loss_of(p, sample)) for sample in train])
        matrix, seconds = torch.zeros(len(POINT), len(POINT)), []
        for sample in train:
            outputs = forward(POINT, x[sample])
            jacobian = torch.func.jacrev(lambda p: forward(p, x[sample]).flatten())(POINT)
            flat = lambda o: loss(o.reshape(outputs.shape), y[sample], **options)
            second = torch.func.hessian(flat)(outputs.flatten())
            seconds.append(second)
            matrix += jacobian.T @ second @ jacobian / TRAIN
        damping = torch.linalg.eigvalsh(matrix)[-1] / 20
        by_test = {"loss": torch.stack([gradient(lambda p: loss_of(p, sample)) for sample in test])}
        for kind in measured(forward(POINT, x[0]), y[0], **{k: v for k, v in options.items() if k == "ignore"}):
            keep = {k: v for k, v in options.items() if k == "ignore"}
            by_test[kind] = torch.stack([gradient(lambda p: measured(forward(p, x[sample]), y[sample], **keep)[kind]) for sample in test])
        inverse = torch.linalg.inv(matrix + damping * torch.eye(len(POINT)))
        family = name.split("/")[0]
        tensors |= {f"{name}/loss": losses, f"{name}/damping": damping.reshape(1), f"{family}/inputs": x, f"{name}/targets": y}
        tensors |= {f"{name}/influence/{kind}": rows @ inverse @ by_train.T for kind, rows in by_test.items()}
        tensors[f"{name}/kfac"] = kfac(layer_factors(x[:TRAIN], torch.stack(seconds)), damping, by_train, by_test["loss"])
    return {name: tensor.clone().contiguous() for name, tensor in tensors.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the file and write nothing")
    tensors = made()
    if parser.parse_args().check:
        old = load_file(FILE)
        differ = [name for name in sorted(old.keys() | tensors.keys()) if name not in old or name not in tensors or not torch.allclose(old[name], tensors[name], rtol=1e-9, atol=1e-12)]
        sys.exit(f"differ: {differ}" if differ else 0)
    save_file(tensors, FILE, {"torch": torch.__version__})


if __name__ == "__main__":
    main()
