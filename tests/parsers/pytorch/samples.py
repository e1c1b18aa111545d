"""PyTorch's own samples of its operators, each as a module to export."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import nn
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

COUNT, LIMIT = 3, 12
"""How many samples of each operator are tried, and among how many they are looked for."""

RTOL, ATOL = 2e-3, 1e-4


class Call(nn.Module):
    """An operator over its tensors; everything else is as in the sample."""

    def __init__(self, op: Any, sample: Any) -> None:
        super().__init__()
        self.op = op
        leaves, self.spec = pytree.tree_flatten((sample.input, sample.args, sample.kwargs))
        self.places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        self.leaves = [None if i in self.places else leaf for i, leaf in enumerate(leaves)]
        self.tensors = tuple(leaves[i].detach() for i in self.places)

    def forward(self, *tensors: torch.Tensor) -> Any:
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        first, args, kwargs = pytree.tree_unflatten(leaves, self.spec)
        return self.op(first, *args, **kwargs)


def operators() -> dict[str, Any]:
    """Every operator that torch has samples of, by its name."""
    return {f"{op.name}.{op.variant_test_name}".rstrip("."): op for op in op_db}


def calls(op: Any) -> list[Call]:
    """The first samples whose result does not depend on chance."""
    torch.manual_seed(0)
    samples = op.sample_inputs("cpu", torch.float32, requires_grad=False)
    drawn = itertools.islice(samples, LIMIT)
    made = (Call(op.op, sample) for sample in drawn if not _drops(sample))
    return list(itertools.islice(made, COUNT))


def _drops(sample: Any) -> bool:
    """True for a sample that draws at random what to leave out."""
    return bool(
        sample.kwargs.get("dropout_p") or (sample.kwargs.get("training") is True and "p" in sample.kwargs)
    )


def expected(call: Call) -> list[np.ndarray[Any, Any]]:
    """What torch computes."""
    with torch.no_grad():
        found = pytree.tree_leaves(call(*(t.clone() for t in call.tensors)))
    return [_array(t) for t in found if isinstance(t, torch.Tensor)]


def _array(tensor: torch.Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.resolve_conj().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def agree(have: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> bool:
    """Exactly for integers, within the bounds for floats."""
    if have.shape != want.shape or have.dtype != want.dtype:
        return False
    if want.dtype.kind in "iub":
        return bool(np.array_equal(have, want))
    wide = (have.astype(np.float64), want.astype(np.float64))
    return bool(np.allclose(*wide, rtol=RTOL, atol=ATOL, equal_nan=True))
