"""Recurrent layers against PyTorch's, which stack their gates in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import InferenceError
from mmconvert.ir.ops import GRU, LSTM, RNN
from mmconvert.ir.types import Array, TensorType

torch = pytest.importorskip("torch")

TIME, BATCH, SIZE, HIDDEN = 5, 3, 4, 6
FIELDS: dict[str, Any] = {"hidden_size": HIDDEN, "direction": "bidirectional"}
ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""Where PyTorch has each of our gates."""


def reordered(array: Array, kind: str) -> Array:
    parts = np.split(array, len(ORDER[kind]))
    return np.concatenate([parts[i] for i in ORDER[kind]])


def weights(module: Any, kind: str) -> tuple[Array, Array, Array]:
    def stacked(name: str) -> list[Array]:
        found = [getattr(module, f"{name}_l0{suffix}").detach().numpy() for suffix in ("", "_reverse")]
        return [reordered(a, kind) for a in found]

    w, r, wb, rb = (stacked(n) for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    return np.stack(w), np.stack(r), np.stack([np.concatenate(p) for p in zip(wb, rb, strict=True)])


def functions(*names: str) -> dict[str, Any]:
    none = (0.0,) * (2 * len(names))
    return {"activations": names * 2, "alphas": none, "betas": none}


OPERATORS: dict[str, Any] = {
    "RNN": RNN(**FIELDS, **functions("Tanh")),
    "GRU": GRU(**FIELDS, **functions("Sigmoid", "Tanh"), linear_before_reset=True),
    "LSTM": LSTM(**FIELDS, **functions("Sigmoid", "Tanh", "Tanh")),
}


@pytest.mark.parametrize("kind", OPERATORS)
def test_against_pytorch(kind: str) -> None:
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(SIZE, HIDDEN, bidirectional=True, dtype=torch.float64)
    x = torch.randn(TIME, BATCH, SIZE, dtype=torch.float64)
    states = [torch.randn(2, BATCH, HIDDEN, dtype=torch.float64) for _ in range(1 + (kind == "LSTM"))]
    with torch.no_grad():
        y, last = module(x, tuple(states) if kind == "LSTM" else states[0])
    arrays = [x.numpy(), *weights(module, kind), None, *(s.numpy() for s in states)]
    found, *final = OPERATORS[kind].evaluate(*arrays)
    wanted = y.numpy().reshape(TIME, BATCH, 2, HIDDEN).transpose(0, 2, 1, 3)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    for one, other in zip(final, last if kind == "LSTM" else [last], strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-12)


def test_a_shorter_sequence_is_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    op = OPERATORS["LSTM"]
    x, w, r = (rng.normal(size=s) for s in ((5, 2, SIZE), (2, 24, SIZE), (2, 24, HIDDEN)))
    y, h, c = op.evaluate(x, w, r, None, np.array([5, 2], np.int32))
    alone = op.evaluate(x[:2, 1:], w, r)
    np.testing.assert_allclose(y[:2, :, 1:], alone[0], atol=1e-14)
    assert not y[2:, :, 1].any()
    np.testing.assert_allclose(h[:, 1:], alone[1], atol=1e-14)
    np.testing.assert_allclose(c[:, 1:], alone[2], atol=1e-14)


def f32(*shape: int) -> TensorType:
    return TensorType(dtypes.F32, shape)


@pytest.mark.parametrize(
    ("operands", "fields", "message"),
    [
        ((f32(4, 2, 3), f32(1, 5, 4), f32(1, 5, 5)), {}, r"the shape \[1,5,3\]"),
        ((f32(4, 2, 3), f32(1, 5, 3), f32(1, 5, 4)), {}, r"the shape \[1,5,5\]"),
        ((f32(4, 2, 3), f32(1, 5, 3), f32(1, 5, 5)), {"activations": ("Sinus",)}, "1 known activations"),
        ((f32(4, 2, 3), f32(1, 5, 3), f32(1, 5, 5)), {"alphas": ()}, "an alpha and a beta"),
        ((f32(4, 2, 3), f32(1, 5, 3), f32(1, 5, 5), None, f32(2)), {}, "i32 lengths"),
    ],
)
def test_refused(operands: tuple[Any, ...], fields: dict[str, Any], message: str) -> None:
    plain = {"activations": ("Tanh",), "alphas": (0.0,), "betas": (0.0,)}
    op = RNN(hidden_size=5, direction="forward", **(plain | fields))
    with pytest.raises(InferenceError, match=message):
        op.infer(*operands)
