"""Attention and rotary embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmconvert.ir.ops import RotaryEmbedding, ScaledDotProductAttention
from tests.cases.case import Case, Data, const, data


def attention(
    name: str, heads: int = 2, shared: int = 2, keys: int = 5, mask: Data | None = None, **fields: Any
) -> Case:
    op = ScaledDotProductAttention(**({"scale": 0.5} | fields))
    operands = (
        data(f"f32[2,{heads},4,3]"),
        data(f"f32[2,{shared},{keys},3]"),
        data(f"f32[2,{shared},{keys},6]"),
    )
    return Case(f"ScaledDotProductAttention/{name}", op, operands if mask is None else (*operands, mask))


def rotary(name: str, size: int, half: int, batch: int = 2, **fields: Any) -> Case:
    tables = tuple(data(f"f32[{batch},3,{half}]", -1, 1) for _ in range(2))
    return Case(f"RotaryEmbedding/{name}", RotaryEmbedding(**fields), (data(f"f32[2,2,3,{size}]"), *tables))


HALF_SEEN = np.tril(np.ones((4, 5), bool)).tolist()
BLIND = [[False] * 5, *HALF_SEEN[1:]]

CASES = [
    attention("plain"),
    attention("scale", scale=1.25),
    attention("softcap", softcap=0.7),
    attention("causal", causal=True),
    attention("causal_past", causal=True, offset=1),
    attention("shared_heads", heads=6, shared=2),
    attention("one_key_head", heads=3, shared=1, causal=True),
    attention("added_mask", mask=data("f32[2,2,4,5]")),
    attention("added_mask_broadcast", mask=data("f32[4,5]")),
    attention("bool_mask", mask=data("bool[4,5]", values=HALF_SEEN)),
    attention("bool_mask_of_batch", mask=data("bool[2,1,1,5]", values=[[1, 0, 1, 1, 0], [1, 1, 1, 0, 0]])),
    attention("blind_query", mask=data("bool[4,5]", values=BLIND)),
    attention("constant_mask", mask=const("f32[4,5]")),
    attention("causal_and_mask", mask=data("f32[4,5]"), causal=True),
    attention("softcap_and_mask", heads=4, shared=2, mask=data("bool[4,5]", values=HALF_SEEN), softcap=1.5),
    rotary("halves", 6, 3),
    rotary("interleaved", 6, 3, interleaved=True),
    rotary("partial", 8, 2),
    rotary("partial_interleaved", 8, 2, interleaved=True),
    rotary("one_table", 4, 2, batch=1),
]
