#!/usr/bin/env python3
"""Makes the files of weights under `cli/weights/`, with torch and safetensors, and their dense reference influences in float64.

    python make_weights.py

Conventions are in README.md beside this file.
"""

import json
import pathlib
import warnings

import numpy as np
import torch
from safetensors.torch import save_file, save_model
from torch import nn
from torch.nn.utils import parametrizations, prune

warnings.filterwarnings("ignore")
FOLDER = pathlib.Path(__file__).resolve().parent / "cli" / "weights"
DAMPING = 0.05
torch.manual_seed(0)


def linear(inputs, outputs):
    return {"weight": torch.randn(outputs, inputs), "bias": torch.randn(outputs)}


def without_paths(path):
    """Takes the place of torch out of a legacy module, which names its source files; lengths stay."""
    place = str(pathlib.Path(torch.__file__).resolve().parents[1]).encode()
    path.write_bytes(path.read_bytes().replace(place, b"/python".ljust(len(place), b"/")))


def under(name, tensors):
    return {f"{name}.{key}": value for key, value in tensors.items()}


def chain(*layers):
    """A model of linear layers with tanh between, as a function of a state dict."""

    def forward(state, x):
        for index, layer in enumerate(layers):
            x = x @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
            x = torch.tanh(x) if index + 1 < len(layers) else x
        return x

    return forward


def influences(state, forward, x, y, xt, yt):
    """(C + λI)⁻¹ of the mean Gauss-Newton matrix, between gradients of test and training points."""
    state = {name: tensor.detach().double() for name, tensor in state.items()}
    names = list(state)
    theta = torch.cat([state[name].reshape(-1) for name in names])

    def output(theta, x):
        pieces = theta.split([state[name].numel() for name in names])
        return forward({n: p.reshape(state[n].shape) for n, p in zip(names, pieces)}, x)

    def loss(theta, x, y):
        return nn.functional.cross_entropy(output(theta, x)[None], y[None])

    gradients = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))
    jacobians = torch.func.vmap(torch.func.jacrev(output), (None, 0))(theta, x)
    p = torch.softmax(torch.func.vmap(output, (None, 0))(theta, x), -1)
    middle = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    curvature = torch.einsum("nap,nab,nbq->pq", jacobians, middle, jacobians) / len(x)
    curvature += DAMPING * torch.eye(len(theta), dtype=torch.float64)
    return gradients(theta, xt, yt) @ torch.linalg.solve(curvature, gradients(theta, x, y).T)


def main():
    FOLDER.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 4)).astype("f4")
    y = (x @ rng.normal(size=(4, 3))).argmax(1)
    for name, array in dict(x_train=x[:15], y_train=y[:15], x_test=x[15:], y_test=y[15:]).items():
        np.save(FOLDER / f"{name}.npy", array)
    points = [torch.tensor(a) for a in (x[:15].astype("f8"), y[:15], x[15:].astype("f8"), y[15:])]
    references = {}

    def save(file, value, state=None, layers=None, **how):
        torch.save(value, FOLDER / file, **how)
        if state is not None:
            references[file] = influences(state, chain(*layers), *points).tolist()

    # Flat, with a module that has the name of a usual key.
    flat = under("model.fc1", linear(4, 6)) | under("head", linear(6, 3))
    save("flat.pt", flat, flat, ["model.fc1", "head"])
    # Every order of the first two fits; the file has the right one.
    order = under("inp", linear(4, 4)) | under("hidden", linear(4, 4)) | under("out", linear(4, 3))
    save("order.pt", order, order, ["inp", "hidden", "out"])
    save_file(order, FOLDER / "order.safetensors")
    # Only one order fits, and it is not that of the names.
    single = under("stem", linear(4, 5)) | under("block", linear(5, 7)) | under("apex", linear(7, 3))
    save_file(single, FOLDER / "single.safetensors")
    references["single.safetensors"] = influences(single, chain("stem", "block", "apex"), *points).tolist()

    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    state = net.state_dict()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.tensor(x)).square().sum().backward()
    optimizer.step()
    checkpoint = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "loss": torch.tensor(0.5)}
    save("checkpoint.pt", checkpoint, state, ["0", "2"])
    save("deep.pt", {"run": checkpoint, "epoch": 3}, state, ["0", "2"])
    save("module.pt", {"model": net, "epoch": 3}, state, ["0", "2"])
    save("legacy_module.pt", net, state, ["0", "2"], _use_new_zipfile_serialization=False)
    without_paths(FOLDER / "legacy_module.pt")
    save("protocol_4.pt", state, state, ["0", "2"], pickle_protocol=4)
    # The name of the first entry of its archive has 30 letters, which some readers take for a size.
    save("name_of_21_characters.pt", state, state, ["0", "2"])
    save("two.pt", {"generator": state, "critic": flat}, state, ["0", "2"])

    # Views: a transposed matrix, and columns of a larger one, between each other in the file.
    large = torch.randn(5, 8)
    views = {"0.weight": large[:, 2:6], "0.bias": large[:, 6], "2.weight": torch.randn(5, 3).t(), "2.bias": torch.randn(3)}
    save("views.pt", views, views, ["0", "2"])
    # Buffers that are no weights.
    buffers = state | {"position_ids": torch.arange(4), "mask": torch.full((3, 3), -torch.inf).triu(1)}
    buffers["attn.bias"] = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    save("buffers.pt", buffers, state, ["0", "2"])
    save("scale.pt", state | {"scale": torch.ones(3)})

    tied = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    tied[2].weight = tied[0].weight
    save("tied.pt", tied.state_dict())
    save_model(tied, FOLDER / "tied.safetensors")
    save_file({k: v for k, v in tied.state_dict().items() if k != "2.weight"}, FOLDER / "dropped.safetensors")
    for name, norm in dict(rms=nn.RMSNorm(6), group=nn.GroupNorm(2, 6), batch=nn.BatchNorm1d(6)).items():
        save(f"{name}.pt", nn.Sequential(nn.Linear(4, 6), norm, nn.Linear(6, 3)).state_dict())
    first = lambda rewrite: nn.Sequential(rewrite(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 3)).state_dict()
    save("weight_norm.pt", first(nn.utils.weight_norm))
    save("parametrized.pt", first(parametrizations.weight_norm))
    save("spectral_norm.pt", first(nn.utils.spectral_norm))
    save("pruned.pt", first(lambda layer: prune.random_unstructured(layer, "weight", 0.3)))
    save("quantized.pt", {"0.weight": torch.quantize_per_tensor(torch.randn(5, 4), 0.1, 0, torch.qint8)})
    save("tensor.pt", torch.randn(3, 4))
    torch.jit.save(torch.jit.script(nn.Linear(4, 3)), FOLDER / "script.pt")
    (FOLDER / "reference.json").write_text(json.dumps(references) + "\n")


main()
