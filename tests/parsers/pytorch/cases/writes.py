"""Operators that write into tensors, and into views of them."""

from __future__ import annotations

from typing import Any

import torch

from .row import Row, call


def _relu(x: torch.Tensor) -> Any:
    y = x * 1
    return y.relu_().add_(1).mul_(2), y


def _slices(x: torch.Tensor) -> Any:
    y = torch.zeros(4, 5)
    for count, rows in enumerate((slice(0, 2), slice(2, 3), slice(3, None))):
        y[rows, 1:3] = count
    y[:, 4] = x[:, 0]
    y[::2, 0] += 3
    return y


def _seen_elsewhere(x: torch.Tensor) -> Any:
    y = x.clone()
    turned, row = y.transpose(0, 1), y[1]
    flat = y.view(-1)
    row.mul_(10)
    turned[0].add_(1)
    return y, turned, flat, row


def _chunks(x: torch.Tensor) -> Any:
    y = x + 0
    left, right = y.chunk(2, 1)
    right.sigmoid_()
    left.copy_(right)
    return y


def _masked(x: torch.Tensor) -> Any:
    y = x.clone()
    y[y > 0] = -1
    y.masked_fill_(y < -1.5, 9)
    y.clamp_(min=-1.2)
    return y


def _narrowed(x: torch.Tensor) -> Any:
    y = x.int()
    y += 2
    y.fill_(3)
    return y, torch.ones(2).zero_()


ROWS: tuple[Row, ...] = (
    call("write", _relu),
    call("write/slices", _slices, (4, 5)),
    call("write/seen elsewhere", _seen_elsewhere, (4, 5)),
    call("write/chunks", _chunks, (4, 6)),
    call("write/masked", _masked, (4, 6)),
    call("write/narrowed", _narrowed, (4, 6)),
)
