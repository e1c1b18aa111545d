from pathlib import Path

import numpy as np
import pytest

from mmconvert.errors import InvalidModelError, UnsupportedError
from tests.parsers.onnx.cases import Case, case, check_case, fixed, x

X = x(4, 5, 6)
FAR = 2**63 - 1
SLICES = [
    ([1], [3], [0], [1]),
    ([0, 1], [4, 5], [2, 0], [1, 2]),
    ([-3], [FAR], [1], [1]),
    ([-1], [-FAR], [1], [-1]),
    ([4], [0], [-1], [-2]),
    ([3], [1], [0], [1]),
    ([-100], [100], [0], [3]),
    ([2**31 - 1], [-(2**31)], [2], [-1]),
]
PADS = [0, 1, 2, 1, 0, 0]
ROWS = fixed([[0, 2], [1, -1]])
WHERE = fixed(x(4, 2, 6, low=-5, high=4, dtype=np.int64))
UPDATES = x(4, 2, 6, seed=3)
PLACES = fixed([[0, 1], [2, -1], [3, 3]])
DISTINCT = fixed(np.array([[0, 1], [1, 2], [2, 0]]))

CASES = [
    *case("Slice", X, opset=7, starts=[1, 0], ends=[3, -1], axes=[0, 2]),
    *case("Slice", X, opset=7, starts=[1, 0], ends=[3, FAR]),
    *(
        c
        for starts, ends, axes, steps in SLICES
        for c in case("Slice", X, *(fixed(v, np.int64) for v in (starts, ends, axes, steps)), opset=(10, 13))
    ),
    *case("Slice", X, fixed([1, 2]), fixed([3, 4]), opset=13),
    *case("Slice", X, fixed([1], np.int32), fixed([3], np.int32), None, fixed([2], np.int32), opset=13),
    *case("Gather", X, ROWS, opset=(7, 11, 13)),
    *case("Gather", X, fixed(-2, np.int64), axis=-1, opset=(11, 13)),
    *case("Gather", X, x(2, 3, low=0, high=4, dtype=np.int32), axis=1),
    *case("GatherElements", X, fixed(x(4, 2, 6, low=-5, high=4, dtype=np.int64)), axis=1, opset=(11, 13)),
    *case("GatherElements", X, fixed(x(3, 5, 6, low=0, high=3, dtype=np.int32))),
    *case("GatherND", X, PLACES, opset=(11, 12, 13)),
    *case("GatherND", X, fixed(x(4, 3, 1, low=-5, high=4, dtype=np.int64)), batch_dims=1, opset=12),
    *case("Scatter", x(3, 3), fixed(np.array([[1, 0, 2], [0, 2, 1]])), x(2, 3), opset=9),
    *case("ScatterElements", x(3, 3), fixed(np.array([[1, 0, 2], [0, 2, -2]])), x(2, 3), opset=(11, 13)),
    *case("ScatterElements", x(3, 3), fixed(np.array([[1, -1], [0, 2], [2, 0]])), x(3, 2), axis=1, opset=13),
    *(
        c
        for reduction, opset in (("none", 16), ("add", 16), ("mul", 16), ("max", 18), ("min", 18))
        if reduction != "none"
        for c in (
            *case("ScatterElements", X, WHERE, UPDATES, axis=1, reduction=reduction, opset=opset),
            *case("ScatterND", X, PLACES, x(3, 6), reduction=reduction, opset=opset),
        )
    ),
    *case("ScatterND", X, DISTINCT, x(3, 6), opset=(11, 13, 16)),
    *case("ScatterND", X, fixed([[2], [0]]), x(2, 5, 6), opset=11),
    *case("Pad", X, opset=7, pads=PADS),
    *case("Pad", X, opset=7, pads=PADS, value=1.5),
    *(c for mode in ("reflect", "edge") for c in case("Pad", X, opset=7, pads=PADS, mode=mode)),
    *(
        c
        for mode in ("constant", "reflect", "edge")
        for c in case("Pad", X, fixed([0, 1, 2, 1, 3, 1]), opset=(11, 13, 18), mode=mode)
    ),
    *case("Pad", X, fixed([0, 1, 2, 1, 3, 1]), fixed(2.5), opset=(11, 13)),
    *case("Pad", X, fixed([-1, 0, 2, 0, -2, 1]), fixed(2.5), opset=13),
    *case("Pad", X, fixed([1, 2]), fixed(-1.0), fixed([-2]), opset=18),
    *case("Pad", X, fixed([1, 2]), None, fixed([1], np.int32), opset=18, oracle="reference"),
    *case("Pad", X, fixed([0, 1, 2, 1, 3, 1]), opset=19, mode="wrap"),
    *case("Pad", x(3, 4, low=0, high=9, dtype=np.int64), fixed([1, 0, 0, 1]), fixed(7), opset=13),
    *case("CenterCropPad", X, fixed([3, 8, 6]), opset=18, oracle="reference"),
    *case("CenterCropPad", X, np.array([3, 8, 6]), opset=18, oracle="reference"),
    *case("CenterCropPad", X, np.array([7, 1]), opset=18, oracle="reference", axes=[-1, 0]),
    *case("CenterCropPad", X, fixed([7, 1]), opset=18, oracle="reference", axes=[-1, 0]),
]


@pytest.mark.parametrize("c", CASES)
def test_against_the_runtime(c: Case, tmp_path: Path) -> None:
    check_case(c, tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("Slice", (X, fixed([1]), fixed([2, 3])), {}, "are not equally many"),
        ("Slice", (X, fixed([1]), fixed([2]), fixed([0]), fixed([0])), {}, "the step of a slice is 0"),
        ("Slice", (X, fixed([1]), fixed([2]), fixed([7])), {}, "Slice 'n': there is no axis 7"),
        ("Pad", (X, fixed([1, 2])), {}, "2 pads for 3 axes"),
        ("Pad", (X, fixed([0] * 6), fixed([1.0, 2.0])), {}, "a padding value must be one number"),
        ("CenterCropPad", (X, fixed([1, 2])), {"opset": 18}, "2 extents for 3 axes"),
        ("Gather", (X, fixed([0])), {"axis": 3}, "there is no axis 3"),
    ],
)
def test_invalid(
    kind: str, operands: tuple[object, ...], attributes: dict[str, int], message: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, oracle="reference", **attributes)  # type: ignore[arg-type]
    with pytest.raises(InvalidModelError, match=message):
        check_case(param.values[0], tmp_path)


@pytest.mark.parametrize(
    ("kind", "operands", "attributes", "message"),
    [
        ("Pad", (X, fixed([0] * 6), np.float32(1.0)), {}, "Pad: a padding value computed"),
        ("Pad", (X, fixed([0] * 6)), {"mode": "mirror"}, "Pad: mode='mirror'"),
        (
            "Pad",
            (x(2, low=0, high=9, dtype=np.int64), fixed([1, 1]), fixed(2**53 + 1)),
            {},
            "which has too many digits",
        ),
    ],
)
def test_unsupported(
    kind: str, operands: tuple[object, ...], attributes: dict[str, str], message: str, tmp_path: Path
) -> None:
    (param,) = case(kind, *operands, oracle="reference", **attributes)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=message):
        check_case(param.values[0], tmp_path)
