#!/usr/bin/env python3
"""Opens a Zarr v3 group of influences with zarr-python, xarray and dask, and checks that they agree.

    python open_zarr.py PATH [REFERENCE.npy]

PATH must hold an array `influences` with the dimensions (test, train), of a float dtype, without NaN (NaN marks a tile that was never written).
Prints one JSON line: shape, dtype, chunks, attribute keys, checksums and, with a reference, the largest difference to it over its largest absolute
value. A reader that is not installed is reported as `skipped: <module> is missing` on a line before and left out of `readers`.
Exit code: 0 if all is well (also when every reader is missing), 1 on any mismatch, 2 on wrong use.
"""

import functools
import importlib
import json
import sys
import warnings

NAME = "influences"
DIMENSIONS = ("test", "train")


class Mismatch(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Mismatch(message)


@functools.cache
def absent(module):
    """Whether a module is not installed; says so aloud, once."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        print(f"skipped: {module} is missing", flush=True)
        return True
    return False


def with_zarr(path):
    import zarr

    group = zarr.open_group(path, mode="r")
    require(group.metadata.zarr_format == 3, f"zarr format is {group.metadata.zarr_format}, not 3")
    require(NAME in group, f"no array {NAME!r}; the group holds {sorted(group.keys())}")
    array = group[NAME]
    return {
        "dimensions": tuple(array.metadata.dimension_names or ()),
        "chunks": tuple(array.chunks),
        "shards": tuple(array.shards) if array.shards else None,
        "attributes": sorted(array.attrs),
        "group_attributes": sorted(group.attrs),
        "coordinates": [name for name in DIMENSIONS if name in group],
        "values": array[...],
    }


def with_xarray(path):
    import xarray

    with xarray.open_zarr(path, chunks=None, consolidated=None) as dataset:
        require(NAME in dataset, f"no variable {NAME!r}; the data set holds {sorted(dataset.variables)}")
        array = dataset[NAME]
        return {
            "dimensions": tuple(array.dims),
            "attributes": sorted(array.attrs),
            "group_attributes": sorted(dataset.attrs),
            "coordinates": [name for name in DIMENSIONS if name in array.coords],
            "values": array.values,
        }


def with_dask(path):
    import dask.array

    array = dask.array.from_zarr(path, component=NAME)
    return {"values": array.compute(scheduler="threads")}  # by chunks, from several threads


READERS = (
    ("zarr", with_zarr, ("numpy", "zarr")),
    ("xarray", with_xarray, ("numpy", "zarr", "xarray")),
    ("dask", with_dask, ("numpy", "zarr", "dask")),
)
SHARED = ("dimensions", "attributes", "group_attributes", "coordinates")


def main(path, reference=None):
    readable = [reader for reader in READERS if not any([absent(module) for module in reader[2]])]
    summary = {"path": path, "readers": [name for name, _, _ in readable], "warnings": []}
    if not readable:
        print(json.dumps(summary))
        return

    import numpy as np

    answers = {}
    for name, read, _ in readable:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                answers[name] = read(path)
            except Mismatch as error:
                raise Mismatch(f"{name}: {error}") from None
            except Exception as error:  # whatever a reader throws is a store that it cannot open
                raise Mismatch(f"{name} cannot open it: {type(error).__name__}: {error}") from error
        summary["warnings"] += [f"{name}: {type(w.message).__name__}: {w.message}" for w in caught]

    for name, answer in answers.items():
        values = answer["values"] = np.asarray(answer["values"])
        dimensions = answer.get("dimensions", DIMENSIONS)
        require(dimensions == DIMENSIONS, f"{name}: dimensions are {dimensions}, not {DIMENSIONS}")
        require(values.ndim == 2, f"{name}: shape {values.shape} has not two axes")
        require(values.dtype.kind == "f", f"{name}: dtype {values.dtype} is not a float")
        unset = int(np.isnan(values).sum())
        require(unset == 0, f"{name}: {unset} of {values.size} values are NaN")

    (first, one), *others = answers.items()
    for other, two in others:
        for key in SHARED:
            if key in one and key in two:
                require(one[key] == two[key], f"{key}: {first} says {one[key]}, {other} says {two[key]}")
        a, b = one["values"], two["values"]
        require(a.shape == b.shape and a.dtype == b.dtype, f"{first} reads {a.dtype} {a.shape}, {other} {b.dtype} {b.shape}")
        require(np.array_equal(a, b), f"{first} and {other} read different values")

    values = one["values"]
    exact = values.astype(np.float64)
    summary |= {"shape": values.shape, "dtype": str(values.dtype)}
    summary |= {key: one.get(key) for key in ("chunks", "shards", *SHARED)}
    summary |= {what: repr(float(f(exact))) for what, f in (("sum", np.sum), ("min", np.min), ("max", np.max)) if exact.size}
    if reference is not None:
        try:
            expected = np.load(reference).astype(np.float64)
        except (OSError, ValueError) as error:
            raise Mismatch(f"cannot read the reference {reference}: {error}") from error
        require(expected.shape == exact.shape, f"shape {exact.shape}, but the reference has {expected.shape}")
        scale = np.abs(expected).max(initial=0.0) or 1.0
        summary["max_relative_difference"] = float(np.abs(exact - expected).max(initial=0.0) / scale)
    print(json.dumps(summary))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        main(*sys.argv[1:])
    except Mismatch as error:
        print(f"mismatch: {error}", file=sys.stderr)
        sys.exit(1)
