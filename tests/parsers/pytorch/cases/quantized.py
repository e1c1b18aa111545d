"""Quantized programs, as PT2E leaves them, and fake quantization."""

from __future__ import annotations

from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # it defines the operators
from torch import nn
from torch.nn import functional as F  # noqa: N812

from .row import Row, call

D: Any = torch.ops.quantized_decomposed
LINE, PICTURE = ((3, 6),), ((2, 4, 8, 6),)


class Linear(nn.Module):
    """An activation and weights of 8 bits, as PT2E writes a linear layer."""

    scales: torch.Tensor
    zeros: torch.Tensor
    weight: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(5))
        self.register_buffer("weight", torch.arange(-15, 15, dtype=torch.int8).reshape(5, 6) * 8)
        self.register_buffer("scales", torch.tensor([0.01, 0.02, 0.005, 0.03, 0.001]))
        self.register_buffer("zeros", torch.zeros(5, dtype=torch.int64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q = D.quantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8)
        x = D.dequantize_per_tensor(q, 0.02, 3, -128, 127, torch.int8)
        w = D.dequantize_per_channel(self.weight, self.scales.abs(), self.zeros, 0, -127, 127, torch.int8)
        y = F.linear(x, w, self.bias)
        q = D.quantize_per_tensor(y, 0.05, 120, 0, 255, torch.uint8)
        found: torch.Tensor = D.dequantize_per_tensor(q, 0.05, 120, 0, 255, torch.uint8)
        return found


def _narrow(x: torch.Tensor) -> Any:
    q = D.quantize_per_tensor(x, 0.3, 1, -8, 7, torch.int8)
    return q, D.dequantize_per_tensor(q, 0.3, 1, -8, 7, torch.int8)


def _channels(x: torch.Tensor, scales: torch.Tensor) -> Any:
    zeros = torch.tensor([3, 0, -7, 1])
    q = D.quantize_per_channel(x, scales, zeros, 1, -128, 127, torch.int8)
    return D.dequantize_per_channel(q, scales, zeros, 1, -128, 127, torch.int8)


def _dynamic(x: torch.Tensor) -> Any:
    scale, zero = D.choose_qparams.tensor(x, -128, 127, 1e-5, torch.int8)
    q = D.quantize_per_tensor.tensor(x, scale, zero, -128, 127, torch.int8)
    return D.dequantize_per_tensor.tensor(q, scale, zero, -128, 127, torch.int8)


def _dynamic_symmetric(x: torch.Tensor) -> Any:
    scale, zero = D.choose_qparams_symmetric.tensor(x, -127, 127, 1e-5, torch.int8)
    q = D.quantize_per_tensor.tensor(x, scale, zero, -127, 127, torch.int8)
    return D.dequantize_per_tensor.tensor(q, scale, zero, -127, 127, torch.int8)


SCALES = torch.tensor([0.05, 0.1, 0.02, 0.07])
ZEROS = torch.tensor([100, 0, 128, 255], dtype=torch.int32)

ROWS = (
    Row("quantized/linear", Linear, LINE, open=True),
    call("quantized/narrow", _narrow),
    call("quantized/channels", _channels, *PICTURE, SCALES),
    call("quantized/dynamic", _dynamic),
    call("quantized/dynamic symmetric", _dynamic_symmetric),
    call("fake_quantize", lambda x: torch.fake_quantize_per_tensor_affine(x, 0.04, 30, 0, 127)),
    call("fake_quantize/i8", lambda x: torch.fake_quantize_per_tensor_affine(x, 0.04, -3, -128, 127)),
    call(
        "fake_quantize/channels",
        lambda x, s: torch.fake_quantize_per_channel_affine(x, s, ZEROS, 1, 0, 255),
        *PICTURE,
        SCALES,
    ),
)
