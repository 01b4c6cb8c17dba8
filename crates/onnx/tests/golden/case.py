"""One operator in one tiny model: what the families yield and `operators.py` writes."""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ML = "ai.onnx.ml"
RANDOM = np.random.default_rng(20)


@dataclass
class Const:
    """An operand that is an initializer of the model; bare arrays are inputs at run time."""

    value: np.ndarray


@dataclass
class Case:
    name: str
    opset: int
    nodes: list
    outputs: list
    feeds: dict = field(default_factory=dict)
    constants: dict = field(default_factory=dict)
    domain: str = ""

    def model(self, outputs):
        """The model, with the first axis of each input free; `outputs` are value infos."""
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), free(name, x.shape))
            for name, x in self.feeds.items()
        ]
        tensors = [numpy_helper.from_array(value, name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, tensors)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, 3))
        version = min(10, helper.find_min_ir_version_for(opsets, ignore_unknown=True))
        return helper.make_model(graph, opset_imports=opsets, ir_version=version)


def free(name, shape):
    return [f"{name}_n", *shape[1:]] if len(shape) else []


def ints(*values):
    """A one-dimensional initializer of int64."""
    return Const(np.array(values, np.int64))


def scalar(value, dtype=np.float32):
    """An initializer without axes."""
    return Const(np.array(value, dtype))


def spread(*shape, low=-1.9, high=2.1):
    """Distinct, evenly spaced numbers in a random order: no two close, none at zero."""
    count = int(np.prod(shape))
    values = low + (np.arange(count) + 0.5) * (high - low) / count
    return RANDOM.permutation(values).reshape(shape).astype(np.float32)


def bits(*shape):
    return RANDOM.random(shape) < 0.5


def one(op, opset, variant, *operands, outputs=1, domain="", **attributes):
    """A model of one node. `None` is an absent operand; a 0 in a tuple `outputs` an absent output."""
    name = "_".join(part for part in (op.lower(), str(opset), variant) if part)
    feeds, constants, names = {}, {}, []
    for operand in operands:
        if operand is None:
            names.append("")
        elif isinstance(operand, Const):
            names.append(f"c{len(constants)}")
            constants[names[-1]] = operand.value
        else:
            names.append(f"x{len(feeds)}")
            feeds[names[-1]] = operand
    wanted = (1,) * outputs if isinstance(outputs, int) else outputs
    results = [f"y{index}" if keep else "" for index, keep in enumerate(wanted)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    return Case(name, opset, [node], [r for r in results if r], feeds, constants, domain)


def several(name, opset, nodes, feeds, outputs=("y0",), constants=None):
    """A model of several nodes, given as (operator, inputs, outputs, attributes)."""
    made = [helper.make_node(op, inputs, results, **attributes) for op, inputs, results, attributes in nodes]
    constants = {key: value.value for key, value in (constants or {}).items()}
    return Case(f"{name[0].lower()}_{opset}_{name[1]}", opset, made, list(outputs), feeds, constants)


FLOAT, DOUBLE, HALF = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16
INT32, INT64, BOOL = TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
