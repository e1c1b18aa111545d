"""The IR on disk: a folder ``name.mmir`` with ``graph.txt`` and ``weights.safetensors``.

Weights are written one after another and read through a memory map. The safetensors container (an 8-byte
length, a JSON header, the data) has no 2- or 4-bit integers: those are stored one to a byte, and the graph's
text says what they are.
"""

from __future__ import annotations

import base64
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmconvert import dtypes
from mmconvert.dtypes import DType
from mmconvert.errors import InvalidModelError, UsageError
from mmconvert.files import atomic_write, map_file
from mmconvert.ir.graph import Graph
from mmconvert.ir.model import Metadata, Module
from mmconvert.ir.text import Printer, parse_graph
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor

GRAPH, WEIGHTS, METADATA = "graph.txt", "weights.safetensors", "metadata.json"

_STORED = {
    **{f"{kind}{bits}": f"{kind.upper()}{bits}" for kind in "iu" for bits in (8, 16, 32, 64)},
    **{f"f{bits}": f"F{bits}" for bits in (16, 32, 64)},
    "bf16": "BF16",
    "f8e4m3fn": "F8_E4M3",
    "f8e5m2": "F8_E5M2",
    "bool": "BOOL",
    "c64": "C64",
}


def save(module: Module, path: Path) -> None:
    """Writes ``module`` to the folder ``path``, which appears whole or not at all.

    Raises:
        UsageError: the folder cannot be written.
    """
    beside = path.with_name(f".{path.name}.part")
    printer = Printer()
    text = printer.print(module.graph)
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        (beside / GRAPH).write_text(text, encoding="utf-8")
        (beside / METADATA).write_text(
            json.dumps(_metadata(module.metadata), indent=1) + "\n", encoding="utf-8"
        )
        write_safetensors(beside / WEIGHTS, printer.weights)
        if path.is_dir() and (path / GRAPH).exists():
            shutil.rmtree(path)
        beside.rename(path)
    except OSError as error:
        raise UsageError(f"could not be written: {error.strerror}", where=str(path)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def load(path: Path) -> Module:
    """Reads what ``save`` wrote; weights stay in the file until they are asked for.

    Raises:
        InvalidModelError: a file of the folder is missing or broken.
    """
    try:
        text = (path / GRAPH).read_text(encoding="utf-8")
        metadata = json.loads((path / METADATA).read_text(encoding="utf-8"))
        graph = _read_graph(text, path / WEIGHTS)
        metadata["labels"] = tuple(metadata.get("labels", ()))
        files = metadata.get("files", {}).items()
        metadata["files"] = {name: base64.b64decode(text, validate=True) for name, text in files}
        return Module(graph, Metadata(**metadata))
    except FileNotFoundError as error:
        raise InvalidModelError(f"{error.filename} is missing", where=str(path)) from error
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise InvalidModelError(f"the folder is broken: {error}", where=str(path)) from error


def _metadata(metadata: Metadata) -> dict[str, Any]:
    found = {name: getattr(metadata, name) for name in Metadata.__slots__}
    return found | {"files": {name: base64.b64encode(data).decode() for name, data in metadata.files.items()}}


def write_safetensors(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes tensors under their names, one after another.

    Raises:
        UsageError: the file cannot be written.
    """
    header: dict[str, Any] = {}
    end = 0
    for label, tensor in weights.items():
        stored = _STORED.get(dtypes.name(tensor.dtype), "U8")
        header[label] = {"dtype": stored, "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in weights.values():
            for block in tensor.blocks():
                file.write(np.ascontiguousarray(block).view(np.uint8).data)


def _read_graph(text: str, path: Path) -> Graph:
    if not path.is_file():
        raise InvalidModelError(f"{path.name} is missing", where=str(path.parent))
    data = map_file(path)
    (length,) = struct.unpack("<Q", data[:8]) if len(data) >= 8 else (len(data),)
    if length > len(data) - 8:
        raise InvalidModelError("the header of the weights is longer than the file", where=str(path))
    header = json.loads(bytes(data[8 : 8 + length]))
    body = data[8 + length :]

    def find(label: str, type: TensorType) -> Tensor:
        return _tensor(header, body, label, type)

    return parse_graph(text, find)


def _tensor(header: dict[str, Any], body: memoryview, label: str, type: TensorType) -> Tensor:
    if label not in header:
        raise InvalidModelError(f"the weight {label} is missing")
    begin, end = header[label]["data_offsets"]
    dtype: DType = type.dtype
    expected = Tensor(dtype, type.static_shape, lambda: np.empty(0)).nbytes
    if not 0 <= begin <= end <= len(body) or end - begin != expected:
        raise InvalidModelError(f"the weight {label} is not {type}")
    return Tensor.of(np.frombuffer(body[begin:end], dtype=dtype).reshape(type.static_shape))
