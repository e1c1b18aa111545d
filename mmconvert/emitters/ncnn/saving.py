"""Puts a model on the disk, once it was seen to load."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from mmconvert.emitters.ncnn.model import Model
from mmconvert.emitters.rehearsal import rehearse
from mmconvert.errors import InternalError
from mmconvert.files import atomic_write
from mmconvert.ncnnlib import binary as binary_form
from mmconvert.ncnnlib import records, weights
from mmconvert.ncnnlib.files import weights_path
from mmconvert.ncnnlib.parameters import Parameters
from mmconvert.tensors import Tensor


def save(model: Model, path: Path, *, binary: bool) -> None:
    """Writes both files, has them loaded, and only then gives them their names.

    Raises:
        UsageError: they cannot be written.
        InvalidModelError: they cannot be loaded.
    """
    form = binary_form.write if binary else records.write_text
    with atomic_write(weights_path(path)) as second, atomic_write(path) as first:
        first.write(form(model.layers))
        for layer, tensors in zip(model.layers, model.weights, strict=True):
            _write_weights(Parameters(layer), tensors, second)
        first.flush()
        second.flush()
        rehearse("ncnn", Path(first.name), weights=Path(second.name))


def _write_weights(p: Parameters, tensors: tuple[Tensor, ...], stream: BinaryIO) -> None:
    expected = weights.expected(p)
    if [w.count for w in expected] != [t.size for t in tensors]:
        raise InternalError(f"{p.layer.kind} has weights of {expected}, not of {[t.shape for t in tensors]}")
    for weight, tensor in zip(expected, tensors, strict=True):
        start = stream.tell()
        stored: Tensor = tensor.stored or tensor
        for piece in weights.encode(weight, stored):
            stream.write(piece if isinstance(piece, bytes) else piece.data.cast("B"))
        written, due = (
            stream.tell() - start,
            weights.stored_bytes(weight, weights.stored_type(weight, stored)),
        )
        if written != due:
            raise InternalError(f"{weight.name} of {p.layer.kind} has {written} bytes in place of {due}")
