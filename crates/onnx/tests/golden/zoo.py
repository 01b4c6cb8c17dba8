"""Small models of the common kinds, with data: what `models.py` exports and differentiates."""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

SAMPLES = 6
CLASSES = 3
WORDS = 11
STEPS = 5


@dataclass
class Model:
    """`losses` are names of `references.LOSSES`; the first is the one of `reference.safetensors`. `defaults`: also export with the defaults of
    both exporters. `brief`: leave out what exporters say of single nodes, which is most of a small file. `uniform`: a row of the mask is all zero,
    which the new exporter turns into uniform attention, and torch into none; that file has a reference of its own."""

    module: nn.Module
    inputs: dict
    losses: tuple = ("cross-entropy",)
    samples_axis: int = 0
    defaults: bool = False
    brief: bool = True
    uniform: bool = False


def words(*shape, low=1):
    return torch.randint(low, WORDS, (SAMPLES, *shape))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


class BatchNormMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(4, 6), nn.BatchNorm1d(6)
        self.fc2, self.bn2 = nn.Linear(6, 6), nn.BatchNorm1d(6)
        self.drop, self.head = nn.Dropout(0.3), nn.Linear(6, CLASSES)

    def forward(self, x):
        x = F.relu(self.bn1(self.fc1(x)))
        return self.head(self.drop(F.relu(self.bn2(self.fc2(x)))))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


class ResidualCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, 1, 1)
        self.layer1, self.layer2 = Block(3, 3, 1), Block(3, 4, 2)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, CLASSES)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.conv(x))))
        return self.fc(torch.flatten(self.pool(x), 1))


def hard_sigmoid(x):
    """torch has no second derivative of `F.hardsigmoid`, which references in float64 need."""
    return (x / 6 + 0.5).clamp(0, 1) if x.dtype == torch.float64 else F.hardsigmoid(x)


class MobileBlock(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection, as in MobileNetV3."""

    def __init__(self):
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(2, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.depthwise, self.bn2 = nn.Conv2d(6, 6, 3, 1, 1, groups=6, bias=False), nn.BatchNorm2d(6)
        self.squeeze, self.excite = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6, 1)
        self.project, self.bn3 = nn.Conv2d(6, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.fc = nn.Linear(2, CLASSES)

    def forward(self, x):
        y = F.hardswish(self.bn2(self.depthwise(F.hardswish(self.bn1(self.expand(x))))))
        gate = hard_sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        return self.fc((x + self.bn3(self.project(gate * y))).mean((2, 3)))


class Attention(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.c_attn, self.c_proj, self.heads = nn.Linear(size, 3 * size), nn.Linear(size, size), heads

    def forward(self, x):
        n, t, d = x.size()
        q, k, v = (z.view(n, t, self.heads, d // self.heads).transpose(1, 2) for z in self.c_attn(x).split(d, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(n, t, d))


class GptBlock(nn.Module):
    def __init__(self, size, heads):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(size), Attention(size, heads)
        self.ln_2, self.fc, self.proj = nn.LayerNorm(size), nn.Linear(size, 2 * size), nn.Linear(2 * size, size)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.proj(F.gelu(self.fc(self.ln_2(x))))


class NanoGpt(nn.Module):
    """A character model whose head is its table of tokens."""

    def __init__(self, size=8, layers=1):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(WORDS, size), nn.Embedding(STEPS, size)
        self.blocks = nn.ModuleList(GptBlock(size, 2) for _ in range(layers))
        self.ln_f, self.lm_head = nn.LayerNorm(size), nn.Linear(size, WORDS, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1), device=ids.device))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class Recurrent(nn.Module):
    """Token classifier on the last step; `batch_first` as torch has it, transposed inside where not."""

    def __init__(self, kind, layers=1, bidirectional=False, batch_first=True, padding=None):
        super().__init__()
        self.emb = nn.Embedding(WORDS, 3, padding_idx=padding)
        self.rnn = kind(3, 4, num_layers=layers, bidirectional=bidirectional, batch_first=batch_first)
        self.fc, self.batch_first = nn.Linear(8 if bidirectional else 4, CLASSES), batch_first

    def forward(self, ids):
        if self.batch_first:
            return self.fc(self.rnn(self.emb(ids))[0][:, -1])
        return self.fc(self.rnn(self.emb(ids).transpose(0, 1))[0][-1])


class TimeFirst(nn.Module):
    """Samples along the second axis of the input."""

    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.LSTM(3, 4), nn.Linear(4, CLASSES)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][-1])


class Encoder(nn.Module):
    def __init__(self, norm_first):
        super().__init__()
        self.emb, self.pos = nn.Embedding(WORDS, 8), nn.Parameter(torch.randn(1, STEPS, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, ids):
        return self.fc(self.encoder(self.emb(ids) + self.pos).mean(1))


class Bag(nn.Module):
    """Mean of embeddings; token 0 is padding and its row gets no gradient in torch."""

    def __init__(self):
        super().__init__()
        self.emb, self.fc = nn.Embedding(WORDS, 4, padding_idx=0), nn.Linear(4, CLASSES)

    def forward(self, ids):
        return self.fc(torch.tanh(self.emb(ids).sum(1)))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.fc1, self.fc2 = nn.Embedding(5, 2), nn.Linear(7, 6), nn.Linear(6, CLASSES)

    def forward(self, features, categories):
        x = torch.cat([features, self.emb(categories).flatten(1)], 1)
        return self.fc2(torch.tanh(self.fc1(x)))


class WithLoss(nn.Module):
    """Computes the loss of each sample, or the mean, from inputs and targets."""

    def __init__(self):
        super().__init__()
        self.net, self.reduction = Mlp(), "none"

    def forward(self, x, target):
        return F.cross_entropy(self.net(x), target, reduction=self.reduction)


class Logits(nn.Module):
    """A Hugging Face model by names of its inputs, for its logits."""

    def __init__(self, model, *names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values):
        return self.model(**dict(zip(self.names, values)), use_cache=False).logits


def frozen():
    model = Mlp()
    model.fc1.requires_grad_(False)
    return model


def bert():
    from transformers import BertConfig, BertForSequenceClassification

    sizes = dict(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=12, max_position_embeddings=STEPS)
    model = BertForSequenceClassification(BertConfig(vocab_size=WORDS, num_labels=CLASSES, type_vocab_size=2, **sizes))
    model.config.return_dict = False
    return model


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=WORDS, n_positions=STEPS, n_embd=8, n_layer=1, n_head=2, n_inner=12, bos_token_id=0, eos_token_id=0)
    return Logits(GPT2LMHeadModel(config), "input_ids", "attention_mask")


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    heads = dict(num_attention_heads=2, num_key_value_heads=1)
    config = LlamaConfig(vocab_size=WORDS, hidden_size=8, intermediate_size=12, num_hidden_layers=1, max_position_embeddings=8, **heads)
    return Logits(LlamaForCausalLM(config), "input_ids", "attention_mask")


def vision_transformer():
    from torchvision.models.vision_transformer import VisionTransformer

    return VisionTransformer(image_size=8, patch_size=4, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=12, num_classes=CLASSES)


def masked(padded):
    """Token ids and a mask: one row wholly padded, or none; two rows in part."""
    mask = torch.ones(SAMPLES, STEPS, dtype=torch.int64)
    mask[0, -2:], mask[1, -1:] = 0, 0
    if padded:
        mask[2] = 0
    return {"input_ids": words(STEPS), "attention_mask": mask}


def tuned(module):
    """As if trained: no two parameters equal, statistics of batch norms away from their start."""
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    for parameter in module.parameters():
        few = parameter.dim() < 2 or float(parameter.detach().abs().max()) == 0
        parameter.data.add_(torch.randn_like(parameter) * (0.2 if few else 0.05))
    return module


LANGUAGE = ("sequence-cross-entropy", "next-token", "ignore")
ALL_LOSSES = ("cross-entropy", "class-weights", "label-smoothing", "mse", "binary-cross-entropy")
x4 = functools.partial(torch.randn, SAMPLES, 4)
MODELS = {
    "mlp": lambda: Model(tuned(Mlp()), {"x": x4()}, ALL_LOSSES, defaults=True, brief=False),
    "frozen": lambda: Model(tuned(frozen()), {"x": x4()}),
    "half": lambda: Model(tuned(Mlp()).half(), {"x": x4().half()}),
    "batch_norm": lambda: Model(tuned(BatchNormMlp()), {"x": x4()}, defaults=True),
    "fresh": lambda: Model(BatchNormMlp(), {"x": x4()}, defaults=True),
    "residual_cnn": lambda: Model(tuned(ResidualCnn()), {"x": torch.randn(SAMPLES, 1, 6, 6)}, defaults=True),
    "mobile_block": lambda: Model(tuned(MobileBlock()), {"x": torch.randn(SAMPLES, 2, 5, 5)}),
    "nano_gpt": lambda: Model(tuned(NanoGpt()), {"ids": words(STEPS)}, LANGUAGE, defaults=True),
    "gpt2": lambda: Model(tuned(gpt2()), masked(False), ("ignore",), defaults=True),
    "llama": lambda: Model(tuned(llama()), masked(False), ("next-token",)),
    "bert": lambda: Model(tuned(bert()), masked(False), defaults=True),
    "bert_padded": lambda: Model(tuned(bert()), masked(True), uniform=True),
    "encoder": lambda: Model(tuned(Encoder(False)), {"ids": words(STEPS)}),
    "encoder_norm_first": lambda: Model(tuned(Encoder(True)), {"ids": words(STEPS)}),
    "vision_transformer": lambda: Model(tuned(vision_transformer()), {"x": torch.randn(SAMPLES, 3, 8, 8)}, defaults=True),
    "lstm": lambda: Model(tuned(Recurrent(nn.LSTM)), {"ids": words(STEPS)}, defaults=True),
    "lstm_bidirectional": lambda: Model(tuned(Recurrent(nn.LSTM, 2, True)), {"ids": words(STEPS)}),
    "gru": lambda: Model(tuned(Recurrent(nn.GRU, batch_first=False)), {"ids": words(STEPS)}),
    "rnn": lambda: Model(tuned(Recurrent(nn.RNN)), {"ids": words(STEPS)}),
    "time_first": lambda: Model(tuned(TimeFirst()), {"x": torch.randn(STEPS, SAMPLES, 3)}, samples_axis=1),
    "padding": lambda: Model(tuned(Bag()), {"ids": words(STEPS, low=0)}),
    "two_inputs": lambda: Model(tuned(TwoInputs()), {"features": torch.randn(SAMPLES, 3), "categories": torch.randint(0, 5, (SAMPLES, 2))}),
    "with_loss": lambda: Model(tuned(WithLoss()), {"x": x4(), "target": torch.randint(0, CLASSES, (SAMPLES,))}, ("output",)),
}
