"""TorchScript archives: loaded by torch, and gone through once, node by node, while torch exports it.

The script's own operators become those of an exported program, so that there is one set of rules. Shapes and
settings decide on the way what they decide, as in a tracer. What data decide stays: branches become ``cond``
and loops ``while_loop``.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmconvert.errors import InvalidModelError, Problem, UnsupportedError
from mmconvert.ir.model import Module
from mmconvert.parsers.pytorch import live
from mmconvert.parsers.pytorch.build import RAISED, load_module, require_inputs
from mmconvert.parsers.pytorch.scripted import NUMBERS

UNROLLED = 64
"""A loop of a known number of turns becomes so many copies of its body at most."""

Values = dict[str, Any]
"""Of a graph, by their names: tensors, numbers, texts, lists, parts of the module."""


def read_script(path: Path, examples: Any, dynamic_shapes: Any) -> Module:
    """Reads a TorchScript archive.

    Args:
        path: the file.
        examples: what it takes, in words or as tensors.
        dynamic_shapes: which extents are open, where these are tensors.

    Raises:
        UsageError: there are no examples.
        UnsupportedError: the script does something that a graph cannot.
        InvalidModelError: torch cannot load it, or it fails on the examples.
        MissingDependencyError: torch is not installed.
    """
    require_inputs(examples, str(path))
    torch = live.require_torch()
    try:
        script = torch.jit.load(path, map_location="cpu").eval()
        graph = script.inlined_graph
    except RAISED as error:
        first = str(error).strip().partition("\n")[0]
        raise InvalidModelError(f"torch cannot load the script: {first}", where=str(path)) from error
    _require_known(graph, str(path))
    notes: list[str] = []
    found = load_module(torch, _module(torch, script, graph, notes), examples, dynamic_shapes, [])
    found.warnings[:0] = dict.fromkeys(notes)
    return found


def _require_known(graph: Any, where: str) -> None:
    """Lists at once what a graph asks for that cannot be followed."""
    kinds = dict.fromkeys(node.kind() for node in _all_nodes(graph))
    known = {f"prim::{name}" for name in PRIMITIVES}
    unknown = [kind for kind in kinds if not kind.startswith("aten::") and "::" in kind and kind not in known]
    problems = [Problem(kind) for kind in unknown if kind.startswith(("prim::", "prims::"))]
    if problems:
        raise UnsupportedError("the script does what a graph cannot", where=where, problems=problems)


def _all_nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _all_nodes(inner)


def _module(torch: Any, script: Any, graph: Any, notes: list[str]) -> Any:
    """A plain module with the script's parameters and buffers, which runs the script's graph."""

    class Scripted(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            return Run(torch, self, script, notes).call(graph, args, kwargs)

    names = [value.debugName().partition(".")[0] for value in list(graph.inputs())[1:]]
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("self", *names)]
    Scripted.forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    root = Scripted()
    for name, tensor in _tensors(torch, script, graph).items():
        _put(torch, root, name, tensor)
    return root.eval()


def _tensors(torch: Any, script: Any, graph: Any) -> dict[str, Any]:
    """The tensors that a graph takes from its module, by their paths: what else it has is not needed."""
    paths = {next(iter(graph.inputs())).debugName(): ""}
    found = {}
    for node in _all_nodes(graph):
        if node.kind() in ("prim::GetAttr", "prim::SetAttr"):
            path = _joined(paths[node.inputsAt(0).debugName()], node.s("name"))
            value = attribute(script, path)
            if torch.is_tensor(value):
                found[path] = value
            for output in node.outputs():
                paths[output.debugName()] = path
    return found


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def attribute(script: Any, path: str) -> Any:
    """What the module, or a part of it, has under a path."""
    for name in path.split("."):
        script = getattr(script, name)
    return script


def _put(torch: Any, root: Any, path: str, tensor: Any) -> None:
    """Registers a tensor under a path of plain modules."""
    *parts, name = path.split(".")
    for part in parts:
        if part not in root._modules:
            root.add_module(part, torch.nn.Module())
        root = root._modules[part]
    if isinstance(tensor, torch.nn.Parameter):
        root.register_parameter(name, torch.nn.Parameter(tensor.detach(), requires_grad=False))
    else:
        root.register_buffer(name, tensor.detach())


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the scripted module, by its path."""

    path: str


class Run:
    """One run of a graph."""

    def __init__(self, torch: Any, root: Any, script: Any, notes: list[str]) -> None:
        self.torch, self.root, self.script, self.notes = torch, root, script, notes
        self.attributes: dict[str, Any] = {}
        self._changed: dict[str, Any] = {}

    def call(self, graph: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Runs the script's own graph.

        Raises:
            UnsupportedError: a node does what a graph cannot.
            InvalidModelError: the script refuses the inputs.
        """
        module, *inputs = graph.inputs()
        values: Values = {module.debugName(): Part("")}
        for value, given in zip(inputs, args, strict=False):
            values[value.debugName()] = given
        for value in inputs[len(args) :]:
            values[value.debugName()] = kwargs.get(value.debugName().partition(".")[0])
        found = self.block(graph, values)
        for path, changed in self._changed.items():
            self._keep(path, changed)
        return found[0] if len(found) == 1 else tuple(found)

    def _keep(self, path: str, changed: Any) -> None:
        """What the script writes into a tensor of its own is its state, where that stays the same in kind."""
        held = attribute(self.root, path)
        if tuple(held.shape) == tuple(changed.shape) and held.dtype == changed.dtype:
            held.copy_(changed)
            return
        self.notes.append(
            f"the script keeps {path} from call to call, with another shape than it begins with: "
            "the converted model computes the first call of a script that was just loaded (call the script "
            "once and save it again, and what it keeps will be inputs and outputs)"
        )

    # --- nodes ---------------------------------------------------------------------------------------

    def block(self, block: Any, values: Values) -> list[Any]:
        """Runs a block, which sees and adds to ``values``; returns its outputs."""
        for node in block.nodes():
            kind = node.kind()
            found = (
                PRIMITIVES[kind[6:]](self, node, values)
                if kind.startswith("prim::")
                else self.operator(node, [values[v.debugName()] for v in node.inputs()])
            )
            outputs = list(node.outputs())
            results = [found] if len(outputs) == 1 else found or ()
            for output, result in zip(outputs, results, strict=True):
                values[output.debugName()] = result
        return [values[output.debugName()] for output in block.outputs()]

    def operator(self, node: Any, arguments: list[Any]) -> Any:
        """An operator of ATen, or the arithmetic of numbers, texts and lists that scripts do beside them."""
        name = node.kind().partition("::")[2]
        is_plain = not self._has_tensor(arguments) or isinstance(arguments[0], list | dict)
        if name in NUMBERS and is_plain:
            return NUMBERS[name](*arguments)
        if name in _OF_TENSORS and self.torch.is_tensor(arguments[0]):
            return _OF_TENSORS[name](self.torch, *arguments)
        schema = self.torch._C.parse_schema(node.schema())
        if name in NUMBERS and not any("Tensor" in str(about.type) for about in schema.arguments):
            return NUMBERS[name](*arguments)  # of numbers that data decide
        namespace, _, base = schema.name.partition("::")
        overload = getattr(
            getattr(getattr(self.torch.ops, namespace), base), schema.overload_name or "default"
        )
        given = [self._fitted(a, about) for a, about in zip(arguments, schema.arguments, strict=True)]
        plain = [g for g, about in zip(given, schema.arguments, strict=True) if not about.kwarg_only]
        named = {about.name: g for g, about in zip(given, schema.arguments, strict=True) if about.kwarg_only}
        return overload(*plain, **named)

    def _has_tensor(self, arguments: Any) -> bool:
        return any(
            self.torch.is_tensor(a) or (isinstance(a, list | tuple) and self._has_tensor(a))
            for a in arguments
        )

    def _fitted(self, value: Any, about: Any) -> Any:
        """An argument as the operator takes it: numbers that data decide are taken out of their tensors."""
        kind = str(about.type).removeprefix("Optional[").rstrip("?]")
        if isinstance(value, self.torch.device):
            return self.torch.device("cpu")
        if about.name == "dtype" and isinstance(value, int) and not isinstance(value, bool):
            return _elements()[value]
        if self.torch.is_tensor(value) and kind in ("int", "float", "bool", "number", "Scalar"):
            return value.item()
        if not self.torch.is_tensor(value) and kind == "Tensor" and isinstance(value, bool | int | float):
            return self.torch.tensor(value)
        return value

    # --- control flow --------------------------------------------------------------------------------

    def branch(self, node: Any, values: Values) -> Any:
        """``if``: decided where shapes and settings decide it."""
        condition = values[node.inputsAt(0).debugName()]
        blocks = list(node.blocks())
        if not self.torch.is_tensor(condition):
            found = self.block(blocks[0] if condition else blocks[1], values)
            return found[0] if len(found) == 1 else found
        raising = [any(n.kind() == "prim::RaiseException" for n in block.nodes()) for block in blocks]
        if True in raising:
            self.notes.append("a check of the data, which makes the script fail, is left out")
            found = self.block(blocks[raising.index(False)], values)
            return found[0] if len(found) == 1 else found
        names, operands = self._captured(blocks, values)
        shapes: list[Any] = []

        def run(block: Any) -> Callable[..., Any]:
            def branch(*given: Any) -> Any:
                inner = Run(self.torch, self.root, self.script, self.notes)
                inner.attributes = {**self.attributes, **_under(names, given, "@")}
                results = inner.block(block, {**values, **_under(names, given, "%")})
                if inner._changed:
                    raise _stateful(node)
                shapes.append([None if self.torch.is_tensor(r) else r for r in results])
                return tuple(r.clone() for r in results if self.torch.is_tensor(r))

            return branch

        made = list(
            self.torch.ops.higher_order.cond(
                condition.reshape(()).to(self.torch.bool), run(blocks[0]), run(blocks[1]), tuple(operands)
            )
        )
        if any(other != shapes[0] for other in shapes[1:]):
            raise UnsupportedError("both sides of a branch have to give tensors alike", where=_place(node))
        found = [made.pop(0) if plain is None else plain for plain in shapes[0]]
        return found[0] if len(found) == 1 else found

    def _captured(self, blocks: Sequence[Any], values: Values) -> tuple[list[str], list[Any]]:
        """Names and values of the tensors from outside that blocks use: ``%value`` and ``@attribute``."""
        found: dict[str, Any] = {}
        paths = {name: value.path for name, value in values.items() if isinstance(value, Part)}
        for node in (node for block in blocks for node in _all_nodes(block)):
            for value in node.inputs():
                self._note(found, values, value)
            if node.kind() == "prim::GetAttr":
                path = _joined(paths[node.inputsAt(0).debugName()], node.s("name"))
                paths[node.output().debugName()] = path
                held = self.attribute(path)
                if self.torch.is_tensor(held):
                    found[f"@{path}"] = held
        for block in blocks:
            for value in block.outputs():
                self._note(found, values, value)
        return list(found), list(found.values())

    def _note(self, found: dict[str, Any], values: Values, value: Any) -> None:
        outer = values.get(value.debugName())
        if self.torch.is_tensor(outer):
            found[f"%{value.debugName()}"] = outer

    def attribute(self, path: str) -> Any:
        """What the module has under a path now."""
        if path in self.attributes:
            return self.attributes[path]
        held = attribute(self.script, path)
        if isinstance(held, self.torch.nn.Module):
            return Part(path)
        return attribute(self.root, path) if self.torch.is_tensor(held) else held

    def loop(self, node: Any, values: Values) -> Any:
        """``while`` and ``for``: unrolled where the number of turns is known and small."""
        limit, condition, *carried = (values[v.debugName()] for v in node.inputs())
        (block,) = node.blocks()
        turn = 0
        is_open = self.torch.is_tensor(condition) or not isinstance(limit, int) or isinstance(limit, bool)
        if not is_open and (limit <= UNROLLED or limit == _ENDLESS or not self._all_tensors(carried)):
            while turn < limit and not self.torch.is_tensor(condition) and condition:
                if turn >= 100 * UNROLLED:
                    raise UnsupportedError("a loop that does not end", where=_place(node))
                for value, content in zip(block.inputs(), (turn, *carried), strict=True):
                    values[value.debugName()] = content
                condition, *carried = self.block(block, values)
                turn += 1
        if turn < limit and (is_open or self.torch.is_tensor(condition) or condition):
            carried = self._turning(node, block, limit, [turn, condition, *carried], values)
        return carried[0] if len(carried) == 1 else carried

    def _all_tensors(self, values: Sequence[Any]) -> bool:
        return all(self.torch.is_tensor(v) or isinstance(v, bool | int | float) for v in values)

    def _turning(self, node: Any, block: Any, limit: Any, state: list[Any], values: Values) -> list[Any]:
        """A loop that stays one: its counter, its condition and what it carries are tensors."""
        if not self._all_tensors(state):
            raise UnsupportedError("a loop whose turns only data decide carries a list", where=_place(node))
        tensors = [self._as_tensor(value) for value in state]
        names, operands = self._captured([block], values)
        bound = self._as_tensor(limit)

        def go_on(turn: Any, condition: Any, *rest: Any) -> Any:
            return condition.logical_and(turn < rest[-1])

        def body(turn: Any, condition: Any, *rest: Any) -> Any:
            carried, given = rest[: len(state) - 2], rest[len(state) - 2 : -1]
            inner = Run(self.torch, self.root, self.script, self.notes)
            inner.attributes = {**self.attributes, **_under(names, given, "@")}
            inside = {**values, **_under(names, given, "%")}
            for value, content in zip(block.inputs(), (turn, *carried), strict=True):
                inside[value.debugName()] = content
            results = inner.block(block, inside)
            if inner._changed:
                raise _stateful(node)
            made = [self._as_tensor(r).to(t.dtype) for r, t in zip(results, tensors[1:], strict=True)]
            return (turn + 1, *(m.clone() for m in made))

        found = self.torch.ops.higher_order.while_loop(go_on, body, tuple(tensors), (*operands, bound))
        return list(found[2:])

    def _as_tensor(self, value: Any) -> Any:
        if self.torch.is_tensor(value):
            return value
        if isinstance(value, self.torch.SymInt):
            return self.torch.scalar_tensor(value, dtype=self.torch.int64)
        kinds = {bool: self.torch.bool, int: self.torch.int64, float: self.torch.float64}
        return self.torch.full((), value, dtype=kinds[type(value)])

    # --- the module ----------------------------------------------------------------------------------

    def get(self, node: Any, values: Values) -> Any:
        """An attribute of the module, or of an object."""
        owner = values[node.inputsAt(0).debugName()]
        if not isinstance(owner, Part):
            raise UnsupportedError("the script uses objects of classes", where=_place(node))
        return self.attribute(_joined(owner.path, node.s("name")))

    def set(self, node: Any, values: Values) -> None:
        """Something is kept in the module."""
        owner, value = (values[v.debugName()] for v in node.inputs())
        if not isinstance(owner, Part):
            raise UnsupportedError("the script uses objects of classes", where=_place(node))
        path = _joined(owner.path, node.s("name"))
        self.attributes[path] = value
        if self.torch.is_tensor(value):
            self._changed[path] = value


def _under(names: Sequence[str], given: Sequence[Any], mark: str) -> dict[str, Any]:
    return {name[1:]: value for name, value in zip(names, given, strict=True) if name.startswith(mark)}


def _stateful(node: Any) -> UnsupportedError:
    return UnsupportedError("something is kept in the module under a condition", where=_place(node))


def _place(node: Any) -> str:
    """Where in the user's code a node comes from."""
    found = node.sourceRange().partition('File "')[2]
    file, _, rest = found.partition('", line ')
    number = rest.partition(",")[0].strip()
    return f"{Path(file).name}:{number}" if number.isdigit() else str(node.kind())


def _raise(run: Run, node: Any, values: Values) -> None:
    said = values[node.inputsAt(0).debugName()]
    raise InvalidModelError(f"the script refuses these inputs: {said}", where=_place(node))


def _items(run: Run, node: Any, values: Values) -> list[Any]:
    return [values[value.debugName()] for value in node.inputs()]


def _dict(run: Run, node: Any, values: Values) -> dict[Any, Any]:
    flat = _items(run, node, values)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _first(run: Run, node: Any, values: Values) -> Any:
    return values[node.inputsAt(0).debugName()]


def _unpacked(run: Run, node: Any, values: Values) -> Any:
    found = list(_first(run, node, values))
    return found[0] if node.outputsSize() == 1 else found


def _constant(run: Run, node: Any, values: Values) -> Any:
    return node.output().toIValue()


def _index(run: Run, node: Any, values: Values) -> Any:
    sequence, place = _items(run, node, values)
    return sequence[place]


def _is_instance(run: Run, node: Any, values: Values) -> bool:
    raise UnsupportedError("the script asks for types while it runs", where=_place(node))


PRIMITIVES: dict[str, Callable[[Run, Any, Values], Any]] = {
    "Constant": _constant,
    "GetAttr": Run.get,
    "SetAttr": Run.set,
    "If": Run.branch,
    "Loop": Run.loop,
    "RaiseException": _raise,
    "ListConstruct": _items,
    "TupleConstruct": lambda run, node, values: tuple(_items(run, node, values)),
    "DictConstruct": _dict,
    "ListUnpack": _unpacked,
    "TupleUnpack": _unpacked,
    "TupleIndex": _index,
    "NumToTensor": _first,
    "ImplicitTensorToNum": _first,
    "unchecked_cast": _first,
    "unchecked_unwrap_optional": _first,
    "data": _first,
    "Uninitialized": lambda run, node, values: None,
    "Print": lambda run, node, values: None,
    "is_cuda": lambda run, node, values: False,
    "dtype": lambda run, node, values: _first(run, node, values).dtype,
    "device": lambda run, node, values: run.torch.device("cpu"),
    "layout": lambda run, node, values: run.torch.strided,
    "isinstance": _is_instance,
    "min": lambda run, node, values: min(*_items(run, node, values)),
    "max": lambda run, node, values: max(*_items(run, node, values)),
}
"""What scripts do beside operators."""

_ENDLESS = 0x7FFFFFFFFFFFFFFF
"""The number of turns of a loop that only its condition ends."""


def _select(torch: Any, x: Any, axis: int, index: Any) -> Any:
    """One slice; also by an index that data decide."""
    if torch.is_tensor(index):
        return torch.ops.aten.index_select.default(x, axis, index.reshape(1)).squeeze(axis)
    return torch.ops.aten.select.int(x, axis, index)


def _tensor(torch: Any, x: Any, dtype: int | None = None, *_: Any) -> Any:
    """A number that data decide is a tensor already."""
    return x if dtype is None else x.to(_elements()[dtype])


_OF_TENSORS: dict[str, Callable[..., Any]] = {
    "dim": lambda torch, x: x.dim(),
    "size": lambda torch, x, axis=None: list(x.shape) if axis is None else x.shape[axis],
    "len": lambda torch, x: x.shape[0],
    "numel": lambda torch, x: x.numel(),
    "is_floating_point": lambda torch, x: x.is_floating_point(),
    "Bool": lambda torch, x: x.reshape(()).to(torch.bool),
    "Int": lambda torch, x: x.reshape(()).to(torch.int64),
    "Float": lambda torch, x: x.reshape(()).to(torch.float64),
    "IntImplicit": lambda torch, x: x.reshape(()).to(torch.int64),
    "FloatImplicit": lambda torch, x: x.reshape(()).to(torch.float64),
    "ScalarImplicit": lambda torch, x: x.reshape(()),
    "item": lambda torch, x: x.reshape(()),
    "__not__": lambda torch, x: x.logical_not(),
    "__is__": lambda torch, x, other: x is other,
    "__isnot__": lambda torch, x, other: x is not other,
    "select": _select,
    "tensor": _tensor,
}
"""What scripts ask of tensors; numbers out of tensors stay tensors without axes, since data decide them."""


def _elements() -> dict[int, Any]:
    """torch's element types by the numbers that scripts have for them: one less than programs have."""
    found: dict[int, Any] = importlib.import_module("torch._export.serde.serialize")._SERIALIZE_TO_TORCH_DTYPE
    return {int(number) - 1: dtype for number, dtype in found.items() if int(number) <= 13}
