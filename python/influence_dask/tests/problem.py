"""A small problem in a folder: a perceptron, its data, and configurations."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import zarr

BINARY = os.environ.get("INFLUENCE_BINARY", "influence")

CONFIG = """
precision = "{precision}"
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [{{ kind = "linear", name = "fc1" }}, {{ kind = "tanh" }}, {{ kind = "linear", name = "fc2" }}]
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test = {{ inputs = "x_test.npy", targets = "y_test.npy" }}
[method]
{method}
[compute]
train_chunk = {train_chunk}
test_chunk = {test_chunk}
{compute}
"""

#: Overrides that make each method of the table.
METHODS = {
    "direct": 'name = "direct"\ndamping = 0.1',
    "cg": 'name = "cg"\ndamping = 0.1',
    "ekfac": 'name = "ekfac"\ndamping = 0.1',
    "arnoldi": 'name = "arnoldi"\nrank = 20\ndamping = 0.1',
    "perturbation": 'name = "direct"\ndamping = 0.1',
    # A few seconds for many points, each solved alone.
    "slow": 'name = "cg"\ndamping = 1e-7\nrtol = 1e-11\nmax_iterations = 3000',
    # Many sums over the training data.
    "long": 'name = "arnoldi"\nrank = 110\ndamping = 0.1',
    "sweep": 'name = "direct"\nsweep = [0.1, 1.0]',
}


def tree(folder: Path | str) -> dict[str, bytes]:
    """All files below a folder."""
    paths = (path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class Problem:
    """Files in a folder, and what ``influence`` makes of them."""

    def __init__(self, folder: str, train: int = 90, test: int = 22) -> None:
        self.folder = Path(folder)
        generator = np.random.default_rng(0)
        sides = (10, 8, 4)
        weights = {}
        for index, (inputs, outputs) in enumerate(zip(sides, sides[1:]), 1):
            weights[f"fc{index}.weight"] = generator.normal(size=(outputs, inputs)) / 3
            weights[f"fc{index}.bias"] = generator.normal(size=outputs) / 3
        self._weights(weights)
        for name, count in (("train", train), ("test", test)):
            inputs = generator.normal(size=(count, sides[0])).astype("f4")
            np.save(self.folder / f"x_{name}.npy", inputs)
            np.save(self.folder / f"y_{name}.npy", generator.integers(0, sides[-1], count))

    def config(self, method: str, train_chunk: int = 16, precision: str = "f64") -> str:
        """The configuration of a method; returns its path."""
        path = self.folder / f"{method}.toml"
        text = CONFIG.format(
            precision=precision,
            method=METHODS[method],
            train_chunk=train_chunk,
            test_chunk=1 if method == "slow" else 8,
            compute='mode = "perturbation"' if method == "perturbation" else "",
        )
        path.write_text(text)
        return str(path)

    def expected(self, config: str, command: str = "run", *arguments: str) -> np.ndarray:
        """What one run writes."""
        output = self.output(config, command)
        kind = "self_influences" if command == "self" else "influences"
        if not output.exists():
            self.influence(command, config, "--set", f"output.path={output}", *arguments)
        return zarr.open_group(str(output), mode="r")[kind][...]

    def fit(self, config: str) -> bytes:
        """What one process keeps of a fit."""
        fitted = self.folder / f"{Path(config).stem}.safetensors"
        if not fitted.exists():
            self.influence("fit", config, "--fitted", str(fitted))
        return fitted.read_bytes()

    def output(self, config: str, command: str = "run") -> Path:
        """Where one run writes."""
        return self.folder / f"{Path(config).stem}-{command}.zarr"

    def influence(self, *arguments: str) -> None:
        """Runs the program."""
        done = subprocess.run(
            [BINARY, *arguments, "--quiet", "--threads", "1"], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr)

    def _weights(self, arrays: dict[str, np.ndarray]) -> None:
        """Writes a file of safetensors."""
        header, data = {}, b""
        for name, array in arrays.items():
            values = array.astype("<f4").tobytes()
            place = [len(data), len(data) + len(values)]
            header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": place}
            data += values
        text = json.dumps(header).encode()
        head = len(text).to_bytes(8, "little")
        (self.folder / "model.safetensors").write_bytes(head + text + data)
