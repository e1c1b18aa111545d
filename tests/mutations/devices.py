"""Ways to break mmconvert: a rule that reads or writes one attribute or weight wrongly, a pass that changes
what a graph computes, a runtime that computes something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmconvert import lowering, registry
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.ir.types import Array
from mmconvert.passes import pipeline
from mmconvert.passes.outcome import Outcome
from mmconvert.rules import Rules
from mmconvert.tensors import Tensor

TARGET = "out"
"""What targets are called, without the suffix."""

Change = Callable[[Node[Any]], tuple[Op, tuple[Value | None, ...]]]
"""What a node is mistaken for: another operator, or other operands."""


def attribute(**changes: Any) -> Change:
    """Other attributes; a function of the operator gives what depends on it."""

    def change(node: Node[Any]) -> tuple[Op, tuple[Value | None, ...]]:
        values = {n: v(node.op) if callable(v) else v for n, v in changes.items()}
        return dataclasses.replace(node.op, **values), node.inputs

    return change


def weight(index: int, function: Callable[[Array], Array]) -> Change:
    """Another constant operand."""

    def change(node: Node[Any]) -> tuple[Op, tuple[Value | None, ...]]:
        old = node.inputs[index] if index < len(node.inputs) else None
        if old is None or old.constant is None:
            return node.op, node.inputs
        array = np.array(function(old.constant.numpy()), old.constant.dtype, order="C")
        new = Value(old.type, old.name, constant=Tensor.of(array))
        return node.op, (*node.inputs[:index], new, *node.inputs[index + 1 :])

    return change


def operator(op: Op) -> Change:
    """Another operator over the same operands."""
    return lambda node: (op, node.inputs)


def parser(patch: pytest.MonkeyPatch, table: Rules[Any], key: str, kind: type[Op], change: Change) -> None:
    """Makes the rule for ``key`` build its ``kind`` of nodes wrongly."""
    for since, rule in list(table._table[key].items()):
        patch.setitem(table._table[key], since, _reading(rule, kind, change))


def _reading(rule: Callable[..., Any], kind: type[Op], change: Change) -> Callable[..., Any]:
    @wraps(rule)
    def read(source: Any, b: Any, *rest: Any) -> Any:
        last = b.graph.result._previous
        result = rule(source, b, *rest)
        made, node = [], b.graph.result._previous
        while node is not last and node is not None:
            made.append(node)
            node = node._previous
        renewed: dict[Value, Value] = {}
        for node in made:
            if isinstance(node.op, kind):
                op, inputs = change(node)
                new = b.graph.replace(node, op, inputs)
                renewed |= dict(zip(node.outputs, new.outputs, strict=True))
        if isinstance(result, tuple):
            return tuple(renewed.get(v, v) for v in result)
        return renewed.get(result, result)

    return read


def emitter(patch: pytest.MonkeyPatch, table: Rules[Any], kind: type[Op], change: Change) -> None:
    """Makes the rule for an operator write another one."""
    for since, rule in list(table._table[kind].items()):
        patch.setitem(table._table[kind], since, _writing(rule, change))


def _writing(rule: Callable[..., Any], change: Change) -> Callable[..., Any]:
    @wraps(rule)
    def write(node: Node[Any], out: Any) -> Any:
        op, inputs = node.op, node.inputs
        node.op, node.inputs = change(node)
        try:
            return rule(node, out)
        finally:
            node.op, node.inputs = op, inputs

    return write


def a_pass(patch: pytest.MonkeyPatch, target: str, name: str, kind: type[Op], change: Change) -> None:
    """Makes a pass, the first time that it does something, change the last node of a ``kind``."""
    for group in ("CLEAN", "RECOGNISE", "FUSE"):
        passes = [_broken(p, kind, change) if p.__name__ == name else p for p in getattr(pipeline, group)]
        patch.setattr(pipeline, group, tuple(passes))
    emitter = registry.load_module(registry.find(target).emitter)
    passes = [_broken(p, kind, change) if p.__name__ == name else p for p in getattr(emitter, "PASSES", ())]
    patch.setattr(emitter, "PASSES", tuple(passes), raising=False)
    if name == "legalize":
        patch.setattr(lowering, name, _broken(lowering.legalize, kind, change))
    elif name == "assign_layout":
        original = lowering.assign_layout
        patch.setattr(lowering, name, lambda *given: _broken(original(*given), kind, change))


def _broken(original: Callable[..., Outcome], kind: type[Op], change: Change) -> Callable[..., Outcome]:
    def apply(graph: Graph, *rest: Any) -> Outcome:
        outcome = original(graph, *rest)
        nodes = [node for node in graph if isinstance(node.op, kind)]
        if outcome.done and nodes and not getattr(graph, "broken", False):
            graph.broken = True  # type: ignore[attr-defined]
            graph.replace(nodes[-1], *change(nodes[-1]))
        return outcome

    apply.__name__ = original.__name__
    return apply


def runtime(patch: pytest.MonkeyPatch, format: str, edit: Callable[[Path], None]) -> None:
    """Makes the runtime of a format run an edited copy of the target, and everything else as it is."""
    module = registry.load_module(registry.find(format).runtime)
    session = module.Session

    def deviating(path: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(path, bytes) or Path(path).stem != TARGET:
            return session(path, *rest, **options)
        copy = Path(path).with_name("edited" + Path(path).suffix)
        copy.write_bytes(Path(path).read_bytes())
        beside = Path(path).with_suffix(".bin")
        if beside.exists():
            copy.with_suffix(".bin").write_bytes(beside.read_bytes())
        edit(copy)
        return session(copy, *rest, **options)

    patch.setattr(module, "Session", deviating)
