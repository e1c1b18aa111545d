"""ONNX Runtime as a library: imported where it is used, with what it raises under one roof."""

from __future__ import annotations

from typing import Any

from mmconvert.errors import MissingDependencyError


def load(purpose: str) -> Any:
    """The module ``onnxruntime``.

    Args:
        purpose: what it is needed for, as in "run an ONNX file".

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            f"ONNX Runtime is needed to {purpose} and is not installed",
            hint="pip install 'mmconvert[onnxruntime]'",
        ) from error
    return onnxruntime


def errors(ort: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; its errors have no base of their own."""
    state = ort.capi.onnxruntime_pybind11_state
    names = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NoSuchFile",
        "NotImplemented",
    )
    more = ("EPFail", "EngineError", "ModelLoaded", "RuntimeException")
    return (*(getattr(state, name) for name in (*names, *more)), RuntimeError, ValueError)


def message(error: Exception) -> str:
    """The last part of ``[ONNXRuntimeError] : 1 : FAIL : what happened``, on one line."""
    return " ".join(str(error).rpartition(" : ")[2].split())
