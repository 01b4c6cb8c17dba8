#!/usr/bin/env python3
"""Makes the dense reference influences under `cli/`, with numpy and jax alone (no attribution library, no code of this project).

    python make_references.py            train the models and write every case
    python make_references.py --check    recompute every reference from the stored files, write nothing, exit 1 on a difference

Needs numpy, jax and safetensors; reads `../../data/digits`. Conventions are in README.md beside this file.
"""

import argparse
import json
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

jax.config.update("jax_enable_x64", True)

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parent.parent / "data" / "digits"
N_TRAIN, N_TEST, SEED = 120, 30, 0
CURVATURES = ("hessian", "gauss-newton", "empirical-fisher")

# ---------------------------------------------------------------------------------------------------------------------
# Models: functions of a dict of arrays with PyTorch names and layouts, and of one input row of 64 pixels.
# ---------------------------------------------------------------------------------------------------------------------


def linear(p, name, x):
    return p[f"{name}.weight"] @ x + p[f"{name}.bias"]


def softmax(p, x):
    return linear(p, "fc", x)


def mlp(p, x):
    return linear(p, "fc2", jnp.tanh(linear(p, "fc1", x)))


def cnn(p, x):
    image = x.reshape(1, 1, 8, 8)
    maps = jax.lax.conv_general_dilated(
        image, p["conv1.weight"], (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW")
    )[0]
    maps = maps + p["conv1.bias"][:, None, None]
    return linear(p, "fc", jax.nn.relu(maps).reshape(-1))


def regression(p, x):
    return linear(p, "fc2", jax.nn.sigmoid(linear(p, "fc1", x)))


def cross_entropy(output, target):
    return jax.scipy.special.logsumexp(output) - output[target]


def mean_squared_error(output, target):
    return jnp.mean((output - target) ** 2)


LAYERS = {
    "softmax": ['{ kind = "linear", name = "fc" }'],
    "mlp": ['{ kind = "linear", name = "fc1" }', '{ kind = "tanh" }', '{ kind = "linear", name = "fc2" }'],
    "cnn": [
        '{ kind = "reshape", shape = [1, 8, 8] }',
        '{ kind = "conv2d", name = "conv1", stride = [1, 1], padding = [0, 0] }',
        '{ kind = "relu" }',
        '{ kind = "flatten" }',
        '{ kind = "linear", name = "fc" }',
    ],
    "regression": ['{ kind = "linear", name = "fc1" }', '{ kind = "sigmoid" }', '{ kind = "linear", name = "fc2" }'],
}
# shapes: parameter order of the flat vectors here. damping: at most the top eigenvalue of every curvature, and enough to make H + λI
# positive definite. steps, rate: gradient descent with momentum 0.9 on the whole training set, without weight decay, stopped early:
# 120 digits can be separated, so the cross-entropy has no finite minimum and its curvature fades as training goes on.
CASES = {
    "softmax": dict(
        forward=softmax, loss="cross-entropy", damping=0.02, steps=60, rate=0.1,
        shapes={"fc.weight": (10, 64), "fc.bias": (10,)},
    ),
    "mlp": dict(
        forward=mlp, loss="cross-entropy", damping=0.04, steps=60, rate=0.1,
        shapes={"fc1.weight": (12, 64), "fc1.bias": (12,), "fc2.weight": (10, 12), "fc2.bias": (10,)},
    ),
    "cnn": dict(
        forward=cnn, loss="cross-entropy", damping=0.05, steps=100, rate=0.05,
        shapes={"conv1.weight": (4, 1, 3, 3), "conv1.bias": (4,), "fc.weight": (10, 144), "fc.bias": (10,)},
    ),
    "regression": dict(
        forward=regression, loss="mse", damping=0.05, steps=1000, rate=0.02,
        shapes={"fc1.weight": (6, 64), "fc1.bias": (6,), "fc2.weight": (1, 6), "fc2.bias": (1,)},
    ),
}
BLOCKWISE = ("mlp",)  # cases with layer-wise and parameter-wise references too


# ---------------------------------------------------------------------------------------------------------------------
# Flat vectors, data, training
# ---------------------------------------------------------------------------------------------------------------------


def sizes(shapes):
    return {name: int(np.prod(shape)) for name, shape in shapes.items()}


def unflatten(shapes, theta):
    out, start = {}, 0
    for name, size in sizes(shapes).items():
        out[name] = theta[start : start + size].reshape(shapes[name])
        start += size
    return out


def blocks(shapes, structure):
    """Lists of flat indices: one block, one per layer (what precedes the last dot), or one per parameter."""
    groups, start = {}, 0
    for name, size in sizes(shapes).items():
        key = {"full": "", "layer-wise": name.rpartition(".")[0], "parameter-wise": name}[structure]
        groups.setdefault(key, []).append(np.arange(start, start + size))
        start += size
    return [np.concatenate(group) for group in groups.values()]


def functions(case):
    shapes, forward = case["shapes"], case["forward"]
    sample_loss = cross_entropy if case["loss"] == "cross-entropy" else mean_squared_error

    def output(theta, x):
        return forward(unflatten(shapes, theta), x)

    def loss(theta, x, y):
        return sample_loss(output(theta, x), y)

    def mean_loss(theta, xs, ys):
        return jnp.mean(jax.vmap(loss, (None, 0, 0))(theta, xs, ys))

    return output, loss, mean_loss


def make_data(case):
    images = np.load(DIGITS / "images.npy").reshape(-1, 64)
    labels = np.load(DIGITS / "labels.npy")
    rows = np.random.RandomState(SEED).permutation(len(images))[: N_TRAIN + N_TEST]
    x = (images[rows] / 16).astype(np.float32)  # exact: sixteenths
    y = labels[rows].astype(np.int64) if case["loss"] == "cross-entropy" else (labels[rows] / 8).astype(np.float32)
    return x[:N_TRAIN], y[:N_TRAIN], x[N_TRAIN:], y[N_TRAIN:]


def train(case, x, y):
    """Full-batch gradient descent with momentum in float64; the result is rounded to float32 once, at the end."""
    generator = np.random.RandomState(SEED + 1)
    parts = []
    for shape in case["shapes"].values():
        fan_in = int(np.prod(shape[1:]))
        parts.append(generator.standard_normal(shape).ravel() / np.sqrt(fan_in) if len(shape) > 1 else np.zeros(shape))
    theta = jnp.asarray(np.concatenate(parts))
    gradient = jax.grad(functions(case)[2])

    def step(_, state):
        theta, velocity = state
        velocity = 0.9 * velocity + gradient(theta, x, y)
        return theta - case["rate"] * velocity, velocity

    run = jax.jit(lambda t: jax.lax.fori_loop(0, case["steps"], step, (t, jnp.zeros_like(t)))[0])
    return {k: np.asarray(v, np.float32) for k, v in unflatten(case["shapes"], run(theta)).items()}


# ---------------------------------------------------------------------------------------------------------------------
# Curvatures and influences
# ---------------------------------------------------------------------------------------------------------------------


def promote(x, y):
    """float32 to float64 exactly; mse targets (n) become (n, 1)."""
    x = jnp.asarray(np.asarray(x, np.float64))
    return x, jnp.asarray(y) if y.dtype == np.int64 else jnp.asarray(np.asarray(y, np.float64)).reshape(len(y), -1)


def per_sample_gradients(case, theta, x, y):
    return np.asarray(jax.vmap(jax.grad(functions(case)[1]), (None, 0, 0))(theta, x, y))


def curvature_matrices(case, theta, x, y):
    output, _, mean_loss = functions(case)
    n = len(x)
    hessian = np.asarray(jax.hessian(mean_loss)(theta, x, y))
    jacobian = np.asarray(jax.vmap(jax.jacrev(output), (None, 0))(theta, x))  # (n, outputs, dim)
    z = np.asarray(jax.vmap(output, (None, 0))(theta, x))
    outputs = z.shape[1]
    if case["loss"] == "cross-entropy":
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        h_out = p[:, :, None] * np.eye(outputs) - p[:, :, None] * p[:, None, :]
    else:
        h_out = np.broadcast_to(2 / outputs * np.eye(outputs), (n, outputs, outputs))
    scaled = np.einsum("nop,npd->nod", h_out, jacobian)
    gauss_newton = jacobian.reshape(n * outputs, -1).T @ scaled.reshape(n * outputs, -1) / n
    g = per_sample_gradients(case, theta, x, y)
    matrices = {"hessian": hessian, "gauss-newton": gauss_newton, "empirical-fisher": g.T @ g / n}
    return {name: (m + m.T) / 2 for name, m in matrices.items()}


def influences(matrix, damping, g_test, g_train, groups):
    """up[i, j] = <(C + λI)⁻¹ g_test[i], g_train[j]>, C replaced by its diagonal blocks `groups`."""
    up = np.zeros((len(g_test), len(g_train)))
    for index in groups:
        damped = matrix[np.ix_(index, index)] + damping * np.eye(len(index))
        up += np.linalg.solve(damped, g_test[:, index].T).T @ g_train[:, index].T
    return up


def difference(a, b):
    """Largest absolute difference over the largest absolute value of b."""
    return float(np.abs(a - b).max() / np.abs(b).max())


def self_checks(name, case, theta, x, y, matrices, g_train):
    """Independent second opinions on what jax said; the numbers go to reference.json."""
    checks = {}
    gradient = jax.jit(jax.grad(functions(case)[2]))
    checks["gradients_mean_vs_gradient_of_mean"] = difference(g_train.mean(0), np.asarray(gradient(theta, x, y)))
    directions = np.random.RandomState(SEED + 2).standard_normal((3, len(theta)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    step, worst = 1e-5, 0.0
    for v in directions:
        central = np.asarray(gradient(theta + step * v, x, y) - gradient(theta - step * v, x, y)) / (2 * step)
        worst = max(worst, difference(matrices["hessian"] @ v, central))
    checks["hessian_vs_central_differences"] = worst
    if name == "softmax":  # closed forms in numpy: H = mean (diag p - p pᵀ) ⊗ [x;1][x;1]ᵀ, g = (p - e_y) ⊗ [x;1]
        p = unflatten(case["shapes"], np.asarray(theta))
        xs = np.asarray(x)
        z = xs @ p["fc.weight"].T + p["fc.bias"]
        q = np.exp(z - z.max(1, keepdims=True))
        q /= q.sum(1, keepdims=True)
        x1 = np.hstack([xs, np.ones((len(xs), 1))])
        s = q[:, :, None] * np.eye(10) - q[:, :, None] * q[:, None, :]
        closed = np.einsum("nij,na,nb->iajb", s, x1, x1) / len(xs)
        order = np.concatenate([(np.arange(10)[:, None] * 65 + np.arange(64)).ravel(), np.arange(10) * 65 + 64])
        closed = closed.reshape(650, 650)[np.ix_(order, order)]
        g = ((q - np.eye(10)[np.asarray(y)])[:, :, None] * x1[:, None, :]).reshape(len(xs), 650)[:, order]
        checks["hessian_vs_closed_form"] = difference(matrices["hessian"], closed)
        checks["gauss_newton_vs_closed_form"] = difference(matrices["gauss-newton"], closed)
        checks["gradients_vs_closed_form"] = difference(g_train, g)
        checks["empirical_fisher_vs_closed_form"] = difference(matrices["empirical-fisher"], g.T @ g / len(xs))
    return checks


def compute(name, case, params, x_train, y_train, x_test, y_test):
    """All references of a case and a description of them."""
    theta = jnp.asarray(np.concatenate([params[k].astype(np.float64).ravel() for k in case["shapes"]]))
    x, y = promote(x_train, y_train)
    xt, yt = promote(x_test, y_test)
    damping = case["damping"]
    g_train, g_test = (per_sample_gradients(case, theta, a, b) for a, b in ((x, y), (xt, yt)))
    matrices = curvature_matrices(case, theta, x, y)
    output, _, mean_loss = functions(case)
    about = {
        "loss": case["loss"],
        "damping": damping,
        "dim": len(theta),
        "parameters": {k: list(v) for k, v in case["shapes"].items()},
        "train_loss": float(mean_loss(theta, x, y)),
        "test_loss": float(mean_loss(theta, xt, yt)),
        "train_gradient_norm": float(np.linalg.norm(g_train.mean(0))),
    }
    if case["loss"] == "cross-entropy":
        guess = lambda a: np.asarray(jax.vmap(output, (None, 0))(theta, a)).argmax(1)
        about["train_accuracy"] = float((guess(x) == y_train).mean())
        about["test_accuracy"] = float((guess(xt) == y_test).mean())
    if name == "cnn":  # distance from the kink of relu: its second derivative is 0 on both sides and undefined between
        w, b = np.asarray(params["conv1.weight"], np.float64), np.asarray(params["conv1.bias"], np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(np.asarray(jnp.vstack([x, xt])).reshape(-1, 8, 8), (3, 3), (1, 2))
        before = np.einsum("nijab,oab->noij", windows, w[:, 0]) + b[None, :, None, None]
        about["smallest_distance_from_relu_kink"] = float(np.abs(before).min())
    references, about["references"] = {}, {}
    plain = influences(np.zeros_like(matrices["hessian"]), damping, g_test, g_train, blocks(case["shapes"], "full"))
    for curvature in CURVATURES:
        structures = ("full", "layer-wise", "parameter-wise") if name in BLOCKWISE else ("full",)
        spectrum = np.linalg.eigvalsh(matrices[curvature])
        for structure in structures:
            if structure != "full" and curvature != "hessian":
                continue
            file = f"reference_{curvature}{'' if structure == 'full' else '_' + structure}.npy".replace("-", "_")
            groups = blocks(case["shapes"], structure)
            up = influences(matrices[curvature], damping, g_test, g_train, groups)
            lowest = min(np.linalg.eigvalsh(matrices[curvature][np.ix_(i, i)])[0] for i in groups)
            references[file] = up
            about["references"][file] = {
                "curvature": curvature,
                "blocks": structure,
                "top_eigenvalue": float(spectrum[-1]),
                "lowest_eigenvalue": float(spectrum[0]),
                "lowest_eigenvalue_of_blocks": float(lowest),
                "positive_definite": bool(lowest + damping > 0),
                "condition_number": float((spectrum[-1] + damping) / (spectrum[0] + damping)),
                "largest_influence": float(np.abs(up).max()),
                "change_if_curvature_were_zero": difference(plain, up),
            }
            if structure != "full":
                about["references"][file]["change_to_full"] = difference(up, references["reference_hessian.npy"])
    about["checks"] = self_checks(name, case, theta, x, y, matrices, g_train)
    return references, about


CONFIG = """\
# Golden case `{name}`: see ../../README.md. Made by make_references.py.
seed = 0
device = "cpu"
precision = "f64"
[model]
weights = "model.safetensors"
loss = "{loss}"
layers = [
{layers},
]
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test  = {{ inputs = "x_test.npy",  targets = "y_test.npy" }}
[method]
name = "direct"
curvature = "hessian"
damping = {damping}
blocks = "full"
[compute]
strategy = "parallel"
train_chunk = 50
test_chunk = 8
threads = 2
[output]
path = "influences.zarr"
"""


def write(name, case):
    folder = HERE / "cli" / name
    folder.mkdir(parents=True, exist_ok=True)
    arrays = make_data(case)
    x, y = promote(*arrays[:2])
    params = train(case, x, y)
    safetensors.numpy.save_file(params, folder / "model.safetensors")
    for file, array in zip(("x_train", "y_train", "x_test", "y_test"), arrays):
        np.save(folder / f"{file}.npy", array)
    layers = ",\n".join("  " + layer for layer in LAYERS[name])
    text = CONFIG.format(name=name, loss=case["loss"], layers=layers, damping=case["damping"])
    (folder / "config.toml").write_text(text)
    references, about = compute(name, case, params, *arrays)
    for file, up in references.items():
        np.save(folder / file, up)
    about["made_with"] = versions()
    (folder / "reference.json").write_text(json.dumps(about, indent=1) + "\n")
    return about


def check(name, case):
    folder = HERE / "cli" / name
    params = safetensors.numpy.load_file(folder / "model.safetensors")
    arrays = [np.load(folder / f"{file}.npy") for file in ("x_train", "y_train", "x_test", "y_test")]
    references, about = compute(name, case, params, *arrays)
    worst = max(difference(up, np.load(folder / file)) for file, up in references.items())
    good = worst < 1e-11 and max(about["checks"].values()) < 1e-7
    print(f"{name}: largest relative difference to the stored references {worst:.1e} ({'ok' if good else 'DIFFERS'})")
    return good


def versions():
    return {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "jax": jax.__version__,
        "safetensors": safetensors.__version__,
    }


def table(name, about):
    print(f"\n{name}: dim {about['dim']}, damping {about['damping']}, train loss {about['train_loss']:.4f}, "
          f"accuracy {about.get('train_accuracy', float('nan')):.3f}/{about.get('test_accuracy', float('nan')):.3f} (train/test), "
          f"|gradient| {about['train_gradient_norm']:.2e}, relu kink {about.get('smallest_distance_from_relu_kink', float('nan')):.1e}")
    print(f"  {'reference':42} {'top eig':>9} {'min eig':>10} {'cond':>8} {'max |up|':>9} {'vs 0·H':>9} {'vs full':>8}")
    for file, r in about["references"].items():
        print(f"  {file:42} {r['top_eigenvalue']:9.4f} {r['lowest_eigenvalue_of_blocks']:10.2e} {r['condition_number']:8.1f} "
              f"{r['largest_influence']:9.3f} {r['change_if_curvature_were_zero']:9.3f} {r.get('change_to_full', 0):8.3f}"
              + ("" if r["positive_definite"] else "  INDEFINITE"))
    for what, value in about["checks"].items():
        print(f"  check {what}: {value:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="recompute from the stored files and compare")
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    arguments = parser.parse_args()
    chosen = arguments.cases or list(CASES)
    if unknown := [name for name in chosen if name not in CASES]:
        parser.error(f"unknown case {unknown[0]}; the cases are {', '.join(CASES)}")
    print(json.dumps(versions()))
    if arguments.check:
        return 0 if all([check(name, CASES[name]) for name in chosen]) else 1
    for name in chosen:
        table(name, write(name, CASES[name]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
