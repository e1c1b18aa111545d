"""Exports a net, converts it, and compares what it computes with torch.

The truth is the graph that was read, in float64, which torch has to agree with; the interpreter, ONNX Runtime
and LiteRT are judged against it by the usual rule, at three sizes where extents are open.

python -m tests.models.nets.check LIBRARY NAME OUT.jsonl
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mmconvert
from mmconvert import registry
from mmconvert.ir.dims import Dim
from mmconvert.verification import sides
from mmconvert.verification.judge import Reference, judge, observe
from mmconvert.verification.sides import Side

from .net import Net

TARGETS = ("onnx", "tflite")
BATCHES = (2, 1, 3)


class Torch:
    """A module in torch itself."""

    def __init__(self, module: torch.nn.Module, inputs: list[str]) -> None:
        self.module, self.inputs = module, inputs

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs in order."""
        with torch.no_grad():
            found = self.module(**{name: torch.from_numpy(a.copy()) for name, a in inputs.items()})
        if isinstance(found, dict):
            found = tuple(found.values())
        parts = found if isinstance(found, tuple | list) else (found,)
        return {f"torch_{i}": part.numpy() for i, part in enumerate(parts)}

    def intermediates(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The outputs alone."""
        return self.run(inputs)


def export(net: Net) -> tuple[Any, int]:
    """The program with as many open extents as torch allows, and at which of `net.dynamic` that was."""
    given = net.given(BATCHES[0], net.extents[0])
    for place, dynamic in enumerate(net.dynamic):
        try:
            program = torch.export.export(net.module, (), given, dynamic_shapes=dynamic, strict=False)
        except (RuntimeError, ValueError, AssertionError, torch._dynamo.exc.UserError):
            # What torch raises where it would have to fix an extent that shall be open.
            if place == len(net.dynamic) - 1:
                raise
        else:
            return program, place
    raise AssertionError("nothing is open in the last form")


def feeds(net: Net, graph: Any) -> list[dict[str, Any]]:
    """Inputs of three sizes, as far as extents are open."""
    shape = graph.inputs[0].type.shape
    batches = BATCHES if isinstance(shape[0], Dim) else BATCHES[:1]
    extents = net.extents if any(isinstance(e, Dim) for e in shape[1:]) else net.extents[:1] * 3
    pairs = list(zip(batches, extents, strict=False))
    return [{k: v.numpy() for k, v in net.given(n, e).items()} for n, e in pairs]


def check(library: str, name: str, targets: tuple[str, ...] = TARGETS) -> Iterator[dict[str, Any]]:
    """What was found: of reading and the interpreter, and of each target."""
    net: Net = importlib.import_module(f"{__package__}.from_{library}").build(name)
    start = time.perf_counter()
    program, place = export(net)
    exported = time.perf_counter()
    model = mmconvert.load(program)
    read = time.perf_counter()
    about = {"opened": len(net.dynamic) - 1 - place, "of": len(net.dynamic) - 1}
    about |= {"export_s": round(exported - start, 2), "read_s": round(read - exported, 2)}
    tried = feeds(net, model.graph)
    yield from compare(model, Torch(net.module, list(tried[0])), tried, targets, about)


def compare(
    model: mmconvert.Model,
    witness: Any,
    tried: list[dict[str, Any]],
    targets: tuple[str, ...] = TARGETS,
    about: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """The findings of a model that was read, of which `witness` is what torch computes."""
    reference = observe(model.graph, tried, Side(witness, "torch", "executed"))
    mine = judge(reference, sides.interpreted(model.graph))
    shapes = [str(value.type) for value in model.graph.inputs]
    scale = min(
        float(np.ptp(np.concatenate([o.truth[name].ravel() for o in reference.observations])))
        for name in reference.observations[0].truth
    )
    yield {"step": "interpreter", **outcome(mine), **(about or {}), "inputs": shapes, "range": scale}
    for target in targets:
        yield {"step": target, **through(model, reference, target)}


def through(model: Any, reference: Reference, target: str) -> dict[str, Any]:
    """What a target computes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model.{target}"
        try:
            model.save(path)
            return outcome(judge(reference, sides.require_runtime(path, registry.find(target))))
        except mmconvert.errors.MMConvertError as error:
            return {"passed": False, "reason": str(error)}


def outcome(verdict: Any) -> dict[str, Any]:
    """A verdict in a few words."""
    passed = bool(verdict.passed)
    return {"passed": passed} if passed else {"passed": False, "reason": json.dumps(verdict.to_json())}


def main() -> None:
    """Writes the findings, one JSON object a line."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    library, name, out = sys.argv[1:]
    with Path(out).open("w") as file:
        for found in check(library, name):
            file.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
