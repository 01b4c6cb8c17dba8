"""Attention and rotary positions of opset 23."""

import numpy as np
from case import Const, one, spread

BATCH, STEPS, KEYS, HEADS, SIZE = 2, 3, 4, 2, 2


def four(heads=HEADS, steps=STEPS):
    return spread(BATCH, heads, steps, SIZE)


def cases():
    yield from attentions()
    yield from rotary()


def attentions():
    q, k, v = four(), four(steps=KEYS), four(steps=KEYS)
    yield one("Attention", 23, "4d", q, k, v)
    yield one("Attention", 23, "4d_causal", q, four(), four(), is_causal=1)
    yield one("Attention", 23, "4d_scale", q, k, v, scale=0.3)
    yield one("Attention", 23, "4d_softcap", q, k, v, softcap=1.5)
    yield one("Attention", 23, "4d_value_size", q, k, spread(BATCH, HEADS, KEYS, 3))
    mask = np.array([[True, False, True, True], [True, True, False, True], [False, True, True, True]])
    yield one("Attention", 23, "4d_bool_mask", q, k, v, Const(mask))
    yield one("Attention", 23, "4d_batch_mask", q, k, v, np.stack([mask, ~mask])[:, None])
    yield one("Attention", 23, "4d_float_mask", q, k, v, spread(STEPS, KEYS))
    yield one("Attention", 23, "4d_float_mask_batch", q, k, v, spread(BATCH, 1, STEPS, KEYS))
    yield one("Attention", 23, "4d_grouped", spread(1, 4, STEPS, SIZE), spread(1, 2, KEYS, SIZE), spread(1, 2, KEYS, SIZE))
    yield one("Attention", 23, "4d_grouped_causal", spread(1, 4, STEPS, SIZE), spread(1, 2, STEPS, SIZE), spread(1, 2, STEPS, SIZE), is_causal=1)
    heads = dict(q_num_heads=2, kv_num_heads=2)
    q3, k3 = spread(BATCH, STEPS, 4), spread(BATCH, KEYS, 4)
    yield one("Attention", 23, "3d", q3, k3, spread(BATCH, KEYS, 4), **heads)
    yield one("Attention", 23, "3d_causal", q3, spread(BATCH, STEPS, 4), spread(BATCH, STEPS, 4), is_causal=1, **heads)
    yield one("Attention", 23, "3d_mask", q3, k3, spread(BATCH, KEYS, 4), Const(mask), **heads)
    yield one("Attention", 23, "3d_grouped", spread(1, STEPS, 8), spread(1, KEYS, 4), spread(1, KEYS, 4), q_num_heads=4, kv_num_heads=2)


def rotary():
    x = spread(BATCH, HEADS, STEPS, 4)
    angles = np.outer(np.arange(5), [0.7, 0.2]).astype(np.float32)
    cos, sin = np.cos(angles), np.sin(angles)
    places = np.array([[0, 1, 2], [2, 4, 0]])
    for interleaved in (0, 1):
        variant = "interleaved" if interleaved else "halves"
        how = dict(interleaved=interleaved)
        yield one("RotaryEmbedding", 23, f"{variant}_positions", x, Const(cos), Const(sin), places, **how)
        yield one("RotaryEmbedding", 23, variant, x, Const(cos[places]), Const(sin[places]), **how)
        flat = spread(BATCH, STEPS, 8)
        yield one("RotaryEmbedding", 23, f"{variant}_3d", flat, Const(cos), Const(sin), places, num_heads=2, **how)
        wide = spread(1, HEADS, STEPS, 6)
        yield one("RotaryEmbedding", 23, f"{variant}_partial", wide, Const(cos), Const(sin), places[:1], rotary_embedding_dim=4, **how)
