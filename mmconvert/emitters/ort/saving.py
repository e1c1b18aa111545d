"""Has ONNX Runtime save ORT files: it does so when it opens a session with a name to save under."""

from __future__ import annotations

from pathlib import Path

from mmconvert import ortlib
from mmconvert.emitters.ort import blocks
from mmconvert.errors import UnsupportedError

_FATAL = 4
_BLOCKED_LAYOUT = ["NchwcTransformer"]
_ORT = {"session.save_model_format": "ORT"}
# Elsewhere the default depends on the CPU at hand, and so would the file.
_ANY_CPU = _ORT | {"session.qdqisint8allowed": "0"}
_MINIMAL = "optimization.minimal_build_optimizations"


def portable(source: Path, target: Path) -> None:
    """Saves an ONNX file with all optimizations that suit every CPU."""
    _save(source, target, _ANY_CPU, without=_BLOCKED_LAYOUT)


def runtime(source: Path, target: Path) -> list[Path]:
    """Saves an ONNX file with basic optimizations and records of further ones.

    Returns:
        A further file: the model as it is once these are replayed, for the operators that it needs then.
    """
    replayed = target.with_name("replayed.ort")
    _save(source, target, _ANY_CPU | {_MINIMAL: "save"}, without=_BLOCKED_LAYOUT)
    _save(source, replayed, _ANY_CPU | {_MINIMAL: "apply"}, without=_BLOCKED_LAYOUT)
    return [replayed]


def for_this_cpu(source: Path, target: Path) -> str:
    """Saves an ONNX file with all optimizations that a session on it would make here.

    Returns:
        What CPUs the file is for, and the way out; empty when it runs on any.
    """
    optimized = target.with_name("optimized.onnx")
    # With the weights beside it, the graph can be edited without reading them.
    apart = {"session.optimized_model_external_initializers_file_name": "optimized.data"}
    _save(source, optimized, apart)
    bound = blocks.guard(optimized)
    _save(optimized, target, _ORT, optimize=False)
    return bound


def _save(
    source: Path,
    target: Path,
    settings: dict[str, str],
    *,
    optimize: bool = True,
    without: list[str] | None = None,
) -> None:
    ort = ortlib.load("write ORT files")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(target)
    for key, value in settings.items():
        options.add_session_config_entry(key, value)
    try:
        ort.InferenceSession(
            str(source), options, providers=["CPUExecutionProvider"], disabled_optimizers=without
        )
    except ortlib.errors(ort) as error:
        reason = ortlib.message(error)
        raise UnsupportedError(
            f"ONNX Runtime, which writes ORT files, cannot run this model: {reason}"
        ) from error
