"""The module tree of the model that is written: layers, parameters and buffers under the source's names."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmconvert import dtypes
from mmconvert.emitters.pytorch.code import TORCH_TYPES, identifier
from mmconvert.emitters.pytorch.loops import Statement, singular
from mmconvert.errors import UnsupportedError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import TensorType
from mmconvert.tensors import Tensor

_ROLES = (
    "weight bias kernel gamma beta scale moving_mean moving_variance running_mean running_var embeddings "
    "depthwise_kernel pointwise_kernel alpha weights filter W B R recurrent_kernel mean var"
)
_ROLE = re.compile(rf"[./](?:{'|'.join(_ROLES.split())}|(?:weight|bias)_[ih]h_l0)(?::0)?$")
"""How the name of a weight ends behind that of its layer."""

_LARGEST_UNIFORM = 1 << 16

_OCCUPIED = frozenset(
    """T append apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extend extra_repr float forward half insert ipu load_state_dict modules mtia parameters pop
    share_memory state_dict to to_empty train training type xpu zero_grad""".split()  # noqa: SIM905
)
"""What a module has attributes for already."""


@dataclass(slots=True)
class Item:
    """A module of the tree.

    Attributes:
        constructor: what makes it; empty for one that only holds others.
        children: its parts, by name, in the order in which they were first needed.
        parameters: the statements' right sides of what it holds itself, by name.
    """

    constructor: str = ""
    children: dict[str, Item] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)


class Layers:
    """Layers and weights in the making.

    Attributes:
        root: the model.
        state: the state dict, in order.
        ties: statements that make one parameter of two.
    """

    def __init__(self, source: str = "") -> None:
        """
        Args:
            source: the format that the model was read from.
        """
        self.root = Item()
        self.state: dict[str, Tensor] = {}
        self.ties: list[str] = []
        self.keeps_names = source == "pytorch"
        """Whether a state dict with the very names of the weights is wanted."""
        self.names_are_weights = source in ("pytorch", "keras")
        """Whether the format names weights and nothing else."""
        self._known: dict[Hashable, str] = {}
        self._paths: set[str] = set()
        self._shared: set[str] = set()
        self._merged: set[str] = set()
        self._same: dict[tuple[str, TensorType], Value] = {}
        self._owners: dict[str, tuple[str, Tensor]] = {}

    def layer(
        self,
        node: Node[Op],
        constructor: str,
        state: Mapping[str, Tensor],
        weights: Sequence[Value | None] = (),
    ) -> str:
        """A layer of ``torch.nn``; the same one where the source applies one several times.

        Args:
            node: what it computes.
            constructor: the expression that makes it.
            state: its part of the state dict.
            weights: the values behind that.

        Returns:
            The expression for it.
        """
        weights = [self._first(v) for v in weights]
        # Exporters store equal weights once: layers that were not trained yet are not one layer for that.
        split = any(v is not None and v.name in self._merged for v in weights)
        key = (constructor, tuple(map(id, weights)), node.origin.name if split or not weights else None)
        if key in self._known:
            return self._known[key]
        path = self._take(self._path(node, weights))
        self._at(path).constructor = constructor
        for name, tensor in state.items():
            self._store(".".join((*path, name)), tensor, weights)
        self._known[key] = access(path)
        return self._known[key]

    def share(self, graph: Graph) -> None:
        """Notes which weights several operators use, so that each is named after itself."""
        users: dict[str, set[tuple[str, str]]] = {}
        for value in graph.constants():
            if value.name:
                users.setdefault(value.name, set()).update((n.op.name, n.origin.name) for n in value.users)
                if not self.names_are_weights and len(value.uses) > 1 and _is_uniform(value):
                    self._merged.add(value.name)
        mixed = {name for name, kinds in users.items() if len({kind for kind, _ in kinds}) > 1}
        self._shared = mixed | self._merged

    def _first(self, value: Value | None) -> Value | None:
        """The first value that is the same weight as ``value``."""
        if value is None or not value.name or value.constant is None:
            return value
        found = self._same.setdefault((value.name, value.type), value)
        assert found.constant is not None
        alike = found is value or np.array_equal(found.constant.numpy(), value.constant.numpy())
        return found if alike else value

    def _path(self, node: Node[Op], weights: Sequence[Value | None]) -> tuple[str, ...]:
        for value in weights:
            match = _ROLE.search(value.name) if value is not None and value.name not in self._shared else None
            if value is not None and match is not None:
                return _segments(value.name[: match.start()])
        return _segments(node.origin.name or node.name or node.op.name.lower())

    def is_module(self, weights: Mapping[str, Value | None]) -> bool:
        """False when the source's names say that the weights are not those of one layer of ``torch.nn``."""
        names = {role: v.name for role, v in weights.items() if v is not None}
        if not self.keeps_names or not any(names.values()):
            return True
        prefixes = {n.removesuffix(role) if n.endswith(f".{role}") else n + "/" for role, n in names.items()}
        return len(prefixes) == 1 and not next(iter(prefixes)).endswith("/")

    def weight(self, value: Value, node: Node[Op]) -> str:
        """The expression for a constant that is no part of a layer: a parameter, or a buffer."""
        if value in self._known:
            return self._known[value]
        tensor = value.constant
        assert tensor is not None
        if tensor.dtype not in TORCH_TYPES:
            raise UnsupportedError(f"PyTorch does not compute with {dtypes.name(tensor.dtype)}")
        wanted = value.name or f"{node.name or node.op.name.lower()}.constant"
        path = self._take(_segments(wanted))
        owner, kind = self._at(path[:-1]), TORCH_TYPES[tensor.dtype]
        shape = f"({', '.join(map(str, tensor.shape))}{',' * (len(tensor.shape) == 1)})"
        of = "" if tensor.dtype == dtypes.F32 else f", dtype={kind}"
        empty = f"torch.empty({shape}{of})"
        owner.parameters[path[-1]] = f"nn.Parameter({empty})" if _is_trained(tensor) else empty
        self._store(".".join(path), tensor, (value,))
        self._known[value] = access(path)
        return self._known[value]

    def buffer(self, wanted: str, expression: str) -> str:
        """The expression for a small constant that the code itself holds."""
        key = ("buffer", expression)
        if key not in self._known:
            path = self._take(_segments(wanted))
            self._at(path[:-1]).parameters[path[-1]] = f"{expression}#"
            self._known[key] = access(path)
        return self._known[key]

    def _store(self, key: str, tensor: Tensor, weights: Sequence[Value | None]) -> None:
        """Puts a tensor into the state dict; one that another layer has under its source's name is tied."""
        self.state[key] = tensor
        for name in (v.name for v in weights if v is not None and v.name and v.name not in self._merged):
            first, known = self._owners.setdefault(name, (key, tensor))
            if first == key or known.shape != tensor.shape or known.dtype != tensor.dtype:
                continue
            alike = first.rpartition(".")[2] == key.rpartition(".")[2] and _is_trained(tensor)
            if alike and np.array_equal(known.numpy(), tensor.numpy()):
                self.ties.append(f"{access(key.split('.'))} = {access(first.split('.'))}")
                break

    def _take(self, path: tuple[str, ...]) -> tuple[str, ...]:
        """``path``, or with a number behind it where something else is there."""
        last, count, found = path[-1], 1, path
        while ".".join(found) in self._paths:
            found = (*path[:-1], f"{'_' * last.isdigit()}{last}_{count}")
            count += 1
        self._paths.add(".".join(found))
        return found

    def _at(self, path: Sequence[str]) -> Item:
        item = self.root
        for name in path:
            item = item.children.setdefault(name, Item())
        return item


def access(path: Sequence[str]) -> str:
    """The expression for something in the tree: ``self.blocks[0].conv``."""
    return "self" + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in path)


def _is_trained(tensor: Tensor) -> bool:
    """Whether a constant may be a parameter: masks and marks are not."""
    if not dtypes.is_float(tensor.dtype) or not tensor.size:
        return False
    return bool(np.all(np.abs(tensor.numpy().astype(np.float32)) < 1e4))


def _is_uniform(value: Value) -> bool:
    """Whether all elements are the same number, as those of a layer are that was not trained."""
    tensor = value.constant
    if tensor is None or not 1 < tensor.size <= _LARGEST_UNIFORM or not dtypes.is_float(tensor.dtype):
        return False
    array = tensor.numpy()
    return bool(np.all(array == array.reshape(-1)[0]))


def _segments(name: str) -> tuple[str, ...]:
    """A source's name as a path: ``/layer1/layer1.0/conv1/Conv`` is ``layer1.0.conv1``."""
    parts = [p for p in name.removesuffix(":0").split("/") if p]
    if name.startswith("/") and len(parts) > 1:
        parts.pop()
    path: list[str] = []
    for part in parts:
        names = [n for n in part.split(".") if n]
        path = names if path and names[: len(path)] == path else [*path, *names]
    found = [n if n.isdecimal() and n == str(int(n)) and len(n) < 4 else _attribute(n) for n in path]
    return tuple(found) or ("value",)


def _attribute(name: str) -> str:
    made = identifier(name)
    return f"{made}_" if made in _OCCUPIED else made


def constructions(item: Item, prefix: str = "self", level: int = 2) -> list[Statement]:
    """The statements that make what is in ``item``."""
    lines = []
    for name, expression in item.parameters.items():
        if expression.startswith("nn.Parameter"):
            lines.append((level, f"{prefix}.{name} = {expression}"))
        elif expression.endswith("#"):
            lines.append((level, f'{prefix}.register_buffer("{name}", {expression[:-1]}, persistent=False)'))
        else:
            lines.append((level, f'{prefix}.register_buffer("{name}", {expression})'))
    listed = {int(name): child for name, child in item.children.items() if name.isdigit()}
    if listed and prefix == "self":
        lines += [(level, f"self.append({_made(listed.get(i))})") for i in range(max(listed) + 1)]
    for name, child in item.children.items():
        if not name.isdigit():
            lines.append((level, f"{prefix}.{name} = {_made(child)}"))
            lines += constructions(child, f"{prefix}.{name}", level)
    return [*lines, *_listed(listed, prefix, level)]


def _listed(items: Mapping[int, Item], prefix: str, level: int) -> list[Statement]:
    """The statements that make what is in the members of a list; of members that are alike, in a loop."""
    lines: list[Statement] = []
    numbers = sorted(items)
    while numbers:
        first, *rest = numbers
        variable = singular(prefix)
        depth = level + 1 if f"{variable} " not in f"{prefix} " else level
        body = constructions(items[first], variable, depth)
        run = [first]
        for number in rest:
            if number != run[-1] + 1 or constructions(items[number], variable, depth) != body:
                break
            run.append(number)
        numbers = numbers[len(run) :]
        if len(run) > 1 and body and depth > level:
            part = "" if len(run) == max(items) + 1 else f"[{run[0] or ''}:{run[-1] + 1}]"
            lines += [(level, f"for {variable} in {prefix}{part}:"), *body]
        else:
            for number in run:
                lines += constructions(items[number], f"{prefix}[{number}]", level)
    return lines


def lengths(item: Item, prefix: str = "") -> dict[str, int]:
    """How many members each list has, by its path."""
    numbers = [int(name) for name in item.children if name.isdigit()]
    found = {prefix: max(numbers) + 1} if numbers and prefix else {}
    for name, child in item.children.items():
        found |= lengths(child, f"{prefix}[{name}]" if name.isdigit() else f"{prefix}.{name}".lstrip("."))
    return found


def leaves(item: Item, prefix: str = "") -> set[str]:
    """The paths of the lists whose members are layers of ``torch.nn``."""
    listed = [child for name, child in item.children.items() if name.isdigit()]
    found = {prefix} if listed and all(child.constructor for child in listed) else set()
    for name, child in item.children.items():
        found |= leaves(child, f"{prefix}[{name}]" if name.isdigit() else f"{prefix}.{name}".lstrip("."))
    return found


def _made(item: Item | None) -> str:
    """The expression that makes a module, with what is listed in it."""
    if item is None:
        return "nn.Identity()"
    listed = {int(name): child for name, child in item.children.items() if name.isdigit()}
    if item.constructor or not listed:
        return item.constructor or "nn.Module()"
    parts = [_made(listed.get(i)) for i in range(max(listed) + 1)]
    if len(parts) > 2 and len(set(parts)) == 1:
        return f"nn.ModuleList({parts[0]} for _ in range({len(parts)}))"
    return f"nn.ModuleList([{', '.join(parts)}])"
