"""Nothing of Keras is forgotten: what is public in it is read, and has cases, or is refused with a reason."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmconvert.parsers.keras.refusals import LAYERS, OPERATIONS
from mmconvert.parsers.keras.table import RULES

from .cases.coverage import coverage

ABSTRACT = {
    "Equalization": "Keras 3.15 fails to build a model with it",
    "InputLayer": "an input of the graph",
    "InputSpec": "not a layer",
    "Layer": "the base of all",
    "Wrapper": "the base of wrappers",
}


def test_every_layer_has_cases_or_is_refused(keras: Any) -> None:
    names: dict[type, set[str]] = {}
    for name, item in inspect.getmembers(keras.layers, inspect.isclass):
        names.setdefault(item, set()).add(name)
    cases = {name for name, (three, _) in coverage().items() if three["read"]}
    known = cases | set(LAYERS) | set(ABSTRACT)
    assert not [sorted(aliases) for aliases in names.values() if not aliases & known]


def test_every_layer_of_keras_2_has_a_rule_or_is_refused(keras2: Any) -> None:
    found = {item.__name__ for _, item in inspect.getmembers(keras2.layers, inspect.isclass)}
    cells = {name for name in found if re.search(r"Cells?$", name)}
    bases = {"AbstractRNNCell", "Wrapper", "Layer", "InputSpec", "InputLayer", "PreprocessingLayer"}
    assert not sorted(found - set(RULES) - set(LAYERS) - cells - bases)


def test_every_operation_has_a_rule_or_a_reason(keras: Any) -> None:
    from keras.src.ops.operation import Operation

    found = {item.__name__ for item in _below(Operation) if item.__module__.startswith("keras.src.ops.")}
    with_rules = {name for name in found if f"ops.{name}" in RULES}
    assert sorted(found - with_rules) == sorted(found & set(OPERATIONS))
    assert not {f"ops.{name}" for name in OPERATIONS} & set(RULES)


def test_every_rule_of_an_operation_is_tried() -> None:
    """By name, in the functions that the tests of operations build models with."""
    here = Path(__file__).parent
    text = "".join((here / f"test_{name}.py").read_text() for name in ("operations", "functions"))
    tried = {word.replace("_", "").lower() for word in re.findall(r"\w+", text)}
    rules = {key.removeprefix("ops.").lower() for key in RULES if key.startswith("ops.")}
    assert not sorted(rules - tried - set(ELSEWHERE))


ELSEWHERE = {
    "allclose": "always refused",
    "batchnorm": "batch_normalization",
    "converttotensor": "recorded by no function",
    "getitem": "x[...]",
    "ndim": "always refused",
    "rmsnorm": "rms_normalization",
    "size": "always refused",
}
"""Operations that go by other names, or never get into a model."""


def _below(cls: type) -> Iterator[type]:
    for part in cls.__subclasses__():
        yield part
        yield from _below(part)
