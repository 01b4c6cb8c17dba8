"""Trains a small GPT on the characters of some of Shakespeare's sonnets and writes what `influence` needs.

    pip install torch numpy onnx onnxscript
    python examples/pytorch/char_gpt.py gpt
    influence init --onnx gpt/model.onnx --train gpt/train.npy --test gpt/test.npy

A sample is a window of 32 characters; its loss is that of each next character, so there is no file of targets.
"""

import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CONTEXT, SIZE, HEADS, LAYERS = 32, 32, 4, 2


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.qkv, self.out = nn.Linear(SIZE, 3 * SIZE), nn.Linear(SIZE, SIZE)
        self.mlp = nn.Sequential(nn.Linear(SIZE, 4 * SIZE), nn.GELU(), nn.Linear(4 * SIZE, SIZE))

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(n, t, 3, HEADS, SIZE // HEADS).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, t, SIZE))
        return x + self.mlp(self.ln_2(x))


class Gpt(nn.Module):
    def __init__(self, letters):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(letters, SIZE), nn.Embedding(CONTEXT, SIZE)
        self.blocks, self.ln = nn.Sequential(*(Block() for _ in range(LAYERS))), nn.LayerNorm(SIZE)
        self.head = nn.Linear(SIZE, letters, bias=False)
        self.head.weight = self.tokens.weight
        nn.init.normal_(self.tokens.weight, std=0.1)

    def forward(self, ids):
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        return self.head(self.ln(self.blocks(x)))


def loss_of(model, ids):
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def train(model, ids, steps=800):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for _ in range(steps):
        starts = torch.randint(0, len(ids) - CONTEXT + 1, (32, 1))
        loss = loss_of(model, ids[starts + torch.arange(CONTEXT)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return float(loss)


def main(folder):
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    text = pathlib.Path(__file__).with_name("sonnets.txt").read_text()
    letters = sorted(set(text))
    ids = torch.tensor([letters.index(letter) for letter in text])
    cut = len(ids) * 9 // 10 // CONTEXT * CONTEXT
    x_train = ids[:cut].view(-1, CONTEXT)
    x_test = ids[cut:].unfold(0, CONTEXT, CONTEXT)

    model = Gpt(len(letters))
    last = train(model, ids[:cut])
    model.eval()
    print(f"loss in training {last:.2f}, on {len(x_test)} windows not trained on {float(loss_of(model, x_test)):.2f}")

    # With the default `optimize=True` the tied table of tokens comes out twice, and other weights without their names.
    shapes = ({0: torch.export.Dim("n")},)
    torch.onnx.export(
        model, (x_test,), folder / "model.onnx", dynamo=True, optimize=False, dynamic_shapes=shapes, input_names=["ids"], output_names=["logits"]
    )
    np.save(folder / "train.npy", x_train.numpy())
    np.save(folder / "test.npy", x_test.numpy())
    (folder / "letters.txt").write_text("".join(letters))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "gpt"))
