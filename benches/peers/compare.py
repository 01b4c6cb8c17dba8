"""Compares this library with its peers: the same weights, the same data, one after the other.

    python3 benches/peers/compare.py --work FOLDER [--python PATH] [--only W1 W2 ...] [--rounds N]
        [--device cuda]

Makes what is missing in FOLDER: a virtual environment with the peers, data and trained weights.
Then runs, for each line of the table, ours and theirs alternately, each in a process of its own
with two threads, and writes FOLDER/peers.md and FOLDER/peers.json: the fastest of the rounds, the
peak of resident memory, ratios, how far the scores are apart, and the limit of the machine: the
seconds that the arithmetic of the method with dense factors takes at the rate at which this machine
multiplies matrices (`limits.py`). Lines whose peers would take many minutes are cut to fewer
points, for both. TRAK has an estimate of its own, of random projections; its scores are held
against those of EK-FAC.

With `--device cuda` both compute on an NVIDIA GPU, for the lines of kronfluence, which can. Each
process then does its work twice and times the second, as the first compiles kernels; memory is that
of the host.
"""

import argparse
import json
import os
import subprocess
import sys
import venv
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ["torch", "pyDVL[influence]", "kronfluence", "dattri", "curvlinops-for-pytorch", "traker",
            "safetensors", "numpy"]
# Below it, a measurement is repeated.
SECONDS = 20.0


@dataclass
class Line:
    """One line of the table: work, and who does it; `exact` if answers must agree to that."""

    workload: str
    method: str
    peers: list
    cut: dict = field(default_factory=dict)
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)
    exact: float = None


LINES = [
    Line("W1", "direct", ["pydvl", "dattri"], exact=1e-3),
    Line("W1", "cg", ["pydvl"], exact=1e-2),
    Line("W2", "dot", ["kronfluence"], exact=1e-3),
    Line("W2", "kfac", ["pydvl", "kronfluence", "curvlinops"]),
    Line("W2", "ekfac", ["pydvl", "kronfluence", "curvlinops", "trak"]),
    Line("W2", "cg", ["pydvl", "curvlinops"], cut={"test": 120}, exact=1e-2,
         ours=["--damping", "0.05"], theirs=["--damping", "0.05"]),
    Line("W2", "arnoldi", ["pydvl"], ours=["--damping", "0.05"], theirs=["--damping", "0.05"]),
    Line("W2", "nystroem", ["pydvl"], ours=["--damping", "0.05"], theirs=["--damping", "0.05"]),
    Line("W3", "dot", ["kronfluence"], exact=1e-3),
    Line("W3", "kfac", ["pydvl"], cut={"test": 100}),
    Line("W3", "ekfac", ["kronfluence"]),
    Line("W3", "ekfac", ["pydvl"], cut={"test": 100}, ours=["--tolerance", "0"]),
    Line("W4", "kfac", ["pydvl"], cut={"test": 20}),
    Line("W4", "ekfac", ["kronfluence"], cut={"train": 1000}),
    Line("W5", "ekfac", ["kronfluence", "trak"]),
    Line("W6", "dot", ["kronfluence"]),
    Line("W6", "ekfac", ["kronfluence"]),
]


def environment(folder):
    """The Python of a virtual environment with the peers."""
    python = folder / "venv" / "bin" / "python"
    if not python.exists():
        print("making a virtual environment with the peers ...", file=sys.stderr)
        venv.create(folder / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def built(device):
    """The binary that measures this library on a device."""
    command = ["cargo", "bench", "--bench", "peers", "--no-run", "--message-format=json"]
    if device != "cpu":
        command += ["--features", device]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    found = [message.get("executable") for message in messages]
    return [path for path in found if path][-1]


def measured(command):
    """The JSON that a process prints at its end; what went wrong, if something did."""
    threads = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "RAYON_NUM_THREADS": "2"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True,
        env={**os.environ, **threads, "TQDM_DISABLE": "1"}, cwd=HERE,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        return {"failed": (done.stderr.strip().splitlines() or ["no output"])[-1]}
    return json.loads(lines[-1])


def said(python, *arguments):
    """What `limits.py` says."""
    command = [python, HERE / "limits.py", *arguments]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                          check=True)
    return json.loads(done.stdout)


def limit(line, folder, python, ours, rate):
    """The seconds that the arithmetic of a line takes at a rate, if it is known."""
    points = ["--train", ours["train"], "--test", ours["test"]]
    known = said(python, line.workload, line.method, "--data", folder / "data", *points)
    return (known["fit"] + known["score"]) / rate if known else None


def total(result):
    return result["fit_s"] + result["score_s"]


def apart(python, ours, theirs):
    """The relative difference of two arrays of scores, in the Frobenius norm, and their correlation."""
    code = (
        "import sys, numpy as np; a, b = (np.load(p).astype(float) for p in sys.argv[1:]);"
        "print(np.linalg.norm(a - b) / np.linalg.norm(b), np.corrcoef(a.ravel(), b.ravel())[0, 1])"
    )
    command = [python, "-c", code, ours, theirs]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return [float(part) for part in done.stdout.split()] or [float("nan")] * 2


def on_gpu(line):
    """The line with the peers that can use a GPU, or nothing."""
    peers = [peer for peer in line.peers if peer == "kronfluence"]
    return replace(line, peers=peers) if peers else None


def run(line, folder, python, binary, rounds, device, rate):
    """The fastest of some rounds of each library, in alternation, with the scores' differences."""
    cut = [part for side, count in line.cut.items() for part in (f"--{side}", count)]
    scores = {name: folder / f"scores-{name}.npy" for name in ["influence", *line.peers]}
    common = [line.workload, line.method, "--data", folder / "data", *cut]
    if device != "cpu":
        common += ["--device", device, "--repeat", 2]
    commands = {"influence": [binary, *common, *line.ours, "--out", scores["influence"]]}
    for peer in line.peers:
        command = [python, HERE / "peer.py", peer, *common, *line.theirs, "--out", scores[peer]]
        commands[peer] = command
    best = {}
    for _ in range(rounds):
        for name, command in commands.items():
            known = best.get(name)
            if known and ("failed" in known or total(known) > SECONDS):
                continue
            result = measured(command)
            if not known or ("failed" not in result and total(result) < total(known)):
                best[name] = result
    if rate and "failed" not in best["influence"]:
        best["influence"]["limit_s"] = limit(line, folder, python, best["influence"], rate)
    for peer in line.peers:
        if "failed" not in best[peer] and "failed" not in best["influence"]:
            difference, correlation = apart(python, scores["influence"], scores[peer])
            best[peer].update(difference=difference, correlation=correlation)
            if line.exact:
                best[peer]["agrees"] = difference <= line.exact
    return best


def row(line, best):
    """Lines of Markdown: ours, then each peer with the ratios to ours."""
    ours = best["influence"]
    name = f"{line.workload} {line.method}" + (" exact" if "--tolerance" in line.ours else "")
    points = "–" if "failed" in ours else f"{ours['test']} × {ours['train']}"
    for library, result in best.items():
        if "failed" in result:
            yield f"| {name} | {points} | {library} | failed: {result['failed'][:60]} | | | | | | |"
            continue
        cells = [f"{result[key]:.3g}" for key in ("fit_s", "score_s")]
        least = result.get("limit_s")
        cells += [f"{total(result):.3g}", f"{least:.3g}" if least else "", f"{result['peak_mb']:.0f}"]
        if library == "influence" or "failed" in ours:
            cells += ["", "", ""]
        else:
            agreement = f"{result['difference']:.1e} (r {result['correlation']:.4f})"
            if "agrees" in result:
                agreement += " ✓" if result["agrees"] else " ✗"
            cells += [
                f"{total(result) / total(ours):.1f}×",
                f"{result['peak_mb'] / ours['peak_mb']:.1f}×",
                agreement,
            ]
        yield f"| {name} | {points} | {library} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, type=Path, help="folder for what is made")
    parser.add_argument("--python", help="a Python that has the peers; default: one is made")
    parser.add_argument("--only", nargs="*", help="workloads")
    parser.add_argument("--rounds", type=int, default=3, help="of what takes seconds")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args()
    folder = args.work.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    python = args.python or environment(folder)
    names = args.only or sorted({line.workload for line in LINES})
    missing = [name for name in names if not (folder / "data" / name / "workload.json").exists()]
    if missing:
        command = [python, HERE / "workloads.py", "--digits", ROOT / "crates" / "cli" / "data" / "digits"]
        command += ["--out", folder / "data", "--only", *missing]
        subprocess.run([str(part) for part in command], check=True)
    binary = built(args.device)
    rate = said(python, "--rate")["rate"] if args.device == "cpu" else None
    lines = LINES if args.device == "cpu" else [line for line in map(on_gpu, LINES) if line]
    head = ["work", "test × train", "library", "fit s", "score s", "both s", "limit s", "peak MB",
            "time / ours", "memory / ours", "difference"]
    table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    results = []
    for line in lines:
        if line.workload not in names:
            continue
        best = run(line, folder, python, binary, args.rounds, args.device, rate)
        table += row(line, best)
        print("\n".join(row(line, best)), flush=True)
        results.append({"workload": line.workload, "method": line.method, "cut": line.cut,
                        "ours": line.ours, "theirs": line.theirs, "results": best})
        caption = [f"\nProducts of matrices: {rate / 1e9:.0f} GFLOP/s."] if rate else []
        (folder / "peers.md").write_text("\n".join(table + caption) + "\n")
        (folder / "peers.json").write_text(json.dumps(results, indent=1) + "\n")
    failed = [entry for entry in results for result in entry["results"].values()
              if result.get("agrees") is False]
    if failed:
        sys.exit(f"{len(failed)} answers differ by more than they may")


if __name__ == "__main__":
    main()
