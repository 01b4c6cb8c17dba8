#!/usr/bin/env python3
"""Makes the cases `cli/norms`, `cli/tokens` and `cli/transposed`: models of PyTorch's own layers, and dense float64 references by torch.func.

    python make_layers.py            train the models and write every case
    python make_layers.py --check    recompute every reference from the stored weights and compare; writes nothing

Needs numpy, torch and safetensors; reads `../../crates/cli/data/digits`. Conventions are in README.md beside this file. Normalisations are written out
in the references, and the whole forward pass and its gradients are held against the modules of torch.nn.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.func import hessian, jacrev, vmap

HERE = pathlib.Path(__file__).resolve().parent
DIGITS = HERE.parent.parent / "crates" / "cli" / "data" / "digits"
N_TRAIN, N_TEST, TOKENS, LENGTH = 60, 12, 12, 9
F = nn.functional


# References: functions of named float64 tensors and of one sample, with normalisations by their formulas.


def batch_norm(p, name, x, eps=1e-5):
    wide = (-1,) + (1,) * (x.ndim - 1)
    x = (x - p[f"{name}.running_mean"].reshape(wide)) / torch.sqrt(p[f"{name}.running_var"].reshape(wide) + eps)
    if f"{name}.weight" not in p:
        return x
    return x * p[f"{name}.weight"].reshape(wide) + p[f"{name}.bias"].reshape(wide)


def group_norm(p, name, x, groups, eps):
    rows = x.reshape(groups, -1)
    rows = rows - rows.mean(1, keepdim=True)
    rows = rows / torch.sqrt((rows * rows).mean(1, keepdim=True) + eps)
    wide = (-1,) + (1,) * (x.ndim - 1)
    return rows.reshape(x.shape) * p[f"{name}.weight"].reshape(wide) + p[f"{name}.bias"].reshape(wide)


def rms_norm(p, name, x, eps):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + eps) * p[f"{name}.weight"]


def same(x, kernel, dilation=(1, 1)):
    """Zeros around the last axes, the odd one at the end."""
    around = []
    for size, step in list(zip(kernel, dilation))[::-1]:
        total = step * (size - 1)
        around += [total // 2, total - total // 2]
    return F.pad(x, around)


def elu(x, alpha):
    return torch.where(x > 0, x, alpha * (torch.exp(torch.where(x > 0, 0.0, x)) - 1))


def silu(x):
    return x / (1 + torch.exp(-x))


def norms(p, x):
    x = x.reshape(1, 8, 8)
    x = F.conv2d(same(x, (2, 4))[None], p["c1.weight"], p["c1.bias"])[0]
    x = elu(batch_norm(p, "b1", x), 0.7)
    x = F.conv2d(same(x, (3, 2), (2, 1))[None], p["c2.weight"], dilation=(2, 1))[0]
    x = batch_norm(p, "b2", x, 1e-3)
    x = torch.where(x > 0, x, 0.2 * x)
    x = silu(F.adaptive_avg_pool2d(x, (3, 2)))
    return p["fc.weight"] @ x.reshape(-1) + p["fc.bias"]


def tokens(p, x):
    rows = p["emb.weight"][x] * (x != 0)[:, None]
    x = rms_norm(p, "rms", rows, 1e-6).T
    x = F.conv1d(x[None], p["c1.weight"], p["c1.bias"], stride=2, padding=1, groups=2)[0]
    x = silu(group_norm(p, "gn", x, 4, 1e-4))
    x = F.conv1d(same(x, (4,), (1,))[None], p["c2.weight"], p["c2.bias"])[0]
    x = torch.tanh(batch_norm(p, "b1", x))
    x = x.mean(1)
    x = batch_norm(p, "b2", x)
    return p["fc.weight"] @ x + p["fc.bias"]


def transposed(p, x):
    x = x.reshape(1, 4, 4, 4)
    x = F.conv_transpose2d(x, p["c1.weight"], p["c1.bias"], stride=2, padding=1, output_padding=1, groups=2)
    x = 0.5 * x * (1 + torch.erf(x / 2**0.5))
    x = F.adaptive_avg_pool2d(x, 3)
    x = F.conv_transpose2d(x, p["c2.weight"], stride=(2, 1), dilation=(1, 2))
    x = elu(x, 1.0)
    return p["fc.weight"] @ x.reshape(-1) + p["fc.bias"]


# The same models of modules.


class Transpose(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


def named(**layers):
    return nn.Sequential(__import__("collections").OrderedDict(layers))


MODULES = {
    "norms": lambda: named(
        r=nn.Unflatten(1, (1, 8, 8)),
        c1=nn.Conv2d(1, 3, (2, 4), padding="same"),
        b1=nn.BatchNorm2d(3),
        a1=nn.ELU(0.7),
        c2=nn.Conv2d(3, 4, (3, 2), padding="same", dilation=(2, 1), bias=False),
        b2=nn.BatchNorm2d(4, eps=1e-3, affine=False),
        a2=nn.LeakyReLU(0.2),
        pool=nn.AdaptiveAvgPool2d((3, 2)),
        a3=nn.SiLU(),
        f=nn.Flatten(),
        fc=nn.Linear(24, 10),
    ),
    "tokens": lambda: named(
        emb=nn.Embedding(TOKENS, 6, padding_idx=0),
        rms=nn.RMSNorm(6, eps=1e-6),
        t=Transpose(),
        c1=nn.Conv1d(6, 8, 3, stride=2, padding=1, groups=2),
        gn=nn.GroupNorm(4, 8, eps=1e-4),
        a1=nn.SiLU(),
        c2=nn.Conv1d(8, 6, 4, padding="same"),
        b1=nn.BatchNorm1d(6),
        a2=nn.Tanh(),
        pool=nn.AdaptiveAvgPool1d(1),
        f=nn.Flatten(),
        b2=nn.BatchNorm1d(6),
        fc=nn.Linear(6, 5),
    ),
    "transposed": lambda: named(
        r=nn.Unflatten(1, (4, 4, 4)),
        c1=nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        a1=nn.GELU(),
        pool=nn.AdaptiveAvgPool2d(3),
        c2=nn.ConvTranspose2d(6, 2, (2, 3), stride=(2, 1), dilation=(1, 2), bias=False),
        a2=nn.ELU(),
        f=nn.Flatten(),
        fc=nn.Linear(84, 3),
    ),
}

LAYERS = {
    "norms": [
        '{ kind = "reshape", shape = [1, 8, 8] }',
        '{ kind = "conv2d", name = "c1", outputs = 3, kernel_size = [2, 4], padding = "same" }',
        '{ kind = "batch_norm", name = "b1" }',
        '{ kind = "elu", alpha = 0.7 }',
        '{ kind = "conv2d", name = "c2", outputs = 4, kernel_size = [3, 2], bias = false, padding = "same", dilation = [2, 1] }',
        '{ kind = "batch_norm", name = "b2", eps = 1e-3, affine = false }',
        '{ kind = "leaky_relu", negative_slope = 0.2 }',
        '{ kind = "adaptive_avg_pool", output_size = [3, 2] }',
        '{ kind = "silu" }',
        '{ kind = "flatten" }',
        '{ kind = "linear", name = "fc", outputs = 10 }',
    ],
    "tokens": [
        '{ kind = "embedding", name = "emb", num_embeddings = 12, embedding_dim = 6, padding_idx = 0 }',
        '{ kind = "rms_norm", name = "rms", eps = 1e-6 }',
        '{ kind = "permute", dims = [1, 0] }',
        '{ kind = "conv1d", name = "c1", outputs = 8, kernel_size = 3, stride = 2, padding = 1, groups = 2 }',
        '{ kind = "group_norm", name = "gn", num_groups = 4, eps = 1e-4 }',
        '{ kind = "silu" }',
        '{ kind = "conv1d", name = "c2", outputs = 6, kernel_size = 4, padding = "same" }',
        '{ kind = "batch_norm", name = "b1" }',
        '{ kind = "tanh" }',
        '{ kind = "adaptive_avg_pool", output_size = 1 }',
        '{ kind = "flatten" }',
        '{ kind = "batch_norm", name = "b2" }',
        '{ kind = "linear", name = "fc", outputs = 5 }',
    ],
    "transposed": [
        '{ kind = "reshape", shape = [4, 4, 4] }',
        '{ kind = "conv_transpose2d", name = "c1", outputs = 6, kernel_size = 3, stride = 2, padding = 1, output_padding = 1, groups = 2 }',
        '{ kind = "gelu" }',
        '{ kind = "adaptive_avg_pool", output_size = 3 }',
        '{ kind = "conv_transpose2d", name = "c2", outputs = 2, kernel_size = [2, 3], bias = false, stride = [2, 1], dilation = [1, 2] }',
        '{ kind = "elu" }',
        '{ kind = "flatten" }',
        '{ kind = "linear", name = "fc", outputs = 3 }',
    ],
}
CASES = {
    "norms": dict(forward=norms, loss="cross-entropy", weights="model.pt", steps=100),
    "tokens": dict(forward=tokens, loss="cross-entropy", weights="model.safetensors", steps=30),
    "transposed": dict(forward=transposed, loss="mse", weights="model.safetensors", steps=60),
}
SEED = 2


def data(name):
    if name == "tokens":
        random = np.random.default_rng(SEED)
        x = random.integers(0, TOKENS, (N_TRAIN + N_TEST, LENGTH))
        y = (x % 5).sum(1) % 5
    else:
        count = N_TRAIN + N_TEST
        x = (np.load(DIGITS / "images.npy")[:count].reshape(count, 64) / 16).astype(np.float32)
        y = np.load(DIGITS / "labels.npy")[:count].astype(np.int64)
        if name == "transposed":
            y = np.stack([y / 8, np.sin(y), y % 3], 1).astype(np.float32)
    return {"x_train": x[:N_TRAIN], "x_test": x[N_TRAIN:], "y_train": y[:N_TRAIN], "y_test": y[N_TRAIN:]}


def per_sample_loss(case, output, target):
    if case["loss"] == "mse":
        return ((output - target) ** 2).mean()
    return torch.logsumexp(output, 0) - output.gather(0, target[None])[0]


def train(name, case, arrays):
    torch.manual_seed(SEED)
    model = MODULES[name]()
    x, y = torch.tensor(arrays["x_train"]), torch.tensor(arrays["y_train"])
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(case["steps"]):
        output = model(x)
        loss = F.mse_loss(output, y) if case["loss"] == "mse" else F.cross_entropy(output, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval(), float(loss.detach())


def references(name, case, state, arrays, damping=None):
    state = {key: value.double() for key, value in state.items() if "num_batches" not in key}
    trained = [key for key, _ in MODULES[name]().named_parameters()]
    shapes = {key: state[key].shape for key in trained}
    theta = torch.cat([state[key].reshape(-1) for key in trained])
    fixed = {key: value for key, value in state.items() if key not in trained}
    inputs = torch.int64 if name == "tokens" else torch.float64
    x = {side: torch.tensor(arrays[f"x_{side}"]).to(inputs) for side in ("train", "test")}
    y = {side: torch.tensor(arrays[f"y_{side}"]) for side in ("train", "test")}
    if case["loss"] == "mse":
        y = {side: values.double() for side, values in y.items()}

    def unflatten(theta):
        parts = torch.split(theta, [shape.numel() for shape in shapes.values()])
        return fixed | {key: part.reshape(shape) for (key, shape), part in zip(shapes.items(), parts)}

    def output(theta, x):
        return case["forward"](unflatten(theta), x)

    def loss(theta, x, y):
        return per_sample_loss(case, output(theta, x), y)

    gradients = {side: vmap(jacrev(loss), (None, 0, 0))(theta, x[side], y[side]) for side in x}
    dense = vmap(hessian(loss), (None, 0, 0), chunk_size=10)(theta, x["train"], y["train"]).mean(0)
    outputs = vmap(output, (None, 0))(theta, x["train"])
    jacobians = vmap(jacrev(output), (None, 0))(theta, x["train"])
    if case["loss"] == "mse":
        inner = 2 / outputs.shape[1] * torch.eye(outputs.shape[1], dtype=torch.float64).expand(len(outputs), -1, -1)
    else:
        probabilities = torch.softmax(outputs, 1)
        inner = torch.diag_embed(probabilities) - probabilities[:, :, None] * probabilities[:, None, :]
    gauss_newton = torch.einsum("nop,noq,nqr->pr", jacobians, inner, jacobians) / len(outputs)
    checks = modules_agree(name, case, state, trained, x, y, outputs, gradients)
    step, direction = 1e-5, torch.randn(len(theta), dtype=torch.float64)
    mean = jacrev(lambda t: vmap(loss, (None, 0, 0))(t, x["train"], y["train"]).mean())
    differences = (mean(theta + step * direction) - mean(theta - step * direction)) / (2 * step)
    checks["hessian_against_differences"] = float((dense @ direction - differences).abs().max() / differences.abs().max())
    assert max(checks.values()) < 1e-7, checks
    spectrum = torch.linalg.eigvalsh(dense)
    if damping is None:
        damping = float(f"{max(0.02 * float(spectrum[-1]), -3 * float(spectrum[0])):.1g}")
    assert damping > -float(spectrum[0]), (damping, spectrum[0])
    found = {}
    for curvature, matrix in (("hessian", dense), ("gauss_newton", gauss_newton)):
        damped = matrix + damping * torch.eye(len(theta), dtype=torch.float64)
        found[curvature] = (torch.linalg.solve(damped, gradients["test"].T).T @ gradients["train"].T).numpy()
    change = np.abs(found["hessian"] - found["gauss_newton"]).max() / np.abs(found["hessian"]).max()
    facts = dict(
        parameters=len(theta), damping=damping, lowest=float(spectrum[0]), highest=float(spectrum[-1]),
        gauss_newton_differs_by=float(change), checks=checks, torch=torch.__version__,
    )
    return found, facts


def modules_agree(name, case, state, trained, x, y, outputs, gradients):
    """Outputs and gradients by the modules of torch.nn themselves, in evaluation mode."""
    model = MODULES[name]().double().eval()
    model.load_state_dict(state, strict=False)
    found = model(x["train"])
    largest = 0.0
    for index in range(4):
        one = per_sample_loss(case, model(x["train"][index : index + 1])[0], y["train"][index])
        parts = torch.autograd.grad(one, [dict(model.named_parameters())[key] for key in trained])
        flat = torch.cat([part.reshape(-1) for part in parts])
        largest = max(largest, float((flat - gradients["train"][index]).abs().max() / flat.abs().max()))
    return {"outputs_of_modules": float((found - outputs).abs().max()), "gradients_of_modules": largest}


def config(name, case, damping):
    layers = "".join(f"  {layer},\n" for layer in LAYERS[name])
    return f"""# Golden case `{name}`: see ../../README.md. Made by make_layers.py.
precision = "f64"
[model]
weights = "{case["weights"]}"
loss = "{case["loss"]}"
layers = [
{layers}]
[data]
train = {{ inputs = "x_train.npy", targets = "y_train.npy" }}
test  = {{ inputs = "x_test.npy",  targets = "y_test.npy" }}
[method]
name = "direct"
curvature = "hessian"
damping = {damping}
[compute]
train_chunk = 25
test_chunk = 5
[output]
path = "influences.zarr"
"""


def read(path):
    if path.suffix == ".pt":
        return torch.load(path)
    return safetensors.torch.load_file(path)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true")
    arguments = arguments.parse_args()
    for name, case in CASES.items():
        folder = HERE / "cli" / name
        if arguments.check:
            arrays = {path.stem: np.load(path) for path in folder.glob("[xy]_*.npy")}
            facts = json.loads((folder / "reference.json").read_text())
            found, _ = references(name, case, read(folder / case["weights"]), arrays, facts["damping"])
            for curvature, values in found.items():
                stored = np.load(folder / f"reference_{curvature}.npy")
                difference = np.abs(values - stored).max() / np.abs(stored).max()
                print(f"{name} {curvature}: {difference:.1e}")
                if not difference < 1e-11:
                    sys.exit(f"{name} {curvature} differs")
            continue
        arrays = data(name)
        model, loss = train(name, case, arrays)
        state = model.state_dict()
        found, facts = references(name, case, state, arrays)
        folder.mkdir(exist_ok=True)
        if case["weights"].endswith(".pt"):
            torch.save(state, folder / case["weights"])
        else:
            safetensors.torch.save_file(state, folder / case["weights"])
        for key, values in arrays.items():
            np.save(folder / f"{key}.npy", values)
        for curvature, values in found.items():
            np.save(folder / f"reference_{curvature}.npy", values)
        (folder / "config.toml").write_text(config(name, case, facts["damping"]))
        (folder / "reference.json").write_text(json.dumps(facts | {"training_loss": loss}, indent=1) + "\n")
        print(name, facts, loss)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
