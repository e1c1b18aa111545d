"""Writes ONNX: any opset from 9 on, weights streamed, unknown extents kept.

The graph must be expressible: every operator passes ``constraints.obstacle``, which ``passes.legalize`` sees
to, and has the layout ``TARGET_LAYOUT``, which ``passes.layout`` sees to.
"""

from __future__ import annotations

from pathlib import Path

from mmconvert.ir.model import Module
from mmconvert.ir.types import Layout
from mmconvert.passes.fuse_hard_sigmoid import fuse_hard_sigmoid
from mmconvert.passes.outcome import Pass

SUFFIXES = (".onnx",)
"""How the files are called."""

TARGET_LAYOUT = Layout.NCHW
"""The layout of convolution and pooling in the file."""

PASSES: tuple[Pass, ...] = (fuse_hard_sigmoid,)
"""Fusions into operators that ONNX has and other targets lack."""

PRECISIONS = ("fp16",)
"""What weights can be rounded to."""

DEFAULT_OPSET = 17
"""What is written unless asked otherwise: the newest opset that runtimes and vendors' tools all read."""


def write(
    module: Module,
    path: Path,
    *,
    opset: int | None = None,
    ir_version: int | None = None,
    external_data: bool = False,
) -> int:
    """Writes a model, atomically; the same model gives the same bytes.

    A file above 2 GB, which protobuf cannot read, gets its weights beside it in ``<name>.data``.

    Args:
        module: the model, in operators and layouts that ONNX has.
        path: the file to write.
        opset: the version of the ONNX operators, from 9 to the newest of the installed onnx package; without
            it, the lowest from ``DEFAULT_OPSET`` on that can express the model. Where that is a higher one,
            the module's warnings say why.
        ir_version: the version of the file format; without it, the oldest that may carry ``opset``.
        external_data: whether the weights go beside the file whatever its size, small ones excepted.

    Returns:
        How many operators the file has.

    Raises:
        UsageError: the opset or the IR version cannot be written, or the file cannot be written.
        UnsupportedError: operators are not expressible at this opset; all of them are listed.
        InvalidModelError: a weight could not be loaded.
    """
    from mmconvert.emitters.onnx import model, wire  # protobuf is loaded when it is needed

    limit = 0 if external_data else wire.LIMIT
    return model.write(module, path, opset=opset, ir_version=ir_version, limit=limit)
