"""Trains a small residual network on images of digits and writes what `influence` needs.

    pip install torch numpy onnx onnxscript
    python examples/pytorch/digits_resnet.py digits
    influence init --onnx digits/model.onnx --train digits/x_train.npy digits/y_train.npy --test digits/x_test.npy digits/y_test.npy

One label in fifty is made wrong on purpose; `digits/wrong.npy` says which, to see whether the report finds them.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DIGITS = pathlib.Path(__file__).resolve().parents[2] / "crates" / "cli" / "data" / "digits"


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, 1, 1)
        self.layer1, self.layer2 = Block(width, width, 1), Block(width, 2 * width, 2)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2 * width, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.stem(x))))
        return self.fc(torch.flatten(self.pool(x), 1))


def train(model, x, y, epochs=15):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def main(folder):
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    order = torch.randperm(1797)
    x = torch.tensor(np.load(DIGITS / "images.npy")).float().div(16)[order].unsqueeze(1)
    y = torch.tensor(np.load(DIGITS / "labels.npy")).long()[order]
    x_train, x_test, y_train, y_test = x[:1500], x[1500:], y[:1500], y[1500:]
    wrong = torch.randperm(1500)[:30]
    y_train[wrong] = (y_train[wrong] + torch.randint(1, 10, (30,))) % 10

    model = ResNet()
    train(model, x_train, y_train)
    model.eval()
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
    print(f"accuracy on {len(x_test)} test images: {accuracy:.3f}")

    # Both exporters have defaults that fold batch norm into the convolutions; influences need the model as it was trained.
    names = dict(input_names=["x"], output_names=["logits"])
    shapes = ({0: torch.export.Dim("n")},)
    torch.onnx.export(model, (x_test,), folder / "model.onnx", dynamo=True, optimize=False, dynamic_shapes=shapes, **names)
    axes = {"x": {0: "n"}}
    torch.onnx.export(model, (x_test,), folder / "model_old.onnx", dynamo=False, do_constant_folding=False, dynamic_axes=axes, **names)
    for name, values in dict(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test, wrong=wrong).items():
        np.save(folder / f"{name}.npy", values.numpy())


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "digits"))
