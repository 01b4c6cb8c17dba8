"""Times pyDVL, sequentially and on Dask, on the problem that `scaling.py` has written.

    python pydvl_dask.py --work FOLDER [--method ekfac] [--workers 1 2] [--repeats 3]

The same network, weights, points, damping and chunks, in 32 bits, with one thread in each process.
The fit is not counted, nor the start of clusters, nor the first run, in which every process
imports and compiles. Needs pydvl, torch, dask, distributed and safetensors.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import torch
from distributed import Client, LocalCluster
from pydvl.influence import DaskInfluenceCalculator, SequentialInfluenceCalculator
from pydvl.influence.torch import CgInfluence, DirectInfluence, EkfacInfluence
from pydvl.influence.torch.util import NestedTorchCatAggregator, TorchNumpyConverter
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

METHODS = {
    "direct": lambda model: DirectInfluence(model, cross_entropy, 0.01),
    "cg": lambda model: CgInfluence(
        model, cross_entropy, 0.01, rtol=1e-3, solve_simultaneously=True
    ),
    "ekfac": lambda model: EkfacInfluence(
        model, update_diagonal=True, hessian_regularization=0.01
    ),
}


def network(work: Path) -> nn.Module:
    """The network of `scaling.py` with the weights that were trained there."""
    layers = {"fc1": nn.Linear(64, 128), "tanh1": nn.Tanh(), "fc2": nn.Linear(128, 64)}
    model = nn.Sequential()
    for name, layer in (layers | {"tanh2": nn.Tanh(), "fc3": nn.Linear(64, 10)}).items():
        model.add_module(name, layer)
    model.load_state_dict(load_file(work / "model.safetensors"))
    return model.eval()


def points(work: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    arrays = (np.load(work / f"{axis}_{name}.npy") for axis in "xy")
    return tuple(torch.as_tensor(array) for array in arrays)


def best(repeats: int, compute) -> tuple[float, np.ndarray]:
    """The best time after a first run, and the outcome."""
    compute()
    seconds = []
    for _ in range(repeats):
        began = time.monotonic()
        outcome = compute()
        seconds.append(time.monotonic() - began)
    return min(seconds), np.asarray(outcome)


def on_dask(arguments, influence, test, train, workers: int) -> tuple[float, np.ndarray]:
    """The best time on a cluster that is up."""
    chunks = (arguments.test_chunk, arguments.train_chunk)
    arrays = [
        da.from_array(array.numpy(), chunks=(chunk, *array.shape[1:]))
        for data, chunk in zip((test, train), chunks)
        for array in data
    ]
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.run(torch.set_num_threads, 1)
        converter = TorchNumpyConverter(device=torch.device("cpu"))
        calculator = DaskInfluenceCalculator(influence, converter, client)
        return best(arguments.repeats, lambda: calculator.influences(*arrays).compute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--method", choices=METHODS, default="ekfac")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--train-chunk", type=int, default=1_250)
    parser.add_argument("--test-chunk", type=int, default=250)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)

    model = network(arguments.work)
    test, train = points(arguments.work, "test"), points(arguments.work, "train")
    loaders = [
        DataLoader(TensorDataset(*data), batch_size=chunk)
        for data, chunk in ((test, arguments.test_chunk), (train, arguments.train_chunk))
    ]
    influence = METHODS[arguments.method](model).fit(loaders[1])
    sequential = SequentialInfluenceCalculator(influence)

    print(f"{arguments.method}, {len(test[0])} test and {len(train[0])} training points")
    compute = lambda: sequential.influences(*loaders).compute(NestedTorchCatAggregator())
    alone, expected = best(arguments.repeats, compute)
    print(f"{'pyDVL, sequential':<60} {alone:6.2f} s")
    for workers in arguments.workers:
        seconds, outcome = on_dask(arguments, influence, test, train, workers)
        apart = np.abs(outcome - expected).max() / np.abs(expected).max()
        label = f"pyDVL, Dask, {workers} workers, apart by {apart:.0e}"
        print(f"{label:<60} {seconds:6.2f} s  {alone / seconds:.2f} times")


if __name__ == "__main__":
    main()
