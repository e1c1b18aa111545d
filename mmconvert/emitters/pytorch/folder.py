"""Puts a model's folder on the disk: code, weights, and a test."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from mmconvert import torchlib
from mmconvert.emitters.pytorch.code import TORCH_TYPES
from mmconvert.emitters.pytorch.source import Source
from mmconvert.errors import UsageError
from mmconvert.ir.model import Example, Module
from mmconvert.ir.store import write_safetensors
from mmconvert.tensors import Tensor

MODEL, WEIGHTS, TEST, EXAMPLES, README = (
    "model.py",
    "weights.safetensors",
    "test_model.py",
    "test_data.safetensors",
    "README.md",
)


def save(module: Module, source: Source, path: Path) -> None:
    """Writes the folder beside, and renames it.

    Raises:
        UsageError: it cannot be written, or something else is there.
    """
    beside = path.with_name(f".{path.name}.part")
    if path.is_dir() and any(path.iterdir()) and not (path / MODEL).is_file():
        raise UsageError("the folder holds something else", where=str(path), hint="give a new folder's name")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        (beside / MODEL).write_text(source.text, encoding="utf-8")
        write_safetensors(beside / WEIGHTS, source.state)
        tested = [e for e in module.examples if _can_be_stored(e)]
        if tested:
            write_safetensors(beside / EXAMPLES, _stored(tested))
            (beside / TEST).write_text(_test(source, tested), encoding="utf-8")
        (beside / README).write_text(_readme(bool(tested)), encoding="utf-8")
        if path.is_dir():
            shutil.rmtree(path)
        beside.rename(path)
    except OSError as error:
        raise UsageError(f"could not be written: {error.strerror}", where=str(path)) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    torchlib.remember(path, tuple(source.inputs), tuple(source.outputs))


def _can_be_stored(example: Example) -> bool:
    return all(a.dtype in TORCH_TYPES for a in (*example.inputs.values(), *example.outputs.values()))


def _stored(examples: list[Example]) -> dict[str, Tensor]:
    found = {}
    for number, example in enumerate(examples):
        for index, array in enumerate(example.inputs.values()):
            found[f"{number}.input.{index}"] = Tensor.of(np.ascontiguousarray(array).reshape(array.shape))
        for index, array in enumerate(example.outputs.values()):
            found[f"{number}.output.{index}"] = Tensor.of(np.ascontiguousarray(array).reshape(array.shape))
    return found


_TEST = '''"""Checks the model against outputs of its source: python -m pytest, or python test_model.py."""

import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from model import load

DATA = load_file(Path(__file__).parent / "{data}")
INPUTS = {inputs}
# For each example the errors that each output may have, from what rounding does to the source:
# the largest difference over the largest magnitude, and the relative norm of the difference.
BUDGETS = [
{budgets}
]


def errors(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """Both errors of an output; infinite where what must be equal is not."""
    if found.shape != wanted.shape or found.dtype != wanted.dtype:
        return math.inf, math.inf
    if not wanted.is_floating_point():
        return (0.0, 0.0) if torch.equal(found, wanted) else (math.inf, math.inf)
    finite = torch.isfinite(wanted)
    if not torch.equal(found[~finite].nan_to_num(), wanted[~finite].nan_to_num()):
        return math.inf, math.inf
    a, b = found[finite].double(), wanted[finite].double()
    if not b.numel():
        return 0.0, 0.0
    difference = a - b
    scale, norm = float(b.abs().max()) or 1.0, float(b.norm()) or 1.0
    return float(difference.abs().max()) / scale, float(difference.norm()) / norm


def test_model() -> None:
    """The model computes what its source does, as far as rounding allows."""
    model = load()
    for number, budgets in enumerate(BUDGETS):
        inputs = [DATA[f"{{number}}.input.{{i}}"] for i in range(INPUTS)]
        with torch.inference_mode():
            results = model(*inputs)
        outputs = results if isinstance(results, tuple) else (results,)
        assert len(outputs) == len(budgets)
        for i, (output, budget) in enumerate(zip(outputs, budgets, strict=True)):
            found = errors(output, DATA[f"{{number}}.output.{{i}}"])
            assert found[0] <= budget[0] and found[1] <= budget[1], (number, i, found, budget)


if __name__ == "__main__":
    test_model()
    print("ok")
'''


def _test(source: Source, examples: list[Example]) -> str:
    lines = []
    for example in examples:
        pairs = [f"({_short(a)}, {_short(b)})" for a, b in example.budgets.values()]
        line = f"    [{', '.join(pairs)}],"
        lines += [line] if len(line) <= 100 else ["    [", *(f"        {p}," for p in pairs), "    ],"]
    return _TEST.format(data=EXAMPLES, inputs=len(source.inputs), budgets="\n".join(lines))


def _short(number: float) -> str:
    return repr(float(f"{number:.3g}"))


def _readme(tested: bool) -> str:
    lines = [
        "# A PyTorch model",
        "",
        "```python",
        "from model import load",
        "",
        "model = load()  # for inference",
        "model.train()  # batch norm and dropout as in training",
        "```",
        "",
        f"`{MODEL}` has the layers, `{WEIGHTS}` their weights, under the names that they have in the source.",
        "It needs `torch` and `safetensors`.",
    ]
    if tested:
        lines += [f"`python {TEST}` compares its outputs with those of the source."]
    return "\n".join(lines) + "\n"
