"""Gradients and influences of a torch module in float64, by autograd and dense matrices."""

import contextlib
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

DAMPING = 0.5
WEIGHTS = (0.5, 1.0, 2.0)
SMOOTHING = 0.1
IGNORE = -100


def classes(output, target, **options):
    """The mean over the counted positions of one sample."""
    return F.cross_entropy(output.reshape(-1, output.shape[-1]), target.reshape(-1), **options)


def weighted(output, target):
    """The weight of the sample's class times its loss, not divided by the weight."""
    weights = torch.tensor(WEIGHTS, dtype=output.dtype)
    return classes(output, target, weight=weights, reduction="sum")


# name: loss of one sample, from its output without the axis of samples, and its target
LOSSES = {
    "cross-entropy": classes,
    "class-weights": weighted,
    "label-smoothing": lambda output, target: classes(output, target, label_smoothing=SMOOTHING),
    "sequence-cross-entropy": classes,
    "ignore": lambda output, target: classes(output, target, ignore_index=IGNORE),
    "next-token": lambda output, target: classes(output[:-1], target[1:]),
    "mse": lambda output, target: ((output - target) ** 2).mean(),
    "binary-cross-entropy": F.binary_cross_entropy_with_logits,
    "output": lambda output, target: output,
}


def targets(loss, model, output):
    """Targets for a loss, drawn once; those of `next-token` are the token ids."""
    labels = torch.randint(0, output.shape[-1], output.shape[:-1]) if output.dim() > 1 else None
    if loss == "ignore":
        drop = torch.rand(labels.shape) < 0.4
        drop[:, 0] = False
        return labels.masked_fill(drop, IGNORE)
    if loss == "mse":
        return torch.randn(output.shape)
    if loss == "binary-cross-entropy":
        return torch.randint(0, 2, output.shape).float()
    if loss == "next-token":
        return next(iter(model.inputs.values()))
    return labels


def doubled(tensor):
    return tensor.double() if tensor is not None and tensor.is_floating_point() else tensor


@contextlib.contextmanager
def widened():
    """Makes modules that ask for float32 by name, such as the norms of Llama, compute in float64 too."""
    with contextlib.ExitStack() as stack:
        for name in ("float", "float32"):
            stack.enter_context(mock.patch.object(torch, name, torch.float64))
        stack.enter_context(mock.patch.object(torch.Tensor, "float", torch.Tensor.double))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


class Reference:
    """A module in float64: one forward pass, from which all derivatives are taken. No model mixes samples."""

    def __init__(self, model, loss, target):
        self.module, self.loss, self.target = model.module.double(), LOSSES[loss], doubled(target)
        self.names, self.parameters = zip(*[(k, p) for k, p in self.module.named_parameters() if p.requires_grad])
        found = self.module(*[doubled(x) for x in model.inputs.values()])
        self.output = found[0] if isinstance(found, tuple) else found
        self.samples = len(self.output)
        self.losses = [self.of_sample(index, self.output[index]) for index in range(self.samples)]

    def of_sample(self, index, output):
        return self.loss(output, None if self.target is None else self.target[index])

    def flat(self, scalar, graph=False):
        """The derivative of a number by all parameters, as one row."""
        parts = torch.autograd.grad(scalar, self.parameters, retain_graph=True, create_graph=graph, allow_unused=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).reshape(-1) for g, p in zip(parts, self.parameters)])

    def gradients(self):
        return torch.stack([self.flat(loss) for loss in self.losses]).detach()

    def hessian(self):
        first = self.flat(sum(self.losses) / self.samples, graph=True)
        return torch.stack([self.flat(entry) if entry.requires_grad else torch.zeros_like(first) for entry in first]).detach()

    def gauss_newton(self):
        total = 0
        for index, output in enumerate(self.output):
            jacobian = torch.stack([self.flat(entry) for entry in output.reshape(-1)]).detach()
            function = lambda o: self.of_sample(index, o.reshape(output.shape))
            inner = torch.autograd.functional.hessian(function, output.detach().reshape(-1))
            total = total + jacobian.T @ inner @ jacobian
        return total / self.samples

    def influences(self, gradients, curvature):
        damped = curvature + DAMPING * torch.eye(len(curvature), dtype=torch.float64)
        return gradients @ torch.linalg.solve(damped, gradients.T)


def by_name(reference, gradients):
    """The rows of gradients cut into parameters."""
    parts = gradients.split([p.numel() for p in reference.parameters], dim=1)
    return {f"grad/{name}": part.contiguous().numpy() for name, part in zip(reference.names, parts)}


def computed(model, loss, target):
    """Everything that the file of a model holds for one loss, and facts for its metadata."""
    with widened():
        reference = Reference(model, loss, target)
        gradients, hessian = reference.gradients(), reference.hessian()
        curvatures = {"hessian": hessian}
        if loss != "output":
            curvatures["gauss-newton"] = reference.gauss_newton()
        found = by_name(reference, gradients)
        found["output64"] = reference.output.detach().numpy()
        for name, matrix in curvatures.items():
            found[f"influence/{name}"] = np.ascontiguousarray(reference.influences(gradients, matrix).numpy())
    assert all(np.isfinite(value).all() for value in found.values())
    spectrum = torch.linalg.eigvalsh((hessian + hessian.T) / 2)
    facts = dict(lowest=float(spectrum[0]), highest=float(spectrum[-1]), asymmetry=float((hessian - hessian.T).abs().max()))
    return found, facts
