"""Measures what a run takes as the training points grow, up to a million: time, memory, bytes, files.

    python3 benches/scale/scale.py --work FOLDER [--n 10000 30000 100000] [--k 10000] [--methods dot ekfac] [--kill --compare]

A perceptron of 784, 512, 256 and 10 units (536 thousand parameters, or another with --widths) is trained by the
program on 50,000 points; then `influence run` computes the influences of n training on k test points within --memory,
for each method and each n, one after the other. With --kill each run is killed when half of the chunks are written,
and resumed; with --compare too it is done once more in one go, and all files are compared by their digests. With
--verify the program checks the output and computes a sample of its chunks again. With --plan nothing is run. Outputs
are deleted once they are measured, unless --keep is given.

Writes FOLDER/scale.md and FOLDER/scale.json, after each run. Needs numpy, and Linux for the numbers of a process.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import data

ROOT = Path(__file__).resolve().parents[2]
MIB, GB = 1 << 20, 1e9
#: Points on which the weights are trained, by a configuration of their own.
TAUGHT = 50_000
#: The keys of a method; a damping of a tenth of the mean eigenvalue wherever there is one. The rank is what the memory
#: of a fit allows: a basis with its images, old and new, takes about 75 vectors of all parameters for every 16.
DAMPED = 'name = "{}"\ndamping = {{ relative = 0.1 }}'
METHODS = {
    "dot": 'name = "identity"',
    "cosine": 'name = "cosine"',
    "arnoldi": DAMPED.format("arnoldi") + "\nrank = 16\ntolerance = 0.01",
    "nystroem": DAMPED.format("nystroem") + "\nrank = 16",
    "kfac": DAMPED.format("kfac"),
    "ekfac": DAMPED.format("ekfac"),
    "cg": DAMPED.format("cg"),
}
CONFIG = """
[model]
weights = "{weights}"
loss = "cross-entropy"
layers = [{layers}]
[train]
epochs = {epochs}
batch = 128
[data]
train = {{ inputs = "{train}/x.npy", targets = "{train}/y.npy" }}
test = {{ inputs = "{test}/x.npy", targets = "{test}/y.npy" }}
scale = {{ subtract = 0, divide = 255 }}
[method]
{method}
[compute]
memory = "{memory}"
[output]
path = "{output}"
"""


class Run:
    """A process of the program, with what it took."""

    def __init__(self, command, folder):
        self.command, self.folder = [str(word) for word in command], folder

    def start(self):
        self.load = os.getloadavg()[0]
        self.began = time.monotonic()
        self.log = open(self.folder / "log.txt", "w")
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=self.log)
        return self

    def ended(self):
        """What the process took, until its end: its numbers are read before it is waited for."""
        pid = self.process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        seconds = time.monotonic() - self.began
        moved = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
        _, status, used = os.wait4(pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.log.close()
        return {
            "command": " ".join(self.command),
            "code": self.process.returncode,
            "seconds": seconds,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "peak_mib": used.ru_maxrss / 1024,
            "read_gb": int(moved["rchar"]) / GB,
            "written_gb": int(moved["wchar"]) / GB,
            "load": [self.load, os.getloadavg()[0]],
        }


def files(folder):
    """The paths of the files of a folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def digests(output):
    """A digest of each file of the scores."""
    found = {}
    for path in files(output / "influences"):
        with path.open("rb") as file:
            found[str(path.relative_to(output))] = hashlib.file_digest(file, "blake2b").hexdigest()
    return found


def written(output):
    """How many chunks are written so far; counted without looking at each."""
    names = (name for _, _, names in os.walk(output / "influences" / "c") for name in names)
    return sum(not name.startswith(".") for name in names)


def expected(output):
    """How many chunks there will be; without end before the output is declared."""
    try:
        array = json.loads((output / "influences" / "zarr.json").read_text())
    except FileNotFoundError:
        return math.inf
    chunk = array["chunk_grid"]["configuration"]["chunk_shape"]
    return math.prod(math.ceil(side / part) for side, part in zip(array["shape"], chunk))


def size(output):
    """The size of an output."""
    paths = files(output)
    return {"files": len(paths), "output_gb": sum(path.stat().st_size for path in paths) / GB}


def compare(parts, whole):
    """Ends the program unless two outputs have the same files with the same bytes."""
    differing = [name for name in parts.keys() | whole.keys() if parts.get(name) != whole.get(name)]
    if differing:
        raise SystemExit(f"{len(differing)} of {len(whole)} files differ: {differing[:5]}")
    print(f"the {len(whole)} files of the resumed run have the bytes of a run in one go", flush=True)


class Bench:
    """Runs the program in a folder."""

    def __init__(self, given):
        self.given, self.work = given, given.work.resolve()
        self.binary = given.binary.resolve() if given.binary else built()
        self.found = []

    def points(self, side, count):
        """The folder of so many points of a side, made unless it is there."""
        folder = self.work / f"{side}-{count}"
        if not (folder / "done").exists():
            data.make(folder, side, count)
            (folder / "done").touch()
        return folder.name

    def config(self, name, method, n):
        """Writes a configuration of n training points."""
        given = self.given
        widths = [*given.widths, 10]
        layers = [f'{{ kind = "linear", name = "{place}", outputs = {width} }}' for place, width in enumerate(widths)]
        text = CONFIG.format(
            weights=f"model-{'-'.join(map(str, given.widths))}.safetensors",
            layers=', { kind = "relu" }, '.join(layers),
            epochs=given.epochs,
            train=self.points("train", n),
            test=self.points("test", given.k),
            method=METHODS[method],
            memory=given.memory,
            output=f"{name}.zarr",
        )
        path = self.work / f"{name}.toml"
        path.write_text(text)
        return path

    def run(self, *words):
        return Run([self.binary, *words], self.work).start()

    def done(self, *words):
        """Runs the program to its end; it must not fail."""
        took = self.run(*words).ended()
        if took["code"]:
            raise SystemExit(f"{took['command']} failed: {(self.work / 'log.txt').read_text()}")
        return took

    def train(self):
        """Trains the weights, unless they are there."""
        config = self.config("train", "dot", TAUGHT)
        if not (self.work / f"model-{'-'.join(map(str, self.given.widths))}.safetensors").exists():
            took = self.done("train", config, "--progress", "none")
            print(f"trained on {TAUGHT} points in {took['seconds']:.0f} s", flush=True)

    def plan(self, method, n):
        """Prints what a run would take."""
        config = self.config(f"{method}-{n}", method, n)
        print(f"## {method}, {self.given.k} x {n}", flush=True)
        subprocess.run([self.binary, "plan", config], cwd=self.work)

    def measure(self, method, n):
        """Runs a method on n training points, in one go or in two, measures, and keeps what was found."""
        name = f"{method}-{n}"
        config, output = self.config(name, method, n), self.work / f"{name}.zarr"
        about = {"method": method, "n": n, "k": self.given.k}
        run = ("run", config, "--progress", "none")
        if self.given.kill:
            self.keep(self.killed(output, *run, "--overwrite") | about | {"method": f"{method}, killed"})
            self.keep(self.done(*run, "--resume") | about | size(output) | {"method": f"{method}, resumed"})
        else:
            self.keep(self.done(*run, "--overwrite") | about | size(output))
        if self.given.verify:
            self.keep(self.done("verify", output, "--progress", "none") | about | {"method": f"{method}, verify"})
        if self.given.kill and self.given.compare:
            parts = digests(output)
            self.keep(self.done(*run, "--overwrite") | about | size(output))
            compare(parts, digests(output))
        if not self.given.keep:
            shutil.rmtree(output)

    def killed(self, output, *words):
        """Kills a run once half of its chunks are written."""
        shutil.rmtree(output, ignore_errors=True)
        run = self.run(*words)
        while run.process.poll() is None and 2 * written(output) < expected(output):
            time.sleep(1)
        run.process.send_signal(signal.SIGKILL)
        took = run.ended()
        print(f"killed with {written(output)} of {expected(output):.0f} chunks", flush=True)
        return took

    def keep(self, took):
        """Adds to what was found, and writes it."""
        self.found.append(took)
        (self.work / "scale.json").write_text(json.dumps(self.found, indent=1))
        (self.work / "scale.md").write_text(table(self.found))
        print(line(took), flush=True)


HEAD = ["method", "n", "seconds", "CPU seconds", "peak MiB", "read GB", "written GB", "files", "load before, after"]


def line(took):
    """A measurement as a line of the table."""
    numbers = [took[key] for key in ("seconds", "cpu_seconds", "peak_mib", "read_gb", "written_gb")]
    shown = [f"{number:.2f}" if number < 10 else f"{number:.0f}" for number in numbers]
    load = ", ".join(f"{load:.1f}" for load in took["load"])
    return "| " + " | ".join([took["method"], str(took["n"]), *shown, str(took.get("files", "")), load]) + " |"


def table(found):
    """All measurements."""
    return "\n".join(["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|", *map(line, found), ""])


def built():
    """A release build of the program."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "influence"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "influence"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--binary", type=Path)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--k", type=int, default=10_000)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["dot", "arnoldi", "nystroem", "kfac", "ekfac"])
    parser.add_argument("--widths", type=int, nargs="+", default=[512, 256], help="of the hidden layers")
    parser.add_argument("--epochs", type=int, default=3, help="of the training")
    parser.add_argument("--memory", default="1GiB")
    for flag in ("plan", "kill", "compare", "verify", "keep"):
        parser.add_argument(f"--{flag}", action="store_true")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(given)
    bench.train()
    for method in given.methods:
        for n in given.n:
            (bench.plan if given.plan else bench.measure)(method, n)


if __name__ == "__main__":
    sys.exit(main())
