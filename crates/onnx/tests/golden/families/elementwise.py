"""Operators that act number by number."""

import numpy as np
from case import BOOL, DOUBLE, FLOAT, HALF, INT32, INT64, Const, bits, one, scalar, several, spread

INSIDE, ABOVE = dict(low=-0.9, high=0.95), dict(low=0.2, high=3.0)
UNARY = {
    "Abs": {}, "Neg": {}, "Sign": {}, "Exp": {}, "Erf": {}, "Sigmoid": {}, "Tanh": {}, "Relu": {}, "Softplus": {}, "Softsign": {},
    "Reciprocal": {}, "Identity": {}, "Sin": {}, "Cos": {}, "Sinh": {}, "Cosh": {}, "Asinh": {}, "Atan": {},
    "Tan": INSIDE, "Asin": INSIDE, "Acos": INSIDE, "Atanh": INSIDE,
    "Log": ABOVE, "Sqrt": ABOVE, "Acosh": dict(low=1.2, high=3.0),
}  # fmt: skip


def cases():
    for op, interval in UNARY.items():
        yield one(op, 13, "", spread(3, 4, **interval))
    yield from rounding()
    yield from activations()
    yield from arithmetic()
    yield from variadic()
    yield from logic()
    yield from casts()


def rounding():
    x = np.array([[-2.7, -2.5, -1.5, -0.5, -0.2], [0.2, 0.5, 1.5, 2.5, 2.7]], np.float32)
    for op in ("Round", "Floor", "Ceil"):
        yield one(op, 13, "", x)
    special = np.array([[1.0, np.nan, np.inf, -np.inf, -2.0]], np.float32)
    yield one("IsNaN", 13, "", special)
    yield one("IsInf", 13, "", special)
    yield one("IsInf", 20, "positive", special, detect_negative=0)
    yield one("IsInf", 20, "negative", special, detect_positive=0)


def activations():
    x = spread(3, 4)
    for op in ("Elu", "LeakyRelu", "ThresholdedRelu", "Selu", "Celu", "HardSigmoid"):
        yield one(op, 13, "", x)
    for op, alpha in (("Elu", 0.7), ("LeakyRelu", 0.2), ("ThresholdedRelu", 0.4), ("Celu", 1.7)):
        yield one(op, 13, "alpha", x, alpha=alpha)
    yield one("Selu", 13, "both", x, alpha=1.2, gamma=0.9)
    yield one("HardSigmoid", 13, "both", x, alpha=0.3, beta=0.4)
    yield one("HardSwish", 14, "", 2 * x)
    yield one("Mish", 18, "", x)
    yield one("Gelu", 20, "none", x)
    yield one("Gelu", 20, "tanh", x, approximate="tanh")
    for variant, shape in (("channel", (3, 1, 1)), ("single", (1,)), ("last", (2,)), ("full", (2, 3, 2, 2))):
        yield one("PRelu", 16, variant, spread(2, 3, 2, 2), spread(*shape, low=0.1, high=0.5))
    yield one("Clip", 13, "both", x, scalar(-0.8), scalar(1.1))
    yield one("Clip", 13, "min", x, scalar(-0.8))
    yield one("Clip", 13, "max", x, None, scalar(1.1))
    yield one("Clip", 13, "none", x)
    yield one("Clip", 13, "int", np.arange(-3, 4), scalar(-1, np.int64), scalar(2, np.int64))
    yield one("Dropout", 13, "", x)
    yield one("Dropout", 13, "inference", x, scalar(0.3), scalar(False, np.bool_))
    yield one("Dropout", 22, "ratio", x, scalar(0.3))


def arithmetic():
    left = np.array([[-7, -3, 8], [5, -5, 9]])
    right = np.array([[2, -2, 3], [-3, 3, 3]])
    for op in ("Add", "Sub", "Mul", "Div"):
        yield one(op, 14, "broadcast", spread(2, 1, 3), spread(4, 1))
        yield one(op, 14, "scalar", spread(2, 3), scalar(1.3))
        yield one(op, 14, "int", left, right)
    yield one("Sub", 14, "scalar_left", scalar(1.3), spread(2, 3))
    yield one("Div", 14, "scalar_left", scalar(1.3), spread(2, 3))
    yield one("Mod", 13, "int", left, right)
    yield one("Mod", 13, "int_fmod", left, right, fmod=1)
    yield one("Mod", 13, "float_fmod", 3 * spread(2, 3), np.array([[0.7, -0.9, 1.1]], np.float32), fmod=1)
    yield one("Pow", 13, "float_float", spread(2, 3, low=0.3, high=2.5), spread(2, 3))
    yield one("Pow", 15, "scalar", spread(2, 3, low=0.3, high=2.5), scalar(-1.5))
    yield one("Pow", 15, "square", spread(2, 3), scalar(2.0))
    yield one("Pow", 15, "cube", spread(2, 3), scalar(3.0))
    yield one("Pow", 15, "float_int", spread(2, 3), Const(np.array([[2, 3, 0]])))
    yield one("Pow", 15, "int_int", left, np.array([[2, 3, 1]]))


def variadic():
    for op in ("Min", "Max", "Sum", "Mean"):
        yield one(op, 13, "1", spread(2, 3))
        yield one(op, 13, "2", spread(2, 3, low=-1.8), spread(2, 3))
        yield one(op, 13, "3_broadcast", spread(2, 3), spread(3, low=-1.7), spread(2, 1, low=-1.6, high=1.9))
    yield one("Max", 13, "int", np.array([[3, -2, 5]]), np.array([[1, 4, 5]]))
    yield one("Min", 13, "scalar", spread(2, 3), scalar(0.4))


def logic():
    left, right = np.array([[1, 2, 3], [4, 5, 6]]), np.array([[3, 2, 1]])
    x, y = left.astype(np.float32), right.astype(np.float32)
    for op in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"):
        yield one(op, 16, "float", x, y)
        yield one(op, 16, "int", left, right)
    yield one("Equal", 13, "bool", bits(2, 3), bits(1, 3))
    yield one("Greater", 13, "scalar", x, scalar(2.5))
    for op in ("And", "Or", "Xor"):
        yield one(op, 13, "broadcast", bits(2, 1, 3), bits(2, 1))
    yield one("Not", 13, "", bits(2, 3))
    yield one("Where", 16, "same", bits(2, 3), spread(2, 3), spread(2, 3))
    yield one("Where", 16, "broadcast", bits(2, 3), spread(2, 1), spread(4, 1, 1))
    yield one("Where", 16, "scalar", bits(2, 3), scalar(-1.5), spread(2, 3))
    yield one("Where", 16, "int", bits(2, 3), left, right)
    yield one("Where", 16, "infinite", Const(np.array([[True, False, True]])), spread(2, 3), scalar(-np.inf))


def casts():
    x = np.array([[-1.7, -0.4, 0.0, 0.6, 2.9]], np.float32)
    i = np.array([[-3, 0, 1, 7]])
    for variant, value, to in (
        ("float_int64", x, INT64), ("float_int32", x, INT32), ("float_bool", x, BOOL), ("float_double", x, DOUBLE),
        ("float_float", x, FLOAT), ("int_float", i, FLOAT), ("int_bool", i, BOOL), ("int_int32", i, INT32),
        ("bool_float", i > 0, FLOAT), ("bool_int64", i > 0, INT64),
    ):  # fmt: skip
        yield one("Cast", 13, variant, value, to=to)
    yield one("Cast", 19, "double_float", x.astype(np.float64), to=FLOAT)
    half = [("Cast", ["x0"], ["h"], dict(to=HALF)), ("Cast", ["h"], ["y0"], dict(to=FLOAT))]
    yield several(("Cast", "half_and_back"), 13, half, {"x0": np.array([[0.5, -1.25, 3.0]], np.float32)})
    yield one("CastLike", 15, "float_int", x, scalar(1, np.int64))
    yield one("CastLike", 15, "int_float", i, x)
    yield one("CastLike", 19, "bool_float", i > 0, scalar(1.0))
