"""The parts of a TFLite file that all sub-graphs share, and the writing of the whole."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from mmconvert.emitters import flat
from mmconvert.emitters.flat import Blob, LaidOut, Table
from mmconvert.emitters.tflite import schema as tfl
from mmconvert.emitters.tflite import versions
from mmconvert.emitters.tflite.metadata import ENTRY
from mmconvert.errors import UnsupportedError
from mmconvert.tensors import Tensor
from mmconvert.version import VERSION

SIGNATURE = "serving_default"
_SMALL = 4096
_ALIGNMENT = 16


class ModelFile:
    """Buffers, operator codes and sub-graphs, collected until ``save``."""

    def __init__(self, metadata: Mapping[str, bytes] | None = None, *, compare: bool = False) -> None:
        """
        Args:
            metadata: TFLite Metadata under ``metadata.ENTRY``, and the files that it names.
            compare: constants of any size share their bytes where these are equal. For that each is read
                once more.
        """
        self._compare = compare
        self._files = dict(metadata or {})
        self._metadata = {n: self._files.pop(n) for n in (ENTRY,) if n in self._files}
        self.subgraphs: list[Table] = []
        # Buffer 0 is empty by contract: tensors without data point to it.
        self._blobs: list[Blob | None] = [None]
        self._of_tensor: dict[Tensor, int] = {}
        self._of_content: dict[bytes, int] = {}
        self._codes: dict[tuple[tfl.Builtin, int], int] = {}
        self._signatures: list[Table] = []

    def reserve(self) -> int:
        """The index of a sub-graph that is to follow; the first one is the main one."""
        self.subgraphs.append(tfl.SUBGRAPH())
        return len(self.subgraphs) - 1

    def buffer(self, tensor: Tensor) -> int:
        """The buffer that holds ``tensor``; equal small tensors, and uses of one tensor, share theirs."""
        found = self._of_tensor.get(tensor)
        if found is None:
            found = self._of_tensor[tensor] = self._buffer(tensor)
        return found

    def _buffer(self, tensor: Tensor) -> int:
        if tensor.in_memory and tensor.nbytes <= _SMALL:
            content = tensor.numpy().tobytes()
            if content not in self._of_content:
                self._of_content[content] = self._add(tensor)
            return self._of_content[content]
        if self._compare:
            digest = _digest(tensor)
            if digest not in self._of_content:
                self._of_content[digest] = self._add(tensor)
            return self._of_content[digest]
        return self._add(tensor)

    def _add(self, tensor: Tensor) -> int:
        self._blobs.append(Blob(tensor.nbytes, tensor.blocks))
        return len(self._blobs) - 1

    def code(self, builtin: tfl.Builtin, version: int) -> int:
        """The index of an operator in a version."""
        return self._codes.setdefault((builtin, version), len(self._codes))

    def sign(
        self, inputs: Mapping[str, int], outputs: Mapping[str, int], subgraph: int = 0, key: str = SIGNATURE
    ) -> None:
        """Declares the names under which a sub-graph is called."""
        maps = [[tfl.TENSOR_MAP(name=n, tensor_index=i) for n, i in m.items()] for m in (inputs, outputs)]
        self._signatures.append(
            tfl.SIGNATURE_DEF(inputs=maps[0], outputs=maps[1], signature_key=key, subgraph_index=subgraph)
        )

    def save(self, file: BinaryIO, limit: int = flat.LIMIT) -> None:
        """Writes everything; each constant is loaded, written and let go in turn.

        Constants lie inside the FlatBuffer, where every runtime finds them, unless that would grow over
        ``limit``: then they follow it, and the buffers hold their positions in the file.
        """
        release = versions.runtime(self._codes).encode().ljust(16, b"\0")
        metadata = {"min_runtime_version": release, **self._metadata}
        try:
            inside = [tfl.BUFFER(data=blob) for blob in self._blobs]
            laid_out = flat.lay_out(self._model(inside, metadata), tfl.IDENTIFIER, limit)
        except UnsupportedError:
            self._save_outside(file, metadata)
        else:
            flat.write(file, laid_out)
        self._append_files(file)

    def _save_outside(self, file: BinaryIO, metadata: Mapping[str, bytes]) -> None:
        # A position takes 8 bytes whatever it is, so laying out twice gives the same length.
        at = self._outside([1] * len(self._blobs), metadata).end
        positions = []
        for blob in self._blobs:
            at += -at % _ALIGNMENT
            positions.append(at)
            at += blob.nbytes if blob else 0
        flat.write(file, self._outside(positions, metadata))
        for blob, position in zip(self._blobs, positions, strict=True):
            if blob:
                file.write(bytes(position - file.tell()))
                flat.write_blob(file, blob)

    def _outside(self, positions: list[int], metadata: Mapping[str, bytes]) -> LaidOut:
        buffers = [
            tfl.BUFFER(offset=position, size=blob.nbytes) if blob else tfl.BUFFER()
            for blob, position in zip(self._blobs, positions, strict=True)
        ]
        return flat.lay_out(self._model(buffers, metadata), tfl.IDENTIFIER)

    def _append_files(self, file: BinaryIO) -> None:
        """Appends an archive to the model, uncompressed: readers look into it where it lies."""
        if not self._files:
            return
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in self._files.items():
                archive.writestr(zipfile.ZipInfo(name), content)

    def _model(self, buffers: list[Table], metadata: Mapping[str, bytes]) -> Table:
        """The whole file.

        Args:
            buffers: of the constants.
            metadata: entries whose buffers follow; they are always inside, where all readers look for them.
        """
        entries = [
            tfl.METADATA(name=name, buffer=index) for index, name in enumerate(metadata, start=len(buffers))
        ]
        tensors = [Tensor.of(np.frombuffer(content, np.uint8)) for content in metadata.values()]
        buffers = [*buffers, *(tfl.BUFFER(data=Blob(t.nbytes, t.numpy)) for t in tensors)]
        codes = [
            # Old readers know only the first field, which ends at 127.
            tfl.OPERATOR_CODE(
                deprecated_builtin_code=min(builtin.code, 127), builtin_code=builtin.code, version=version
            )
            for builtin, version in self._codes
        ]
        return tfl.MODEL(
            version=tfl.VERSION,
            operator_codes=codes,
            subgraphs=self.subgraphs,
            description=f"mmconvert {VERSION}",
            buffers=buffers,
            metadata=entries,
            signature_defs=self._signatures,
        )


def _digest(tensor: Tensor) -> bytes:
    found = hashlib.sha256(str(tensor.nbytes).encode())
    for block in tensor.blocks():
        found.update(np.ascontiguousarray(block).view(np.uint8).data)
    return found.digest()
