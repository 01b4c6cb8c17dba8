"""The limit of a machine: how long the arithmetic of a line takes at the rate of its products.

    python limits.py WORKLOAD METHOD --data FOLDER --train N --test K
    python limits.py --rate

Prints one line of JSON: `fit` and `score`, the operations (a multiplication and an addition are
two) of the method as it is published, with dense factors and without tricks of low rank; or `rate`,
the operations per second of a product of square matrices of 2,048 in 32 bits on two threads.
Libraries that need less arithmetic may take less than the limit. What is no product of matrices is
not counted; a decomposition of a symmetric matrix counts as 9 n³. Nothing is said of `cg`, whose
iterations depend on the data.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import models

RATE_SIDE = 2048


def rate():
    """The best rate of some products."""
    torch.set_num_threads(2)
    left, right = torch.randn(2, RATE_SIDE, RATE_SIDE)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - start)
    return 2 * RATE_SIDE**3 / min(seconds)


def described(workload, folder):
    """The operations of a gradient of one sample, and the layers: inputs with the one of the bias,
    outputs, positions."""
    model = models.load(workload, folder)
    x, y = (torch.from_numpy(np.load(Path(folder) / workload / f"{part}_train.npy")[:1])
            for part in "xy")
    layers = []

    def linear(module, inputs, _output):
        layers.append((module.in_features + 1, module.out_features, inputs[0].shape[1:-1].numel()))

    def convolution(module, _inputs, output):
        inputs = module.in_channels * module.kernel_size[0] * module.kernel_size[1] + 1
        layers.append((inputs, module.out_channels, output.shape[2:].numel()))

    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(linear)
        elif isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(convolution)
    with FlopCounterMode(display=False) as counter:
        F.cross_entropy(model(x), y).backward()
    return counter.get_total_flops(), layers


def operations(method, gradient, layers, train, test, rank):
    """Those of the fit and of the scores."""
    parameters = sum(i * o for i, o, _ in layers)
    passes = (train + test) * gradient
    dense = 2 * train * test * parameters
    if method == "dot":
        # Of each pair either the gradients are multiplied, or their factors.
        pairs = sum(min(i * o, t * t * (i + o)) for i, o, t in layers)
        return 0, passes + 2 * train * test * pairs
    if method in ("kfac", "ekfac"):
        covariances = sum(train * t * (i * i + o * o) for i, o, t in layers)
        vectors = sum(9 * (i**3 + o**3) for i, o, _ in layers)
        fit = train * gradient + covariances + vectors
        if method == "ekfac":
            rotated = sum(t * (i * i + o * o) + t * i * o for i, o, t in layers)
            fit += train * (gradient + 2 * rotated)
        solved = sum(4 * (i * i * o + i * o * o) for i, o, _ in layers)
        return fit, passes + test * solved + dense
    if method == "direct":
        fit = train * parameters**2 + parameters**3 / 3
        return fit, passes + 2 * test * parameters**2 + dense
    if method in ("arnoldi", "nystroem"):
        # A product with the Hessian is worth two gradients.
        return rank * train * 2 * gradient, passes + 4 * test * rank * parameters + dense
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", nargs="?", choices=models.BUILDERS)
    parser.add_argument("method", nargs="?")
    parser.add_argument("--data", help="folder of W1, W2, ...")
    parser.add_argument("--train", type=int)
    parser.add_argument("--test", type=int)
    parser.add_argument("--rank", type=int, default=10, help="of Arnoldi and Nyström")
    parser.add_argument("--rate", action="store_true", help="measure the rate of products")
    args = parser.parse_args()
    if args.rate:
        print(json.dumps({"rate": rate()}))
        return
    gradient, layers = described(args.workload, args.data)
    counted = operations(args.method, gradient, layers, args.train, args.test, args.rank)
    print(json.dumps(dict(zip(("fit", "score"), counted)) if counted else {}))


if __name__ == "__main__":
    main()
