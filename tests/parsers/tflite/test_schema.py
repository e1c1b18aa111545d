"""Our table of the schema against two others: the emitter's, and that of the ``tflite`` package."""

from __future__ import annotations

import inspect
import re

import tflite

from mmconvert.emitters.tflite import schema as written
from mmconvert.parsers.tflite import schema as read
from mmconvert.parsers.tflite.table import RULES

NUMBERS = {n: v for n, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}


def test_operators_have_the_numbers_of_the_schema() -> None:
    assert {read.operator_name(number): number for number in NUMBERS.values()} == NUMBERS


def test_every_rule_is_for_an_operator_of_the_schema() -> None:
    assert set(RULES) <= set(NUMBERS)


def test_types_agree_with_the_emitter() -> None:
    assert {d: n for n, d in read.TYPES.items() if d in written.TENSOR_TYPES} == written.TENSOR_TYPES


def test_options_agree_with_the_emitter() -> None:
    for builtin in vars(written).values():
        if isinstance(builtin, written.Builtin):
            union, slots = read.options(builtin.name)
            assert union == builtin.union, builtin.name
            ours = {slot.name: (i, slot.type) for i, slot in enumerate(slots) if slot.name != "_"}
            theirs = {} if builtin.options is None else builtin.options.slots
            assert ours == {n: (s.number, s.type) for n, s in theirs.items()}, builtin.name


def test_options_agree_with_the_package() -> None:
    """By the names and the slots of its accessors."""
    unions = {v: n for n, v in vars(tflite.BuiltinOptions).items() if isinstance(v, int)}
    seconds = {v: n for n, v in vars(tflite.BuiltinOptions2).items() if isinstance(v, int)}
    for name in RULES:
        union, slots = read.options(name)
        if not union:
            continue
        accessors = getattr(tflite, (seconds if name.startswith("STABLEHLO") else unions)[union])
        for index, slot in enumerate(slots):
            if slot.name == "_":
                continue
            method = getattr(accessors, "".join(part.capitalize() for part in slot.name.split("_")))
            found = re.search(r"Offset\((\d+)\)", inspect.getsource(method))
            assert found is not None, slot.name
            assert int(found[1]) == 4 + 2 * index, f"{name} {slot.name}"
