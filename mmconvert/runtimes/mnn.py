"""Runs MNN files in MNN, on the CPU, with its shortcuts in precision off."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes, mnnlib
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.files import map_file
from mmconvert.runtimes.quiet import quiet
from mmconvert.tensors import Array

NAME = "MNN"

_SMALL_TILES = (3, 0)
"""The hint of how much memory Winograd's transforms may take, and none: large tiles lose digits."""


def available() -> str | None:
    """The version of MNN, or None when it is not installed."""
    import importlib.util

    if importlib.util.find_spec("MNN") is None:
        return None
    from importlib.metadata import version

    return version("MNN")


class Session:
    """A loaded MNN file.

    MNN computes in float32 and int32. A file of ours says which element types its ends stand for: arrays of
    those are taken and given. Layouts are those of the source; MNN's packed ones stay inside.

    Args:
        model: the path of the file; weights beside it are found.
        threads: how many threads compute.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: MNN is not installed.
        UsageError: there is no such file.
        InvalidModelError: MNN refuses the file.
    """

    def __init__(self, model: str | Path, threads: int = 1) -> None:
        self._model, self._threads = Path(model), threads
        self._mnn = _library()
        if not self._model.is_file():
            raise UsageError("there is no such file", where=str(model))
        self._made = _made(self._model)  # a damaged file is found here, where MNN would crash
        self._module = self._load([])
        info = self._module.get_info()
        self.inputs, self.outputs = list(info["inputNames"]), list(info["outputNames"])
        self._shapes = {n: tuple(v.shape) for n, v in zip(self.inputs, info["inputs"], strict=True)}
        self._types = _types(info["bizCode"])
        self._stored = {n: _stored(v) for n, v in zip(self.inputs, info["inputs"], strict=True)}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; unknown extents take those of the arrays.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong type or shape.
            InvalidModelError: an operator failed on these values.
        """
        return self._forward(self._module, self.outputs, inputs)

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every tensor that an operator of the main graph makes, by name.

        Raises:
            UsageError: an input does not fit.
            InvalidModelError: an operator failed on these values.
        """
        return self._forward(self._load(self._made), self._made, inputs)

    def _load(self, outputs: list[str]) -> Any:
        config = {"backend": "CPU", "precision": "high", "numThread": self._threads}
        with quiet(output=True):
            try:
                runtime = self._mnn.nn.create_runtime_manager((config,))
                runtime.set_hint(*_SMALL_TILES)
                module = self._mnn.nn.load_module_from_file(
                    str(self._model), [], outputs, runtime_manager=runtime
                )
            except (RuntimeError, ValueError, SystemError) as error:
                raise InvalidModelError(f"MNN refuses this file: {error}", where=str(self._model)) from error
        if module is None:
            raise InvalidModelError("MNN refuses this file", where=str(self._model))
        return module

    def _forward(self, module: Any, names: list[str], inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._require(inputs)
        F = self._mnn.expr
        fed = []
        for name in self.inputs:
            array = np.ascontiguousarray(inputs[name], self._stored[name]).reshape(inputs[name].shape)
            variable = F.placeholder(
                list(array.shape), F.NCHW, F.float if array.dtype == np.float32 else F.int
            )
            if array.size:
                variable.write(array)
            fed.append(variable)
        with quiet(output=True):
            found = module.forward(fed)
            if len(found) != len(names):
                raise InvalidModelError(
                    "MNN failed: an operator refused its operands", where=str(self._model)
                )
            return {name: self._read(name, v) for name, v in zip(names, found, strict=True)}

    def _read(self, name: str, variable: Any) -> Array:
        F = self._mnn.expr
        if variable.data_format == F.NC4HW4:
            variable = F.convert(variable, F.NCHW)
        shape = tuple(variable.shape)
        if shape is None or any(e < 0 for e in shape):
            raise InvalidModelError(f"MNN failed to compute {name!r}", where=str(self._model))
        dtype = self._types.get(name, _stored(variable))
        if 0 in shape:
            return np.empty(shape, dtype)
        return np.array(variable.read()).reshape(shape).astype(dtype)

    def _require(self, inputs: Mapping[str, Array]) -> None:
        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=str(self._model),
            )
        for name, array in inputs.items():
            wanted, dtype = self._shapes[name], self._types.get(name, self._stored[name])
            fits = len(wanted) == array.ndim and all(
                w in (-1, e) for w, e in zip(wanted, array.shape, strict=True)
            )
            if array.dtype != dtype or not fits:
                have = f"{array.dtype} {list(array.shape)}"
                raise UsageError(
                    f"input {name!r} is {dtype} {list(wanted)}, not {have}", where=str(self._model)
                )


def _made(path: Path) -> list[str]:
    """The names of what the operators of the main graph make, constants aside.

    Raises:
        InvalidModelError: the file is damaged.
    """
    net = mnnlib.root(map_file(path))
    names = net.texts("tensorName")
    still = {mnnlib.OPERATORS[kind][0] for kind in ("Input", "Const")}
    operators = [op for op in net.records("oplists", "Op") if op.number("type") not in still]
    made = [i for op in operators for i in op.integers("outputIndexes")]
    if not all(0 <= i < len(names) for i in made):
        raise InvalidModelError("the file is damaged: there is no such tensor", where=str(path))
    return list(dict.fromkeys(names[i] for i in made))


def _library() -> Any:
    try:
        with quiet(output=True):
            import MNN
            import MNN.expr
            import MNN.nn
    except ImportError as error:
        raise MissingDependencyError(
            "MNN is needed to run an MNN file and is not installed", hint="pip install 'mmconvert[mnn]'"
        ) from error
    return MNN


def _types(code: str) -> dict[str, DType]:
    """The element types of a file's ends, as a file of ours says them."""
    try:
        types = json.loads(code)["mmconvert"]
        return {name: dtypes.BY_NAME[kind] for name, kind in types.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _stored(variable: Any) -> DType:
    """The element type of a variable of MNN."""
    from MNN import expr

    return {expr.int: dtypes.I32, expr.uint8: dtypes.U8, expr.int8: dtypes.I8}.get(variable.dtype, dtypes.F32)
