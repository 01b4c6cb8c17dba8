"""Makes the data and the trained weights of the six workloads.

    python workloads.py --digits FOLDER --out FOLDER [--only W1 W2 ...]

`--digits` is the folder with `images.npy` (n, 8, 8) of values 0 to 16 and `labels.npy` (n,).
Each workload becomes a folder with `x_train.npy`, `y_train.npy`, `x_test.npy`, `y_test.npy`,
`model.safetensors` and `workload.json`. Inputs are float32 (W6: int64 tokens), labels int64.
Everything is seeded: the same machine and versions give the same files.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import models

SEED = 20
# W1 is trained to the minimum of mean loss + L2/2 · |θ|², whose Hessian is that of the mean
# loss + L2 · I: damping influence by the same number makes it exact for the trained objective.
L2 = 0.01


def digits(folder):
    """Images (n, 8, 8) of 0 to 16 and labels (n,)."""
    images = np.load(Path(folder) / "images.npy")
    labels = np.load(Path(folder) / "labels.npy")
    return torch.from_numpy(images).float(), torch.from_numpy(labels).long()


def small_images(folder):
    """The 8×8 digits as 64 floats in 0..1: 1,437 train, 360 test."""
    images, labels = digits(folder)
    x = images.flatten(1) / 16
    return x[:1437], labels[:1437], x[-360:], labels[-360:]


def distort(images, labels, count, generator):
    """`count` enlarged digits, each drawn at random, moved, turned, scaled and made noisy."""

    def uniform(low, high):
        return low + (high - low) * torch.rand(count, generator=generator)

    pick = torch.randint(len(images), (count,), generator=generator)
    large = F.interpolate(images[pick, None] / 16, size=(28, 28), mode="bilinear",
                          align_corners=False)
    angle = uniform(-0.25, 0.25)
    scale = 1 / uniform(0.85, 1.15)
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale * torch.cos(angle)
    theta[:, 1, 0] = scale * torch.sin(angle)
    theta[:, 0, 1] = -theta[:, 1, 0]
    # The grid spans -1..1, so one of the 28 pixels is 2/28.
    theta[:, 0, 2] = uniform(-3, 3) * 2 / 28
    theta[:, 1, 2] = uniform(-3, 3) * 2 / 28
    grid = F.affine_grid(theta, large.shape, align_corners=False)
    moved = F.grid_sample(large, grid, mode="bilinear", align_corners=False)
    noise = 0.05 * torch.randn(moved.shape, generator=generator)
    return (moved + noise).clamp(0, 1), labels[pick]


def large_images(folder):
    """10,000 train and 1,000 test images (n, 1, 28, 28), from disjoint digits."""
    images, labels = digits(folder)
    generator = torch.Generator().manual_seed(SEED)
    train = distort(images[:1437], labels[:1437], 10_000, generator)
    return train + distort(images[-360:], labels[-360:], 1_000, generator)


def flat_images(folder):
    x_train, y_train, x_test, y_test = large_images(folder)
    return x_train.flatten(1), y_train, x_test.flatten(1), y_test


def few_images(folder):
    x_train, y_train, x_test, y_test = large_images(folder)
    return x_train[:2000], y_train[:2000], x_test[:200], y_test[:200]


def synthetic(_folder):
    """1,024 correlated features (eigenvalue k of the covariance ∝ 1/k), 100 teacher classes."""
    generator = torch.Generator().manual_seed(SEED)
    width, classes, train, test = 1024, 100, 5_000, 200
    spectrum = 1 / torch.arange(1, width + 1)
    spectrum *= width / spectrum.sum()
    rotation = torch.linalg.qr(torch.randn(width, width, generator=generator))[0]
    x = torch.randn(train + test, width, generator=generator) * spectrum.sqrt() @ rotation.T
    hidden = torch.randn(width, 256, generator=generator) / math.sqrt(width)
    output = torch.randn(256, classes, generator=generator) / math.sqrt(256)
    y = (torch.tanh(x @ hidden) @ output).argmax(dim=1)
    return x[:train], y[:train], x[train:], y[train:]


def pixel_tokens(folder):
    """The pixel values of the 8×8 digits as 64 tokens: 1,000 train, 100 test."""
    images, labels = digits(folder)
    x = images.flatten(1).long()
    return x[:1000], labels[:1000], x[-100:], labels[-100:]


# name: (data, learning rate, train loss at which to stop, most epochs)
WORKLOADS = {
    "W1": (small_images, None, None, None),
    "W2": (small_images, 1e-3, 0.05, 60),
    "W3": (flat_images, 1e-3, 0.05, 30),
    "W4": (synthetic, 3e-4, 0.10, 30),
    "W5": (few_images, 1e-3, 0.05, 60),
    "W6": (pixel_tokens, 1e-3, 0.10, 40),
}


def minimise(model, x, y):
    """Takes the model to the minimum of its L2-regularised mean loss, in double precision."""
    model.double()
    parameters = list(model.parameters())
    optimiser = torch.optim.LBFGS(parameters, max_iter=2000, tolerance_grad=1e-10,
                                  tolerance_change=0, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x.double()), y)
        loss = loss + L2 / 2 * sum((p**2).sum() for p in parameters)
        loss.backward()
        return loss

    optimiser.step(closure)
    model.float()


def train(model, x, y, rate, target, epochs):
    """Adam with batches of 128 until the mean loss of an epoch is below `target`."""
    optimiser = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        total = 0.0
        for batch in torch.randperm(len(x)).split(128):
            optimiser.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch)
        if total / len(x) < target:
            break


@torch.no_grad()
def quality(model, x, y):
    """Mean loss and accuracy."""
    logits = torch.cat([model(part) for part in x.split(500)])
    accuracy = (logits.argmax(dim=1) == y).float().mean().item()
    return round(F.cross_entropy(logits, y).item(), 5), round(accuracy, 5)


def make(name, digits_folder, out):
    """Makes one workload and returns its description."""
    start = time.perf_counter()
    data, rate, target, epochs = WORKLOADS[name]
    x_train, y_train, x_test, y_test = data(digits_folder)
    torch.manual_seed(SEED)
    model = models.build(name)
    if name == "W1":
        minimise(model, x_train, y_train)
    else:
        train(model, x_train, y_train, rate, target, epochs)
    model.eval()

    folder = Path(out) / name
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
    for key, value in arrays.items():
        np.save(folder / f"{key}.npy", np.ascontiguousarray(value.numpy()))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")

    train_loss, train_accuracy = quality(model, x_train, y_train)
    test_loss, test_accuracy = quality(model, x_test, y_test)
    about = {
        "workload": name,
        "train": len(x_train),
        "test": len(x_test),
        "input": list(x_train.shape[1:]),
        "classes": state[list(state)[-1]].shape[0],
        "parameters": sum(value.numel() for value in state.values()),
        "shapes": {key: list(value.shape) for key, value in state.items()},
        "seed": SEED,
        "l2": L2 if name == "W1" else 0.0,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "test_loss": test_loss,
        "test_accuracy": test_accuracy,
    }
    (folder / "workload.json").write_text(json.dumps(about, indent=2) + "\n")
    return about, time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", required=True, help="folder of images.npy and labels.npy")
    parser.add_argument("--out", required=True, help="folder that gets W1, W2, ...")
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    args = parser.parse_args()
    torch.set_num_threads(2)
    for name in args.only:
        about, seconds = make(name, args.digits, args.out)
        print(f"{name}: {about['parameters']} parameters, train loss {about['train_loss']}, "
              f"test accuracy {about['test_accuracy']}, {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
