from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from mmconvert.ir.ops import Add, LayerNorm, Mul
from mmconvert.parsers.onnx import load
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x
from tests.parsers.onnx.evaluate import assert_close, evaluate

X, FLAT = x(2, 6, 5, 4), x(3, 6)
C = fixed(x(6, low=0.5, high=1.5))
VARIANCE = fixed(x(6, low=0.1, high=2.0))
LAST = fixed(x(4, seed=1))

CASES = [
    *case("BatchNormalization", X, C, C, C, VARIANCE, opset=(7, 9, 14, 15)),
    *case("BatchNormalization", X, C, C, C, VARIANCE, epsilon=0.01, momentum=0.5, opset=(9, 15)),
    *case("BatchNormalization", FLAT, C, C, C, VARIANCE, opset=(9, 15)),
    *case(
        "BatchNormalization",
        *(X, *(fixed(x(6, 5, 4, low=0.1, high=2, seed=s)) for s in range(4))),
        spatial=0,
        opset=7,
    ),
    *case("InstanceNormalization", X, C, C, opset=(7, 22)),
    *case("InstanceNormalization", x(2, 6, 5), C, C, epsilon=0.01),
    *case("LayerNormalization", X, LAST, LAST),
    *case("LayerNormalization", X, LAST),
    *case("LayerNormalization", X, fixed(x(5, 4)), fixed(x(5, 4)), axis=2, epsilon=0.01),
    *case("LayerNormalization", X, fixed(x(6, 5, 4)), axis=-3),
    *case("LayerNormalization", X, fixed(x(6, 5, 4)), axis=1, outputs=3),
    *case("LayerNormalization", X, LAST, LAST, outputs=3),
    *case("LayerNormalization", X, fixed(x(5, 1)), fixed(x(4)), axis=2, oracle="reference"),
    *case("RMSNormalization", X, LAST, opset=23),
    *case("RMSNormalization", X, fixed(x(5, 4)), opset=23, axis=2, epsilon=0.01),
    *case("RMSNormalization", X, fixed(x(4)), opset=23, axis=2),
    *case("GroupNormalization", X, fixed(x(3)), fixed(x(3, seed=1)), num_groups=3, opset=18),
    *case("GroupNormalization", X, C, C, num_groups=2, epsilon=0.01, opset=21),
    *case("LRN", X, size=3, opset=(7, 13)),
    *case("LpNormalization", X, opset=(7, 22)),
    *case("LpNormalization", X, axis=1, p=1),
    *case("MeanVarianceNormalization", X, opset=(9, 13)),
    *case("MeanVarianceNormalization", X, axes=[1, -1], oracle="reference"),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path, rtol=1e-4)  # the runtimes' sums over a whole tensor differ by this much


def test_zero_stays_zero_under_lp_normalization(tmp_path: Path) -> None:
    (param,) = case("LpNormalization", np.zeros((2, 3), np.float32), opset=22)
    check_case(param.values[0], tmp_path)


def test_a_window_of_even_size_reaches_further_ahead(tmp_path: Path) -> None:
    """ONNX Runtime refuses even sizes, and ONNX's reference counts images where it should count channels."""
    (param,) = case("LRN", X, size=4, alpha=0.5, beta=0.5, bias=2.0)
    (tmp_path / "case.onnx").write_bytes(param.values[0].model().SerializeToString())
    (actual,) = evaluate(load(tmp_path / "case.onnx").graph, {"x0": X})
    sums = np.stack([np.square(X[:, max(c - 1, 0) : c + 3]).sum(axis=1) for c in range(6)], axis=1)
    assert_close(actual, X / np.sqrt(2 + 0.5 / 4 * sums))


def parse(folder: Path, kind: str, *operands: object, **attributes: object) -> list[type]:
    (param,) = case(kind, *operands, oracle="reference", **attributes)  # type: ignore[arg-type]
    (folder / "case.onnx").write_bytes(param.values[0].model().SerializeToString())
    return [type(node.op) for node in load(folder / "case.onnx").graph]


def test_a_fitting_scale_is_the_operators_own(tmp_path: Path) -> None:
    assert parse(tmp_path, "LayerNormalization", X, LAST, LAST) == [LayerNorm]
    assert parse(tmp_path, "LayerNormalization", X, fixed(x(1)), fixed(x(1))) == [LayerNorm, Mul, Add]


def test_mixed_precision_is_computed_in_the_wider(tmp_path: Path) -> None:
    half = X.astype(np.float16)
    (param,) = case("BatchNormalization", half, C, C, C, VARIANCE, opset=15, oracle="reference")
    (tmp_path / "case.onnx").write_bytes(param.values[0].model().SerializeToString())
    graph = load(tmp_path / "case.onnx").graph
    assert [node.op.name for node in graph] == ["Cast", "BatchNorm", "Cast"]
    assert graph.outputs[0].type.dtype == np.float16


@pytest.mark.parametrize(
    ("attributes", "outputs", "opset"),
    [({"training_mode": 1}, 1, 15), ({"training_mode": 1}, 3, 15), ({}, 5, 9)],
)
def test_training_is_refused(attributes: dict[str, int], outputs: int, opset: int, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="statistics of the batch, as in training"):
        parse(
            tmp_path, "BatchNormalization", X, C, C, C, VARIANCE, opset=opset, outputs=outputs, **attributes
        )


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("GroupNormalization", (X, C, C), {"num_groups": 0, "opset": 18}, "num_groups=0 must be at least 1"),
        ("LRN", (X,), {"size": 0}, "size=0 must be at least 1"),
        ("LRN", (X,), {}, "the attribute size is missing"),
        ("LpNormalization", (X,), {"p": 3}, "p=3 must be 1 or 2"),
        ("LayerNormalization", (X, LAST), {"stash_type": 7}, "stash_type i64 is no floating-point type"),
    ],
)
def test_invalid_attributes(
    kind: str, operands: tuple[object, ...], attributes: dict[str, int], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModelError, match=message):
        parse(tmp_path, kind, *operands, **attributes)
