"""Exports a ResNet-18 for images of 64 x 64 and a GPT-2 of two layers, for the comparison with modules written by hand.

    python export.py FOLDER

Needs torch, torchvision and transformers.
"""

import sys
import warnings

import torch
import torchvision
from transformers import GPT2Config, GPT2LMHeadModel

warnings.filterwarnings("ignore")


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids):
        return self.model(input_ids=input_ids, use_cache=False).logits


def main(folder):
    torch.manual_seed(0)
    n = torch.export.Dim("n", min=1, max=4096)
    resnet = torchvision.models.resnet18(num_classes=10)
    gpt = Logits(GPT2LMHeadModel(GPT2Config(n_layer=2, n_positions=64, vocab_size=1000)))
    for name, model, batch in [("resnet18", resnet, torch.randn(2, 3, 64, 64)), ("gpt2", gpt, torch.randint(0, 1000, (2, 64)))]:
        options = dict(dynamo=True, optimize=False, external_data=False, verbose=False)
        torch.onnx.export(model.eval(), (batch,), f"{folder}/{name}.onnx", dynamic_shapes=({0: n},), **options)


main(sys.argv[1])
