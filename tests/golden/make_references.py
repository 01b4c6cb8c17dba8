#!/usr/bin/env python3
"""Makes the dense reference influences under `cli/`, with numpy and jax alone (no attribution library, no code of this project).

    python make_references.py            train the models and write every case
    python make_references.py --check    recompute every reference from the stored files, write nothing, exit 1 on a difference
    python make_references.py --missing  write the files of METHODS that are not there yet, from the stored models; change none

Needs numpy, jax and safetensors; reads `../../crates/cli/data/digits`. Conventions are in README.md beside this file.
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
DIGITS = HERE.parent.parent / "crates" / "cli" / "data" / "digits"
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
METHODS = ("mlp",)  # cases with references of other methods and modes too
RATES = (0.1, 0.05)  # learning rates of TracIn: at the checkpoint after half of the steps, and at the end
PERTURBED = 10  # training points in the reference of perturbations


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


def train(case, x, y, steps=None):
    """Full-batch gradient descent with momentum in float64; the result is rounded to float32 once, at the end. Fewer steps give a checkpoint."""
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

    run = jax.jit(lambda t: jax.lax.fori_loop(0, steps or case["steps"], step, (t, jnp.zeros_like(t)))[0])
    return {k: np.asarray(v, np.float32) for k, v in unflatten(case["shapes"], run(theta)).items()}


# ---------------------------------------------------------------------------------------------------------------------
# Curvatures and influences
# ---------------------------------------------------------------------------------------------------------------------


def flatten(case, params):
    """The stored float32 weights as one float64 vector."""
    return jnp.asarray(np.concatenate([params[k].astype(np.float64).ravel() for k in case["shapes"]]))


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


def factors(matrix, damping, g_test, groups):
    """(C + λI)⁻¹ g_test[i], C replaced by its diagonal blocks `groups`."""
    out = np.zeros_like(g_test)
    for index in groups:
        damped = matrix[np.ix_(index, index)] + damping * np.eye(len(index))
        out[:, index] = np.linalg.solve(damped, g_test[:, index].T).T
    return out


def influences(matrix, damping, g_test, g_train, groups):
    """up[i, j] = <(C + λI)⁻¹ g_test[i], g_train[j]>, C replaced by its diagonal blocks `groups`."""
    return factors(matrix, damping, g_test, groups) @ g_train.T


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
    theta = flatten(case, params)
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


# ---------------------------------------------------------------------------------------------------------------------
# Other methods and modes, for the network of linear 64→12, tanh, linear 12→10 under the cross-entropy
# ---------------------------------------------------------------------------------------------------------------------


def inverse_harmonic_mean(damping, g_test, g_train):
    """Factors R g_test, R the mean over the training points of the explicit inverses (g gᵀ + λI)⁻¹."""
    inverses = sum(np.linalg.inv(np.outer(g, g) + damping * np.eye(len(g))) for g in g_train)
    return g_test @ (inverses / len(g_train))


def inputs_and_signals(params, x):
    """By layer: inputs with a one behind them, (n, in + 1), and signals at the layer's output, (n, outputs, out).

    The output cotangents are u_c = √p_c (e_c − p), whose Σ_c u_c u_cᵀ is the curvature diag p − p pᵀ of the loss.
    """
    p = {k: v.astype(np.float64) for k, v in params.items()}
    hidden = np.tanh(x @ p["fc1.weight"].T + p["fc1.bias"])
    z = hidden @ p["fc2.weight"].T + p["fc2.bias"]
    q = np.exp(z - z.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    u = np.sqrt(q)[:, :, None] * (np.eye(z.shape[1]) - q[:, None, :])
    back = (u @ p["fc2.weight"]) * (1 - hidden**2)[:, None, :]
    one = np.ones((len(x), 1))
    return {"fc1": (np.hstack([x, one]), back), "fc2": (np.hstack([hidden, one]), u)}


def kronecker(case, layers, damping, g_test):
    """Factors under K-FAC and EK-FAC, and second opinions; gradients of a layer are matrices (out, in + 1) of weight and bias."""
    n, checks = len(layers["fc1"][0]), {}
    kfac, ekfac, rotated = np.zeros_like(g_test), np.zeros_like(g_test), []
    for (a, delta), index in zip(layers.values(), blocks(case["shapes"], "layer-wise")):
        rows, columns = delta.shape[2], a.shape[1]
        index = np.hstack([index[: -rows].reshape(rows, -1), index[-rows:, None]]).ravel()  # row-major with the bias as last column
        big_a, big_s = a.T @ a / n, np.einsum("nci,ncj->ij", delta, delta) / n
        block = np.kron(big_s, big_a)  # A ⊗ S for columns stacked, S ⊗ A for rows
        g = g_test[:, index]
        kfac[:, index] = np.linalg.solve(block + damping * np.eye(len(block)), g.T).T
        (s, q_s), (e, q_a) = np.linalg.eigh(big_s), np.linalg.eigh(big_a)
        turn = lambda values: (q_s.T @ g.reshape(-1, rows, columns) @ q_a) / (values + damping)
        back = lambda turned: (q_s @ turned @ q_a.T).reshape(len(g), -1)
        opinion = difference(back(turn(np.outer(s, e))), kfac[:, index])
        checks["kfac_vs_eigenvalues"] = max(opinion, checks.get("kfac_vs_eigenvalues", 0.0))
        scale = np.einsum("nci,nj->ij", (delta @ q_s) ** 2, (a @ q_a) ** 2) / n
        ekfac[:, index] = back(turn(scale))
        rotated.append((index, np.kron(q_s, q_a), scale.ravel()))
    return kfac, ekfac, rotated, checks


def compute_methods(case, params, checkpoint, x_train, y_train, x_test, y_test):
    """References of the methods and modes beside the direct ones of `compute`, with second opinions."""
    theta, damping = flatten(case, params), case["damping"]
    x, y = promote(x_train, y_train)
    xt, yt = promote(x_test, y_test)
    loss = functions(case)[1]
    gradients = lambda at: [per_sample_gradients(case, at, a, b) for a, b in ((x, y), (xt, yt))]
    g_train, g_test = gradients(theta)
    gauss_newton = curvature_matrices(case, theta, x, y)["gauss-newton"]
    full, layers = (blocks(case["shapes"], structure) for structure in ("full", "layer-wise"))
    references, checks = {}, {}

    harmonic = inverse_harmonic_mean(damping, g_test, g_train)
    references["inverse_harmonic_mean"] = harmonic @ g_train.T
    weights = 1 / (damping + (g_train**2).sum(1))  # (g gᵀ + λI)⁻¹ = (I − g gᵀ / (λ + |g|²)) / λ
    closed = (g_test - (g_test @ g_train.T * weights) @ g_train / len(g_train)) / damping
    checks["inverse_harmonic_mean_vs_closed_form"] = difference(harmonic, closed)

    signals = inputs_and_signals(params, np.asarray(x))
    kfac, ekfac, rotated, opinions = kronecker(case, signals, damping, g_test)
    references["kfac"], references["ekfac"] = kfac @ g_train.T, ekfac @ g_train.T
    checks.update(opinions)
    eigenvalues = [(scale, np.diag(q.T @ gauss_newton[np.ix_(i, i)] @ q)) for i, q, scale in rotated]
    checks["ekfac_eigenvalues_vs_rotated_gauss_newton"] = max(difference(*pair) for pair in eigenvalues)

    scales = np.diag(gauss_newton)
    references["diagonal"] = g_test / (scales + damping) @ g_train.T
    squares = [np.einsum("nci,nj->ij", delta**2, a**2) / len(a) for a, delta in signals.values()]  # of (δ ⊗ a), δ ⊗ a the gradient
    squares = np.concatenate([part for layer in squares for part in (layer[:, :-1].ravel(), layer[:, -1])])
    checks["diagonal_vs_squared_signals"] = difference(squares, scales)

    references["identity"] = g_test @ g_train.T
    norms = [np.linalg.norm(g, axis=1) for g in (g_test, g_train)]
    references["cosine"] = references["identity"] / np.outer(*norms)
    g_train_before, g_test_before = gradients(flatten(case, checkpoint))
    references["tracin"] = RATES[0] * g_test_before @ g_train_before.T + RATES[1] * references["identity"]

    h = jnp.asarray(factors(gauss_newton, damping, g_test, full))
    influence = lambda one, pixels, label: one @ jax.grad(loss)(theta, pixels, label)
    slopes = jax.vmap(jax.vmap(jax.grad(influence, 1), (None, 0, 0)), (0, None, None))
    xs, ys = x[:PERTURBED], y[:PERTURBED]
    references["perturbation"] = np.asarray(jax.jit(slopes)(h, xs, ys))
    v, step = jnp.asarray(np.random.RandomState(SEED + 3).standard_normal(xs.shape)), 1e-5
    moved = [np.asarray(h) @ per_sample_gradients(case, theta, xs + sign * step * v, ys).T for sign in (1, -1)]
    along = np.einsum("ijp,jp->ij", references["perturbation"], np.asarray(v))
    checks["perturbation_vs_central_differences"] = difference(along, (moved[0] - moved[1]) / (2 * step))

    each = [influences(gauss_newton, damping, g_test, g_train, [index]) for index in layers]
    references["by_block"] = np.stack(each, -1)
    checks["by_block_sum_vs_layer_wise_factors"] = difference(
        references["by_block"].sum(-1), factors(gauss_newton, damping, g_test, layers) @ g_train.T
    )

    own = factors(gauss_newton, damping, g_train, full)
    references["self"] = (own * g_train).sum(1)
    values, vectors = np.linalg.eigh(gauss_newton)
    checks["self_vs_eigenvalues"] = difference(references["self"], ((g_train @ vectors) ** 2 / (values + damping)).sum(1))

    references = {f"reference_{name}.npy": np.ascontiguousarray(array) for name, array in references.items()}
    about = {
        "damping": damping,
        "learning_rates": list(RATES),
        "references": {
            file: {"shape": list(array.shape), "largest": float(np.abs(array).max())} for file, array in references.items()
        },
        "checks": checks,
    }
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


GRADIENTS = """\
[method]
name = "identity"
"""


def config(name, case):
    layers = ",\n".join("  " + layer for layer in LAYERS[name])
    return CONFIG.format(name=name, loss=case["loss"], layers=layers, damping=case["damping"])


def gradients_config(name, case):
    """The same run by a method of gradients alone, which refuses keys of the curvature."""
    text = config(name, case)
    return text[: text.index("[method]")] + GRADIENTS + text[text.index("[compute]") :]


def stored(folder):
    """Weights and data as they were written."""
    params = safetensors.numpy.load_file(folder / "model.safetensors")
    return params, [np.load(folder / f"{file}.npy") for file in ("x_train", "y_train", "x_test", "y_test")]


def write_methods(name, case, overwrite):
    """Writes what belongs to the methods of a case; what is there stays unless overwritten."""
    folder = HERE / "cli" / name
    fresh = lambda file: overwrite or not (folder / file).exists()
    params, arrays = stored(folder)
    if fresh("checkpoint.safetensors"):
        halfway = train(case, *promote(*arrays[:2]), steps=case["steps"] // 2)
        safetensors.numpy.save_file(halfway, folder / "checkpoint.safetensors")
    if fresh("gradients.toml"):
        (folder / "gradients.toml").write_text(gradients_config(name, case))
    checkpoint = safetensors.numpy.load_file(folder / "checkpoint.safetensors")
    references, about = compute_methods(case, params, checkpoint, *arrays)
    for file in filter(fresh, references):
        np.save(folder / file, references[file])
    about["made_with"] = versions()
    if fresh("methods.json"):
        (folder / "methods.json").write_text(json.dumps(about, indent=1) + "\n")
    print(f"\n{name}: other methods and modes")
    for file, r in about["references"].items():
        print(f"  {file:42} {str(tuple(r['shape'])):14} max {r['largest']:9.3f}")
    for what, value in about["checks"].items():
        print(f"  check {what}: {value:.1e}")


def write(name, case):
    folder = HERE / "cli" / name
    folder.mkdir(parents=True, exist_ok=True)
    arrays = make_data(case)
    x, y = promote(*arrays[:2])
    params = train(case, x, y)
    safetensors.numpy.save_file(params, folder / "model.safetensors")
    for file, array in zip(("x_train", "y_train", "x_test", "y_test"), arrays):
        np.save(folder / f"{file}.npy", array)
    (folder / "config.toml").write_text(config(name, case))
    references, about = compute(name, case, params, *arrays)
    for file, up in references.items():
        np.save(folder / file, up)
    about["made_with"] = versions()
    (folder / "reference.json").write_text(json.dumps(about, indent=1) + "\n")
    return about


def check(name, case):
    folder = HERE / "cli" / name
    params, arrays = stored(folder)
    references, about = compute(name, case, params, *arrays)
    if name in METHODS:
        checkpoint = safetensors.numpy.load_file(folder / "checkpoint.safetensors")
        more, about_more = compute_methods(case, params, checkpoint, *arrays)
        references.update(more)
        about["checks"].update(about_more["checks"])
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
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="recompute from the stored files and compare")
    how.add_argument("--missing", action="store_true", help="write only files of other methods and modes that are not there yet")
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}; default: all")
    arguments = parser.parse_args()
    chosen = arguments.cases or list(CASES)
    if unknown := [name for name in chosen if name not in CASES]:
        parser.error(f"unknown case {unknown[0]}; the cases are {', '.join(CASES)}")
    print(json.dumps(versions()))
    if arguments.check:
        return 0 if all([check(name, CASES[name]) for name in chosen]) else 1
    for name in chosen:
        if not arguments.missing:
            table(name, write(name, CASES[name]))
        if name in METHODS:
            write_methods(name, CASES[name], overwrite=not arguments.missing)
    return 0


if __name__ == "__main__":
    sys.exit(main())
