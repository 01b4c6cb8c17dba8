#!/usr/bin/env python3
"""Fits estimators of scikit-learn, converts them by skl2onnx and writes their references in float64, one folder each under `models/`.

    python estimators.py

The references take the coefficients of the file. Parameters of `ai.onnx.ml` operators are attributes of a node; they are called `coefficients`
and `intercepts` as there, and have its shapes.
"""

import warnings

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import torch
from models import FOLDER, reference
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from zoo import CLASSES, SAMPLES, Model

warnings.filterwarnings("ignore")
FEATURES = 4


class Linear(nn.Module):
    """Scores from scaled inputs, `(x - offset) · scale`."""

    def __init__(self, attributes, scaler=None):
        super().__init__()
        intercepts = torch.tensor(attributes["intercepts"])
        self.coefficients = nn.Parameter(torch.tensor(attributes["coefficients"]).reshape(len(intercepts), -1))
        self.intercepts = nn.Parameter(intercepts)
        for name in ("offset", "scale"):
            self.register_buffer(name, torch.tensor(scaler[name] if scaler else [float(name == "scale")]))

    def forward(self, x):
        return (x - self.offset) * self.scale @ self.coefficients.T + self.intercepts


class Perceptron(nn.Module):
    """The layers of a file with their names there: `coefficient`, `intercepts`, `coefficient1`, …"""

    def __init__(self, tensors):
        super().__init__()
        self.names = [(f"coefficient{index}", f"intercepts{index}") for index in ("", *range(1, len(tensors) // 2))]
        for name in sum(self.names, ()):
            self.register_parameter(name, nn.Parameter(torch.tensor(tensors[name])))

    def forward(self, x):
        for index, (weight, bias) in enumerate(self.names):
            x = (torch.relu(x) if index else x) @ getattr(self, weight) + getattr(self, bias)
        return x


def attributes(model, operator):
    for node in model.graph.node:
        if node.op_type == operator:
            return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def converted(name, estimator):
    """The file of an estimator, without the step that makes dictionaries of probabilities."""
    options = {} if name == "linear_regression" else {"zipmap": False}
    model = skl2onnx.to_onnx(estimator, np.zeros((1, FEATURES), np.float32), options=options, target_opset={"": 17, "ai.onnx.ml": 3})
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "sklearn.onnx")
    return model, folder


def module(name, model):
    """The same function as the file, up to the softmax at its end."""
    if name == "sklearn_mlp":
        tensors = {t.name: onnx.numpy_helper.to_array(t).copy() for t in model.graph.initializer}
        return Perceptron({key: value for key, value in tensors.items() if key.startswith(("coefficient", "intercepts"))})
    operator = "LinearRegressor" if name == "linear_regression" else "LinearClassifier"
    return Linear(attributes(model, operator), attributes(model, "Scaler"))


def main():
    torch.set_num_threads(1)
    random = np.random.default_rng(20)
    x, y = random.normal(size=(60, FEATURES)), random.integers(0, CLASSES, 60)
    estimators = {
        "linear_regression": LinearRegression().fit(x, np.stack([x @ random.normal(size=FEATURES), y], 1)),
        "logistic_regression": LogisticRegression().fit(x, y),
        "scaled_logistic_regression": make_pipeline(StandardScaler(), LogisticRegression()).fit(3 * x + 1, y),
        "sklearn_mlp": MLPClassifier((6,), random_state=0, max_iter=50).fit(x, y),
    }
    for name, estimator in estimators.items():
        model, folder = converted(name, estimator)
        found = Model(module(name, model), {"X": torch.tensor(random.normal(size=(SAMPLES, FEATURES)), dtype=torch.float32)})
        output = found.module(found.inputs["X"]).detach()
        loss = "mse" if name == "linear_regression" else "cross-entropy"
        target = torch.randn(output.shape) if loss == "mse" else torch.randint(0, CLASSES, (SAMPLES,))
        agrees(folder / "sklearn.onnx", found, output, loss)
        reference(found, loss, target, output.numpy(), folder / "reference.safetensors")


def agrees(path, model, output, loss):
    run = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"X": model.inputs["X"].numpy()})
    expected = output if loss == "mse" else torch.softmax(output, 1)
    assert np.allclose(run[-1], expected.numpy(), atol=1e-5), (run[-1], expected)


if __name__ == "__main__":
    main()
