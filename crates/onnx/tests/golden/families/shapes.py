"""Operators that rearrange, cut, repeat or measure tensors, and constants."""

import sys

import numpy as np
from case import Const, ints, one, scalar, several, spread
from onnx import numpy_helper


def cases():
    yield from rearranged()
    yield from cut()
    yield from joined()
    yield from padded()
    yield from measured()
    yield from constants()


def rearranged():
    x = spread(2, 3, 4)
    for variant, shape in (("", (4, 6)), ("infer", (2, -1)), ("zero", (0, -1)), ("rank_up", (0, 1, 3, -1)), ("flat", (-1,))):
        yield one("Reshape", 13, variant, x, ints(*shape))
    yield one("Reshape", 14, "allowzero", x, ints(3, 8), allowzero=1)
    yield one("Transpose", 13, "default", x)
    yield one("Transpose", 13, "perm", x, perm=[0, 2, 1])
    yield one("Transpose", 21, "cycle", x, perm=[1, 2, 0])
    for axis in (0, 1, 2, 3, -1):
        yield one("Flatten", 13, f"axis{axis}", spread(2, 3, 2), axis=axis)
    s = spread(1, 3, 1, 2)
    yield one("Squeeze", 13, "all", s)
    yield one("Squeeze", 13, "axes", s, ints(2))
    yield one("Squeeze", 13, "negative", s, ints(-2, 0))
    yield one("Squeeze", 21, "axes", s, ints(0, 2))
    yield one("Unsqueeze", 13, "axes", spread(2, 3), ints(0, 3))
    yield one("Unsqueeze", 13, "negative", spread(2, 3), ints(-1))
    yield one("Unsqueeze", 21, "unordered", spread(2, 3), ints(3, 1))
    y = spread(2, 8, 2, 3)
    yield one("DepthToSpace", 13, "dcr", y, blocksize=2)
    yield one("DepthToSpace", 13, "crd", y, blocksize=2, mode="CRD")
    yield one("SpaceToDepth", 13, "", spread(1, 2, 4, 2), blocksize=2)


def cut():
    x = spread(3, 4, 5)
    last = sys.maxsize
    for variant, operands in (
        ("", (ints(1, 0), ints(3, 2))),
        ("axes", (ints(1), ints(4), ints(2))),
        ("negative_axes", (ints(1), ints(3), ints(-2))),
        ("negative_bounds", (ints(-3), ints(-1), ints(2))),
        ("to_the_end", (ints(2), ints(last), ints(1))),
        ("steps", (ints(0, 1), ints(last, last), ints(1, 2), ints(2, 3))),
        ("reverse", (ints(-1), ints(-last), ints(1), ints(-1))),
        ("reverse_by_two", (ints(4), ints(0), ints(2), ints(-2))),
        ("beyond", (ints(-9), ints(9), ints(2))),
    ):
        yield one("Slice", 13, variant, x, *operands)
    y = spread(2, 6)
    yield one("Split", 13, "equal", y, outputs=3, axis=1)
    yield one("Split", 13, "sizes", y, ints(1, 2, 3), outputs=3, axis=1)
    yield one("Split", 13, "negative", y, ints(4, 2), outputs=2, axis=-1)
    yield one("Split", 18, "num_outputs", y, outputs=3, axis=1, num_outputs=3)
    yield one("Split", 18, "uneven", spread(2, 7), outputs=3, axis=1, num_outputs=3)
    yield one("Split", 18, "sizes", y, ints(5, 1), outputs=2, axis=1)
    z = spread(2, 4, 4)
    yield one("Trilu", 14, "upper", z)
    yield one("Trilu", 14, "lower", z, upper=0)
    yield one("Trilu", 14, "upper_1", z, scalar(1, np.int64))
    yield one("Trilu", 14, "lower_minus1", z, scalar(-1, np.int64), upper=0)
    yield one("Trilu", 14, "wide", spread(2, 3, 5), scalar(-1, np.int64))
    yield one("Trilu", 14, "bool", np.ones((3, 3), bool), upper=0)


def joined():
    yield one("Concat", 13, "axis0", spread(2, 3), spread(1, 3), axis=0)
    yield one("Concat", 13, "axis1", spread(2, 3, 2), spread(2, 1, 2), spread(2, 2, 2), axis=1)
    yield one("Concat", 13, "negative", spread(2, 3), spread(2, 2), axis=-1)
    yield one("Concat", 13, "int", np.arange(6).reshape(2, 3), Const(np.array([[7], [8]])), axis=1)
    yield one("Expand", 13, "", spread(2, 1, 3), ints(2, 4, 3))
    yield one("Expand", 13, "ones", spread(2, 3), ints(1, 1))
    yield one("Expand", 13, "rank_up", spread(3, 1), ints(2, 1, 4))
    yield one("Tile", 13, "", spread(2, 3), ints(1, 2))
    yield one("Tile", 13, "all", spread(2, 1, 2), ints(2, 3, 2))


def padded():
    x = spread(2, 3, 4)
    yield one("Pad", 13, "zero", x, ints(0, 1, 2, 0, 0, 1))
    yield one("Pad", 13, "value", x, ints(0, 0, 1, 0, 2, 0), scalar(1.5))
    yield one("Pad", 13, "reflect", x, ints(0, 0, 2, 0, 0, 3), mode="reflect")
    yield one("Pad", 13, "edge", x, ints(0, 1, 2, 0, 0, 1), mode="edge")
    yield one("Pad", 13, "crop", x, ints(0, 0, -1, 0, 0, 2))
    yield one("Pad", 18, "axes", x, ints(1, 2), scalar(0.5), ints(2))
    yield one("Pad", 18, "axes_negative", x, ints(1, 2, 0, 1), None, ints(-1, -2), mode="reflect")
    yield one("Pad", 19, "wrap", x, ints(0, 0, 2, 0, 0, 1), mode="wrap")
    yield one("Pad", 21, "edge", spread(1, 2, 2, 3), ints(0, 0, 1, 1, 0, 0, 0, 2), mode="edge")


def measured():
    x = spread(2, 3, 4)
    yield one("Shape", 13, "", x)
    yield one("Shape", 15, "start", x, start=1)
    yield one("Shape", 15, "end", x, start=-3, end=-1)
    yield one("Shape", 15, "beyond", x, start=-7, end=9)
    yield one("Size", 13, "", x)
    dynamic = [
        ("Shape", ["x0"], ["s"], {}),
        ("Gather", ["s", "c0"], ["d"], dict(axis=0)),
        ("Unsqueeze", ["d", "c1"], ["u"], {}),
        ("Concat", ["u", "c2"], ["t"], dict(axis=0)),
        ("Reshape", ["x0", "t"], ["y0"], {}),
    ]
    constants = {"c0": scalar(0, np.int64), "c1": ints(0), "c2": ints(-1)}
    yield several(("Reshape", "by_shape"), 13, dynamic, {"x0": x}, constants=constants)


def constants():
    add = ("Add", ["x0", "c"], ["y0"], {})
    x = {"x0": spread(2, 3)}
    tensor = numpy_helper.from_array(spread(3))
    for variant, attribute in (("tensor", dict(value=tensor)), ("float", dict(value_float=1.5)), ("floats", dict(value_floats=[0.5, 1.5, -2.0]))):
        yield several(("Constant", variant), 13, [("Constant", [], ["c"], attribute), add], x)
    i = {"x0": np.arange(6).reshape(2, 3)}
    for variant, attribute in (("int", dict(value_int=3)), ("ints", dict(value_ints=[1, 2, 3]))):
        yield several(("Constant", variant), 13, [("Constant", [], ["c"], attribute), add], i)
    for variant, value in (("float", np.array([1.5], np.float32)), ("int", np.array([7])), ("bool", np.array([True]))):
        yield one("ConstantOfShape", 13, variant, ints(2, 3), value=numpy_helper.from_array(value))
    yield one("ConstantOfShape", 13, "default", ints(2, 2))
    yield one("Range", 13, "int", scalar(2, np.int64), scalar(11, np.int64), scalar(3, np.int64))
    yield one("Range", 13, "down", scalar(5, np.int64), scalar(-2, np.int64), scalar(-2, np.int64))
    yield one("Range", 13, "float", scalar(0.5), scalar(2.0), scalar(0.4))
