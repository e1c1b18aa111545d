"""Runs NCNN models in NCNN, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.errors import InvalidModelError, MissingDependencyError, UsageError
from mmconvert.ncnnlib import binary, files
from mmconvert.ncnnlib.notes import EXACT, Note, blob_shape
from mmconvert.runtimes.quiet import quiet
from mmconvert.tensors import Array

NAME = "NCNN"

_SHORTCUTS = (
    *(f"use_{type}_{what}" for type in ("fp16", "bf16") for what in ("packed", "storage")),
    "use_fp16_arithmetic",
    "use_packing_layout",
    "use_sgemm_convolution",
    "use_vulkan_compute",
    *(f"use_winograd{size}_convolution" for size in ("", "23", "43", "63")),
)
"""What trades digits for speed, or computes in another order."""


def available() -> str | None:
    """The version of NCNN, or None when it is not installed."""
    import importlib.util

    if importlib.util.find_spec("ncnn") is None:
        return None
    from importlib.metadata import version

    return version("ncnn")


class Session:
    """A loaded NCNN model.

    Where mmconvert wrote the file, inputs and outputs have the source's shapes and element types. Those of
    other files are NCNN's blobs with a batch axis of extent 1, as the reader has them, and are float32; an
    input that tables are looked up with is int32.

    Args:
        model: the path of the ``.param`` file, text or binary; the ``.bin`` file lies beside it.
        threads: how many threads compute.
        shortcuts: let NCNN round to 16 bits, compute convolutions by other formulas and pack channels, as is
            its default. Without, it computes what the file says, in float32.
        weights: the ``.bin`` file, where it has another name.

    Attributes:
        inputs: the names of the inputs, in order.
        outputs: the names of the outputs, in order.

    Raises:
        MissingDependencyError: NCNN is not installed.
        UsageError: a file is missing.
        InvalidModelError: a file is broken, or NCNN refuses it.
        UnsupportedError: the model has layers that NCNN does not have.
    """

    def __init__(
        self, model: str | Path, threads: int = 1, *, shortcuts: bool = False, weights: Path | None = None
    ) -> None:
        self._path, self._threads, self._shortcuts = Path(model), threads, shortcuts
        self._weights = weights or files.weights_path(self._path)
        # NCNN trusts its files, and crashes where they are broken: they are checked first.
        self._files = files.read(self._path, self._weights)
        self.inputs, self.outputs = self._files.inputs, self._files.outputs
        self._net = self._load(keep=False)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            UsageError: an input is missing, unknown, or of the wrong type or shape.
            InvalidModelError: a layer failed on these values.
        """
        return self._run(self._net, inputs, self.outputs)

    def intermediates(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Every blob that a layer makes, by name; inner ones with a batch axis."""
        kinds = [stored.layer for stored in self._files.layers if stored.layer.kind != "Input"]
        return self._run(self._load(keep=True), inputs, [n for layer in kinds for n in layer.outputs])

    def _load(self, *, keep: bool) -> Any:
        try:
            import ncnn
        except ImportError as error:
            raise MissingDependencyError(
                "NCNN is needed to run its files and is not installed", hint="pip install 'mmconvert[ncnn]'"
            ) from error
        net = ncnn.Net()
        net.opt.num_threads = self._threads
        net.opt.lightmode = not keep
        if not self._shortcuts:
            for name in _SHORTCUTS:
                setattr(net.opt, name, False)
        with quiet():
            describe = net.load_param_bin if self._files.binary else net.load_param
            weights = self._weights if self._weights.exists() else os.devnull
            refused = describe(str(self._path)) or net.load_model(str(weights))
        if refused:
            raise InvalidModelError("NCNN refuses this file", where=str(self._path))
        return net

    def _run(self, net: Any, inputs: Mapping[str, Array], wanted: Iterable[str]) -> dict[str, Array]:
        import ncnn

        if wrong := sorted(set(inputs) ^ set(self.inputs)):
            raise UsageError(
                f"the inputs are {', '.join(self.inputs) or 'none'}; missing or unknown: {', '.join(wrong)}",
                where=str(self._path),
            )
        blobs = {name: self._blob(name, array) for name, array in inputs.items()}
        extractor = net.create_extractor()
        found: dict[str, Array] = {}
        with quiet():
            for name, array in blobs.items():
                extractor.input(self._key(name), ncnn.Mat(array).clone())  # a Mat borrows the array's memory
            for name in wanted:
                code, blob = extractor.extract(self._key(name))
                if code:
                    raise InvalidModelError(f"NCNN failed to compute {name!r}", where=str(self._path))
                found[name] = self._array(name, np.array(blob))
        return found

    def _key(self, name: str) -> str | int:
        """What a blob goes by: in binary files blobs have numbers, and our reader makes names of these."""
        return int(name.removeprefix(binary.PREFIX)) if self._files.binary else name

    def _blob(self, name: str, array: Array) -> Array:
        """An input as NCNN takes it."""
        note = self._files.notes.get(name)
        if note is None:
            fits = 2 <= array.ndim <= 5 and array.shape[0] == 1 and array.size
            if array.dtype not in (dtypes.F32, dtypes.I32) or not fits:
                have = f"{array.dtype} {list(array.shape)}"
                raise UsageError(
                    f"input {name!r} is float32 or int32 of rank 2 to 5 with a batch of 1, not {have}",
                    where=str(self._path),
                )
            return np.ascontiguousarray(array[0]).view(np.float32)
        fits = len(note.shape) == array.ndim and all(
            w in (-1, e) for w, e in zip(note.shape, array.shape, strict=True)
        )
        if array.dtype != note.dtype or not fits or not array.size:
            have = f"{array.dtype} {list(array.shape)}"
            raise UsageError(
                f"input {name!r} is {note.dtype} {list(note.shape)}, not {have}", where=str(self._path)
            )
        limit = 1 << 31 if note.whole else EXACT
        if not dtypes.is_float(note.dtype) and note.dtype != dtypes.BOOL and np.abs(array).max() > limit:
            raise UsageError(f"input {name!r} has integers beyond {limit}", where=str(self._path))
        numbers = array.astype(np.int32).view(np.float32) if note.whole else array.astype(np.float32)
        return np.ascontiguousarray(numbers.reshape(blob_shape(array.shape)))

    def _array(self, name: str, blob: Array) -> Array:
        """An output as the source has it."""
        note = self._files.notes.get(name)
        return blob[None] if note is None else _unfolded(blob, note).astype(note.dtype)


def _unfolded(blob: Array, note: Note) -> Array:
    """``blob`` under its shape in the source."""
    if note.shape.count(-1) <= 1:
        return blob.reshape(note.shape)
    return blob[None] if len(note.shape) > blob.ndim else blob
