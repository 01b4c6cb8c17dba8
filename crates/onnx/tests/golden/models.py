#!/usr/bin/env python3
"""Exports the models of `zoo.py` and `estimators.py` and writes their references, one folder a model under `models/`.

    python models.py            # all
    python models.py lstm gru   # some

Conventions are in README.md beside this file.
"""

import copy
import json
import logging
import os
import pathlib
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy as np
import onnx
import onnxruntime
import safetensors.numpy
import safetensors.torch
import torch
from references import DAMPING, computed, targets
from zoo import MODELS

FOLDER = pathlib.Path(__file__).resolve().parent / "models"
TRACE = "stack_trace"
STACKS = ("nn_module_stack", "source_fn_stack", "torch_fn")
# What parameters are told from: the call and the module that a node comes from, and the rule of the optimiser that made it.
TOLD = ("fx_node", "name_scopes", "rule_name")


def tidied(path, brief):
    """Takes the lines of source code out of a file, which name places of the machine that made it, and with `brief` what is said of nodes but for what
    parameters are told from."""
    model = onnx.load(path, load_external_data=False)
    tensors = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        reads = any(name in tensors for name in node.input)
        told = lambda key: reads and key.endswith(TOLD)
        kept = [entry for entry in node.metadata_props if (told(entry.key) if brief else TRACE not in entry.key)]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.save(model, path)
    data = path.with_name(f"{path.name}.data")
    if data.exists() and data.stat().st_size == 0:
        data.unlink()


def export(model, path, dynamic=True, **options):
    """`torch.onnx.export` with the names of the inputs, and the axis of samples free unless told otherwise."""
    names, axis = list(model.inputs), model.samples_axis
    options = dict(input_names=names, output_names=["out"]) | options
    if dynamic and options["dynamo"]:
        sizes = tuple({axis: torch.export.Dim("n")} for _ in names)
        options["dynamic_shapes"] = (sizes,) if variadic(model.module) else sizes
    elif dynamic:
        options["dynamic_axes"] = {name: {axis: "n"} for name in names}
    # An export in TRAINING mode moves the statistics of batch norms.
    before = copy.deepcopy(model.module.state_dict())
    torch.onnx.export(model.module, tuple(model.inputs.values()), path, verbose=False, **options)
    model.module.load_state_dict(before)
    model.module.eval()
    tidied(path, brief=model.brief)


def variadic(module):
    return module.__class__.__name__ == "Logits"


def archive(model, path):
    """`torch.export.save`, without lines of source code."""
    sizes = tuple({model.samples_axis: torch.export.Dim("n")} for _ in model.inputs)
    sizes = (sizes,) if variadic(model.module) else sizes
    program = torch.export.export(model.module, tuple(model.inputs.values()), dynamic_shapes=sizes)
    for node in program.graph.nodes:
        for key in (TRACE, *STACKS) if model.brief else (TRACE,):
            node.meta.pop(key, None)
    torch.export.save(program, path)


OLD = dict(dynamo=False, do_constant_folding=False, opset_version=17)
NEW = dict(dynamo=True, optimize=False, external_data=False)


def exports(name, model, folder):
    export(model, folder / "old.onnx", **OLD)
    export(model, folder / "new.onnx", **NEW)
    archive(model, folder / "model.pt2")
    state = {key: value.detach().clone().contiguous() for key, value in model.module.state_dict().items()}
    safetensors.torch.save_file(state, folder / "weights.safetensors")
    if model.defaults:
        export(model, folder / "old-folded.onnx", dynamo=False, opset_version=17)
        export(model, folder / "new-default.onnx", dynamo=True)
    if name == "mlp":
        export(model, folder / "old-fixed-batch.onnx", dynamic=False, **OLD)
        export(model, folder / "new-fixed-batch.onnx", dynamic=False, **NEW)
    if name == "batch_norm":
        export(model, folder / "old-training.onnx", training=torch.onnx.TrainingMode.TRAINING, **OLD)
    if name == "with_loss":
        model.module.reduction = "mean"
        export(model, folder / "old-mean.onnx", **OLD)
        export(model, folder / "new-mean.onnx", **NEW)
        model.module.reduction = "none"


def by_runtime(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]


def reference(model, loss, target, output, path):
    """Writes the reference of one model for one loss."""
    shapes = {key: list(p.shape) for key, p in model.module.named_parameters() if p.requires_grad}
    found, facts = computed(model, loss, target)
    tolerance = 2e-3 if output.dtype == np.float16 else 1e-5
    assert np.allclose(found["output64"], output, atol=tolerance), np.abs(found["output64"] - output).max()
    found |= {f"input/{key}": value.numpy() for key, value in model.inputs.items()}
    found |= {"output": output} | ({} if target is None else {"target": target.numpy()})
    metadata = dict(loss=loss, damping=str(DAMPING), parameters=json.dumps(shapes), facts=json.dumps(facts), torch=torch.__version__)
    safetensors.numpy.save_file(found, path, metadata=metadata)
    print(path.parent.name, path.stem, loss, sum(np.prod(shape, dtype=int) for shape in shapes.values()), facts, flush=True)


def write(name):
    torch.manual_seed(20)
    model = MODELS[name]()
    model.module.eval()
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    exports(name, model, folder)
    old, new = (by_runtime(folder / f"{tag}.onnx", model.inputs) for tag in ("old", "new"))
    drawn = {loss: targets(loss, model, torch.tensor(old)) for loss in model.losses}
    for index, (loss, target) in enumerate(drawn.items()):
        reference(model, loss, target, old, folder / ("reference.safetensors" if index == 0 else f"reference-{loss}.safetensors"))
    if model.uniform:
        model.module.set_attn_implementation("eager")
        reference(model, loss, target, new, folder / "reference-uniform.safetensors")
    else:
        assert np.allclose(old, new, atol=1e-5), np.abs(old - new).max()


def main():
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        write(name)


if __name__ == "__main__":
    main()
