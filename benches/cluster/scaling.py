"""Times influences on Dask workers of one thread each, beside one run of the program.

    python scaling.py --binary target/release/influence --work FOLDER [--workers 1 2] [--repeats 3]

The network of workload W2 of `../peers` (64, 128, 64, 10, tanh), trained by the program on the
digits that ship with it; points are digits drawn with noise, as many as are asked for. Scores take
most of the time with `--method ekfac` and many points, solving does with `--method cg`. The fit is
kept and not counted; nor is the start of clusters and processes. Every result is compared with
what one run writes, byte by byte. Needs dask, distributed, zarr and numpy.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from distributed import Client, LocalCluster, wait

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python/influence_dask/src"))

from influence_dask import DaskInfluenceCalculator  # noqa: E402

CONFIG = """
[model]
weights = "{weights}"
loss = "cross-entropy"
layers = [
    {{ kind = "linear", name = "fc1", outputs = 128 }}, {{ kind = "tanh" }},
    {{ kind = "linear", name = "fc2", outputs = 64 }}, {{ kind = "tanh" }},
    {{ kind = "linear", name = "fc3", outputs = 10 }},
]
[train]
epochs = 20
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test = {{ inputs = "x_test.npy", targets = "y_test.npy" }}
[method]
name = "{method}"
damping = 0.01
[compute]
test_chunk = {test_chunk}
train_chunk = {train_chunk}
"""


def make(arguments) -> Path:
    """The data, the weights and the fit; returns the configuration."""
    digits = HERE.parents[1] / "crates/cli/data/digits"
    images, labels = np.load(digits / "images.npy"), np.load(digits / "labels.npy")
    images = images.reshape(len(images), -1).astype("f4") / images.max()
    generator = np.random.default_rng(20)
    for name, count in (("train", arguments.train), ("test", arguments.test)):
        pick = generator.integers(0, len(images), count)
        noise = 0.05 * generator.standard_normal((count, images.shape[1]), "f4")
        np.save(arguments.work / f"x_{name}.npy", images[pick] + noise)
        np.save(arguments.work / f"y_{name}.npy", labels[pick].astype("i8"))
    config = arguments.work / f"{arguments.method}.toml"
    config.write_text(
        CONFIG.format(
            weights="model.safetensors",
            method=arguments.method,
            test_chunk=arguments.test_chunk,
            train_chunk=arguments.train_chunk,
        )
    )
    program(arguments, "train", config, "--overwrite")
    program(arguments, "fit", config, "--fitted", arguments.work / "fit.safetensors")
    return config


def program(arguments, *words) -> float:
    """Runs the program; returns the seconds."""
    began = time.monotonic()
    command = [arguments.binary, *map(str, words), "--progress", "none"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def one_run(arguments, config: Path) -> tuple[float, np.ndarray]:
    """The best time of one run with one thread, and what it wrote."""
    output = arguments.work / "influences.zarr"
    fitted = ("--fitted", arguments.work / "fit.safetensors", "--set", f"output.path={output}")
    options = (config, "--threads", 1, "--overwrite", *fitted)
    seconds = [program(arguments, "run", *options) for _ in range(arguments.repeats)]
    return min(seconds), zarr.open_group(str(output), mode="r")["influences"][...]


def on_dask(arguments, config: Path, workers: int, expected: np.ndarray) -> float:
    """The best time on a cluster that is up and has read everything."""
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        fitted = str(arguments.work / "fit.safetensors")
        calculator = DaskInfluenceCalculator(str(config), client, arguments.binary, fitted=fitted)
        calculator.fit()
        seconds = []
        for _ in range(arguments.repeats):
            began = time.monotonic()
            influences = calculator.influences().persist()
            wait(influences)
            seconds.append(time.monotonic() - began)
        same = influences.compute().tobytes() == expected.tobytes()
        assert same, f"{workers} workers give other bytes"
        return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="influence")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--method", default="ekfac")
    parser.add_argument("--train", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=2_000)
    parser.add_argument("--train-chunk", type=int, default=1_250)
    parser.add_argument("--test-chunk", type=int, default=250)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    config = make(arguments)
    alone, expected = one_run(arguments, config)
    print(f"{arguments.method}, {arguments.test} test and {arguments.train} training points")
    print(f"{'influence run --threads 1, with reading, checks and writing':<60} {alone:6.2f} s")
    first = None
    for workers in arguments.workers:
        seconds = on_dask(arguments, config, workers, expected)
        first = first or seconds
        print(f"{f'Dask, {workers} workers, the same bytes':<60} {seconds:6.2f} s  {first / seconds:.2f} times")


if __name__ == "__main__":
    main()
