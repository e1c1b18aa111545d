"""Everything that our emitter writes is read again, and does in the interpreter what it does in LiteRT.

The reference kernels judge. Where they lack an operator, LiteRT's other kernels stand in; where they are
wrong, it is shown how.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert.errors import InvalidModelError
from mmconvert.interpreter.session import run
from mmconvert.tensors import Array
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.tflite.files import compare, kinds, parsed, write
from tests.emitters.tflite.test_cases import CANNOT
from tests.parsers.tflite.files import Graph, Op, Tensor, build, reference, save

WRITTEN = [case for case in ALL if not any(item.covers(case) for item in CANNOT)]
OTHERS = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"

LACKING = {
    ("ABS", 5): "Abs/i32_3x4",
    ("ADD", 6): "Add/f16",
    ("CEIL", 1): "Ceil/f32_scalar",
    ("ELU", 1): "Elu/rank2",
    ("MUL", 8): "Mul/f16",
    ("RANGE", 2): "Range/i64",
    ("ROUND", 1): "Round/halves",
}
"""Operators, with the version of them, that only LiteRT's other kernels have; and a case that needs each."""

WRONG = {
    "ScaledDotProductAttention/blind_query": "REDUCE_MAX begins with the lowest number, above -inf",
    "LRN/size[135]_*": "LOCAL_RESPONSE_NORMALIZATION leaves the last channel of each window out",
    "LRN/parameters": "LOCAL_RESPONSE_NORMALIZATION leaves the last channel of each window out",
}
"""Cases of which the reference kernels make something else than LiteRT's other kernels, and why."""


@pytest.mark.parametrize("case", WRITTEN, ids=str)
def test_case(case: Case, tmp_path: Path) -> None:
    graph, feeds = case.build()
    path = write(graph, tmp_path)
    again = mmconvert.load(path).graph
    assert [v.name for v in again.inputs] == [v.name for v in graph.inputs]
    assert again.output_names == graph.output_names
    found, exact = run(again, feeds), run(again, feeds, precision="float64")
    if missing := LACKING.keys() & versions(path):
        names = "|".join(name for name, _ in missing)
        with pytest.raises(InvalidModelError, match=f"'({names})' version"):
            reference(path)
        agrees(found, exact, reference(path, OTHERS).run(feeds))
    elif any(Path(case.name).match(name) for name in WRONG):
        with pytest.raises(AssertionError, match="errors of"):
            agrees(found, exact, reference(path).run(feeds))
        agrees(found, exact, reference(path, OTHERS).run(feeds))
    else:
        agrees(found, exact, reference(path).run(feeds))


def agrees(found: dict[str, Array], exact: dict[str, Array], wanted: dict[str, Array]) -> None:
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        compare(array, found[name], exact[name])


def versions(path: Path) -> set[tuple[str, int]]:
    """The operators of the main graph, each with its version."""
    model = parsed(path)
    operators = model.Subgraphs(0)
    codes = [
        model.OperatorCodes(operators.Operators(i).OpcodeIndex()) for i in range(operators.OperatorsLength())
    ]
    return {(name, code.Version()) for name, code in zip(kinds(path), codes, strict=True)}


@pytest.mark.parametrize("operator", LACKING, ids=str)
def test_every_operator_that_is_lacking_is_met(operator: tuple[str, int], tmp_path: Path) -> None:
    (case,) = (case for case in WRITTEN if case.name == LACKING[operator])
    assert operator in versions(write(case.build()[0], tmp_path))


def test_every_case_that_comes_out_wrong_is_met() -> None:
    assert not [name for name in WRONG if not any(Path(case.name).match(name) for case in WRITTEN)]


def test_the_reference_maximum_is_never_below_the_lowest_number(tmp_path: Path) -> None:
    """It begins with ``numeric_limits<float>::lowest()``."""
    tensors = [Tensor((1, 2)), Tensor.of(np.array([1], np.int32)), Tensor((1,))]
    data = build(Graph(tensors, [Op("REDUCE_MAX", [0, 1], [2], {}, "ReducerOptions")], [0], [2]))
    path, x = save(data, tmp_path), np.full((1, 2), -np.inf, np.float32)
    (wrong,), (right,) = (reference(path, r).run({"t0": x}).values() for r in ("BUILTIN_REF", OTHERS))
    assert wrong.tolist() == [np.finfo(np.float32).min]
    assert right.tolist() == [-np.inf]


def test_the_reference_local_response_leaves_the_last_channel_out(tmp_path: Path) -> None:
    """Windows end before ``channel + radius``, where those of LiteRT's other kernels end behind it."""
    options = {"radius": 2, "bias": 1.0, "alpha": 0.5, "beta": 1.0}
    op = Op("LOCAL_RESPONSE_NORMALIZATION", [0], [1], options, "LocalResponseNormalizationOptions")
    path = save(build(Graph([Tensor((1, 1, 1, 6)), Tensor((1, 1, 1, 6))], [op], [0], [1])), tmp_path)
    x = np.arange(1, 7, dtype=np.float32)
    (wrong,), (right,) = (
        reference(path, r).run({"t0": x.reshape(1, 1, 1, 6)}).values() for r in ("BUILTIN_REF", OTHERS)
    )
    for found, end in ((wrong, 2), (right, 3)):
        squares = [float((x[max(0, c - 2) : c + end] ** 2).sum()) for c in range(6)]
        np.testing.assert_allclose(found.ravel(), x / (1 + 0.5 * np.array(squares)), rtol=1e-5)
