"""GroupQueryAttention against ONNX Runtime, with sequences of their own lengths and room in the past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert.errors import UnsupportedError
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, fixed, run_oracle, x
from tests.parsers.onnx.evaluate import assert_close, evaluate

HEADS, SHARED, SIZE = 4, 2, 16
TABLES = fixed(x(16, 8, low=-1, high=1)), fixed(x(16, 8, low=-1, high=1, seed=1))
SINK = fixed(x(HEADS))
NOTHING = (None, None)
RAGGED = np.array([5, 3], np.int32)


def gqa(
    fresh: int,
    past: int,
    lasts: Any,
    total: int,
    *rest: Any,
    batch: int = 2,
    packed: bool = False,
    **attributes: Any,
) -> Case:
    """``fresh`` new positions after a past with room for ``past``; ``lasts`` are the sequences' last ones."""
    query, key, value = (
        x(batch, fresh, heads * SIZE, seed=s) for s, heads in enumerate((HEADS, SHARED, SHARED))
    )
    operands = [np.concatenate([query, key, value], 2), None, None] if packed else [query, key, value]
    old = [x(batch, SHARED, past, SIZE, seed=s) for s in (1, 2)]
    lengths = np.asarray(lasts, np.int32), fixed(np.array(total, np.int32))
    attributes |= {"num_heads": HEADS, "kv_num_heads": SHARED}
    operands += [*old, *lengths, *rest]
    return Case("GroupQueryAttention", tuple(operands), 1, 3, domain="com.microsoft", attributes=attributes)


def case(name: str, *arguments: Any, **options: Any) -> Any:
    return pytest.param(gqa(*arguments, **options), id=name)


def found(c: Case, folder: Path) -> list[Array]:
    path = folder / "case.onnx"
    path.write_bytes(c.model().SerializeToString())
    return evaluate(load(path).graph, c.feeds)


CASES = [
    case("prompt", 4, 0, [3, 3], 4),
    case("prompt_packed", 4, 0, [3, 3], 4, packed=True),
    case("prompt_rotated", 4, 0, [3, 3], 4, *TABLES, do_rotary=1),
    case("prompt_interleaved", 4, 0, [3, 3], 4, *TABLES, do_rotary=1, rotary_interleaved=1),
    case("prompt_window", 4, 0, [3, 3], 4, local_window_size=2, scale=0.4),
    case("prompt_bias", 4, 0, [3, 3], 4, *NOTHING, None, x(2, HEADS, 4, 4)),
    case("prompt_seen_whole", 4, 0, [3, 3], 4, causal=0),
    case("prompt_of_lengths", 4, 0, [3, 1], 4),
    case("prompt_of_lengths_rotated", 4, 0, [3, 1], 4, *TABLES, do_rotary=1),
    case("prompt_of_lengths_in_a_buffer", 4, 8, [3, 1], 4),
    case("prompt_of_lengths_seen_whole", 4, 0, [3, 1], 4, causal=0),
    case("next", 1, 5, RAGGED, 6, softcap=2.0, local_window_size=3),
    case("next_rotated", 1, 5, RAGGED, 6, *TABLES, do_rotary=1),
    case("next_packed_rotated", 1, 5, RAGGED, 6, *TABLES, packed=True, do_rotary=1),
    case("next_at_positions", 1, 5, RAGGED, 6, *TABLES, np.array([[5], [3]]), do_rotary=1),
    case("next_in_a_buffer", 1, 10, RAGGED, 6),
    case("next_in_a_buffer_rotated", 1, 10, RAGGED, 6, *TABLES, do_rotary=1, local_window_size=3),
    case("next_in_a_buffer_bias", 1, 10, RAGGED, 6, *NOTHING, None, x(1, HEADS, 1, 6)),
    case("more", 3, 5, [7], 8, batch=1),
    case("more_in_a_buffer", 3, 10, [7], 8, batch=1),
    case("smooth", 4, 0, [3, 3], 4, smooth_softmax=1),
    case("smooth_next", 1, 5, RAGGED, 6, smooth_softmax=1, softcap=3.0),
    case("sink", 4, 0, [3, 3], 4, *NOTHING, None, None, SINK),
    case("sink_bias", 4, 0, [3, 3], 4, *NOTHING, None, x(1, 1, 4, 4), SINK),
    case("sink_next_window", 1, 10, RAGGED, 6, *NOTHING, None, None, SINK, local_window_size=3),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    """What lies behind a sequence's end is nobody's: it is not compared."""
    wanted, actual = run_oracle(c.model(), c.feeds), found(c, tmp_path)
    fresh = c.feeds["x0"].shape[1]
    for index, last in enumerate(c.feeds["x5"]):
        new = min(fresh, last + 1) if c.feeds["x3"].shape[2] in (0, 8) else fresh
        assert_close(actual[0][index, :new], wanted[0][index, :new], what="the result")
        for a, w in zip(actual[1:], wanted[1:], strict=True):
            assert a.shape == w.shape
            assert_close(a[index, :, : last + 1], w[index, :, : last + 1], what="the present")


def test_a_full_past_only_grows(tmp_path: Path) -> None:
    """With one sequence nothing has to be put anywhere: the graph stays as plain as it can be."""
    path = tmp_path / "case.onnx"
    path.write_bytes(gqa(3, 5, [7], 8, batch=1).model().SerializeToString())
    kinds = {node.op.name for node in load(path).graph}
    assert "Concat" in kinds
    assert "ScatterElements" not in kinds


def test_norms_of_heads(tmp_path: Path) -> None:
    """ONNX Runtime has them on other devices only: they are those of RMSNormalization before the rotation."""
    weights = x(SIZE), x(SIZE, seed=2)
    c = gqa(4, 0, [3, 3], 4, *TABLES, *(None,) * 5, *map(fixed, weights), do_rotary=1, qk_norm_epsilon=1e-5)
    plain = gqa(4, 0, [3, 3], 4, *TABLES, do_rotary=1)
    operands = list(plain.operands)
    for index, weight in enumerate(weights):
        operand = np.asarray(operands[index]).reshape(2, 4, -1, SIZE)
        mean = np.mean(operand.astype(np.float64) ** 2, -1, keepdims=True)
        operands[index] = (operand / np.sqrt(mean + 1e-5) * weight).astype(np.float32).reshape(2, 4, -1)
    plain = Case(plain.kind, tuple(operands), 1, 3, domain=plain.domain, attributes=plain.attributes)
    for actual, wanted in zip(found(c, tmp_path), run_oracle(plain.model(), plain.feeds), strict=True):
        assert_close(actual, wanted)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"k_quant_type": "PER_TENSOR"}, "a quantized cache"), ({"qk_output": 1}, "its scores as an output")],
)
def test_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        found(gqa(4, 0, [3, 3], 4, **options), tmp_path)
