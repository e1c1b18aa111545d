"""Modules in memory: exported by torch, and described as torch would describe them in a file."""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmconvert.dtypes import BY_NAME
from mmconvert.errors import InvalidModelError, MissingDependencyError, UnsupportedError, UsageError
from mmconvert.ir.model import Module
from mmconvert.parsers.pytorch.convert import Converter
from mmconvert.parsers.pytorch.naming import given_names
from mmconvert.parsers.pytorch.program import Names, read_program
from mmconvert.parsers.pytorch.records import ELEMENTS, Program
from mmconvert.parsers.pytorch.storage import strided
from mmconvert.parsers.pytorch.table import rules
from mmconvert.parsers.pytorch.views import functional, writes
from mmconvert.tensors import Tensor

_RAISED = (
    RuntimeError,
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    ImportError,
)
"""What torch, and the module's own code, raise while it is exported."""

ROUNDS = 3
"""How often what decompositions are made of is decomposed again."""


def load_object(source: Any, inputs: Any, dynamic_shapes: Any, names: Names | None = None) -> Module:
    """See ``mmconvert.parsers.pytorch.load_object``; ``names`` are those of open extents."""
    torch = require_torch()
    warnings: list[str] = []
    symbols: dict[str, str] = {}
    if isinstance(source, torch.nn.Module):
        program, symbols = _export(torch, source, inputs, dynamic_shapes, warnings)
    elif isinstance(source, torch.export.ExportedProgram):
        if inputs is not None or dynamic_shapes is not None:
            raise UsageError("an ExportedProgram has its inputs and shapes already")
        program = source
    else:
        kind = type(source).__name__
        raise UsageError(f"a {kind} cannot be read", hint="give a torch.nn.Module or an ExportedProgram")
    record = _record(torch, _decomposed(torch, program), warnings, names, symbols)
    return Converter(record).convert()


def require_torch() -> Any:
    """The package, which is imported only where a file does not say all.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise MissingDependencyError(
            "torch is not installed", hint="pip install 'mmconvert[torch]'"
        ) from error


def _export(
    torch: Any, module: Any, inputs: Any, dynamic_shapes: Any, warnings: list[str]
) -> tuple[Any, dict[str, str]]:
    """The program, and what the user calls its extents."""
    if inputs is None:
        raise UsageError(
            "a module needs example inputs",
            hint="mmconvert.load(module, inputs=(torch.zeros(1, 3, 224, 224),))",
        )
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (_tuple(inputs), None)
    trained = [m for m in module.modules() if m.training]
    if trained:
        warnings.append("the module was in training mode; it was read in evaluation mode")
    module.eval()
    try:
        program = torch.export.export(module, args, kwargs, dynamic_shapes=dynamic_shapes, strict=False)
    except _RAISED as error:
        first = str(error).strip().splitlines()
        raise InvalidModelError(
            f"torch cannot export the module: {type(error).__name__}: {first[0] if first else ''}",
            where=type(module).__name__,
            hint="torch.export.export(module, inputs, strict=False) has to work; see its message above",
        ) from error
    finally:
        for each in trained:
            each.training = True
    return program, given_names(torch, program, (module, args, kwargs), dynamic_shapes)


def _tuple(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)


def _decomposed(torch: Any, program: Any) -> Any:
    """The program with those operators decomposed, by torch's own table, that there is no rule for."""
    table = rules()
    for _ in range(ROUNDS):
        unknown = [op for op in _overloads(torch, program.graph_module) if not _is_known(table, op)]
        found = torch._decomp.get_decompositions(unknown) if unknown else {}
        composite = [op for op in unknown if op not in found and _is_composite(torch, op)]
        found |= {
            op: importlib.import_module("torch._export.utils")._get_decomp_for_cia(op) for op in composite
        }
        if not found:
            break
        program = program.run_decompositions(found)
    return program


def _overloads(torch: Any, module: Any) -> list[Any]:
    found: dict[Any, None] = {}
    for part in module.modules():
        if isinstance(part, torch.fx.GraphModule):
            targets = (node.target for node in part.graph.nodes if node.op == "call_function")
            found.update(dict.fromkeys(t for t in targets if isinstance(t, torch._ops.OpOverload)))
    return list(found)


def _is_known(table: Any, op: Any) -> bool:
    name = str(op)
    return name in table or (writes(name) and functional(name) in table)


def _is_composite(torch: Any, op: Any) -> bool:
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return bool(op.has_kernel_for_dispatch_key(key))


def _record(
    torch: Any, program: Any, warnings: list[str], names: Names | None, symbols: dict[str, str]
) -> Program:
    """The records of a program, through the description that torch would write into a file."""
    serde = importlib.import_module("torch._export.serde.serialize")
    try:
        with _describable(torch, program.graph_module, serde):
            module = serde.GraphModuleSerializer(program.graph_signature, []).serialize(program.graph_module)
    except serde.SerializeError as error:
        first = str(error).strip().splitlines()[0]
        raise UnsupportedError(f"torch cannot describe the program: {first}") from error
    ranges = serde.serialize_range_constraints(program.range_constraints)
    about = {
        "range_constraints": {symbol: serde._dataclass_to_dict(range) for symbol, range in ranges.items()},
        "graph_module": serde._dataclass_to_dict(module),
        "schema_version": {"major": serde.SCHEMA_VERSION[0]},
        "torch_version": str(torch.__version__),
    }
    seen: dict[Any, Tensor] = {}
    state = {**program.state_dict, **program.constants}
    tensors = {key: tensor_of(torch, key, t, seen) for key, t in state.items() if isinstance(t, torch.Tensor)}
    record = read_program(about, tensors, "the module", names, symbols)
    record.warnings.extend(warnings)
    return record


@contextmanager
def _describable(torch: Any, module: Any, serde: Any) -> Iterator[None]:
    """Arithmetic on extents that torch has no spelling for stands as one it has: only its result is read."""
    numbers = (torch.SymInt, torch.SymFloat, torch.SymBool)
    graphs = [part.graph for part in module.modules() if isinstance(part, torch.fx.GraphModule)]
    calls = [node for graph in graphs for node in graph.nodes if node.op == "call_function"]
    changed = [
        (node, node.target, node.args)
        for node in calls
        if isinstance(node.meta.get("val"), numbers)
        and not isinstance(node.target, torch._ops.OpOverload)
        and node.target not in serde._SYM_OPS
        and node.target is not operator.getitem
    ]
    for node, _, args in changed:
        node.target, node.args = math.trunc, args[:1]
    try:
        yield
    finally:
        for node, target, args in changed:
            node.target, node.args = target, args


def tensor_of(torch: Any, key: str, tensor: Any, seen: dict[Any, Tensor]) -> Tensor:
    """torch's own memory as a tensor of ours; what is tied is there once."""
    about = tensor.layout, tensor.is_quantized
    if about != (torch.strided, False) or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        raise UnsupportedError(f"a {type(tensor).__name__} with the layout {tensor.layout}", where=key)
    plain = tensor.detach().cpu()
    shape, strides = tuple(plain.shape), tuple(plain.stride())
    number = importlib.import_module("torch._export.serde.serialize")._TORCH_TO_SERIALIZE_DTYPE[plain.dtype]
    dtype = BY_NAME.get(ELEMENTS.get(int(number), ""))
    if dtype is None:
        raise UnsupportedError(f"weights of the type {plain.dtype}", where=key)
    place = plain.data_ptr(), dtype, shape, strides
    if not plain.numel():
        return Tensor.of(np.empty(shape, dtype))
    if place not in seen:
        storage = plain.untyped_storage()
        octets = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
        start = plain.storage_offset() * dtype.itemsize
        count = 1 + sum((e - 1) * s for e, s in zip(shape, strides, strict=True))
        flat = np.frombuffer(octets, dtype, count, start)
        seen[place] = Tensor.of(strided(flat, shape, strides))
    return seen[place]
