"""Every row of the case table, written at several opsets and run: ONNX Runtime computes what the IR means."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from mmconvert import dtypes
from mmconvert.errors import MMConvertError
from mmconvert.interpreter.session import run
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Layout
from mmconvert.passes.layout.assign import assign_layout
from mmconvert.tensors import Array
from tests.cases import ALL
from tests.cases.case import Case
from tests.emitters.onnx.files import execute, write

FULL, SAMPLED = (9, 11, 13, 17, 26), (10, 12, 15, 16, 18, 19, 21, 23)
"""The opsets at which all cases run, up to the newest of ONNX Runtime, and those that share them out."""

TOLERANCES = {dtypes.F64: 1e-6, dtypes.F32: 1e-5, dtypes.F16: 2e-3, dtypes.BF16: 2e-2}
"""The largest error in terms of the output's scale; attributes are single precision in ONNX, even for f64."""


@dataclass(frozen=True)
class Cannot:
    """Cases that do not get through, why, and at which opsets; a case that does get through fails its test.

    ``name`` may have wildcards.
    """

    name: str
    reason: str
    since: int = 1
    until: int = 99

    def covers(self, case: Case, opset: int) -> bool:
        return fnmatchcase(case.name, self.name) and self.since <= opset <= self.until


_SCATTER = "ONNX scatters with this reduction since a later opset"
_RUNTIME = "ONNX Runtime has no kernel of opset 22"

CANNOT = [
    *(Cannot(f"Bitwise{kind}/*", "ONNX has it since opset 18", until=17) for kind in ("And", "Or", "Xor")),
    Cannot("DeformConv/*", "ONNX has it since opset 19", until=18),
    *(
        Cannot(f"RoiAlign/{name}", "ONNX has half-pixel coordinates since opset 16", until=15)
        for name in ("avg", "adaptive", "max")
    ),
    Cannot("RoiAlign/unaligned", "ONNX has it since opset 10", until=9),
    *(Cannot(f"{kind}/*", _RUNTIME, since=22) for kind in ("RoiAlign", "MaxRoiPool")),
    Cannot("BitCast/f32*", "ONNX has it since opset 26", until=25),
    Cannot("Inverse/*", "ONNX has no such operator"),
    Cannot("MaxPoolIndices/*dilated*", "ONNX has dilations here since opset 10", until=9),
    Cannot("ConvInteger/*", "ONNX has it since opset 10", until=9),
    Cannot("NonMaxSuppression/*", "ONNX has it since opset 10", until=9),
    Cannot("Unique/*", "ONNX has it since opset 11", until=10),
    Cannot("Det/*", "ONNX has it since opset 11", until=10),
    Cannot("TopK/i64_smallest", "no float that ONNX ranks before opset 11 holds all of i64", until=10),
    Cannot(
        "Pow/i32", "ONNX has powers of integers since opset 12; small constant ones are products", until=11
    ),
    *(
        Cannot(f"Scatter{kind}/{r}_*", _SCATTER, until=15)
        for kind in ("Elements", "ND")
        for r in ("add", "mul")
    ),
    *(
        Cannot(f"Scatter{kind}/{r}_*", _SCATTER, until=17)
        for kind in ("Elements", "ND")
        for r in ("max", "min")
    ),
]


def sampled() -> list[tuple[Case, int]]:
    """Each case at the opsets that all run at, and at one other."""
    return [
        (case, opset)
        for case in ALL
        for opset in (*FULL, SAMPLED[zlib.crc32(case.name.encode()) % len(SAMPLED)])
    ]


@pytest.mark.parametrize(("case", "opset"), [pytest.param(c, o, id=f"{c}@{o}") for c, o in sampled()])
def test_case(case: Case, opset: int, tmp_path: Path) -> None:
    known = [item for item in CANNOT if item.covers(case, opset)]
    if not known:
        check(case, opset, tmp_path)
        return
    with pytest.raises((MMConvertError, AssertionError)):
        check(case, opset, tmp_path)


def test_every_limitation_is_met() -> None:
    assert not [c.name for c in CANNOT if not any(c.covers(case, opset) for case in ALL for opset in FULL)]


def check(case: Case, opset: int, folder: Path) -> None:
    graph, feeds = case.build()
    wanted, exact = run(graph, feeds), run(graph, feeds, precision="float64")
    if any(getattr(node.op, "layout", None) is Layout.NHWC for node in graph):
        assign_layout(Layout.NCHW)(graph)
    found = execute(write(graph, folder, opset), feeds)
    assert found.keys() == wanted.keys()
    for name, array in found.items():
        compare(array, wanted[name], exact[name])


def compare(found: Array, wanted: Array, exact: Array) -> None:
    """Of floats, either precision may be met: a step function sees roundings that are not the emitter's."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if not dtypes.is_float(found.dtype):
        np.testing.assert_array_equal(found, wanted)
        return
    errors = [error(found, target) for target in (wanted, exact)]
    assert min(errors) <= TOLERANCES[found.dtype], f"errors of {errors} against float32 and float64"


def error(found: Array, wanted: Array) -> float:
    """The largest difference in terms of the scale; infinite where NaNs or infinities do not match."""
    a, b = (np.asarray(array, np.float64) for array in (found, wanted))
    special = ~np.isfinite(b)
    if not np.array_equal(a[special], b[special], equal_nan=True) or not np.isfinite(a[~special]).all():
        return float("inf")
    a, b = a[~special], b[~special]
    return float(np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1.0))


@pytest.mark.parametrize("shift", [1, 2])
def test_the_comparison_notices_a_shift(shift: int) -> None:
    y = np.linspace(0, 1, 12, dtype=np.float32)
    with pytest.raises(AssertionError):
        compare(np.roll(y, shift), y, y.astype(np.float64))


def test_graphs_of_cases_are_fresh() -> None:
    first, second = (ALL[0].build()[0] for _ in range(2))
    assert isinstance(first, Graph)
    assert first is not second
