"""LSTM, GRU and RNN."""

import numpy as np
from case import Const, one, spread

STEPS, SAMPLES, INPUTS, HIDDEN = 3, 2, 3, 2
GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def small(*shape):
    return spread(*shape, low=-0.9, high=1.0)


def operands(op, directions=1, bias=True, states=False, layout=0):
    """X, W, R, B, no lengths, and the initial states."""
    rows = GATES[op] * HIDDEN
    x = (SAMPLES, STEPS, INPUTS) if layout else (STEPS, SAMPLES, INPUTS)
    h = (SAMPLES, directions, HIDDEN) if layout else (directions, SAMPLES, HIDDEN)
    found = [small(*x), small(directions, rows, INPUTS), small(directions, rows, HIDDEN)]
    found.append(small(directions, 2 * rows) if bias else None)
    if states:
        found += [None, small(*h)] + ([small(*h)] if op == "LSTM" else [])
    return found


def cases():
    for op in GATES:
        yield from variants(op)
    lstm = operands("LSTM", states=True)
    yield one("LSTM", 14, "peepholes", *lstm, small(1, 3 * HIDDEN), hidden_size=HIDDEN, outputs=3)
    yield one("LSTM", 14, "activations", *operands("LSTM"), hidden_size=HIDDEN, outputs=3, activations=["Sigmoid", "Tanh", "Relu"])
    for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        yield one("GRU", 14, f"reset_after_{direction}", *operands("GRU", count), hidden_size=HIDDEN, direction=direction, outputs=2, linear_before_reset=1)
    yield one("GRU", 14, "reset_after_states", *operands("GRU", states=True), hidden_size=HIDDEN, outputs=2, linear_before_reset=1)
    yield one("GRU", 22, "reset_after_no_bias", *operands("GRU", bias=False), hidden_size=HIDDEN, outputs=2, linear_before_reset=1)
    yield one("RNN", 14, "relu", *operands("RNN"), hidden_size=HIDDEN, outputs=2, activations=["Relu"])


def variants(op):
    outputs = 3 if op == "LSTM" else 2
    common = dict(hidden_size=HIDDEN, outputs=outputs)
    for direction, count in (("forward", 1), ("reverse", 1), ("bidirectional", 2)):
        yield one(op, 14, direction, *operands(op, count), direction=direction, **common)
        yield one(op, 14, f"{direction}_states", *operands(op, count, states=True), direction=direction, **common)
    yield one(op, 13, "no_bias", *operands(op, bias=False), **common)
    yield one(op, 14, "layout1", *operands(op, layout=1), layout=1, **common)
    yield one(op, 14, "layout1_states", *operands(op, states=True, layout=1), layout=1, **common)
    x, w, r, b = operands(op)
    yield one(op, 22, "constants", x, Const(w), Const(r), Const(b), **common)
    yield one(op, 14, "lengths_full", x, w, r, b, Const(np.array([STEPS] * SAMPLES, np.int32)), **common)
    yield one(op, 14, "last_state", x, w, r, b, hidden_size=HIDDEN, outputs=(0, 1))
