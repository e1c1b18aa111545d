"""One fault, seeded, converted and verified; and what other tools' rules would say of the same outputs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import mmconvert
from mmconvert import registry
from mmconvert.errors import InvalidModelError
from mmconvert.ir.types import Array
from mmconvert.verification import inputs, sides
from mmconvert.verification.verdict import Verdict
from tests.mutations import devices
from tests.mutations.faults import Fault


@dataclass(frozen=True)
class Trial:
    """What became of one fault.

    Attributes:
        verdict: what mmconvert says.
        missed: the tools whose rule accepts the outputs.
    """

    fault: Fault
    verdict: Verdict
    missed: tuple[str, ...]

    @property
    def is_detected(self) -> bool:
        return self.verdict.was_run and not self.verdict.passed

    @property
    def is_right_stage(self) -> bool:
        return self.is_detected and {f.stage for f in self.verdict.faults} == {self.fault.stage}

    @property
    def is_right_operator(self) -> bool:
        named = {f.operator for f in self.verdict.faults}
        return bool(named) and named <= set(self.fault.operators)

    @property
    def is_diagnosed(self) -> bool:
        texts = [f.diagnosis for f in self.verdict.faults]
        return any(texts) and all(re.search(self.fault.diagnosis, t) for t in texts)


def run(fault: Fault, source: Path, folder: Path) -> Trial:
    """Converts ``source`` with the fault, and verifies the result."""
    target = folder / f"{devices.TARGET}{registry.find(fault.target).suffixes[0]}"
    with pytest.MonkeyPatch.context() as patch:
        if fault.seed is not None:
            fault.seed(patch)
        report = mmconvert.convert(source, target, framework=True, verify=fault.edit is None)
        verdict = report.verdict
        if fault.edit is not None:
            fault.edit(target)
            verdict = mmconvert.verify(source, target, framework=True)
        assert verdict is not None
        try:
            actual = _outputs(target, fault.target, source)
        except InvalidModelError:  # whoever runs it sees that
            return Trial(fault, verdict, ())
    return Trial(fault, verdict, tuple(name for name, rule in RULES.items() if rule(*actual)))


def _outputs(target: Path, format: str, source: Path) -> tuple[Array, Array]:
    """What the source's runtime and the target's make of the first input, flat."""
    (feed,) = inputs.generate(mmconvert.load(source).graph, count=1)
    found = []
    for path, name in ((source, "onnx"), (target, format)):
        side = sides.require_runtime(path, registry.find(name))
        fed = dict(zip(side.runnable.inputs, feed.values(), strict=True))
        found.append(next(iter(side.run(fed).values())).astype(np.float64).reshape(-1))
    return found[0], found[1]


def mmdnn(source: Array, target: Array) -> bool:
    """Both sorted, the longer cut; then an error below 0.15, 12 dB of signal and 30 dB of peak over noise."""
    size = min(len(source), len(target))
    a, b = np.sort(source)[::-1][:size], np.sort(target)[::-1][:size]
    error = float(np.max(np.abs(a - b)))
    noise, signal = float(np.mean((a - b) ** 2)), float(np.mean(a**2))
    if not noise:
        return True
    snr = 10 * np.log10(signal / noise)
    psnr = 10 * np.log10(float(np.max(a)) ** 2 / noise)
    return bool(error < 0.15 and snr > 12 and psnr > 30)


def torch_onnx(source: Array, target: Array) -> bool:
    """Warns of a large absolute difference, and of a large relative one."""
    if len(source) != len(target):
        return False
    difference = np.abs(source - target)
    relative = np.max(difference / (np.abs(source) + 1e-7))
    return bool(np.max(difference) <= 5e-3 and relative <= 0.1)


def onnx2tf(source: Array, target: Array) -> bool:
    """A largest difference of 0.05, and a cosine of 0.999."""
    if len(source) != len(target):
        return False
    cosine = source @ target / max(np.linalg.norm(source) * np.linalg.norm(target), 1e-30)
    return bool(np.max(np.abs(source - target)) <= 5e-2 and cosine >= 0.999)


RULES = {"MMdnn": mmdnn, "torch.onnx": torch_onnx, "onnx2tf": onnx2tf}
"""The acceptance rules of other tools."""
