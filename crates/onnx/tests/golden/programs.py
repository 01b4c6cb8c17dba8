"""Programs of torch.export, each of many operators, and derivatives by torch in float64.

`programs/training.pt2` is as `torch.export.export` gives it, `programs/core.pt2` is taken apart into core operators.
Each output is one number a sample. `programs/reference.safetensors` has outputs and gradients by the parameters.
"""

import io
import json
import zipfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

torch.set_num_threads(1)
N = 2
FOLDER = Path(__file__).parent / "programs"

ELEMENTWISE = {
    "abs": lambda a, b: a.abs(),
    "exp": lambda a, b: a.exp(),
    "log": lambda a, b: b.log(),
    "log1p": lambda a, b: b.log1p(),
    "log2": lambda a, b: b.log2(),
    "expm1": lambda a, b: a.expm1(),
    "exp2": lambda a, b: a.exp2(),
    "sqrt": lambda a, b: b.sqrt(),
    "rsqrt": lambda a, b: b.rsqrt(),
    "square": lambda a, b: a.square(),
    "sin_cos_tan": lambda a, b: a.sin() + 2 * a.cos() + a.tan() / 3,
    "erf": lambda a, b: a.erf(),
    "sigmoid": lambda a, b: a.sigmoid(),
    "relu": lambda a, b: a.relu(),
    "silu": lambda a, b: F.silu(a),
    "gelu": lambda a, b: F.gelu(a),
    "gelu_tanh": lambda a, b: F.gelu(a, approximate="tanh"),
    "elu": lambda a, b: F.elu(a, alpha=0.7),
    "selu": lambda a, b: F.selu(a),
    "celu": lambda a, b: F.celu(a, alpha=1.3),
    "leaky_relu": lambda a, b: F.leaky_relu(a, 0.2),
    "hardtanh": lambda a, b: F.hardtanh(a, -0.4, 0.6),
    "relu6": lambda a, b: F.relu6(a),
    "hardswish": lambda a, b: F.hardswish(a),
    "hardsigmoid": lambda a, b: F.hardsigmoid(a),
    "mish": lambda a, b: F.mish(a),
    "softplus": lambda a, b: F.softplus(a, beta=2.0, threshold=1.5),
    "softsign": lambda a, b: F.softsign(a),
    "logsigmoid": lambda a, b: F.logsigmoid(a),
    "glu": lambda a, b: F.glu(a, dim=-1),
    "powers": lambda a, b: a**2 + a**3 + b**1.5 + b**-0.5 + 2.0**a,
    "power": lambda a, b: b**a,
    "division": lambda a, b: a / b + 1 / b + a / 3,
    "subtraction": lambda a, b: 1 - a - 2 * b,
    "alpha": lambda a, b: torch.add(a, b, alpha=0.3) + torch.rsub(a, b, alpha=2),
    "remainder": lambda a, b: torch.remainder(a, 0.7),
    "fmod": lambda a, b: torch.fmod(a, 0.7),
    "clamp": lambda a, b: a.clamp(-0.5, 0.4) + b.clamp(min=0.8),
    "extremes": lambda a, b: torch.maximum(a, b - 1) + torch.minimum(a, 1 - b),
    "where": lambda a, b: torch.where(a > 0.1, a, b) + torch.where(a <= 0, b, 2.0),
    "logical": lambda a, b: a * ((a > 0) & ~(b < 1) | (a == 0)) + b * torch.logical_xor(a > 0, b > 1),
    "masked_fill": lambda a, b: a.masked_fill(b > 1.0, 0.5),
    "lerp": lambda a, b: torch.lerp(a, b, 0.3),
    "addcmul": lambda a, b: torch.addcmul(a, a, b, value=0.5) + torch.addcdiv(a, a, b),
}

REDUCTIONS = {
    "softmax": lambda a, b: a.softmax(-1) * b,
    "log_softmax": lambda a, b: a.log_softmax(1) * b,
    "mean": lambda a, b: a.mean((1, 3)) + a.mean(-1, keepdim=True).squeeze(-1).sum(1),
    "amax": lambda a, b: a.amax(-1) + a.amin((-1, -2)).unsqueeze(-1),
    "max": lambda a, b: a.max(-1).values + a.min(-1, keepdim=True).values.squeeze(-1),
    "var": lambda a, b: a.var(-1) + a.std(-1) + a.var((1, 2), unbiased=False).sum(-1)[:, None, None],
    "var_mean": lambda a, b: sum(torch.var_mean(a, -1, correction=0)),
    "logsumexp": lambda a, b: a.logsumexp(-1),
    "norm": lambda a, b: torch.linalg.vector_norm(a, dim=-1) + a.norm(p=1, dim=-1),
    "normalize": lambda a, b: F.normalize(a, dim=-1) * b,
    "cosine": lambda a, b: F.cosine_similarity(a, b, dim=-1),
    "prod": lambda a, b: b.prod(-1),
    "cumsum": lambda a, b: a.cumsum(-1) * b,
    "topk": lambda a, b: a.topk(2, dim=-1).values,
    "argmax": lambda a, b: b.gather(-1, a.argmax(-1, keepdim=True)),
    "any_all": lambda a, b: a * (a > 0.9).any(-1, keepdim=True) + b * (b > 0.7).all(-1, keepdim=True),
}

SHAPES = {
    "view": lambda a, b: a.view(a.shape[0], -1).reshape(-1, 2, 12) * b.flatten(1).unflatten(1, (2, -1)),
    "permute": lambda a, b: a.permute(0, 3, 1, 2) * b.movedim(3, 1) + a.transpose(1, 3).transpose(2, 3),
    "transposed": lambda a, b: a @ b.mT,
    "expand": lambda a, b: a[:, :, :1].expand(-1, -1, 3, -1) * b + a.unsqueeze(1).squeeze(1),
    "repeat": lambda a, b: a.repeat(1, 2, 1, 1) * b.repeat_interleave(2, dim=1),
    "cat": lambda a, b: torch.cat([a, b], 1) * torch.stack([b, a], 1).flatten(1, 2),
    "split": lambda a, b: a.split(2, -1)[1] * b.chunk(2, -1)[0] + a.split([1, 2, 1], -1)[1],
    "unbind": lambda a, b: a.unbind(2)[0] * b.unbind(2)[2],
    "flip": lambda a, b: a.flip(-1) * b + a.roll(1, -1) * b + a.roll((1, 2), (1, 3)),
    "pixel_shuffle": lambda a, b: F.pixel_shuffle(a.reshape(-1, 4, 2, 3), 2) * 2,
    "slice": lambda a, b: a[..., ::2] * b[..., 1:3] + a[:, 0, 1:2, -2:].unsqueeze(1) + b.narrow(-1, 0, 2),
    "index_select": lambda a, b: a.index_select(-1, torch.tensor([3, 0])) * 2,
    "index": lambda a, b: a[:, [1, 0, 1], [2, 0, 1]] * 3,
    "index_last": lambda a, b: a[..., [3, 1, -1]] + a[:, [0, 1, 0], :, [3, 1, 0]].permute(1, 0, 2).unsqueeze(1).expand(-1, 2, -1, -1),
    "triangles": lambda a, b: a.tril() * b + a.triu(1),
    "pad": lambda a, b: F.pad(a, (1, 2, 0, 1), value=0.25) * F.pad(b, (2, 1, 1, 0), mode="reflect")
    + F.pad(a, (1, 2, 1, 0), mode="replicate"),
    "scatter_add": lambda a, b: torch.zeros_like(b).scatter_add(-1, (b * 3).long() % 4, a),
    "one_hot": lambda a, b: a @ F.one_hot(torch.arange(4) % 3, 3).to(a.dtype),
    "einsum": lambda a, b: torch.einsum("nchw,nchv->nwv", a, b),
    "constants": lambda a, b: a @ (torch.eye(4) + torch.linspace(0, 0.75, 4) + torch.full((4, 4), 0.5).triu())
    + torch.arange(4) * b + torch.ones_like(a) * a / (torch.arange(0, 1, 0.25) + 1),
    "round": lambda a, b: (a * 3).floor() * a + (b * 2).round() * b + a.sign() * b + a.ceil(),
}


def attention(a, b, **options):
    return F.scaled_dot_product_attention(a, b, a * b, **options)


def nobody(a):
    """A mask in which one query sees nothing."""
    mask = torch.ones(a.shape[2], a.shape[2], dtype=torch.bool).tril()
    mask[1] = False
    return mask


LAYERS = {
    "attention": lambda a, b, m: attention(a, b),
    "causal": lambda a, b, m: attention(a, b, is_causal=True, scale=0.4),
    "masked": lambda a, b, m: attention(a, b, attn_mask=m.mask),
    "biased": lambda a, b, m: attention(a, b, attn_mask=m.mask.to(a.dtype) * 0.75),
    "grouped": lambda a, b, m: F.scaled_dot_product_attention(torch.cat([a, b], 1), a, b, enable_gqa=True),
    "linear": lambda a, b, m: m.linear(a),
    "addmm": lambda a, b, m: torch.addmm(m.linear.bias, a.flatten(0, 2), m.linear.weight.t(), beta=0.5, alpha=2).view(*a.shape[:3], 5),
    "bilinear": lambda a, b, m: torch.baddbmm(a.flatten(0, 1), b.flatten(0, 1), a.flatten(0, 1).mT @ b.flatten(0, 1)).unflatten(0, (-1, 2)),
    "conv1d": lambda a, b, m: m.conv1d(a.flatten(1, 2)),
    "conv2d": lambda a, b, m: m.conv2d(a),
    "same": lambda a, b, m: F.conv2d(a, m.conv2d.weight[:, :, :1], padding="same", dilation=(1, 2)),
    "transposed_conv": lambda a, b, m: m.up(a),
    "max_pool": lambda a, b, m: F.max_pool2d(a, 2, 1, 1) + F.max_pool1d(a.flatten(1, 2), 2).mean((1, 2))[:, None, None, None],
    "avg_pool": lambda a, b, m: F.avg_pool2d(a, 2, 1, 1, count_include_pad=False) + F.avg_pool2d(a, (2, 2), stride=1, padding=1),
    "adaptive": lambda a, b, m: F.adaptive_avg_pool2d(a, 1) + F.adaptive_avg_pool2d(a, (3, 2)) + F.adaptive_max_pool2d(a, (1, 2)),
    "batch_norm": lambda a, b, m: m.norm(a),
    "layer_norm": lambda a, b, m: F.layer_norm(a, (3, 4)) + F.layer_norm(a, (4,), m.linear.weight[0]),
    "group_norm": lambda a, b, m: F.group_norm(a.flatten(1, 2).unsqueeze(-1), 3) * 2,
    "instance_norm": lambda a, b, m: F.instance_norm(a, weight=m.norm.weight, bias=m.norm.bias),
    "weight_norm": lambda a, b, m: F.linear(a, torch._weight_norm(m.linear.weight, m.linear.weight[:, :1] + 2))
    + F.conv2d(a, torch._weight_norm(m.conv2d.weight, m.conv2d.weight[:1, :1, :1], 3)).mean((1, 2, 3))[:, None, None, None],
    "two_inputs": lambda a, b, m: F.bilinear(a, b[..., :3], m.linear.weight[:, :, None] * m.linear.weight[:, None, 1:], m.linear.bias),
    "rms_norm": lambda a, b, m: F.rms_norm(a, (4,), m.linear.weight[1], eps=1e-6),
    "nearest": lambda a, b, m: F.interpolate(a, scale_factor=2) * 2,
    "interpolated": lambda a, b, m: F.interpolate(a, size=(5, 7), mode="bilinear"),
    "aligned": lambda a, b, m: F.interpolate(a, size=(5, 7), mode="bilinear", align_corners=True),
    "prelu": lambda a, b, m: F.prelu(a, m.norm.weight),
    "embedding": lambda a, b, m: m.table((b * 2).long() % 5) * a.unsqueeze(-1),
    "detach": lambda a, b, m: a * b.detach() + (a * a).detach().exp() * b,
    "no_grad": lambda a, b, m: a * m.silent(b),
    "in_place": lambda a, b, m: m.in_place(a, b),
}


def classes(b, count):
    return (b * 2).long() % count


def each(loss, a, b, **options):
    return loss(a, b, reduction="none", **options)


LOSSES = {
    "cross_entropy": lambda a, b: each(F.cross_entropy, a.movedim(-1, 1), classes(b, 4)[..., 0]),
    "class_weights": lambda a, b: each(F.cross_entropy, a.flatten(1), classes(b, 9)[:, 0, 0, 0],
                                       weight=torch.arange(24) / 8 + 0.5, ignore_index=1),
    "nll": lambda a, b: each(F.nll_loss, a.log_softmax(1), classes(b, 2)[:, 0])
    + each(F.nll_loss, a.flatten(1).log_softmax(1), classes(b, 9)[:, 0, 0, 0])[:, None, None],
    "mse": lambda a, b: each(F.mse_loss, a, b),
    "l1": lambda a, b: each(F.l1_loss, a, b) * b,
    "smooth_l1": lambda a, b: each(F.smooth_l1_loss, a, b, beta=0.7),
    "huber": lambda a, b: each(F.huber_loss, a, b, delta=0.7),
    "logits": lambda a, b: each(F.binary_cross_entropy_with_logits, a, b / (1 + b))
    + each(F.binary_cross_entropy_with_logits, a, b / (1 + b), weight=torch.arange(4) / 4 + 0.5,
           pos_weight=torch.arange(3)[:, None] / 2 + 0.5),
    "binary": lambda a, b: each(F.binary_cross_entropy, a.sigmoid(), b / (1 + b)),
    "kl_div": lambda a, b: each(F.kl_div, a.log_softmax(-1), b.softmax(-1))
    + each(F.kl_div, a.log_softmax(-1), b.log_softmax(-1), log_target=True),
}
PLAIN = ELEMENTWISE | REDUCTIONS | SHAPES
ALL = PLAIN | LAYERS | LOSSES


class Programs(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor, self.shift = nn.Parameter(torch.randn(2, 3, 4)), nn.Parameter(torch.randn(2, 3, 4) / 3)
        self.linear, self.conv1d = nn.Linear(4, 5), nn.Conv1d(6, 4, 3, padding=1, groups=2)
        self.conv2d, self.up = nn.Conv2d(2, 3, 2, stride=(1, 2), padding=1), nn.ConvTranspose2d(2, 3, 3, 2, 1, 1)
        self.norm, self.table = nn.BatchNorm2d(2), nn.Embedding(5, 3, padding_idx=1)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)
        self.register_buffer("mask", nobody(torch.zeros(1, 2, 3, 4)))

    def silent(self, b):
        with torch.no_grad():
            return self.linear(b).sum(-1, keepdim=True)

    def in_place(self, a, b):
        c = a * 2
        c += b
        c.mul_(0.5).add_(1)
        return F.relu(c, inplace=True) * a

    def forward(self, x):
        a = x * self.factor + self.shift
        b = a.abs() + 0.5
        found = [f(a, b) for f in PLAIN.values()]
        found += [f(a, b, self) for f in LAYERS.values()]
        found += [f(a, b) for f in LOSSES.values()]
        return tuple(self.weighted(y) for y in found)

    def weighted(self, y):
        """A sum of all numbers of a sample, each with a weight of its own that 32 bits hold."""
        y = y.reshape(y.shape[0], -1)
        return (y * (torch.arange(y.shape[1], dtype=y.dtype) * 37 % 64 / 64 - 0.375)).sum(1)


def stored(program, path):
    """Saves a program without the traces of its lines, packed."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("models/model.json"):
                whole = json.loads(data)
                for node in whole["graph_module"]["graph"]["nodes"]:
                    node["metadata"] = {}
                data = json.dumps(whole).encode()
            if "sample_inputs" not in name:
                target.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def main():
    torch.manual_seed(5)
    FOLDER.mkdir(exist_ok=True)
    module, x = Programs().eval(), torch.randn(N, 2, 3, 4)
    program = torch.export.export(module, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},))
    stored(program, FOLDER / "training.pt2")
    stored(program.run_decompositions(), FOLDER / "core.pt2")
    torch.set_default_dtype(torch.float64)
    names, parameters = zip(*module.double().named_parameters())
    found = {"input/x": x}
    for name, y in zip(ALL, module(x.double())):
        rows = [torch.autograd.grad(one, parameters, retain_graph=True, allow_unused=True) for one in y]
        found[f"{name}/output"] = y.detach()
        for index, parameter in enumerate(names):
            if any(row[index] is not None for row in rows):
                found[f"{name}/{parameter}"] = torch.stack([row[index] for row in rows]).contiguous()
    order = json.dumps(list(ALL))
    save_file(found, FOLDER / "reference.safetensors", metadata={"torch": torch.__version__, "outputs": order})


if __name__ == "__main__":
    main()
