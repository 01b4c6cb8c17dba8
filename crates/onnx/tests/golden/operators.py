#!/usr/bin/env python3
"""Writes `operators.safetensors`: one tiny model for each operator and variant, with inputs and the outputs of onnxruntime.

    python operators.py            # make
    python operators.py --check    # compute again and compare
    python operators.py --agree    # compare onnxruntime with the reference evaluator of onnx

For each case NAME the file holds `NAME/model` (the bytes of the .onnx), `NAME/in/I` and `NAME/out/I`. Inputs and outputs are in the order of
the graph. Floats are distinct, evenly spaced and off the kinks, so central differences of a step below 1e-3 are valid. What onnxruntime has no
kernel for is computed by `onnx.reference`; the metadata lists those cases as `reference`.
"""

import argparse
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from families import FAMILIES
from onnx.reference import ReferenceEvaluator
from safetensors import safe_open
from safetensors.numpy import save_file

FILE = pathlib.Path(__file__).resolve().parent / "operators.safetensors"
# Layout 1 of recurrent layers is not in onnxruntime.
REFERENCE = {f"{op}_14_layout1{states}" for op in ("lstm", "gru", "rnn") for states in ("", "_states")}


def typed(case):
    """The model with its outputs typed, as onnx infers them."""
    bare = [onnx.helper.make_empty_tensor_value_info(name) for name in case.outputs]
    model = case.model(bare)
    inferred = onnx.shape_inference.infer_shapes(model)
    return case.model(inferred.graph.output)


def by_runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def by_reference(model, feeds):
    return ReferenceEvaluator(model).run(None, feeds)


def made():
    """All tensors of the file."""
    tensors = {}
    for family in FAMILIES:
        for case in family.cases():
            model = typed(case)
            name = case.name.strip("_")
            assert f"{name}/model" not in tensors, name
            run = by_reference if name in REFERENCE else by_runtime
            outputs = run(model, case.feeds)
            tensors[f"{name}/model"] = np.frombuffer(model.SerializeToString(), np.uint8)
            tensors |= {f"{name}/in/{index}": np.ascontiguousarray(x) for index, x in enumerate(case.feeds.values())}
            tensors |= {f"{name}/out/{index}": np.ascontiguousarray(y) for index, y in enumerate(outputs)}
    return tensors


def agree():
    """Prints where the two evaluators differ, so that a wrong reference is seen."""
    for family in FAMILIES:
        for case in family.cases():
            model = typed(case)
            try:
                pairs = zip(by_runtime(model, case.feeds), by_reference(model, case.feeds))
                worst = max(float(np.max(np.abs(np.nan_to_num(a - b)), initial=0)) if a.dtype != bool else float((a != b).any()) for a, b in pairs)
            except Exception as error:
                worst = f"{type(error).__name__}: {str(error).splitlines()[0][:150]}"
            if isinstance(worst, str) or worst > 1e-5:
                print(case.name, worst, flush=True)


def check(tensors):
    with safe_open(FILE, "np") as stored:
        if set(stored.keys()) != set(tensors):
            sys.exit("other cases")
        for name, value in tensors.items():
            if not np.allclose(stored.get_tensor(name), value, rtol=1e-6, atol=1e-6, equal_nan=True):
                sys.exit(f"{name} differs")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    arguments.add_argument("--agree", action="store_true")
    arguments = arguments.parse_args()
    if arguments.agree:
        return agree()
    tensors = made()
    if arguments.check:
        return check(tensors)
    versions = dict(onnx=onnx.__version__, onnxruntime=onnxruntime.__version__, reference=" ".join(sorted(REFERENCE)))
    save_file(tensors, FILE, metadata=versions)
    print(len([name for name in tensors if name.endswith("/model")]), "cases,", FILE.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
