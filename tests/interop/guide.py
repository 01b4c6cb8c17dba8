#!/usr/bin/env python3
"""Runs the Python of the guide, as it stands there, on outputs of a real run, and checks what comes out.

    python guide.py CHAPTER.md FOLDER REFERENCE.npy

FOLDER holds the outputs that the chapter names, REFERENCE the matrix of influences, made elsewhere. A block whose modules are not installed is reported
as `skipped: <module> is missing`. Every block has a check below; one without is a mismatch.
Exit code: 0 if all is well (also when every module is missing), 1 on any mismatch, 2 on wrong use.
"""

import importlib
import json
import os
import re
import sys
import traceback

TOLERANCE = 1e-9


class Mismatch(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Mismatch(message)


def blocks(chapter):
    """The blocks of Python with the heading that they stand under, and their number there."""
    with open(chapter, encoding="utf-8") as file:
        text = file.read()
    heading, count = "", 0
    for match in re.finditer(r"^## (?P<heading>.+?)$|^```python\n(?P<code>.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match["heading"]:
            heading, count = match["heading"].strip(), 0
        else:
            count += 1
            line = text.count("\n", 0, match.start()) + 2
            yield f"{heading} {count}", line, match["code"]


def absent(code):
    """The first module that a block imports and that is not installed."""
    for name in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            return name
    return None


def close(what, got, expected):
    import numpy as np

    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    require(got.shape == expected.shape, f"{what}: shape {got.shape}, not {expected.shape}")
    difference = np.abs(got - expected).max(initial=0.0) / (np.abs(expected).max(initial=0.0) or 1.0)
    require(difference <= TOLERANCE, f"{what}: {difference:.1e} off")


def equal(what, got, expected):
    import numpy as np

    require(np.array_equal(np.asarray(got), np.asarray(expected)), f"{what}: {got} is not {expected}")


def zarr_python(have, up):
    close("influences", have["influences"][...], up)
    close("a row", have["on_first_test_point"], up[0])
    equal("most helpful", have["most_helpful"], up[0].argsort()[::-1][:5])


def xarray(have, up):
    require(have["up"].dims == ("test", "train"), f"dimensions are {have['up'].dims}")
    close("influences", have["up"], up)
    close("by coordinate", have["one"], up[2, [0, 5, 7]])
    equal("most helpful", have["most_helpful"], up.argmax(axis=1))
    equal("order of the means", have["mean"]["train"], up.mean(axis=0).argsort())
    require(have["unsolved"].size == len(up), "a status for each test point")


def dask(have, up):
    close("mean", have["mean"], up.mean(axis=0))
    equal("harmful", have["harmful"], (up < 0).sum(axis=1))
    equal("suspicious", have["suspicious"], up.mean(axis=0).argsort()[:20])


def pandas_answers(have, up):
    require(list(have["top"]["rank"][:5]) == [1, 2, 3, 4, 5], "five ranks")
    require(len(have["top"]) == 2 * 3 * 5, f"{len(have['top'])} lines, not 30")
    equal("best", have["best"]["train"], up[:3].argmax(axis=1))
    close("influence", have["best"]["influence"], up[:3].max(axis=1))


def pandas_matrix(have, up):
    close("frame", have["frame"], up)
    require(list(have["long"].columns[:2]) == ["test", "train"], f"columns are {list(have['long'].columns)}")
    close("long", have["long"]["influences"], up.ravel())


def polars_answers(have, up):
    require(have["top"].height == 2 * 3 * 5, f"{have['top'].height} rows, not 30")
    equal("best", have["best"]["train"], up[:3].argmax(axis=1))
    close("influence", have["best"]["influence"], up[:3].max(axis=1))


def polars_matrix(have, up):
    close("strongest", have["strongest"]["influence"], sorted(up.ravel())[-10:])
    pairs = zip(have["strongest"]["test"], have["strongest"]["train"])
    close("their places", [up[test, train] for test, train in pairs], sorted(up.ravel())[-10:])


def others(have, up):
    require(have["itself"].dims == ("train",), f"dimensions are {have['itself'].dims}")
    require(have["itself"].shape == up.shape[1:], "one number for each training point")
    equal("dampings", have["by_damping"]["damping"], [1.0, 0.1, 0.01])
    require(have["by_damping"].shape == (*up.shape, 3), "three dampings")
    equal("layers", have["by_layer"]["block"], ["fc1", "fc2"])
    close("shares", have["share"].sum(), 1.0)
    close("total", have["total"], have["by_layer"].values.sum(axis=2))


CHECKS = {
    "zarr-python 1": zarr_python,
    "xarray 1": xarray,
    "dask 1": dask,
    "pandas 1": pandas_answers,
    "pandas 2": pandas_matrix,
    "polars 1": polars_answers,
    "polars 2": polars_matrix,
    "Other outputs 1": others,
}


def main(chapter, folder, reference):
    found = list(blocks(chapter))
    require({name for name, _, _ in found} == set(CHECKS), f"blocks {[name for name, _, _ in found]}, checks of {list(CHECKS)}")
    reference = os.path.abspath(reference)
    os.chdir(folder)
    done = []
    for name, line, code in found:
        missing = absent("import numpy\n" + code)
        if missing:
            print(f"skipped: {missing} is missing ({name})", flush=True)
            continue
        import numpy

        have = {}
        try:
            exec(compile("\n" * (line - 1) + code, chapter, "exec"), have)
            CHECKS[name](have, numpy.load(reference))
        except Mismatch as error:
            raise Mismatch(f"{name}: {error}") from None
        except Exception as error:  # whatever a reader throws is a chapter that does not hold
            raise Mismatch(f"{name}: {''.join(traceback.format_exception(error))}") from error
        done.append(name)
    print(json.dumps({"done": done}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except Mismatch as error:
        print(f"mismatch: {error}", file=sys.stderr)
        sys.exit(1)
