"""The models of the six workloads, built of plain modules, and how to load them.

Every weight sits in an `nn.Linear`, `nn.Conv2d`, `nn.Embedding` or `nn.LayerNorm`, so that
libraries which hook modules see each layer. The attribute names are the keys of
`model.safetensors`.
"""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F


class Mlp(nn.Module):
    """Linear layers `fc1`, `fc2`, ... with an activation between them, none after the last."""

    def __init__(self, sizes, activation=None):
        super().__init__()
        self.depth = len(sizes) - 1
        self.activation = activation
        for i in range(self.depth):
            self.add_module(f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x):
        for i in range(1, self.depth):
            x = self.activation(getattr(self, f"fc{i}")(x))
        return getattr(self, f"fc{self.depth}")(x)


class Cnn(nn.Module):
    """Two 3×3 convolutions, each with ReLU and 2×2 max pooling, then two linear layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.fc1 = nn.Linear(32 * 7 * 7, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = F.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Block(nn.Module):
    """A pre-norm transformer layer: self-attention and a two-layer ReLU network."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)

    def attention(self, x):
        """Softmax attention without mask; x is (batch, tokens, width)."""
        batch, tokens, width = x.shape
        shape = (batch, tokens, self.heads, width // self.heads)
        q = self.query(x).view(shape).transpose(1, 2)
        k = self.key(x).view(shape).transpose(1, 2)
        v = self.value(x).view(shape).transpose(1, 2)
        weights = torch.softmax(q @ k.transpose(2, 3) / math.sqrt(shape[3]), dim=3)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, tokens, width))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.down(torch.relu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """A transformer encoder over 64 pixel values, averaged over the positions."""

    def __init__(self, values=17, tokens=64, width=128, heads=4, hidden=256, depth=4):
        super().__init__()
        self.token = nn.Embedding(values, width)
        self.position = nn.Embedding(tokens, width)
        self.layers = nn.ModuleList(Block(width, heads, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        x = self.token(x) + self.position.weight
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x).mean(dim=1))


BUILDERS = {
    "W1": lambda: Mlp([64, 10]),
    "W2": lambda: Mlp([64, 128, 64, 10], torch.tanh),
    "W3": lambda: Mlp([784, 512, 256, 10], torch.relu),
    "W4": lambda: Mlp([1024, 1024, 1024, 100], torch.relu),
    "W5": Cnn,
    "W6": Transformer,
}


def build(workload):
    """The untrained model of a workload."""
    return BUILDERS[workload]()


def load(workload, folder):
    """The trained model of a workload, in evaluation mode; `folder` holds `W1`, `W2`, ..."""
    model = build(workload)
    model.load_state_dict(load_file(Path(folder) / workload / "model.safetensors"))
    return model.eval()
