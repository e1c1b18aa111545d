"""TFLite files written operator by operator with the runtime's own schema, and run in it.

TensorFlow's converter writes few of the operators that there are: these are written by hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ai_edge_litert.schema_py_generated as schema
import flatbuffers
import numpy as np

import mmconvert
from mmconvert.interpreter.session import run
from mmconvert.ir.model import Module
from mmconvert.parsers import tflite
from mmconvert.runtimes.litert import Session
from mmconvert.tensors import Array
from tests.emitters.tflite.files import compare

_TYPES = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
_NUMBERS = {
    "float32": 0, "float16": 1, "int32": 2, "uint8": 3, "int64": 4, "bool": 6, "int16": 7, "int8": 9,
    "resource": 13, "int4": 17, "string": 5, "complex64": 8,
}  # fmt: skip


@dataclass
class Tensor:
    """A tensor of a file; an array is a constant."""

    shape: tuple[int, ...] = ()
    dtype: str = "float32"
    data: Array | bytes | None = None
    name: str = ""
    scale: Any = None
    zero: Any = 0
    axis: int = 0
    variable: bool = False
    sparsity: Any = None

    @classmethod
    def of(cls, array: Array, **rest: Any) -> Tensor:
        """A constant."""
        return cls(array.shape, array.dtype.name, array, **rest)


@dataclass
class Op:
    """An operator of a file, over numbers of tensors."""

    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = ""
    version: int = 1
    intermediates: Sequence[int] | None = None


@dataclass
class Graph:
    """A sub-graph of a file."""

    tensors: Sequence[Tensor]
    ops: Sequence[Op]
    inputs: Sequence[int]
    outputs: Sequence[int]


def build(*graphs: Graph) -> bytes:
    """The file."""
    model = schema.ModelT()
    model.version, model.description = 3, "by hand"
    model.buffers, model.operatorCodes, model.subgraphs = [schema.BufferT()], [], []
    for graph in graphs:
        part = schema.SubGraphT()
        part.name = b"graph"
        part.tensors = [_tensor(model, tensor, index) for index, tensor in enumerate(graph.tensors)]
        part.operators = [_operator(model, op) for op in graph.ops]
        part.inputs, part.outputs = list(graph.inputs), list(graph.outputs)
        model.subgraphs.append(part)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Any, tensor: Tensor, index: int) -> Any:
    made = schema.TensorT()
    made.shape, made.type, made.hasRank = list(tensor.shape), _NUMBERS[tensor.dtype], True
    made.shapeSignature = list(tensor.shape) if -1 in tensor.shape else None
    made.shape = [abs(e) for e in tensor.shape]
    made.name, made.isVariable, made.buffer = tensor.name or f"t{index}", tensor.variable, 0
    made.sparsity = tensor.sparsity
    if tensor.scale is not None:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale = np.atleast_1d(np.asarray(tensor.scale, np.float32)).tolist()
        zero = np.broadcast_to(np.asarray(tensor.zero, np.int64), (len(made.quantization.scale),))
        made.quantization.zeroPoint, made.quantization.quantizedDimension = zero.tolist(), tensor.axis
    if tensor.data is not None:
        buffer = schema.BufferT()
        data = tensor.data if isinstance(tensor.data, bytes) else tensor.data.tobytes()
        buffer.data = np.frombuffer(data, np.uint8)
        model.buffers.append(buffer)
        made.buffer = len(model.buffers) - 1
    return made


def _operator(model: Any, op: Op) -> Any:
    code = schema.OperatorCodeT()
    number = getattr(schema.BuiltinOperator, op.name, None)
    code.builtinCode = schema.BuiltinOperator.CUSTOM if number is None else number
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.customCode = op.name if number is None else None
    code.version = op.version
    model.operatorCodes.append(code)
    made = schema.OperatorT()
    made.opcodeIndex = len(model.operatorCodes) - 1
    made.inputs, made.outputs = list(op.inputs), list(op.outputs)
    made.intermediates = None if op.intermediates is None else list(op.intermediates)
    if op.kind:
        options = getattr(schema, f"{op.kind}T")()
        for name, value in op.options.items():
            assert hasattr(options, name), f"{op.kind} has no {name}"
            setattr(options, name, value)
        if op.kind.startswith("Stable"):
            made.builtinOptions2Type, made.builtinOptions2 = getattr(schema.BuiltinOptions2, op.kind), options
        else:
            made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, op.kind), options
    return made


def save(data: bytes, folder: Path) -> Path:
    """The file under a name."""
    path = folder / "model.tflite"
    path.write_bytes(data)
    return path


def load(data: bytes, folder: Path) -> Module:
    """What the parser makes of the file."""
    return tflite.load(save(data, folder))


def feeds_for(module: Module, seed: int = 0, low: float = -1, high: float = 1) -> dict[str, Array]:
    """Seeded inputs: floats in [low, high), integers over all of their range."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for value in module.graph.inputs:
        shape, dtype = value.type.static_shape, value.type.dtype
        if dtype.kind == "f":
            made[value.name] = rng.uniform(low, high, shape).astype(dtype)
        elif dtype.kind == "b":
            made[value.name] = rng.integers(0, 2, shape).astype(dtype)
        else:
            info = np.iinfo(dtype)
            made[value.name] = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return made


def reference(path: Path, resolver: str = "BUILTIN_REF") -> Session:
    """A session of LiteRT over its reference kernels."""
    session = Session(path, delegate=False)
    session._interpreter = session._load(resolver)
    return session


def check(
    data: bytes,
    folder: Path,
    steps: int = 1,
    feeds: Mapping[str, Array] | None = None,
    resolver: str = "BUILTIN_REF",
) -> Module:
    """Reads the file, and holds the interpreter against LiteRT, run after run with the state carried over.

    Floats may differ by rounding, everything else has to be equal.
    """
    module = load(data, folder)
    session = reference(folder / "model.tflite", resolver)
    state = {s.input: s.initial.numpy() for s in module.states}
    for step in range(steps):
        given = dict(feeds) if feeds is not None else feeds_for(module, step)
        given |= state
        wanted = session.run({name: given[name] for name in session.inputs})
        found = run(module.graph, given)
        exact = run(module.graph, given, precision="float64")
        for name, array in wanted.items():
            compare(array, found[name], exact[name])
        state = {s.input: found[s.output] for s in module.states}
    return module


__all__ = ["Graph", "Op", "Tensor", "build", "check", "feeds_for", "load", "mmconvert", "reference", "save"]
