"""Influences of the case `mlp` by numpy alone: H is the Gauss-Newton matrix of the network, formed from Jacobians.

    python make_damping_reference.py

writes cli/mlp/reference_undecayed_biases.npy: the first five test points, λ = 0.04 for weights and 0 for biases;
and cli/mlp/reference_leverage.npy: λ = 0.04, the curvature of each training point taken out of H with its gradient, an explicit inverse for each; the first
five test points, and in a last row the training points on themselves.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

FOLDER = Path(__file__).parent / "cli" / "mlp"
LAMBDA = 0.04
ROWS = 5


def jacobians(weights, x):
    """The derivative of each output by each parameter, `(n, outputs, parameters)`, and the outputs."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1.T + b1)
    outputs = hidden @ w2.T + b2
    n, c = outputs.shape
    signal = w2[None] * (1 - hidden**2)[:, None]  # (n, c, hidden)
    by_w1 = (signal[..., None] * x[:, None, None]).reshape(n, c, -1)
    eye = np.broadcast_to(np.eye(c), (n, c, c))
    by_w2 = (eye[..., None] * hidden[:, None, None]).reshape(n, c, -1)
    return np.concatenate([by_w1, signal, by_w2, eye], 2), outputs


def gradients(weights, x, y):
    jacobian, outputs = jacobians(weights, x)
    p = np.exp(outputs - outputs.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return np.einsum("ncp,nc->np", jacobian, p - np.eye(p.shape[1])[y]), jacobian, p


tensors = load_file(FOLDER / "model.safetensors")
names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
weights = [tensors[name].astype(np.float64) for name in names]
sides = {s: [np.load(FOLDER / f"{a}_{s}.npy") for a in "xy"] for s in ("train", "test")}
train, jacobian, p = gradients(weights, sides["train"][0].astype(np.float64), sides["train"][1].astype(int))
test, _, _ = gradients(weights, sides["test"][0].astype(np.float64), sides["test"][1].astype(int))
second = np.einsum("nc,cd->ncd", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None]
h = np.einsum("ncp,ncd,ndq->pq", jacobian, second, jacobian) / len(p)

whole = test @ np.linalg.solve(h + LAMBDA * np.eye(len(h)), train.T)
against = np.load(FOLDER / "reference_gauss_newton.npy")
print("one λ against the reference of JAX:", abs(whole - against).max() / abs(against).max())

diagonal = np.concatenate([np.full(w.size, 0.0 if name.endswith("bias") else LAMBDA) for name, w in zip(names, weights)])
# The same number added to all biases of the last layer changes no output: a direction without curvature, and without any part of a gradient.
own = test @ np.linalg.lstsq(h + np.diag(diagonal), train.T, rcond=1e-12)[0]
print("least eigenvalues:", np.linalg.eigvalsh(h + np.diag(diagonal))[:2], "; change:", abs(own - whole).max() / abs(whole).max())
plain = test @ train.T
print("without the curvature:", abs(own - plain).max() / abs(own).max())
np.save(FOLDER / "reference_undecayed_biases.npy", own[:ROWS])

n = len(p)
damped = h + LAMBDA * np.eye(len(h))
corrected = np.empty((ROWS + 1, n))
for i in range(n):
    rest = np.linalg.inv(damped - jacobian[i].T @ second[i] @ jacobian[i] / n)
    corrected[:ROWS, i] = test[:ROWS] @ rest @ train[i]
    corrected[ROWS, i] = train[i] @ rest @ train[i]
print("without the leverage:", abs(corrected[:ROWS] - whole[:ROWS]).max() / abs(corrected[:ROWS]).max())
np.save(FOLDER / "reference_leverage.npy", corrected)
