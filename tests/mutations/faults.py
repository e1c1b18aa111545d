"""A fault: what is broken, in which model and target, and what the verdict should say about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from mmconvert.emitters.mnn.rules import RULES as TO_MNN
from mmconvert.emitters.ncnn.rules import RULES as TO_NCNN
from mmconvert.emitters.onnx.operators import RULES as TO_ONNX
from mmconvert.emitters.tflite.rules import RULES as TO_TFLITE
from mmconvert.ir.op import Op
from mmconvert.parsers.onnx.table import RULES as FROM_ONNX
from mmconvert.verification.fault import Stage
from tests.mutations import devices
from tests.mutations.devices import Change
from tests.mutations.edits import Edit

EMITTERS: dict[str, Any] = {"onnx": TO_ONNX, "tflite": TO_TFLITE, "ncnn": TO_NCNN, "mnn": TO_MNN}


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        name: what it is.
        model, target: what is converted, and into what.
        stage: who is to blame.
        operators: the operators that may be named; some are read or written as others, or fused.
        diagnosis: a pattern that each diagnosis has to match.
        seed: breaks mmconvert, or the runtime.
        edit: breaks the file after it was written.
    """

    name: str
    model: str
    target: str
    stage: Stage
    operators: tuple[str, ...]
    diagnosis: str
    seed: Callable[[pytest.MonkeyPatch], None] | None = None
    edit: Edit | None = None

    def __str__(self) -> str:
        return f"{self.model}-{self.target}-{self.stage}-{self.name}".replace(" ", "_")


def _named(kind: type[Op], also: str) -> tuple[str, ...]:
    return (kind.__name__, *also.split())


def reads(
    name: str,
    model: str,
    target: str,
    key: str,
    kind: type[Op],
    change: Change,
    diagnosis: str,
    also: str = "",
) -> Fault:
    """The rule of the ONNX reader for ``key`` builds its nodes of a ``kind`` wrongly."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        devices.parser(patch, FROM_ONNX, key, kind, change)

    return Fault(name, model, target, "parser", _named(kind, also), diagnosis, seed)


def passes(
    name: str,
    model: str,
    target: str,
    which: str,
    kind: type[Op],
    change: Change,
    diagnosis: str,
    also: str = "",
) -> Fault:
    """The pass ``which`` changes what a node of a ``kind`` computes."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        devices.a_pass(patch, target, which, kind, change)

    return Fault(f"{which}: {name}", model, target, "pass", _named(kind, also), diagnosis, seed)


def writes(
    name: str, model: str, target: str, kind: type[Op], change: Change, diagnosis: str, also: str = ""
) -> Fault:
    """The rule of an emitter for a ``kind`` writes another node."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        devices.emitter(patch, EMITTERS[target], kind, change)

    return Fault(name, model, target, "emitter", _named(kind, also), diagnosis, seed)


def patched(name: str, model: str, target: str, operators: str, edit: Edit, diagnosis: str) -> Fault:
    """The file is changed after it was written."""
    return Fault(name, model, target, "file", tuple(operators.split()), diagnosis, edit=edit)


def runs(name: str, model: str, target: str, operators: str, edit: Edit, diagnosis: str) -> Fault:
    """The runtime computes what an edited file says."""

    def seed(patch: pytest.MonkeyPatch) -> None:
        devices.runtime(patch, target, edit)

    return Fault(name, model, target, "runtime", tuple(operators.split()), diagnosis, seed)
