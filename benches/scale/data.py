"""Points by the million: the digits that ship with the program, enlarged, moved and with noise, as `.npy` files.

An image is 28 x 28 pixels of one byte, so a million take 784 MB. They are made and written piece by piece, each from
a generator of its own: the first points of a large file are the points of a smaller one.
"""

from pathlib import Path

import numpy as np
from numpy.lib import format as npy

DIGITS = Path(__file__).resolve().parents[2] / "crates/cli/data/digits"
SIDE, LARGE, PIECE = 28, 22, 10_000


def enlarged():
    """The 1,797 digits of 8 x 8 pixels in 22 x 22, between neighbours linearly, from 0 to 230; and their labels."""
    images = np.load(DIGITS / "images.npy").astype(np.float32)
    places = np.linspace(0, images.shape[1] - 1, LARGE)
    low = np.minimum(places.astype(int), images.shape[1] - 2)
    weights = np.zeros((LARGE, images.shape[1]), np.float32)
    weights[np.arange(LARGE), low] = 1 - (places - low)
    weights[np.arange(LARGE), low + 1] += places - low
    large = weights @ images @ weights.T
    return large * (230 / large.max()), np.load(DIGITS / "labels.npy")


def piece(images, labels, generator, count):
    """Some points: a digit somewhere on the canvas, brighter or darker, with noise."""
    pick = generator.integers(0, len(images), count)
    down, right = generator.integers(0, SIDE - LARGE + 1, (2, count))
    canvas = np.zeros((count, SIDE, SIDE), np.float32)
    index = np.arange(count)[:, None, None]
    rows = down[:, None, None] + np.arange(LARGE)[None, :, None]
    columns = right[:, None, None] + np.arange(LARGE)[None, None, :]
    canvas[index, rows, columns] = images[pick] * generator.uniform(0.7, 1.0, (count, 1, 1)).astype(np.float32)
    canvas += 12 * generator.standard_normal(canvas.shape, np.float32)
    return canvas.clip(0, 255).astype(np.uint8).reshape(count, -1), labels[pick].astype(np.int64)


def header(file, shape, dtype):
    npy.write_array_header_1_0(file, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape})


def write(folder, digits, count, seed):
    """Writes `x.npy` and `y.npy` of this many points, one piece in memory at a time."""
    with open(folder / "x.npy", "wb") as inputs, open(folder / "y.npy", "wb") as targets:
        header(inputs, (count, SIDE * SIDE), np.uint8)
        header(targets, (count,), np.int64)
        for number, first in enumerate(range(0, count, PIECE)):
            x, y = piece(*digits, np.random.default_rng([seed, number]), PIECE)
            keep = min(PIECE, count - first)
            x[:keep].tofile(inputs)
            y[:keep].tofile(targets)


def make(folder, side, count, seed=0):
    """Points of a side: `train` from four fifths of the digits, `test` from the others."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = enlarged()
    order = np.random.default_rng(seed).permutation(len(images))
    cut = len(images) * 4 // 5
    chosen, own = {"train": (order[:cut], 2 * seed), "test": (order[cut:], 2 * seed + 1)}[side]
    write(folder, (images[chosen], labels[chosen]), count, own)
