#!/usr/bin/env python3
"""Makes the files under `formats/`, with numpy, Pillow, zarr, numcodecs and xarray: what the readers are held against.

    python make_formats.py

Each image and numpy file NAME has the numbers that its own library reads from it in `formats/expected/NAME.npy`, the arrays of xarray in
`formats/xarray.json`; the other Zarr arrays hold `counting`, of which zarr-python is asked here.
"""

import json
import pathlib
import shutil

import numcodecs
import numpy as np
import xarray
import zarr
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent / "formats"
EXPECTED = HERE / "expected"


def keep(name, array):
    np.save(EXPECTED / f"{name}.npy", array)


def counting(shape, dtype, modulus=101):
    """Numbers that pack well and are all over the range."""
    return (np.arange(np.prod(shape)) * 37 // 5 % modulus).reshape(shape).astype(dtype)


def images():
    """Pixels as Pillow's `convert("RGB")` has them, `(channels, height, width)`."""
    folder = HERE / "images"
    folder.mkdir()
    r = np.random.default_rng(0)
    colour = Image.fromarray(r.integers(0, 255, (6, 8, 3), dtype="u1"))
    alpha = Image.fromarray(r.integers(0, 255, (6, 8, 4), dtype="u1"))
    grey = Image.fromarray(r.integers(0, 255, (6, 8), dtype="u1"))
    files = {
        "colour.webp": (colour, dict(lossless=True)),
        "alpha.webp": (alpha, dict(lossless=True, exact=True)),
        "colour.bmp": (colour, {}),
        "grey.bmp": (grey, {}),
        "palette.bmp": (colour.quantize(16), {}),
        "colour.tiff": (colour, dict(compression="tiff_lzw")),
        "grey.tif": (grey, dict(compression="tiff_adobe_deflate")),
        "alpha.tiff": (alpha, {}),
        "colour.gif": (colour.quantize(64), {}),
        "grey.gif": (grey, {}),
        "colour.ppm": (colour, {}),
        "grey.pgm": (grey, {}),
        "palette.png": (colour.quantize(16), {}),
        "alpha.png": (alpha, {}),
        "colour.jfif": (colour, dict(format="JPEG", quality=90, subsampling=0)),
    }
    for name, (image, options) in files.items():
        image.save(folder / name, **options)
        pixels = np.asarray(Image.open(folder / name).convert("RGB"))
        keep(name, pixels.transpose(2, 0, 1))
    # Orientation in EXIF is not applied, by Pillow neither.
    exif = Image.Exif()
    exif[0x0112] = 6
    colour.save(folder / "turned.png", exif=exif)
    keep("turned.png", np.asarray(Image.open(folder / "turned.png").convert("RGB")).transpose(2, 0, 1))


def version_2():
    n = numcodecs
    cases = {
        "blosc_lz4": ("<f4", n.Blosc("lz4", 5, n.Blosc.SHUFFLE, blocksize=1024), None, "C"),
        "blosc_lz4hc": ("<f8", n.Blosc("lz4hc", 5, n.Blosc.BITSHUFFLE, blocksize=1024), None, "C"),
        "blosc_blosclz": ("<f4", n.Blosc("blosclz", 9, n.Blosc.NOSHUFFLE), None, "C"),
        "blosc_blosclz_shuffle": ("<i8", n.Blosc("blosclz", 9, n.Blosc.SHUFFLE), None, "C"),
        "blosc_zlib": ("<i2", n.Blosc("zlib", 5, n.Blosc.SHUFFLE), None, "C"),
        "blosc_zstd": ("<f4", n.Blosc("zstd", 5, n.Blosc.BITSHUFFLE), None, "C"),
        "blosc_stored": ("<f4", n.Blosc("lz4", 0, n.Blosc.SHUFFLE), None, "C"),
        "blosc_bytes": ("|u1", n.Blosc("lz4", 5, n.Blosc.BITSHUFFLE), None, "C"),
        "blosc_fortran": ("<f4", n.Blosc("lz4", 5, n.Blosc.SHUFFLE), None, "F"),
        "blosc_big_endian": (">f8", n.Blosc("lz4", 5, n.Blosc.SHUFFLE), None, "C"),
        "zlib": ("<f4", n.Zlib(5), None, "C"),
        "gzip": ("<f4", n.GZip(5), None, "C"),
        "zstd": ("<f4", n.Zstd(5), None, "C"),
        "lz4": ("<f4", n.LZ4(), None, "C"),
        "bz2": ("<f4", n.BZ2(5), None, "C"),
        "shuffle": ("<f4", n.Zlib(5), [n.Shuffle(4)], "C"),
        "delta": ("<i4", n.Blosc("lz4"), [n.Delta("<i4", "<i2")], "C"),
        "delta_floats": ("<f8", n.Zlib(5), [n.Delta("<f8")], "F"),
        "scaled": ("<f8", n.Blosc("lz4"), [n.FixedScaleOffset(0.1, 10, "<f8", "|u1")], "C"),
        "scaled_integers": ("<i4", n.LZ4(), [n.FixedScaleOffset(1 << 27, 1, "<i4", "<i2")], "C"),
    }
    for name, (dtype, compressor, filters, order) in cases.items():
        data = counting((70, 9), dtype, 7 if name == "blosc_blosclz" else 101)
        if name == "scaled":
            data = data / 10 + 0.1
        if name == "scaled_integers":
            data = data + np.int32(1 << 27)
        fill = 7 if dtype[1] != "f" else 0.5
        array = zarr.create_array(
            HERE / "v2.zarr" / name, shape=data.shape, chunks=(64, 9), dtype=dtype, zarr_format=2,
            compressors=compressor, filters=filters, order=order, fill_value=fill,
        )
        array[...] = data
        # A chunk that was never written holds fill values.
        (HERE / "v2.zarr" / name / "1.0").unlink()
        data[64:] = fill
        assert np.array_equal(array[...], data), name


def version_3():
    c = zarr.codecs
    cases = {
        "blosc": (dict(compressors=c.BloscCodec(cname="zstd", shuffle="shuffle")), "f4"),
        "blosc_lz4": (dict(compressors=c.BloscCodec(cname="lz4", shuffle="bitshuffle")), "i8"),
        "sharded": (dict(compressors=c.BloscCodec(cname="lz4"), shards=(64, 9)), "f4"),
    }
    for name, (options, dtype) in cases.items():
        data = counting((70, 9), dtype)
        array = zarr.create_array(
            HERE / "v3.zarr" / name, shape=data.shape, chunks=(16, 9), dtype=dtype, zarr_format=3, **options
        )
        array[...] = data
        assert np.array_equal(array[...], data), name


def conventions():
    """Arrays as xarray writes them, with the numbers that it reads."""
    values = counting((6, 2), "f8") / 1000 + 0.5
    data = xarray.Dataset(
        {
            "both": (("n", "d"), values),
            "scale": (("n", "d"), values),
            "floats": (("n", "d"), values),
            "masked": (("n", "d"), np.where(values > 0.55, values, np.nan)),
            "filled": (("n", "d"), values),
            "truth": (("n", "d"), values > 0.55),
        }
    )
    encoding = {
        "both": dict(dtype="i2", scale_factor=0.001, add_offset=0.5, _FillValue=-999),
        "scale": dict(dtype="u1", scale_factor=1 / 300, _FillValue=255),
        "floats": dict(dtype="f4", scale_factor=0.1, add_offset=0.3, _FillValue=None),
        "masked": dict(dtype="i2", scale_factor=0.001, _FillValue=-1),
        "filled": dict(dtype="f4", _FillValue=1e20),
    }
    expected = {}
    for version in (2, 3):
        path = HERE / f"xarray{version}.zarr"
        data.to_zarr(path, zarr_format=version, encoding=encoding, consolidated=False)
        read = xarray.open_zarr(path, chunks=None, consolidated=False)
        for name in data:
            numbers = read[name].values.astype("f8")
            # None where a number is missing.
            numbers = [None if np.isnan(number) else number for number in numbers.ravel()]
            expected[f"xarray{version}.zarr/{name}"] = numbers
    (HERE / "xarray.json").write_text(json.dumps(expected, indent=1) + "\n")


def tables_of_pandas():
    """What pandas saves is in Fortran order."""
    folder = HERE / "npy"
    folder.mkdir()
    r = np.random.default_rng(1)
    for name, array in {
        "fortran": np.asfortranarray(r.normal(size=(5, 3, 2))),
        "big_endian": np.asfortranarray(r.normal(size=(5, 4)).astype(">f4")),
        "half": np.asfortranarray(r.normal(size=(5, 4)).astype("f2")),
        "bytes": np.asfortranarray(r.integers(0, 255, (5, 4), dtype="u1")),
        "truth": np.asfortranarray(r.normal(size=(5, 4)) > 0),
    }.items():
        np.save(folder / f"{name}.npy", array)
        keep(f"npy_{name}", np.ascontiguousarray(array).astype("f8"))
    np.savez_compressed(folder / "both.npz", x=np.asfortranarray(counting((5, 4), "i2")))
    keep("npz_x", counting((5, 4), "f8"))
    np.save(folder / "objects.npy", np.array([1, "a", None], dtype=object))
    np.savez(folder / "objects.npz", y=np.array([0, 1, 0], dtype=object))


if __name__ == "__main__":
    shutil.rmtree(HERE, ignore_errors=True)
    EXPECTED.mkdir(parents=True)
    images()
    version_2()
    version_3()
    conventions()
    tables_of_pandas()
