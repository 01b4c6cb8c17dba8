"""Operators that gather from places and scatter to places."""

import numpy as np
from case import Const, one, scalar, spread


def cases():
    yield from gathered()
    yield from scattered()
    yield one("OneHot", 13, "", np.array([0, 2, -1]), scalar(4, np.int64), Const(np.array([0.0, 1.0], np.float32)))
    yield one("OneHot", 13, "axis0", np.array([[0, 2], [1, 3]]), scalar(4, np.int64), Const(np.array([-0.5, 2.0], np.float32)), axis=0)
    yield one("OneHot", 13, "values", np.array([1, 0]), scalar(2, np.int64), spread(2))


def gathered():
    x = spread(3, 4, 2)
    yield one("Gather", 13, "axis0", x, np.array([[0, 2], [1, 1]]))
    yield one("Gather", 13, "axis1", x, np.array([3, 0]), axis=1)
    yield one("Gather", 13, "negative", x, np.array([-1, 0, -4]), axis=-2)
    yield one("Gather", 13, "scalar", x, scalar(2, np.int64), axis=1)
    yield one("Gather", 13, "scalar_negative", x, scalar(-1, np.int64), axis=1)
    yield one("Gather", 13, "known", x, Const(np.array([[1, -1]])), axis=2)
    yield one("Gather", 13, "table", spread(5, 3), np.array([[0, 4, 4], [2, 1, 0]]))
    yield one("Gather", 13, "int", np.arange(6).reshape(2, 3), Const(np.array([2, 0])), axis=1)
    yield one("GatherElements", 13, "axis1", spread(2, 4), np.array([[3, 0, 0], [1, 2, 1]]), axis=1)
    yield one("GatherElements", 13, "axis0", spread(3, 2), np.array([[2, 0], [-1, -3]]))
    yield one("GatherElements", 13, "negative", spread(2, 2, 3), np.array([[[-1], [0]], [[1], [-2]]]), axis=-1)
    yield one("GatherND", 13, "", spread(2, 3, 2), np.array([[0, 1], [1, 2], [-1, -3]]))
    yield one("GatherND", 13, "full", spread(2, 3, 2), np.array([[[0, 1, 1]], [[1, 2, 0]]]))
    yield one("GatherND", 13, "batch_dims1", spread(2, 3, 2), np.array([[1], [-1]]), batch_dims=1)
    yield one("GatherND", 13, "batch_dims2", spread(2, 2, 3), np.array([[[1], [0]], [[-1], [2]]]), batch_dims=2)


def scattered():
    x = spread(3, 4)
    places, values = np.array([[1, 0], [3, 2], [0, -1]]), spread(3, 2, low=-1.8)
    yield one("ScatterElements", 13, "axis1", x, places, values, axis=1)
    yield one("ScatterElements", 13, "axis0", x, np.array([[1, 0, 2, -1]]), spread(1, 4, low=-1.8))
    twice = np.array([[1, 1], [3, 3], [0, 0]])
    for reduction in ("add", "mul"):
        yield one("ScatterElements", 16, reduction, x, twice, values, axis=1, reduction=reduction)
    for reduction in ("max", "min"):
        yield one("ScatterElements", 18, reduction, x, twice, values, axis=-1, reduction=reduction)
    rows, updates = np.array([[2], [0]]), spread(2, 4, low=-1.8)
    yield one("ScatterND", 13, "rows", x, rows, updates)
    yield one("ScatterND", 13, "numbers", x, np.array([[[2, 0], [0, -1]]]), spread(1, 2, low=-1.8))
    same = np.array([[2], [2]])
    for reduction in ("add", "mul"):
        yield one("ScatterND", 16, reduction, x, same, updates, reduction=reduction)
    for reduction in ("max", "min"):
        yield one("ScatterND", 18, reduction, x, same, updates, reduction=reduction)
    yield one("ScatterND", 18, "known", x, Const(np.array([[1]])), spread(1, 4))
