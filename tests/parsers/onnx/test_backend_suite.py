"""ONNX's own node tests: all that the rules cover load, and compute what ONNX says.

Making the cases takes seconds, so they are not made when tests are collected, and are one test together; what
fails is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from mmconvert.errors import MMConvertError, UnsupportedError
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load, tensors
from tests.parsers.onnx.evaluate import assert_close, evaluate

AT_LEAST = 1363
"""How many of the cases must pass; raised as rules are added."""

# 2 and 4 bytes of float16 and bfloat16 are worth this much.
TOLERANCES = {"bfloat16": 8e-3, "float16": 2e-3}

DEVIATIONS = {
    "test_averagepool_2d_ceil_last_window_starts_on_pad": "its expected numbers are written with four digits",
    "test_resize_downsample_scales_linear_align_corners": "expects positions by the extent before it is cut "
    "to an integer; ONNX Runtime and PyTorch use the integer",
    "test_resize_downsample_scales_cubic_align_corners": "as the one above",
}
"""Cases that are known to differ, with the reason; one that passes has to go from here."""


def cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases are made with divisions by zero
        from onnx.backend.test.case.node import collect_testcases

        return list(collect_testcases(None))


def array(data: Any) -> Array:
    """Types that NumPy lacks come as TensorProto."""
    if isinstance(data, onnx.TensorProto):
        encoded = data.SerializeToString()
        return tensors.read(encoded, 0, len(encoded), None)[1].numpy()
    return np.asarray(data)


def parse(model: onnx.ModelProto, inputs: list[Any], path: Path) -> Graph:
    """The graph; where shapes or axes are graph inputs, their values become initializers."""
    path.write_bytes(model.SerializeToString())
    try:
        return load(path).graph
    except UnsupportedError as error:
        if "computed while the model runs" not in str(error):
            raise
    frozen = onnx.ModelProto()
    frozen.CopyFrom(model)
    for info, data in zip(model.graph.input, inputs, strict=False):
        if isinstance(data, np.ndarray | np.generic) and data.ndim <= 1:
            frozen.graph.initializer.append(numpy_helper.from_array(np.asarray(data), info.name))
    path.write_bytes(frozen.SerializeToString())
    return load(path).graph


def outcomes(folder: Path) -> Iterator[tuple[str, str]]:
    """For each case that loads, its name and what went wrong, which is empty for most."""
    for number, case in enumerate(cases()):
        try:
            graph = parse(case.model, case.data_sets[0][0], folder / f"{number}.onnx")
        except UnsupportedError:
            continue
        except MMConvertError as error:
            yield case.name, str(error)
            continue
        names = [info.name for info in case.model.graph.input]
        try:
            for inputs, expected in case.data_sets:
                feeds = dict(zip(names, map(array, inputs), strict=False))
                for actual, want in zip(evaluate(graph, feeds), map(array, expected), strict=True):
                    assert_close(actual, want, rtol=TOLERANCES.get(want.dtype.name, 2e-5))
        except (AssertionError, ValueError, MMConvertError) as error:
            yield case.name, str(error) or type(error).__name__
        else:
            yield case.name, ""


def test_node_cases(tmp_path: Path) -> None:
    found = dict(outcomes(tmp_path))
    failed = {name: why for name, why in found.items() if why and name not in DEVIATIONS}
    mended = [name for name, why in found.items() if not why and name in DEVIATIONS]
    assert not failed, "\n".join(f"{name}: {why}" for name, why in failed.items())
    assert not mended, f"no longer deviate: {mended}"
    passed = sum(not why for why in found.values())
    print(f"{passed} node cases pass, {len(found)} load")
    assert passed >= AT_LEAST
