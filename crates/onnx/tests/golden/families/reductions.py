"""Reductions, softmax and its relatives, sorting and running sums."""

import numpy as np
from case import Const, ints, one, scalar, spread

REDUCTIONS = ("Mean", "Sum", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")


def operand(kind):
    return spread(2, 3, 2, low=0.3, high=2.0) if kind in ("LogSum", "Prod") else spread(2, 3, 2)


def cases():
    for kind in REDUCTIONS:
        yield from reduction(kind)
    yield one("ReduceSum", 13, "int", np.arange(6).reshape(2, 3), ints(1), keepdims=0)
    yield one("ReduceMax", 18, "int", np.array([[3, -1, 2]]), ints(-1))
    yield one("ReduceMean", 18, "two_axes", spread(2, 3, 2, 2), ints(2, 3), keepdims=0)
    for op in ("ArgMax", "ArgMin"):
        x = spread(2, 3, 2)
        yield one(op, 13, "default", x)
        yield one(op, 13, "axis1_keepdims0", x, axis=1, keepdims=0)
        yield one(op, 13, "negative", x, axis=-1)
        yield one(op, 13, "last", np.array([[1, 3, 3, 1]], np.float32), axis=1, select_last_index=1)
    yield from softmaxes()
    yield from running()
    yield from normalised()
    yield from losses()


def losses():
    x, labels = spread(4, 3), np.array([2, 0, 1, 2])
    weights = Const(np.array([0.5, 1.0, 2.0], np.float32))
    for op in ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"):
        yield one(op, 13, "none", x, labels, reduction="none")
        yield one(op, 13, "weights", x, labels, weights, reduction="none")
        yield one(op, 22, "mean_ignore", x, np.array([2, -100, 1, -100]), weights, ignore_index=-100)
        yield one(op, 13, "positions", spread(2, 3, 2), np.array([[1, 0], [2, -1]]), reduction="none", ignore_index=-1)


def reduction(kind):
    op = f"Reduce{kind}"
    if kind == "Sum":
        yield one(op, 13, "negative", operand(kind), ints(-1), keepdims=0)
    else:
        yield one(op, 13, "axes", operand(kind), axes=[1])
        yield one(op, 13, "negative", operand(kind), axes=[-1, 0], keepdims=0)
        yield one(op, 13, "all", operand(kind), keepdims=0)
    yield one(op, 18, "axes", operand(kind), ints(1))
    yield one(op, 18, "all", operand(kind), keepdims=0)
    if kind in ("Mean", "Sum", "L1"):
        yield one(op, 18, "noop", operand(kind), ints(), noop_with_empty_axes=1)
        yield one(op, 18, "empty", operand(kind), ints(), keepdims=1)


def softmaxes():
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        x = spread(2, 3, 2)
        yield one(op, 11, "default", x)
        yield one(op, 11, "axis2", x, axis=2)
        yield one(op, 11, "axis0", x, axis=0)
        yield one(op, 13, "default", x)
        yield one(op, 13, "axis1", x, axis=1)
        yield one(op, 13, "axis_negative", x, axis=-3)
    large = np.array([[1000.0, 1001.0, -1000.0]], np.float32)
    yield one("Softmax", 13, "large", large)
    yield one("LogSoftmax", 13, "large", large)
    yield one("Softmax", 13, "infinite", np.array([[0.3, -np.inf, 1.2, -np.inf]], np.float32))


def running():
    x = spread(2, 4)
    for variant, attributes in (("", {}), ("exclusive", dict(exclusive=1)), ("reverse", dict(reverse=1)), ("both", dict(exclusive=1, reverse=1))):
        yield one("CumSum", 14, variant, x, scalar(1, np.int64), **attributes)
    yield one("CumSum", 14, "negative", x, scalar(-2, np.int64))
    yield one("CumSum", 14, "int", np.array([[1, 0, 1, 1]]), Const(np.array(1, np.int32)))
    for variant, attributes in (("largest", {}), ("smallest", dict(largest=0)), ("axis0", dict(axis=0))):
        yield one("TopK", 11, variant, spread(3, 4), ints(2), outputs=2, **attributes)
    yield one("TopK", 13, "int", np.array([[3, 9, -1, 4]]), ints(3), outputs=2, axis=1)


def normalised():
    yield one("LpNormalization", 13, "", spread(2, 3, 2))
    yield one("LpNormalization", 13, "l1", spread(2, 3, 2), axis=1, p=1)
    yield one("LpNormalization", 22, "l2", spread(2, 3, 2), axis=0, p=2)
    yield one("MeanVarianceNormalization", 13, "", spread(2, 3, 2, 2))
    yield one("MeanVarianceNormalization", 13, "axes", spread(2, 3, 2, 2), axes=[2, 3])
    yield one("LRN", 13, "", spread(2, 5, 2, 1), size=3)
    yield one("LRN", 13, "all", spread(2, 5, 2, 1), size=5, alpha=0.3, beta=0.6, bias=1.5)
