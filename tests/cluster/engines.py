"""Computes the same outputs with every engine that is there, and compares all of their bytes.

    python tests/cluster/engines.py target/release/influence [--engines shares,dask,slurm,mpi]

One run on one machine gives the output that all others must have: 1, 2, 3 and 5 shares, one after
another, with a fit made by as many shares; Dask with 2 and 4 workers; an array of Slurm; MPI with
1, 2 and 3 processes. The training data fall into three leaves, so that the sums of a fit are
shared, too. Engines that are not there are named and skipped. Needs numpy; dask, distributed and
zarr for Dask; a machine where Slurm may be started (as root) for Slurm; mpirun, and a program that
was built with the feature `mpi`, for MPI. Ends with 1 if any output differs.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

CONFIG = """
[model]
weights = "model.safetensors"
loss = "cross-entropy"
layers = [
    {{ kind = "linear", name = "fc1", outputs = 12 }}, {{ kind = "tanh" }},
    {{ kind = "linear", name = "fc2", outputs = 10 }},
]
[train]
epochs = 3
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test = {{ inputs = "x_test.npy", targets = "y_test.npy" }}
[method]
{method}
[compute]
test_chunk = 7
train_chunk = {train_chunk}
{compute}
"""

#: The rows of the table: what is computed, the method, the chunk and what else is computed with it.
OUTPUTS = {
    "direct": ("run", 'name = "direct"\ndamping = 0.01', 500, ""),
    "cg": ("run", 'name = "cg"\ndamping = 0.1', 500, ""),
    "ekfac": ("run", 'name = "ekfac"\ndamping = 0.01', 500, ""),
    "arnoldi": ("run", 'name = "arnoldi"\nrank = 20\ndamping = 0.01', 500, ""),
    "self-influences": ("self", 'name = "ekfac"\ndamping = 0.01', 500, ""),
    "perturbation": ("run", 'name = "direct"\ndamping = 0.01', 250, 'mode = "perturbation"'),
    "sweep": ("run", 'name = "ekfac"\nsweep = [0.01, 0.1, 1.0]', 500, ""),
}
TRAIN, TEST = 4_500, 20
#: The exit code of a share of a fit while others are missing.
WAITING = 75


class Missing(Exception):
    """An engine is not there."""


class Work:
    """A folder with the problem, and the program."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder, self.binary = folder, binary
        digits = ROOT / "crates/cli/data/digits"
        images, labels = np.load(digits / "images.npy"), np.load(digits / "labels.npy")
        images = images.reshape(len(images), -1).astype("f4") / images.max()
        generator = np.random.default_rng(20)
        for name, count in (("train", TRAIN), ("test", TEST)):
            pick = generator.integers(0, len(images), count)
            noise = 0.05 * generator.standard_normal((count, images.shape[1]), "f4")
            np.save(folder / f"x_{name}.npy", images[pick] + noise)
            np.save(folder / f"y_{name}.npy", labels[pick].astype("i8"))
        for name, (_, method, train_chunk, compute) in OUTPUTS.items():
            text = CONFIG.format(method=method, train_chunk=train_chunk, compute=compute)
            self.config(name).write_text(text)
        self.program("train", self.config("direct"))

    def config(self, name: str) -> Path:
        return self.folder / f"{name}.toml"

    def program(self, *words: object, codes: tuple[int, ...] = (0,), before: tuple = ()) -> int:
        """Runs the program; returns its exit code."""
        line = [*before, self.binary, *words, "--quiet"]
        outcome = subprocess.run([str(word) for word in line], capture_output=True, text=True)
        if outcome.returncode not in codes:
            raise RuntimeError(f"{' '.join(map(str, line))}\n{outcome.stdout}{outcome.stderr}")
        return outcome.returncode


def one_run(work: Work, name: str, output: Path, _: int) -> None:
    work.program(OUTPUTS[name][0], work.config(name), "--set", f"output.path={output}")


def shares(work: Work, name: str, output: Path, count: int) -> None:
    """Fits, declares, computes and finishes, one share after another."""
    config, fitted = work.config(name), output.with_suffix(".safetensors")
    options = (config, "--set", f"output.path={output}")
    if name != "cg":
        while WAITING in [
            work.program(
                *("fit", config, "--fitted", fitted, "--share", f"{index}/{count}"),
                codes=(0, WAITING),
            )
            for index in range(count)
        ]:
            pass
        options += ("--fitted", fitted)
    command = OUTPUTS[name][0]
    work.program("declare", *options, *(["--self"] if command == "self" else []))
    for index in range(count):
        work.program(command, *options, "--share", f"{index}/{count}")
    work.program("finish", *options)


def dask(work: Work, name: str, output: Path, workers: int) -> None:
    """The workers of Dask write, each with a process of its own."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as missing:
        raise Missing(str(missing)) from missing
    sys.path.insert(0, str(ROOT / "python/influence_dask/src"))
    from influence_dask import DaskInfluenceCalculator

    fitted = None if name == "cg" else str(output.with_suffix(".safetensors"))
    quantity = "self-influences" if name == "self-influences" else "influences"
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
        DaskInfluenceCalculator(
            str(work.config(name)), client, str(work.binary), fitted=fitted
        ) as calculator,
    ):
        calculator.fit().to_zarr(str(output), quantity=quantity)


def slurm(work: Work, name: str, output: Path, count: int) -> None:
    """What `influence cluster slurm` writes, on the Slurm that `slurm_up` started."""
    if "SLURM_CONF" not in os.environ:
        raise Missing("no Slurm is up")
    config = work.folder / f"slurm-{name}.toml"
    config.write_text(work.config(name).read_text() + f'[output]\npath = "{output}"\n')
    line = [work.binary, "cluster", "slurm", config, "--shares", count]
    line += [] if name == "cg" else ["--fitted", output.with_suffix(".safetensors")]
    line += ["--self"] if OUTPUTS[name][0] == "self" else []
    text = subprocess.run([str(word) for word in line], check=True, capture_output=True, text=True)
    script = work.folder / f"{name}.slurm"
    script.write_text(
        text.stdout.replace("influence=influence", f"influence={work.binary}")
        .replace("cpus-per-task=4", "cpus-per-task=1")
        .replace("mem=8G", "mem=1G")
    )
    subprocess.run(["bash", script], check=True, cwd=work.folder, stdout=subprocess.DEVNULL)
    while subprocess.run(["squeue", "--noheader"], check=True, capture_output=True).stdout:
        time.sleep(0.3)


def mpi(work: Work, name: str, output: Path, processes: int) -> None:
    """One command that starts all processes."""
    if shutil.which("mpirun") is None:
        raise Missing("no mpirun")
    if work.program("run", "--mpi", "--help", codes=(0, 2)) != 0:
        raise Missing("built without the feature `mpi`")
    before = ("mpirun", "--oversubscribe", "--bind-to", "none", "-np", processes)
    options = (work.config(name), "--mpi", "--set", f"output.path={output}")
    work.program(OUTPUTS[name][0], *options, before=before)


ENGINES = {
    "shares": (shares, (1, 2, 3, 5)),
    "dask": (dask, (2, 4)),
    "slurm": (slurm, (4,)),
    "mpi": (mpi, (1, 2, 3)),
}


def slurm_up(work: Work) -> None:
    """Starts a Slurm where it is installed."""
    if all(map(shutil.which, ("slurmctld", "slurmd", "sbatch", "munged"))) and os.geteuid() == 0:
        folder = work.folder / "slurm"
        script = f". {HERE}/slurm-up.sh && bring_up_slurm {folder}"
        subprocess.run(["bash", "-eu", "-c", script], check=True)
        os.environ["SLURM_CONF"] = str(folder / "slurm.conf")


def slurm_down(work: Work) -> None:
    if "SLURM_CONF" in os.environ:
        script = f". {HERE}/slurm-up.sh; slurm={work.folder / 'slurm'}; tear_down_slurm"
        subprocess.run(["bash", "-c", script], check=True)


def compared(expected: Path, output: Path) -> str:
    """`equal`, or the first file that differs."""
    files = {path.relative_to(expected) for path in expected.rglob("*") if path.is_file()}
    others = {path.relative_to(output) for path in output.rglob("*") if path.is_file()}
    for path in sorted(files ^ others):
        return f"{path} is only in one"
    for path in sorted(files):
        if not filecmp.cmp(expected / path, output / path, shallow=False):
            return f"{path} differs"
    return f"equal ({len(files)} files)"


def table(work: Work, engines: list[str]) -> bool:
    """Prints a line for each output and engine; returns whether all are equal."""
    right, absent = True, {}
    for name in OUTPUTS:
        expected = work.folder / f"{name}.zarr"
        one_run(work, name, expected, 1)
        for engine in engines:
            compute, counts = ENGINES[engine]
            for count in counts if engine not in absent else ():
                output = work.folder / f"{name}-{engine}-{count}.zarr"
                began = time.monotonic()
                try:
                    compute(work, name, output, count)
                except Missing as missing:
                    absent[engine] = str(missing)
                    break
                outcome = compared(expected, output)
                right &= outcome.startswith("equal")
                seconds = time.monotonic() - began
                print(f"{name:<16} {engine:<7} {count:>2} {seconds:6.1f} s  {outcome}", flush=True)
    for engine, why in absent.items():
        print(f"skipped: {engine}: {why}")
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=Path)
    parser.add_argument("--engines", default=",".join(ENGINES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="influence-engines.") as folder:
        os.chmod(folder, 0o755)
        work = Work(Path(folder), arguments.binary.resolve())
        engines = arguments.engines.split(",")
        if "slurm" in engines:
            slurm_up(work)
        try:
            right = table(work, engines)
        finally:
            slurm_down(work)
    sys.exit(not right)


if __name__ == "__main__":
    main()
