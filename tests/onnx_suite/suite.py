"""ONNX's backend suite: its cases, and how outputs are compared with what the suite expects."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph
from mmconvert.ir.types import Array
from mmconvert.parsers.onnx import load, tensors

KINDS = ("node", "simple", "pytorch-operator", "pytorch-converted")

_STRINGS = {"StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch", "TfIdfVectorizer"}
_IMAGES = {"ImageDecoder"}


@dataclass(frozen=True)
class SuiteCase:
    """One case: a model in a file, and its data."""

    name: str
    kind: str
    model: onnx.ModelProto
    rtol: float
    atol: float
    data: Any  # data sets, or the folder that they are in

    def data_sets(self) -> list[tuple[list[Any], list[Any]]]:
        """Inputs and expected outputs; an array, a list of arrays for a sequence, None for nothing."""
        if not isinstance(self.data, Path):
            return [
                ([plain(v) for v in inputs], [plain(v) for v in outputs]) for inputs, outputs in self.data
            ]
        graph, sets = self.model.graph, []
        for folder in sorted(self.data.glob("test_data_set_*")):
            ends = []
            for infos, word in ((graph.input, "input"), (graph.output, "output")):
                files = sorted(folder.glob(f"{word}_*.pb"), key=lambda p: int(p.stem.rpartition("_")[2]))
                ends.append([_read(path, info) for path, info in zip(files, infos, strict=False)])
            sets.append((ends[0], ends[1]))
        return sets


def _read(path: Path, info: onnx.ValueInfoProto) -> Any:
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        sequence = onnx.SequenceProto.FromString(path.read_bytes())
        return [numpy_helper.to_array(t) for t in sequence.tensor_values]
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(path.read_bytes()))
    return plain(onnx.TensorProto.FromString(path.read_bytes()))


def plain(data: Any) -> Any:
    """Types that NumPy lacks come as TensorProto; sequences as lists; an empty optional as None."""
    if isinstance(data, onnx.TensorProto):
        if data.data_type == onnx.TensorProto.STRING:
            return numpy_helper.to_array(data)
        encoded = data.SerializeToString()
        return tensors.read(encoded, 0, len(encoded), None)[1].numpy()
    if isinstance(data, list | tuple):
        return [plain(v) for v in data]
    return None if data is None else np.asarray(data)


@functools.cache
def cases() -> tuple[SuiteCase, ...]:
    """Every case of inference over numbers."""
    from onnx.backend.test.loader import load_model_tests

    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases are made with divisions by zero
        tests = [test for kind in KINDS for test in load_model_tests(kind=kind)]
    for test in tests:
        folder = Path(test.model_dir) if test.model_dir else None
        model = onnx.load(folder / "model.onnx") if folder else test.model
        if "training" not in test.name and not excluded(model):
            found.append(
                SuiteCase(test.name, test.kind, model, test.rtol, test.atol, folder or test.data_sets)
            )
    return tuple(found)


def excluded(model: onnx.ModelProto) -> bool:
    """True for training, ai.onnx.ml, strings and images."""
    if any(
        o.domain in ("ai.onnx.ml", "ai.onnx.preview.training", "ai.onnx.training") for o in model.opset_import
    ):
        return True
    if any(node.op_type in _STRINGS | _IMAGES for node in model.graph.node):
        return True
    infos = [*model.graph.input, *model.graph.output]
    return any(_element(info.type) == onnx.TensorProto.STRING for info in infos)


def _element(type: onnx.TypeProto) -> int:
    kind = type.WhichOneof("value")
    if kind == "tensor_type":
        return int(type.tensor_type.elem_type)
    inner = getattr(type, kind or "", None)
    return _element(inner.elem_type) if inner is not None and hasattr(inner, "elem_type") else 0


def difference(actual: Array, expected: Array, rtol: float, atol: float) -> str:
    """What the suite itself would complain about: dtype, shape or numbers; empty when it would not."""
    if actual.dtype != expected.dtype:
        return f"{actual.dtype} instead of {expected.dtype}"
    if actual.shape != expected.shape:
        return f"{actual.shape} instead of {expected.shape}"
    if expected.dtype.kind in "iub":
        return "" if np.array_equal(actual, expected) else "other integers"
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    a, b = actual.astype(wide), expected.astype(wide)
    if np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True):
        return ""
    with np.errstate(all="ignore"):
        return f"an error of {np.nanmax(np.abs(a - b)):.2e}"


def first_difference(case: SuiteCase, actual: Sequence[Array], expected: Sequence[Any]) -> str:
    """The first output that differs, and how; empty when none does."""
    wanted = [array for value in expected for array in (value if isinstance(value, list) else [value])]
    if len(actual) != len(wanted):
        return f"{len(actual)} outputs instead of {len(wanted)}"
    for index, (array, want) in enumerate(zip(actual, wanted, strict=True)):
        if why := difference(np.asarray(array), np.asarray(want), case.rtol, case.atol):
            return f"output {index}: {why}"
    return ""


def parse(case: SuiteCase, path: Path) -> tuple[Graph, set[str]]:
    """The graph of a case, and the inputs that became constants.

    Inputs that decide what the graph is, axes and the like, cannot stay inputs: they are fixed to their
    values where the model cannot be read otherwise.

    Raises:
        MMConvertError: it cannot be read at all.
    """
    path.write_bytes(case.model.SerializeToString())
    items, shapes = _items(case), _shapes(case)
    try:
        return load(path, items=items, shapes=shapes).graph, set()
    except UnsupportedError:
        fixed = _fixable(case)
        if not fixed:
            raise
    return load(path, fix=fixed, items=items, shapes=shapes).graph, set(fixed)


def _items(case: SuiteCase) -> dict[str, int]:
    """How many tensors the inputs hold that are sequences or optionals."""
    inputs, _ = case.data_sets()[0]
    return {
        info.name: len(value) if isinstance(value, list) else int(value is not None)
        for info, value in zip(case.model.graph.input, inputs, strict=False)
        if info.type.WhichOneof("value") != "tensor_type"
    }


def _shapes(case: SuiteCase) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors of sequences, whose rank models need not say; and of what is then split."""
    inputs, _ = case.data_sets()[0]
    found = {}
    splits = any(node.op_type == "SplitToSequence" for node in case.model.graph.node)
    for info, value in zip(case.model.graph.input, inputs, strict=False):
        if isinstance(value, list):
            found |= {f"{info.name}_{index}": np.shape(item) for index, item in enumerate(value)}
        elif splits and value is not None:
            found[info.name] = np.shape(value)
    return found


def _fixable(case: SuiteCase) -> dict[str, Array]:
    """Every input that has at most one axis; the first, which is data, only when it is alone or a scalar."""
    inputs, _ = case.data_sets()[0]
    data = inputs[0]
    return {
        info.name: value
        for info, value in zip(case.model.graph.input, inputs, strict=False)
        if isinstance(value, np.ndarray)
        and value.ndim <= (len(inputs) == 1 or value is not data)
        and info.type.WhichOneof("value") == "tensor_type"
    }


def feeds_of(case: SuiteCase, inputs: Sequence[Any], fixed: Collection[str]) -> dict[str, Array]:
    """The inputs by name, without those that are fixed."""
    feeds: dict[str, Array] = {}
    for info, value in zip(case.model.graph.input, inputs, strict=False):
        if info.name in fixed or value is None:
            continue
        if info.type.WhichOneof("value") == "tensor_type":
            feeds[info.name] = value
        else:
            items = value if isinstance(value, list) else [value]
            feeds |= {f"{info.name}_{index}": item for index, item in enumerate(items)}
    return feeds
