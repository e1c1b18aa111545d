"""Runs ONNX and ORT files in ONNX Runtime, on the CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes, ortlib, registry
from mmconvert.errors import InvalidModelError, MMConvertError, UnsupportedError, UsageError
from mmconvert.tensors import Array

NAME = "ONNX Runtime"

_BFLOAT16 = 16
"""The element type that NumPy lacks and ONNX Runtime has; it is handed over as bits."""
_FATAL = 4


def available() -> str | None:
    """The version of ONNX Runtime, or None when it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return str(onnxruntime.__version__)


class Session:
    """A loaded ONNX or ORT file.

    Args:
        model: the path of the file, or its bytes.
        threads: how many threads compute. With one, results do not depend on the machine's load.
        optimize: let the runtime rewrite the graph. Without, the nodes run as they stand in the file; those
            of an ORT file always do.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: ONNX Runtime is not installed.
        UsageError: there is no such file.
        UnsupportedError: the runtime has no implementation for an operator with these types.
        InvalidModelError: the file is broken, or the runtime refuses it.
    """

    def __init__(self, model: str | Path | bytes, threads: int = 1, *, optimize: bool = True) -> None:
        onnxruntime = ortlib.load("run an ONNX file")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.use_deterministic_compute = True
        options.log_severity_level = _FATAL
        # Threads that wait in a loop would take the time of other conversions on the same machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # By default products with weights of few bits have their other operand quantized as well.
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
        self._is_ort_format = _is_ort_format(model)
        if self._is_ort_format:  # ONNX Runtime goes by the suffix
            options.add_session_config_entry("session.load_model_format", "ORT")
        self._model = model
        self._place = "" if isinstance(model, bytes) else str(model)
        source = model if isinstance(model, bytes) else str(model)
        self._ort = onnxruntime
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        except ortlib.errors(onnxruntime) as error:
            raise self._load_error(error) from error
        self.inputs = [i.name for i in self._session.get_inputs()]
        self.outputs = [o.name for o in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong type or shape.
            UnsupportedError: the runtime cannot do what the model asks for.
            InvalidModelError: a node failed on these values.
        """
        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=self._place,
            )
        arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in inputs.items()}
        feeds = {name: self._feed(name, array) for name, array in arrays.items()}
        try:
            results = self._session.run_with_ort_values(self.outputs, feeds)
        except ortlib.errors(self._ort) as error:
            raise self._run_error(error) from error
        return {name: _array(result) for name, result in zip(self.outputs, results, strict=True)}

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every value of the main graph by name, computed by the nodes as they stand in the file.

        Raises:
            InvalidModelError: the runtime refuses the file with its inner values as outputs.
            UnsupportedError: it is an ORT file, which cannot be given other outputs.
        """
        import onnx

        if self._is_ort_format:
            raise UnsupportedError("the inner values of an ORT file cannot be had", where=self._place)

        model = (
            onnx.load_from_string(self._model) if isinstance(self._model, bytes) else onnx.load(self._model)
        )
        known = {o.name for o in model.graph.output}
        inner = [name for node in model.graph.node for name in node.output if name and name not in known]
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
        return Session(model.SerializeToString(), optimize=False).run(inputs)

    def _feed(self, name: str, array: Array) -> Any:
        value = self._ort.OrtValue
        try:
            if array.dtype == dtypes.BF16:
                return value.ortvalue_from_numpy_with_onnx_type(array.view(np.uint16), _BFLOAT16)
            return value.ortvalue_from_numpy(array)
        except ortlib.errors(self._ort) as error:
            raise UsageError(f"input {name!r}: ONNX Runtime does not take {array.dtype}") from error

    def _load_error(self, error: Exception) -> MMConvertError:
        state, message = self._ort.capi.onnxruntime_pybind11_state, ortlib.message(error)
        if isinstance(error, state.NoSuchFile):
            return UsageError("there is no such file", where=self._place)
        if isinstance(error, state.NotImplemented):
            return UnsupportedError(f"ONNX Runtime cannot run this file: {message}", where=self._place)
        return InvalidModelError(f"ONNX Runtime refuses this file: {message}", where=self._place)

    def _run_error(self, error: Exception) -> MMConvertError:
        state, message = self._ort.capi.onnxruntime_pybind11_state, ortlib.message(error)
        # A node that fails says so with the same type of error as inputs that do not fit.
        if isinstance(error, state.InvalidArgument | ValueError) and "running" not in str(error):
            return UsageError(f"the inputs do not fit: {message}", where=self._place)
        if isinstance(error, state.NotImplemented):
            return UnsupportedError(f"ONNX Runtime cannot run this model: {message}", where=self._place)
        return InvalidModelError(f"ONNX Runtime failed: {message}", where=self._place)


def _array(value: Any) -> Array:
    if value.element_type() != _BFLOAT16:
        return np.asarray(value.numpy())
    bits = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes())
    return np.frombuffer(bits, dtypes.BF16).reshape(value.shape())


def _is_ort_format(model: str | Path | bytes) -> bool:
    if isinstance(model, bytes):
        return registry.find("ort").is_in(model)
    # Where there is no file, ONNX Runtime says what there is.
    return Path(model).is_file() and registry.find("ort").is_in(registry.read_head(Path(model)))
