"""Linear models, scalers and their like of `ai.onnx.ml`."""

import numpy as np
from case import ML, Const, one, spread

WEIGHTS = [0.5, -1.2, 0.3, 0.8, 0.1, -0.4, -0.9, 0.6, 1.1]


def cases():
    x = spread(4, 3)
    labels = dict(coefficients=WEIGHTS, intercepts=[0.1, -0.2, 0.3], classlabels_ints=[0, 1, 2])
    for transform in ("NONE", "SOFTMAX", "LOGISTIC"):
        variant = f"classes_{transform.lower()}"
        yield one("LinearClassifier", 13, variant, x, outputs=2, domain=ML, post_transform=transform, multi_class=1, **labels)
    binary = dict(coefficients=[-0.5, 1.2, -0.3, 0.5, -1.2, 0.3], intercepts=[-0.1, 0.1], classlabels_ints=[0, 1])
    for transform in ("NONE", "LOGISTIC", "SOFTMAX"):
        yield one("LinearClassifier", 13, f"binary_{transform.lower()}", x, outputs=2, domain=ML, post_transform=transform, **binary)
    yield one("LinearRegressor", 13, "", x, domain=ML, coefficients=[0.4, -0.7, 1.3], intercepts=[0.2])
    yield one("LinearRegressor", 13, "targets", x, domain=ML, coefficients=WEIGHTS[:6], intercepts=[0.2, -0.6], targets=2)
    yield one("LinearRegressor", 13, "no_intercept", x, domain=ML, coefficients=[0.4, -0.7, 1.3])
    yield one("Scaler", 13, "", x, domain=ML, offset=[0.5, -0.2, 1.1], scale=[1.5, 0.3, 2.0])
    yield one("Scaler", 13, "single", x, domain=ML, offset=[0.5], scale=[1.5])
    for norm in ("MAX", "L1", "L2"):
        yield one("Normalizer", 13, norm.lower(), x, domain=ML, norm=norm)
    yield one("ArrayFeatureExtractor", 13, "", x, Const(np.array([2, 0])), domain=ML)
