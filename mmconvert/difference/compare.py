"""Compares two graphs: their ends, operators, attributes and weights, and what they compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from mmconvert.difference.align import Pairs, align, commutes, operands
from mmconvert.difference.normal import attributes, normal
from mmconvert.difference.weights import relation
from mmconvert.errors import MMConvertError
from mmconvert.ir.graph import Graph, Node, Value
from mmconvert.ir.op import Op
from mmconvert.verification import inputs as feeds
from mmconvert.verification.judge import Progress, judge, observe
from mmconvert.verification.sides import interpreted
from mmconvert.verification.verdict import Verdict

Kind = Literal["input", "output", "removed", "added", "attribute", "weight", "operand", "type"]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: what is different.
        operator: the operator's name; empty for inputs and outputs.
        places: where it is in each of the files; empty where it is not.
        text: the difference in words.
    """

    kind: Kind
    text: str
    operator: str = ""
    places: tuple[str, str] = ("", "")

    def __str__(self) -> str:
        where = " / ".join(dict.fromkeys(place for place in self.places if place))
        name = " ".join(part for part in (self.operator, f"at {where}" if where else "") if part)
        return f"{self.kind}: {name}: {self.text}" if name else f"{self.kind}: {self.text}"

    def to_json(self) -> dict[str, Any]:
        """The difference as plain data."""
        return {
            "kind": self.kind,
            "operator": self.operator,
            "places": list(self.places),
            "text": self.text,
        }


@dataclass(slots=True)
class Difference:
    """What is different between two models.

    Attributes:
        first, second: the paths.
        changes: the differences of what is written in them.
        operators: how many operators each has in normal form, and how many are paired.
        weights: how many weights were compared.
        verdict: whether the second computes what the first does; None where that was not tried.
        notes: what a reader should know.
    """

    first: str
    second: str
    changes: list[Change] = field(default_factory=list)
    operators: tuple[int, int, int] = (0, 0, 0)
    weights: int = 0
    verdict: Verdict | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """True when nothing is different, and both compute the same as far as that was tried."""
        return not self.changes and (self.verdict is None or self.verdict.passed)

    @property
    def level(self) -> str:
        """How the numbers were compared: "read back", or "structure only"."""
        return "structure only" if self.verdict is None else self.verdict.level

    def to_json(self) -> dict[str, Any]:
        """The differences as plain data."""
        return {
            "first": self.first,
            "second": self.second,
            "same": self.same,
            "level": self.level,
            "changes": [change.to_json() for change in self.changes],
            "operators": dict(zip(("first", "second", "paired"), self.operators, strict=True)),
            "weights": self.weights,
            "verdict": None if self.verdict is None else self.verdict.to_json(),
            "notes": self.notes,
        }


def compare(
    first: Graph, second: Graph, found: Difference, *, run: bool, seed: int, k: float, progress: Progress
) -> None:
    """Fills in ``found``; see ``mmconvert.diff``."""
    progress("bringing both into the same form")
    a, b = normal(first), normal(second)
    found.changes += _ends("input", [(v.name, v) for v in a.inputs], [(v.name, v) for v in b.inputs])
    found.changes += _ends("output", _named_outputs(a), _named_outputs(b))
    progress("pairing operators")
    pairs = align(a, b)
    progress("comparing operators and weights")
    found.changes += _nodes(pairs, a, b, found)
    paired = sum(one is not None and two is not None for one, two in pairs)
    found.operators = (len(a), len(b), paired)
    if not run:
        return
    try:
        reference = observe(a, feeds.generate(a, seed=seed), progress=progress)
        found.verdict = judge(reference, interpreted(b), k=k, progress=progress, localize=False)
    except MMConvertError as error:
        found.notes.append(f"the numbers were not compared: {error.message}")


def _named_outputs(graph: Graph) -> list[tuple[str, Value]]:
    return list(zip(graph.output_names, graph.outputs, strict=True))


def _ends(
    kind: Literal["input", "output"], a: Sequence[tuple[str, Value]], b: Sequence[tuple[str, Value]]
) -> Iterator[Change]:
    """Inputs or outputs, paired by name where the names are the same, else in order."""
    ones, twos = dict(a), dict(b)
    if set(ones) == set(twos):
        pairs = [(name, name) for name in ones]
    else:
        pairs = list(zip(ones, twos, strict=False))
        for name in [*ones][len(pairs) :]:
            yield Change(kind, f"{name}: {ones[name].type} is not in the second")
        for name in [*twos][len(pairs) :]:
            yield Change(kind, f"{name}: {twos[name].type} is not in the first")
    for one, two in pairs:
        if one != two:
            yield Change(kind, f"{one} is called {two} in the second")
        if ones[one].type != twos[two].type:
            yield Change(kind, f"{one} is {ones[one].type}, and {twos[two].type} in the second")


def _nodes(pairs: Pairs, a: Graph, b: Graph, found: Difference) -> Iterator[Change]:
    partner = {one: two for one, two in pairs if one is not None and two is not None}
    ends = _input_pairs(a, b)
    for one, two in pairs:
        if one is None or two is None:
            node = one or two
            assert node is not None
            places = (node.place, "") if one is not None else ("", node.place)
            yield Change("removed" if one is not None else "added", str(node.op), node.op.name, places)
            continue
        places = (one.place, two.place)
        for text in _attributes(one, two):
            yield Change("attribute", text, one.op.name, places)
        for x, y in zip(one.outputs, two.outputs, strict=False):
            if x.type != y.type:
                yield Change("type", f"{x.type}, and {y.type} in the second", one.op.name, places)
        yield from _operands(one, two, partner, ends, found)


def _input_pairs(a: Graph, b: Graph) -> dict[Value, Value]:
    names = {v.name: v for v in b.inputs}
    if set(names) == {v.name for v in a.inputs}:
        return {v: names[v.name] for v in a.inputs}
    return dict(zip(a.inputs, b.inputs, strict=False))


def _attributes(one: Node[Op], two: Node[Op]) -> Iterator[str]:
    if type(one.op) is not type(two.op):
        yield f"{one.op.name}, and {two.op.name} in the second"
        return
    before, after = attributes(one), attributes(two)
    for name, text in before.items():
        if text != after[name]:
            yield f"{name} is {text}, and {after[name]} in the second"


def _operands(
    one: Node[Op],
    two: Node[Op],
    partner: Mapping[Node[Op], Node[Op]],
    ends: Mapping[Value, Value],
    found: Difference,
) -> Iterator[Change]:
    places = (one.place, two.place)
    ours, theirs = operands(one), operands(two)
    loose: list[tuple[Value, Value]] = []
    for x, y in zip_longest(ours, theirs):
        if x is None or y is None or (x.constant is None) != (y.constant is None):
            if x is not y and not _is_idle(x or y):
                yield Change("operand", f"{_what(x)}, and {_what(y)} in the second", one.op.name, places)
        elif x.constant is not None and y.constant is not None:
            found.weights += 1
            text = relation(x.constant, y.constant)
            if text:
                yield Change("weight", f"{x.name or y.name or 'a constant'}: {text}", one.op.name, places)
        else:
            loose.append((x, y))
    expected = [_partner(x, partner, ends) for x, _ in loose]
    actual = [y for _, y in loose]
    swapped = commutes(one) and set(expected) == set(actual)
    for (x, y), wanted in zip(loose, expected, strict=True):
        known = y.producer is None or y.producer in partner.values()
        if wanted is not None and wanted is not y and known and not swapped:
            text = f"reads {_what(x)}, and {_what(y)} in the second"
            yield Change("operand", text, one.op.name, places)


def _is_idle(value: Value | None) -> bool:
    """Whether an operand is as good as none: a bias of zeros."""
    tensor = None if value is None else value.constant
    return tensor is not None and not np.any(tensor.numpy())


def _partner(value: Value, partner: Mapping[Node[Op], Node[Op]], ends: Mapping[Value, Value]) -> Value | None:
    """What stands for a value in the second graph; None where nothing does."""
    if value.producer is None:
        return ends.get(value)
    other = partner.get(value.producer)
    return None if other is None or value.index >= len(other.outputs) else other.outputs[value.index]


def _what(value: Value | None) -> str:
    if value is None:
        return "nothing"
    if value.constant is not None:
        return f"the constant {value.name or value.type}"
    if value.producer is not None:
        return f"{value.producer.op.name} at {value.producer.place}"
    return f"the input {value.name}"
