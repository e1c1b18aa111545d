"""ONNX's backend suite, written again: what ONNX Runtime passed it passes, at the suite's tolerances."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from mmconvert import registry
from mmconvert.emitters.onnx import DEFAULT_OPSET, write
from mmconvert.errors import MMConvertError, UnsupportedError
from mmconvert.ir.model import Module
from mmconvert.lowering import lower
from mmconvert.runtimes.onnxruntime import Session
from tests.onnx_suite.suite import SuiteCase, cases, feeds_of, first_difference, parse

SAMPLE = 8
"""One in so many cases is written at the less usual opsets in every run; all of them in the long tests."""


class NotExpressibleError(Exception):
    """The opset has no form for an operator."""


def opset_of(case: SuiteCase) -> int:
    """The opset of the model."""
    return max((o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")), default=1)


def runtime_outcome(case: SuiteCase, path: Path, fixed: set[str]) -> str:
    """What ONNX Runtime does wrong with a file, empty where nothing."""
    try:
        session = Session(path)
        for inputs, expected in case.data_sets():
            outputs = session.run(feeds_of(case, inputs, fixed))
            if why := first_difference(case, list(outputs.values()), expected):
                return why
    except MMConvertError as error:
        return str(error)
    return ""


def sample(part: int) -> Iterator[SuiteCase]:
    """One in ``part`` cases whose values are all tensors, always the same ones."""
    for case in cases():
        infos = [*case.model.graph.input, *case.model.graph.output]
        tensors = all(info.type.WhichOneof("value") == "tensor_type" for info in infos)
        if tensors and zlib.crc32(case.name.encode()) % part == 0:
            yield case


def rewritten(case: SuiteCase, opset: int, folder: Path) -> str:
    """What goes wrong when a case is read, written at ``opset`` and run."""
    try:
        graph, fixed = parse(case, folder / "case.onnx")
    except MMConvertError as error:
        return str(error)
    path = folder / "again.onnx"
    try:
        lower(graph, registry.find("onnx"), opset=opset)
        write(Module(graph), path, opset=opset)
    except UnsupportedError as error:
        raise NotExpressibleError from error
    except MMConvertError as error:
        return str(error)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return runtime_outcome(case, path, fixed)


def round_trip(part: int, opset: int | None, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The cases that ONNX Runtime passes and the opset has, and those that fail once written again."""
    passed: list[str] = []
    failed: dict[str, str] = {}
    for case in sample(part):
        original = folder / "original.onnx"
        original.write_bytes(case.model.SerializeToString())
        if runtime_outcome(case, original, set()):
            continue
        try:
            why = rewritten(case, opset or max(opset_of(case), DEFAULT_OPSET), folder)
        except NotExpressibleError:
            if opset is None:
                failed[case.name] = "its own opset cannot express it"
            continue
        passed.append(case.name)
        if why:
            failed[case.name] = why
    return passed, failed


def check(part: int, opset: int | None, at_least: float, folder: Path) -> None:
    passed, failed = round_trip(part, opset, folder)
    shown = "\n".join(f"{name}: {why}" for name, why in failed.items())
    print(f"{len(passed) - len(failed)} of {len(passed)} pass at opset {opset or 'of their own'}\n{shown}")
    assert len(failed) <= (1 - at_least) * len(passed), shown


@pytest.mark.parametrize(("opset", "at_least"), [(None, 0.99), (21, 0.95), (13, 0.95)])
def test_everything_written_again(opset: int | None, at_least: float, tmp_path: Path) -> None:
    check(1, opset, at_least, tmp_path)


@pytest.mark.parametrize("opset", [9, 11, 17])
def test_a_sample_written_again(opset: int, tmp_path: Path) -> None:
    check(SAMPLE, opset, 0.95, tmp_path)


@pytest.mark.large
@pytest.mark.parametrize("opset", [9, 11, 17])
def test_everything_written_again_at_other_opsets(opset: int, tmp_path: Path) -> None:
    check(1, opset, 0.95, tmp_path)
