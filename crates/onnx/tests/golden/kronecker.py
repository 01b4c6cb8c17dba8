#!/usr/bin/env python3
"""K-FAC and EK-FAC of models of `zoo.py` by torch in float64: `models/NAME/kronecker.safetensors`.

    python kronecker.py

Everything is a dense matrix here. Inputs and output gradients of layers come from hooks on their modules. Weights, data and loss are those of
`weights.safetensors` and `reference.safetensors`. Conventions are in README.md beside this file.
"""

import itertools
import json
from collections import Counter

import numpy as np
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
import torch.nn.functional as F
from models import FOLDER
from references import Reference, widened
from torch import nn
from zoo import MODELS

NAMES = ("residual_cnn", "nano_gpt")
METHODS = ("kfac", "ekfac")
CURVATURES = ("empirical-fisher", "gauss-newton")
# The damping, relative to the largest eigenvalue of the curvature that has the smallest one.
DAMPING = 0.01


class Layer:
    """A linear map: what it reads and returns in a forward pass, and where its parameters lie among all."""

    def __init__(self, module, places):
        self.module, self.biased = module, getattr(module, "bias", None) is not None
        module.register_forward_hook(self.keep)
        weight = places[module.weight].reshape(len(module.weight), -1)
        # As (outputs, inputs), which the table of an embedding is not.
        weight = weight.T if isinstance(module, nn.Embedding) else weight
        # The column of each entry of S x A, the bias behind the inputs.
        self.columns = torch.cat([weight, places[module.bias][:, None]], 1) if self.biased else weight

    def keep(self, module, inputs, output):
        self.output, self.of_data = output, inputs[0].dim() > 1
        x = inputs[0].detach()
        if isinstance(module, nn.Conv2d):
            x = F.unfold(x, module.kernel_size, module.dilation, module.padding, module.stride).transpose(1, 2)
        elif isinstance(module, nn.Embedding):
            x = F.one_hot(x, module.num_embeddings)
        x = x.double().reshape(len(x), -1, x.shape[-1])
        self.inputs = torch.cat([x, torch.ones_like(x[..., :1])], 2) if self.biased else x

    def positions(self, gradient):
        """Gradients by the output of one sample, as (positions, outputs)."""
        return gradient.flatten(1).T if isinstance(self.module, nn.Conv2d) else gradient.reshape(-1, gradient.shape[-1])


class Oracle:
    """A module in float64 after one forward pass, and the vectors of which its Fisher matrix is the mean of outer products."""

    def __init__(self, model, loss, target):
        parameters = [p for p in model.module.double().parameters() if p.requires_grad]
        ends = np.cumsum([p.numel() for p in parameters])
        self.places = {p: torch.arange(end - p.numel(), end).reshape(p.shape) for p, end in zip(parameters, ends)}
        modules = [m for m in model.module.modules() if list(m.parameters(recurse=False))]
        uses = Counter(p for module in modules for p in module.parameters(recurse=False))
        # Linear maps that alone use their weight.
        maps = [m for m in modules if isinstance(m, (nn.Linear, nn.Conv2d, nn.Embedding)) and uses[m.weight] == 1]
        layers = [Layer(module, self.places) for module in maps]
        self.reference = Reference(model, loss, target)
        # A table of positions reads no data: it is a vector that is added to every sample.
        self.layers = [layer for layer in layers if layer.of_data]
        held = {layer.module for layer in self.layers}
        others = [[self.places[p].flatten() for p in module.parameters(recurse=False)] for module in modules if module not in held]
        # The tied table comes once.
        self.others = {tuple(torch.cat(columns).tolist()) for columns in others}
        every = list(itertools.chain(*self.others, *(layer.columns.flatten().tolist() for layer in self.layers)))
        assert sorted(every) == list(range(ends[-1])), "each parameter lies in one block"

    def scalars(self, index, curvature):
        """Numbers whose derivatives are the vectors of a sample: its loss, or its output along the columns of a root of the Hessian of the loss by it."""
        if curvature == "empirical-fisher":
            return [self.reference.losses[index]]
        output = self.reference.output[index]
        loss = lambda o: self.reference.of_sample(index, o.reshape(output.shape))
        values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(loss, output.detach().flatten()))
        return (vectors * values.clamp(min=0).sqrt()).T @ output.flatten()

    def vectors(self, curvature):
        """By sample: derivatives by all parameters (vectors, numbers), and by the outputs of each layer (vectors, positions, outputs)."""
        outputs = [layer.output for layer in self.layers]
        for index in range(self.reference.samples):
            rows, signals = [], []
            for scalar in self.scalars(index, curvature):
                rows.append(self.reference.flat(scalar))
                gradients = torch.autograd.grad(scalar, outputs, retain_graph=True)
                signals.append([layer.positions(g[index]) for layer, g in zip(self.layers, gradients)])
            yield torch.stack(rows), [torch.stack(of_layer) for of_layer in zip(*signals)]

    def factored(self, layer, signals, squares):
        """K-FAC and EK-FAC of a layer, as matrices over its outputs times inputs. `squares` gives mean squares of the gradients along directions."""
        a = torch.einsum("nta,ntb->ab", layer.inputs, layer.inputs) / layer.inputs.shape[:2].numel()
        s = sum(torch.einsum("vts,vtr->sr", of_sample, of_sample) for of_sample in signals) / self.reference.samples
        # The inputs of an embedding have a diagonal covariance: rows of its table are eigenvectors, also where tokens are equally frequent.
        of_inputs = torch.eye(len(a)).double() if isinstance(layer.module, nn.Embedding) else torch.linalg.eigh(a)[1]
        basis = torch.kron(torch.linalg.eigh(s)[1], of_inputs)
        return {"kfac": torch.kron(s, a), "ekfac": basis * squares(basis) @ basis.T}

    def curvatures(self, curvature):
        """K-FAC and EK-FAC of all parameters."""
        samples, (rows, signals) = self.reference.samples, zip(*self.vectors(curvature))
        fisher = sum(of_sample.T @ of_sample for of_sample in rows) / samples
        found = {method: torch.zeros_like(fisher) for method in METHODS}
        for columns in self.others:
            place = np.ix_(columns, columns)
            for matrix in found.values():
                matrix[place] = fisher[place]
        for number, layer in enumerate(self.layers):
            columns, own = layer.columns.flatten(), [of_sample[number] for of_sample in signals]
            for inputs, of_sample, expected in zip(layer.inputs, own, rows):
                formed = torch.einsum("vts,ta->vsa", of_sample, inputs).flatten(1)
                assert torch.allclose(formed, expected[:, columns], rtol=1e-10, atol=1e-14), "hooks see all of the gradient"
            squares = lambda basis: sum(((of_sample[:, columns] @ basis) ** 2).sum(0) for of_sample in rows) / samples
            for method, matrix in self.factored(layer, own, squares).items():
                found[method][np.ix_(columns, columns)] = matrix
        assert np.isclose(found["ekfac"].trace(), fisher.trace(), rtol=1e-12)
        return found


def read(name):
    """A model with the weights, data and loss that its files hold."""
    model, folder = MODELS[name](), FOLDER / name
    model.module.eval().load_state_dict(safetensors.torch.load_file(folder / "weights.safetensors"))
    with safetensors.safe_open(folder / "reference.safetensors", "pt") as file:
        model.inputs = {key: file.get_tensor(f"input/{key}") for key in model.inputs}
        return model, file.metadata()["loss"], file.get_tensor("target")


def write(name):
    model, loss, target = read(name)
    with widened():
        oracle = Oracle(model, loss, target)
        gradients = oracle.reference.gradients()
        found = {curvature: oracle.curvatures(curvature) for curvature in CURVATURES}
    matrices = {f"{method}/{curvature}": found[curvature][method] for curvature in CURVATURES for method in METHODS}
    tops = {key: float(torch.linalg.eigvalsh(matrix)[-1]) for key, matrix in matrices.items()}
    damping = float(f"{DAMPING * min(tops.values()):.1g}")
    influences = lambda matrix: gradients @ torch.linalg.solve(matrix + damping * torch.eye(len(matrix)).double(), gradients.T)
    written = {f"influence/{key}": influences(matrix).contiguous().numpy() for key, matrix in matrices.items()}
    metadata = dict(damping=str(damping), tops=json.dumps(tops), torch=torch.__version__)
    path = FOLDER / name / "kronecker.safetensors"
    safetensors.numpy.save_file(written, path, metadata=metadata)
    path.chmod(0o644)
    print(name, damping, tops)


def main():
    torch.set_num_threads(1)
    for name in NAMES:
        write(name)


if __name__ == "__main__":
    main()
