"""Sequences of tensors, and branches whose condition is known."""

import numpy as np
from case import ints, scalar, several, spread
from onnx import TensorProto, helper


def cases():
    yield from split_sequences()
    yield from branches()


def split_sequences():
    x = {"x0": spread(2, 6)}
    at = ("SequenceAt", ["s", "c1"], ["y0"], {})
    for variant, split, attributes, place in (
        ("even", ints(2, 2, 2), dict(axis=1), 1),
        ("sizes", ints(1, 2, 3), dict(axis=-1), -1),
        ("chunks", scalar(4, np.int64), dict(axis=1), 1),
    ):
        nodes = [("SplitToSequence", ["x0", "c0"], ["s"], attributes), at]
        yield several(("SplitToSequence", variant), 13, nodes, x, constants={"c0": split, "c1": scalar(place, np.int64)})
    for keep in (0, 1):
        nodes = [("SplitToSequence", ["x0"], ["s"], dict(axis=1, keepdims=keep)), at]
        yield several(("SplitToSequence", f"ones_keepdims{keep}"), 13, nodes, x, constants={"c1": scalar(2, np.int64)})
    two = {"x0": spread(2, 3), "x1": spread(2, 3)}
    construct = ("SequenceConstruct", ["x0", "x1"], ["s"], {})
    yield several(("SequenceConstruct", "at"), 13, [construct, at], two, constants={"c1": scalar(-2, np.int64)})
    for variant, attributes in (("axis1", dict(axis=1)), ("new_axis", dict(axis=-1, new_axis=1))):
        yield several(("ConcatFromSequence", variant), 13, [construct, ("ConcatFromSequence", ["s"], ["y0"], attributes)], two)
    yield several(("SequenceLength", ""), 13, [construct, ("SequenceLength", ["s"], ["y0"], {})], two)


def branch(op):
    """A graph that reads `x0` from the graph around it."""
    node = helper.make_node(op, ["x0"], [f"b{op}"])
    return helper.make_graph([node], op, [], [helper.make_tensor_value_info(f"b{op}", TensorProto.FLOAT, None)])


def branches():
    x = {"x0": spread(2, 3)}
    both = dict(then_branch=branch("Tanh"), else_branch=branch("Sigmoid"))
    for variant, condition in (("true", True), ("false", False)):
        yield several(("If", variant), 13, [("If", ["c"], ["y0"], both)], x, constants={"c": scalar(condition, np.bool_)})
    by_shape = [
        ("Shape", ["x0"], ["s"], {}),
        ("Gather", ["s", "one"], ["d"], {}),
        ("Equal", ["d", "three"], ["c"], {}),
        ("If", ["c"], ["y0"], both),
    ]
    yield several(("If", "by_shape"), 16, by_shape, x, constants={"one": scalar(1, np.int64), "three": scalar(3, np.int64)})
